"""A video whose worker was killed is finished by the next one, or answered by name."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest

from pipeline.domain.screening import Screening, Verdict
from pipeline.errors import RefusalReason
from pipeline.journeys import keep_place
from pipeline.journeys.keep_place import Place
from pipeline.journeys.take_in_film import ATTEMPTS
from pipeline.journeys.withdraw import ask, finish
from pipeline.media.moments import Moment, Part, Sampling
from pipeline.media.video import read_video
from services.wiring import alive
from tests.films import OTHERS, SCENES, film, scenes
from tests.integration.test_crashes import eventually, worker
from tests.integration.test_films import answer, hers, projector, register_film, send
from tests.world import Town

__all__ = ["hers"]

FPS = 12.0


@pytest.fixture(scope="module")
def longer() -> bytes:
    """Her film in the middle of another, read by key frames and by the gaps between them."""
    return film(
        chain(
            scenes(OTHERS[:3], 4, FPS, seed=7),
            scenes(SCENES[:4], fps=FPS),
            scenes(OTHERS[3:], 4, FPS, seed=8),
        ),
        FPS,
        keys=84,
    )


def seen(body: bytes, sampling: Sampling) -> list[Moment]:
    return list(read_video(io.BytesIO(body), sampling))


def test_a_reading_taken_up_anywhere_shows_the_rest_and_nothing_twice(longer: bytes) -> None:
    whole = seen(longer, Sampling())
    assert {moment.part for moment in whole} == {Part.KEYS, Part.GAPS}
    for cut in range(1, len(whole)):
        place = Place(0)
        for moment in whole[:cut]:
            place.pass_by(moment)
        rest = seen(longer, place.after(Sampling()))
        assert [(one.part, one.time) for one in rest] == [
            (one.part, one.time) for one in whole[cut:]
        ], f"after {cut} of {len(whole)}"


class Killed(BaseException):
    """What ends a worker in these tests: nothing of its own runs any more."""


def cut_off(town: Town, after: int) -> None:
    """A worker that keeps its place at every moment and ends at one of them."""
    made = projector(town)
    look, count = made._read, 0

    def read(file: object, sampling: Sampling) -> Iterator[Moment]:
        nonlocal count
        for moment in look(file, sampling):  # type: ignore[arg-type]
            count += 1
            if count > after:
                raise Killed
            yield moment

    made._read = read
    with pytest.raises(Killed):
        made.work(lambda _: 0.0)
    town.query("UPDATE jobs SET lease_until = now()")


@pytest.fixture
def at_every_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.journeys.screen_film._RENEW", 0.0)
    monkeypatch.setattr("pipeline.journeys.screen_film._KEEP", 0.0)
    monkeypatch.setattr("pipeline.journeys.screen_film._KEEP_APART", 0)


def found(screening: Screening | None) -> object:
    assert screening is not None
    return screening.verdict, [(one.stretches, one.shares) for one in screening.matches]


def test_the_answer_is_the_same_as_if_nobody_had_been_killed(
    town: Town, hers: bytes, longer: bytes, at_every_moment: None
) -> None:
    register_film(town, hers)
    board = town.platform()
    through = send(town, longer, board, "through")
    made = projector(town)
    assert made.work(lambda _: 0.0)
    accepted = send(town, longer, board, "cut off")
    cut_off(town, 4)
    ((kept, frames),) = town.query("SELECT kept, frames FROM pending_films")
    assert frames >= 3
    assert b"rules" not in kept
    reads = []
    look = made._read

    def read(file: object, sampling: Sampling) -> Iterator[Moment]:
        reads.append(sampling)
        return look(file, sampling)  # type: ignore[arg-type]

    made._read = read
    assert made.work(lambda _: 0.0)
    assert sum(map(len, reads[0].seen)) >= 3, "it goes on, and does not begin anew"
    assert found(answer(town, accepted)) == found(answer(town, through))
    first, second = town.query("SELECT octet_length(sealed) FROM traces")
    assert first == second, "both left as many moments"


def test_a_withdrawal_leaves_no_place_that_names_her(
    town: Town, hers: bytes, longer: bytes, at_every_moment: None
) -> None:
    world = town.world
    from pipeline.journeys.register import register

    done = register(
        world.store, world.pins, town.clock, world.decode, world.signals, (), world.generic,
        videos=[("film", io.BytesIO(hers))], filmer=world.filmer,
    )  # fmt: skip
    town.live.catch_up()
    accepted = send(town, longer)
    cut_off(town, 12)
    with world.store.transaction() as unit:
        pending = unit.films.get(accepted.id)
        assert pending is not None
        made = projector(town)
        watch = made.watch()
        assert keep_place.found(unit, pending, watch, made._rules)
        assert watch.glimpses, "she was seen"
    receipt = ask(world.store, world.pins, town.clock, done.case_number, done.pin)
    town.live.catch_up()
    finish(world.store, world.blobs, town.clock, alive, receipt)
    assert town.query("SELECT kept FROM pending_films") == [(None,)]
    assert projector(town).work(lambda _: 0.0)
    answered = answer(town, accepted)
    assert answered is not None
    assert answered.verdict is Verdict.CLEAR


def test_a_worker_that_is_told_to_end_hands_the_video_back(town: Town, longer: bytes) -> None:
    send(town, longer)
    assert projector(town).work(lambda _: 0.0, lambda: True)
    assert town.query("SELECT state, attempts FROM jobs WHERE kind = 'film'") == [("ready", 0)]
    assert town.query("SELECT kept IS NOT NULL FROM pending_films") == [(True,)]


def test_a_worker_that_is_killed_in_the_middle_of_a_film_is_followed_by_one_that_finishes_it(
    town: Town, hers: bytes
) -> None:
    register_film(town, hers)
    # Long enough for a place to be kept, which happens every two seconds at most.
    many = scenes(OTHERS * 150, 1.0, 4.0, (160, 90), seed=5)
    accepted = send(town, film(chain(many, scenes(SCENES[:4], 4.0, 4.0, (160, 90))), 4.0, keys=4))
    with worker(town) as first:
        kept = "SELECT 1 FROM pending_films WHERE kept IS NOT NULL AND done > 0.1"
        assert eventually(lambda: town.query(kept), 120), "it has kept its place"
        first.send_signal(signal.SIGKILL)
        first.wait()
    assert answer(town, accepted) is None, "it was killed half-way"
    made = projector(town)
    watch = made.watch()
    with town.world.store.transaction() as unit:
        pending = unit.films.get(accepted.id)
        assert pending is not None
        assert keep_place.found(unit, pending, watch, made._rules)
    frames = watch.frames
    assert frames > 0
    town.query("UPDATE jobs SET lease_until = now()")  # as if the lease's minutes had passed
    with worker(town):
        assert eventually(
            lambda: town.query("SELECT 1 FROM jobs WHERE kind = 'film' AND attempts = 2"), 120
        )
        anew = "SELECT 1 FROM pending_films WHERE frames < %s"
        assert not eventually(lambda: town.query(anew, frames) or answer(town, accepted), 120) or (
            answer(town, accepted) is not None
        ), "it went on, and did not begin anew"
    answered = answer(town, accepted)
    assert answered is not None
    assert answered.verdict is Verdict.REVIEW, "what comes after the place was looked at"
    assert town.query("SELECT state, attempts FROM jobs WHERE kind = 'film'") == [("done", 2)]


def test_a_film_that_kills_three_workers_is_a_dead_letter_with_its_reason_and_is_answered(
    town: Town, longer: bytes
) -> None:
    accepted = send(town, longer)
    for attempt in range(1, ATTEMPTS + 1):
        with worker(town) as poisoned:
            taken = "SELECT 1 FROM jobs WHERE kind = 'film' AND state = 'leased' AND attempts = %s"
            while not town.query(taken, attempt):  # seen often: the film is short
                assert poisoned.poll() is None
            poisoned.send_signal(signal.SIGKILL)
            poisoned.wait()
        assert answer(town, accepted) is None
        town.query("UPDATE jobs SET lease_until = now()")

    def files() -> list[Path]:
        return [path for path in town.world.settings.blob_folder.rglob("*") if path.is_file()]

    with worker(town):
        assert eventually(lambda: answer(town, accepted), 120)
        # The answer is on record before the file goes.
        assert eventually(lambda: not files(), 120), "its file is destroyed"
    answered = answer(town, accepted)
    assert answered is not None
    assert answered.refusal is RefusalReason.UNDECODABLE
    assert town.query("SELECT state, last_error FROM jobs WHERE kind = 'film'") == [
        ("dead", "the worker of attempt 3, the last one allowed, never answered")
    ]
    assert not files()


def test_a_service_has_a_decoder_before_its_first_upload(town: Town) -> None:
    assert town.world.decoders.state().born == 0
    town.world.warm()
    assert eventually(lambda: town.world.decoders.state().idle == 1, 60)


def test_a_service_does_not_load_the_video_decoder_itself() -> None:
    loaded = (
        "import services.api, services.wiring, services.worker, sys; print('av' in sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    said = subprocess.run(
        [sys.executable, "-c", loaded], env=environment, capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == "False"
