"""Every process's index follows the change log, and forgets rather than answer from old news."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from pipeline import plugins
from pipeline.domain.ids import EntryId
from pipeline.domain.screening import Verdict
from pipeline.errors import IndexNotReady
from pipeline.journeys.register import register
from pipeline.journeys.restore_index import LEASE, LiveIndexes
from pipeline.journeys.withdraw import ask
from services.wiring import me
from tests.world import Town, jpeg, picture


class Seconds:
    """A monotonic clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def a_process(town: Town, seconds: Seconds | None = None) -> LiveIndexes:
    return LiveIndexes(
        town.world.store,
        [signal.space for signal in town.world.signals],
        lambda space: plugins.build("indexes", "hamming", space),
        me("test"),
        seconds or Seconds(),
    )


def held(live: LiveIndexes) -> int:
    return sum(state.codes for state in live.states().values())


def eventually(holds: Callable[[], object], seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.01)
    return bool(holds())


def register_quietly(town: Town, *seeds: int) -> tuple[str, str]:
    """Register without telling this process's index to look."""
    world = town.world
    images = [(str(seed), jpeg(picture(seed))) for seed in seeds]
    done = register(
        world.store, world.pins, town.clock, world.decode, world.signals, images, world.generic
    )
    return done.case_number, done.pin


def test_what_is_added_and_removed_in_one_process_is_in_force_in_every_other(
    make_town: Callable[..., Town],
) -> None:
    here, there = make_town("api"), make_town("api")
    board = here.platform()
    case_number, pin = register_quietly(here, 1)
    assert eventually(lambda: held(there.live) > 0), "its thread heard of it by itself"
    assert there.screen(board, jpeg(picture(1), 50)).verdict is Verdict.REVIEW
    ask(here.world.store, here.world.pins, here.clock, case_number, pin)
    assert eventually(lambda: held(there.live) == 0)
    assert there.live.applied == here.query("SELECT seq FROM change_head")[0][0]


def test_each_process_reports_the_sequence_that_it_has_applied(town: Town) -> None:
    register_quietly(town, 1)
    register_quietly(town, 2)
    assert eventually(lambda: town.query("SELECT applied FROM followers") == [(2,)])


def test_a_process_that_starts_loads_what_is_in_force_and_resurrects_no_one(town: Town) -> None:
    register_quietly(town, 1)
    left = register_quietly(town, 2)
    ask(town.world.store, town.world.pins, town.clock, *left)
    fresh = a_process(town)
    said: list[int] = []
    fresh.restore(said.append)
    assert said == [2], "two signals of one image"
    assert eventually(lambda: held(town.live) == held(fresh))


def test_a_process_answers_nothing_before_it_has_loaded(town: Town) -> None:
    live = a_process(town)
    assert not live.ready
    signal = town.world.signals[0]
    with pytest.raises(IndexNotReady):
        live.search(signal.space, b"", 31)  # type: ignore[arg-type]
    live.restore()
    assert live.ready


def test_a_process_that_lost_touch_for_too_long_refuses_and_then_loads_anew(town: Town) -> None:
    seconds = Seconds()
    register_quietly(town, 1)
    live = a_process(town, seconds)
    live.restore()
    assert live.ready
    seconds.now += LEASE.total_seconds() + 1
    assert not live.ready
    live.catch_up()
    assert live.ready
    assert held(live) > 0


def test_a_process_that_was_written_off_notices_and_loads_anew(town: Town) -> None:
    register_quietly(town, 1)
    live = a_process(town)
    live.restore()
    town.query("DELETE FROM followers")
    town.query("UPDATE entries SET removed_at = now()")  # a removal that it never heard of
    live.catch_up()
    assert held(live) == 0
    assert town.query("SELECT count(*) FROM followers WHERE applied IS NOT NULL")[0][0] >= 1


def test_a_change_that_was_applied_half_way_is_applied_again(town: Town) -> None:
    live = a_process(town)
    live.restore()
    register_quietly(town, 1)
    with town.world.store.transaction() as unit:
        ids = [EntryId(row[0]) for row in town.query("SELECT id FROM entries ORDER BY id")]
        live._add(unit, live._indexes or {}, unit.registry.entries(ids[:1]))
    live.catch_up()
    assert held(live) == held_by_all(town)


def held_by_all(town: Town) -> int:
    return int(town.query("SELECT sum(slots) FROM entries WHERE removed_at IS NULL")[0][0])


def test_a_process_that_closes_says_so(town: Town) -> None:
    live = a_process(town)
    live.restore()
    before = town.query("SELECT count(*) FROM followers")[0][0]
    live.close()
    assert not live.ready
    assert town.query("SELECT count(*) FROM followers")[0][0] == before - 1
