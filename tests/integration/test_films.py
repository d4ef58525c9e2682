"""A video is registered, found again when it was altered, and answered whatever happens."""

from __future__ import annotations

import io
from itertools import chain

import numpy as np
import pytest
from PIL import Image

from pipeline.domain.ids import ScreeningId
from pipeline.domain.media import Rating, Upload
from pipeline.domain.screening import Screening, Verdict
from pipeline.errors import RefusalReason
from pipeline.journeys.register import Registration, register
from pipeline.journeys.screen_film import Projector
from pipeline.journeys.take_in_film import ATTEMPTS, accept, early_of
from pipeline.journeys.withdraw import ask, finish
from services.wiring import alive
from tests.films import OTHERS, SCENES, film, scenes, still
from tests.world import Town, jpeg

FPS = 12.0


@pytest.fixture(scope="module")
def hers() -> bytes:
    """What she registers: four scenes, sixteen seconds."""
    return film(scenes(SCENES[:4], fps=FPS), fps=FPS)


def register_film(town: Town, *bodies: bytes) -> Registration:
    world = town.world
    done = register(
        world.store, world.pins, town.clock, world.decode, world.signals, (), world.generic,
        videos=[(f"film {at}", io.BytesIO(body)) for at, body in enumerate(bodies)],
        filmer=world.filmer,
    )  # fmt: skip
    town.live.catch_up()
    return done


def send(town: Town, body: bytes, platform=None, name="film", rating=Rating.UNKNOWN) -> Screening:
    return accept(
        town.world.store, town.world.blobs, town.clock, platform or town.platform(),
        Upload(name, "somebody", rating), [body], "video/mp4",
    )  # fmt: skip


def projector(town: Town, **changes: object) -> Projector:
    made = town.world.projector(town.live)
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def answer(town: Town, accepted: Screening) -> Screening | None:
    with town.world.store.transaction() as unit:
        return unit.screenings.get(accepted.id, accepted.platform)


def screened(town: Town, body: bytes) -> Screening:
    accepted = send(town, body, town.platform(f"board {np.random.default_rng().integers(1 << 40)}"))
    assert projector(town).work(lambda _: 0.0)
    answered = answer(town, accepted)
    assert answered is not None
    return answered


def test_her_film_is_found_in_a_longer_one_and_the_answer_says_when(town, hers):
    register_film(town, hers)
    longer = film(
        chain(
            scenes(OTHERS[:2], seconds=3, fps=FPS, seed=7),
            (picture for at, picture in enumerate(scenes(SCENES[:4], fps=FPS)) if 60 <= at < 132),
            scenes(OTHERS[2:4], seconds=3, fps=FPS, seed=8),
        ),
        fps=FPS,
        crf="32",
    )
    found = screened(town, longer)
    assert found.verdict is Verdict.REVIEW
    match = found.matches[0]
    (stretch,) = match.stretches
    assert stretch.upload == pytest.approx((6.0, 12.0), abs=1.0)
    assert stretch.entry == pytest.approx((5.0, 11.0), abs=1.0)
    assert match.shares is not None
    assert match.shares == pytest.approx((6 / 18, 6 / 16), abs=0.1)
    kept = town.query("SELECT stretches FROM case_hits")
    assert kept[0][0] == [stretch.document()]


def test_unrelated_films_and_her_film_after_she_left_raise_nothing(town, hers):
    register_film(town, hers)
    other = film(scenes(OTHERS[:4], seconds=2, fps=FPS, seed=3), fps=FPS)
    assert screened(town, other).verdict is Verdict.CLEAR
    person = town.query("SELECT id FROM persons")[0][0]
    with town.world.store.transaction() as unit:
        unit.registry.stop_matches(person, town.clock())
    assert screened(town, hers).verdict is Verdict.CLEAR


def test_a_withdrawal_destroys_all_that_was_kept_of_a_video(town, hers):
    world = town.world
    done = register(
        world.store, world.pins, town.clock, world.decode, world.signals, (), world.generic,
        videos=[("film", io.BytesIO(hers))], filmer=world.filmer,
    )  # fmt: skip
    town.live.catch_up()
    assert {row[0] for row in town.query("SELECT layout FROM entries")} == {
        "frames",
        "moment",
        "bytes",
    }
    found = screened(town, film(scenes(SCENES[:4], fps=FPS), fps=FPS, crf="30"))
    receipt = ask(world.store, world.pins, town.clock, done.case_number, done.pin)
    town.live.catch_up()
    finish(world.store, world.blobs, town.clock, alive, receipt)
    assert town.query("SELECT count(*) FROM entries") == [(0,)]
    assert town.query("SELECT stretches FROM case_hits") == [([],)]
    assert town.query("SELECT count(*) FROM vault_keys WHERE kind IN ('person', 'media')") == [(0,)]
    assert not [path for path in world.settings.blob_folder.rglob("*") if path.is_file()]
    assert found.case is not None
    assert screened(town, hers).verdict is Verdict.CLEAR


def test_a_still_is_found_in_a_film_and_a_film_s_frame_as_a_still(town, hers):
    registered = Image.fromarray(still("coffee")[:288, :512])
    town.register(jpeg(registered))
    shown = [np.asarray(registered.resize((256, 144)))] * 8
    slides = chain(scenes(OTHERS[:1], 3, FPS), shown, scenes(OTHERS[1:2], 3, FPS))
    found = screened(town, film(slides, fps=FPS))
    assert found.verdict is Verdict.REVIEW
    assert found.matches[0].stretches[0].entry is None
    register_film(town, hers)
    frame = list(scenes(SCENES[:4], fps=FPS))[100]
    assert town.screen(town.platform(), jpeg(Image.fromarray(frame))).verdict is Verdict.REVIEW


def test_the_same_file_is_known_by_its_bytes(town, hers):
    register_film(town, hers)
    assert any(match.signal == "bytes" for match in screened(town, hers).matches)


def test_an_upheld_film_is_known_when_it_comes_again_and_a_piece_of_it_is_for_a_person(town, hers):
    register_film(town, hers)
    copy = film(scenes(SCENES[:4], fps=FPS), fps=FPS, crf="30")
    first = screened(town, copy)
    town.uphold(first.case, town.reviewer())
    assert screened(town, copy).verdict is Verdict.KNOWN
    piece = film(list(scenes(SCENES[:4], fps=FPS))[50:110], fps=FPS, crf="31")
    assert screened(town, piece).verdict is Verdict.REVIEW


def test_a_video_waits_with_its_progress_and_its_file_is_sealed_until_the_answer(town, hers):
    accepted = send(town, hers)
    assert accepted.verdict is Verdict.PENDING
    assert accepted.progress is not None
    blobs = [path for path in town.world.settings.blob_folder.rglob("*") if path.is_file()]
    assert len(blobs) == 1
    assert hers[1000:1040] not in blobs[0].read_bytes()
    assert town.world.blobs.older_than(-town.clock.at.utcoffset()) is not None
    told: list[tuple[float, int]] = []
    made = projector(town)

    def keep(step):
        told.append((step.done, step.frames))

    with town.world.store.transaction() as unit:
        pending = unit.films.get(ScreeningId(accepted.id))
    assert pending is not None
    made.screen(pending, io.BytesIO(hers), keep)
    assert told[-1][1] == len(told)
    assert told == sorted(told)
    assert not [path for path in town.world.settings.blob_folder.rglob("*") if path.is_file()]


def test_an_early_hit_is_told_before_the_end_and_the_result_after_it(town, hers):
    register_film(town, hers)
    platform = town.platform()
    accepted = send(town, hers, platform)
    projector(town).work(lambda _: 0.0)
    told = town.query("SELECT kind, body FROM events ORDER BY created_at, id")
    assert [kind for kind, _ in told] == ["screening.early", "screening.completed"]
    early, done = (body["data"] for _, body in told)
    assert (early["verdict"], done["verdict"]) == ("pending", "review")
    assert early["matches"][0]["stretches"]
    assert early["progress"]["share"] < 1
    assert early["screening"] == done["screening"] == str(accepted.id)


def certain_in(town: Town, hers: bytes) -> Screening:
    """A video in which she was seen for certain, whose work stopped there."""
    accepted = send(town, hers)
    made = projector(town)
    read = made._read

    def until_told(file, sampling):
        for moment in read(file, sampling):
            with town.world.store.transaction() as unit:
                found = unit.films.get(accepted.id)
            if found is not None and found.certain is not None:
                raise RuntimeError("power cut")
            yield moment

    made._read = until_told
    with pytest.raises(RuntimeError, match="power cut"):
        made.work(lambda _: 0.0)
    return accepted


def test_what_is_certain_before_the_end_lies_sealed_and_can_be_read_until_then(town, hers):
    register_film(town, hers)
    accepted = certain_in(town, hers)
    ((row,),) = town.query("SELECT to_jsonb(f)::text FROM pending_films f")
    assert '"early": []' in row
    assert not any(word in row for word in ("stretches", "distance", "pdq"))
    with town.world.store.transaction() as unit:
        film = unit.films.get(accepted.id)
        (match,) = early_of(unit, film)
        assert match.signal == "pdq"
        assert match.stretches
        assert not unit.films.early(film.id, b"another"), "it is told once"


def test_what_was_certain_of_her_is_no_longer_told_once_she_left(town, hers):
    world, done = town.world, register_film(town, hers)
    accepted = certain_in(town, hers)
    receipt = ask(world.store, world.pins, town.clock, done.case_number, done.pin)
    town.live.catch_up()
    finish(world.store, world.blobs, town.clock, alive, receipt)
    assert town.query("SELECT certain FROM pending_films") == [(None,)]
    assert projector(town).work(lambda _: 0.0)
    assert answer(town, accepted).verdict is Verdict.CLEAR


def test_a_worker_killed_half_way_leaves_the_video_to_the_next(town, hers):
    accepted = send(town, hers)
    with town.world.store.transaction() as unit:
        (job,) = unit.jobs.claim("film", 1, -(town.clock.at - town.clock.at))
    assert job.attempts == 1
    assert projector(town).work(lambda _: 0.0)
    answered = answer(town, accepted)
    assert answered is not None
    assert answered.verdict is Verdict.CLEAR
    assert town.query("SELECT count(*) FROM pending_films") == [(0,)]


def test_a_file_that_fails_three_times_is_answered_by_name(town, hers):
    accepted = send(town, hers)
    made = projector(town)

    def explode(*_: object) -> object:
        raise RuntimeError("a defect")

    made._read = explode
    for _ in range(ATTEMPTS):
        with pytest.raises(RuntimeError):
            made.work(lambda _: -1.0)
    assert not made.work(lambda _: -1.0)
    assert town.query("SELECT state, last_error FROM jobs WHERE kind = 'film'") == [
        ("dead", "RuntimeError")
    ]
    assert made.answer_given_up() == 1
    answered = answer(town, accepted)
    assert answered is not None
    assert answered.refusal is RefusalReason.UNDECODABLE
    assert made.answer_given_up() == 0


def test_a_damaged_video_is_refused_by_name_and_nothing_of_it_stays(town):
    accepted = send(town, b"\x00\x00\x00\x18ftypisom" + bytes(300))
    projector(town).work(lambda _: 0.0)
    answered = answer(town, accepted)
    assert answered is not None
    assert answered.verdict is Verdict.REFUSED
    assert not [path for path in town.world.settings.blob_folder.rglob("*") if path.is_file()]
    assert town.query("SELECT count(*) FROM vault_keys WHERE kind = 'media'") == [(0,)]


def test_who_has_lost_the_job_records_nothing(town, hers):
    accepted = send(town, hers)
    made = projector(town)
    look = made._read

    def overtaken(file, sampling):
        for moment in look(file, sampling):
            town.query("UPDATE jobs SET fence = fence + 1")
            yield moment

    made._read = overtaken
    assert made.work(lambda _: 0.0)
    assert answer(town, accepted) is None
    assert town.query("SELECT count(*) FROM pending_films") == [(1,)]


def test_a_video_and_an_animation_are_answered_with_202_and_an_address(town, hers) -> None:
    from starlette.testclient import TestClient

    from services.accounts import add_platform
    from services.api import create_app

    key = add_platform(town.world, "shop", None, 1000).api_key
    headers = {"authorization": f"Bearer {key}"}
    animation = io.BytesIO()
    pictures = [Image.fromarray(still(name)[:128, :128]) for name in ("brick", "coffee")]
    pictures[0].save(animation, "GIF", save_all=True, append_images=pictures[1:], duration=400)
    with TestClient(create_app(town.world, town.live), headers=headers) as client:
        for body, kind in ((hers, "video/mp4"), (animation.getvalue(), "image/gif")):
            sent = client.post(
                "/v1/screenings?content_id=x", content=body, headers={"content-type": kind}
            )
            assert sent.status_code == 202, sent.text
            where = sent.headers["location"]
            waiting = client.get(where).json()
            assert (waiting["verdict"], waiting["progress"]["done"]) == ("pending", 0)
            projector(town).work(lambda _: 0.0)
            done = client.get(where).json()
            assert (done["verdict"], done["progress"]) == ("clear", None)
            assert done["screening"] == waiting["screening"]
