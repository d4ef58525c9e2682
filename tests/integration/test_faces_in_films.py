"""Faces in videos: followed, compared by their best views, told with their times."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple
from datetime import timedelta

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.domain.media import WHOLE, Frame, Rating, Upload
from pipeline.domain.screening import Screening, Verdict
from pipeline.journeys.take_in_film import accept
from pipeline.journeys.track_faces import MOST_PLACES, MOST_TRACKS, FaceTracks
from pipeline.journeys.withdraw import ask, finish
from pipeline.packs import Faces
from services.wiring import alive
from tests.faces import (
    Drawn,
    drawn_town,  # noqa: F401
    enrol,
    make_drawn_town,  # noqa: F401
    make_face_town,  # noqa: F401
    portrait_file,
    three,
)
from tests.films import film, scenes
from tests.packs import portrait
from tests.world import Town

HER, HIM = 7, 90


GREY = {HER: 40, HIM: 200}


class Painted(Drawn):
    """Reads who is shown from how light the corner is: a codec keeps no exact number."""

    def templates(self, frames: Sequence[Frame]) -> list[Faces]:
        if any(frame.time is None for frame in frames):
            return super().templates(frames)
        light = [float(frame.rgb[8:24, 8:24].mean()) for frame in frames]
        return super().templates(
            [
                _frame(frame.time or 0.0, HER if value < 120 else HIM, int(frame.time or 0))
                for frame, value in zip(frames, light, strict=True)
            ]
        )


def _frame(time: float, person: int, photo: int, side: int = 96) -> Frame:
    return Frame(np.full((side, side, 3), (person, photo, 0), np.uint8), time)


def test_somebody_who_stays_is_one_track_with_her_times_and_best_views() -> None:
    tracks = FaceTracks(((Drawn(), 0.5),))
    for second in range(20):
        tracks.add(_frame(float(second), HER if second < 12 else HIM, second))
    seen = tracks.seen()
    (signals,) = seen.asked
    assert len(signals) == 10, "five views of each"
    spans = sorted({when.upload for when in seen.shown.values()})
    assert spans == [(0.0, 11.0), (12.0, 19.0)]
    assert {when.matched for when in seen.shown.values()} == {12, 8}
    assert all(view != WHOLE for view in signals.views)
    (paths,) = {len(when.path) for when in seen.shown.values() if when.matched == 12}
    assert paths == 12, "where she lay at each of the moments"
    for view, when in seen.shown.items():
        (place,) = [place for place in when.path if place.time == view.time]
        sides = (*view.corners[0], *view.corners[2])
        assert astuple(place)[1:] == pytest.approx(sides, abs=1e-4)


def test_of_somebody_who_is_there_for_long_every_other_moment_is_told() -> None:
    tracks = FaceTracks(((Drawn(), 0.5),))
    for second in range(MOST_PLACES + 40):
        tracks.add(_frame(float(second), HER, second % 200))
    (times,) = {tuple(place.time for place in when.path) for when in tracks.seen().shown.values()}
    assert times == tuple(float(second) for second in range(0, MOST_PLACES + 40, 2))


def test_somebody_who_comes_back_much_later_is_a_track_of_her_own() -> None:
    tracks = FaceTracks(((Drawn(), 0.5),))
    for second in (0, 1, 2, 30, 31):
        tracks.add(_frame(float(second), HER, second))
    spans = sorted({when.upload for when in tracks.seen().shown.values()})
    assert spans == [(0.0, 2.0), (30.0, 31.0)]


def test_more_people_than_are_followed_are_told() -> None:
    tracks = FaceTracks(((Drawn(), 0.5),))
    for number in range(MOST_TRACKS + 3):
        tracks.add(_frame(100.0 * number, number, 0))
    seen = tracks.seen()
    assert len(seen.asked[0]) == MOST_TRACKS
    assert seen.notes == ("faces_left_out:3",)


def test_no_frames_have_no_faces() -> None:
    assert FaceTracks(((Drawn(), 0.5),)).seen().asked == ()


def test_her_face_in_an_intimate_film_is_found_with_its_times(
    make_drawn_town: Callable[..., Town],  # noqa: F811
) -> None:
    town = make_drawn_town(model=Painted())
    hers = enrol(town, *three(HER))
    board = town.platform()
    body = film(_painted((HIM, HER)), fps=12.0)
    found = _screened(town, board, body, Rating.INTIMATE)
    assert found.verdict is Verdict.REVIEW
    (match,) = found.matches
    assert match.signal == "drawn"
    assert match.distance > 0.7
    assert match.view.startswith("the face at ")
    begin, end = match.stretches[0].upload
    assert 3 <= begin <= end <= 8.1
    assert _screened(town, board, body, Rating.UNKNOWN).notes[-1] == (
        "faces_not_looked_at:unknown_rating"
    )
    ((view, stretches),) = town.query("SELECT view, stretches FROM case_hits")
    assert 3 <= view["time"] <= 8.1, "the moment at which her face lay there"
    assert stretches
    assert hers.case_number is not None
    assert hers.pin is not None
    world = town.world
    receipt = ask(world.store, world.pins, town.clock, hers.case_number, hers.pin)
    finish(world.store, world.blobs, town.clock, alive, receipt, timedelta(0))
    assert town.query("SELECT view, stretches, person FROM case_hits") == [({}, [], None)], (
        "where and when her face was seen leaves with her"
    )


def test_a_real_face_in_a_real_film_is_found_when_it_is_there(
    make_face_town: Callable[..., Town],  # noqa: F811
) -> None:
    town = make_face_town()
    enrol(town, portrait_file("obama"), portrait_file("obama2"))
    board = town.platform()
    his, other = portrait("obama3").rgb, portrait("biden").rgb
    body = film(_panned((other, his), seconds=3, fps=8.0), fps=8.0)
    found = _screened(town, board, body, Rating.INTIMATE)
    assert found.verdict is Verdict.REVIEW
    (match,) = found.matches
    assert match.signal == "omz0095"
    assert match.distance > 0.55
    assert match.stretches, "one track, with its times"
    for stretch in match.stretches:
        begin, end = stretch.upload
        assert 2.8 <= begin <= end <= 6.1, "he is there from the third second on"
    before = _templates_and_hits(town)
    stranger = film(_panned((other,), seconds=2, fps=8.0), fps=8.0)
    answer = _screened(town, board, stranger, Rating.INTIMATE)
    assert answer.verdict is Verdict.CLEAR
    assert answer.matches == ()
    assert _templates_and_hits(town) == before, "of a stranger's face nothing is left"


def _panned(
    people: Sequence[NDArray[np.uint8]], *, seconds: int, fps: float
) -> Iterator[NDArray[np.uint8]]:
    """Each picture for some seconds, while a camera moves over it and nears."""
    count = round(seconds * fps)
    for picture in people:
        height, width = picture.shape[:2]
        for at in range(count):
            share = at / max(1, count - 1)
            side = int(min(height, width) * (1 - 0.15 * share))
            left = int((width - side) * (0.3 + 0.4 * share))
            top = int((height - side) * 0.1 * share)
            part = picture[top : top + side, left : left + side]
            yield cv2.resize(part, (480, 480), interpolation=cv2.INTER_AREA)


def _templates_and_hits(town: Town) -> list[tuple[object, ...]]:
    return [
        *town.query("SELECT count(*) FROM case_hits"),
        *town.query("SELECT count(*) FROM entries"),
        *town.query("SELECT count(*) FROM cases"),
    ]


def test_an_ordinary_film_of_her_raises_nothing(drawn_town: Town) -> None:  # noqa: F811
    enrol(drawn_town, *three(HER))
    body = film(_painted((HER,)), fps=12.0)
    answer = _screened(drawn_town, drawn_town.platform(), body, Rating.NOT_INTIMATE)
    assert answer.verdict is Verdict.CLEAR
    assert answer.notes == ()


def _painted(people: tuple[int, ...]):
    """Scenes of four seconds; who is in one is painted into its corner, large and grey."""
    for at, picture in enumerate(scenes(("coffee", "chelsea")[: len(people)], fps=12.0)):
        picture[:48, :48] = GREY[people[at // 48]]
        yield picture


def _screened(town: Town, board, body: bytes, rating: Rating) -> Screening:
    world = town.world
    accepted = accept(
        world.store, world.blobs, town.clock, board,
        Upload(f"film {rating}", "somebody", rating), [body], "video/mp4",
    )  # fmt: skip
    assert world.projector(town.live).work(lambda _: 0.0)
    with world.store.transaction() as unit:
        answered = unit.screenings.get(accepted.id, board)
    assert answered is not None
    return answered
