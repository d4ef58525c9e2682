"""What one process of the API takes on: each key's pace, the line, the memory, the database."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.domain.ids import PlatformId
from pipeline.errors import Unavailable
from pipeline.ports import Store
from services.accounts import key_digest, new_key
from services.api.auth import REMEMBERED, Caller, Keys, Pace
from services.api.bodies import Budget
from services.api.line import Line
from services.api.problems import Declined
from services.api.pulse import Pulses
from services.wiring import now


@dataclass
class Time:
    """Seconds that pass when a test says so."""

    at: float = 1000.0

    def __call__(self) -> float:
        return self.at


@dataclass
class Book:
    """A store that knows keys, and counts how often it is asked."""

    keys: dict[bytes, tuple[PlatformId, UUID, int]] = field(default_factory=dict)
    asked: int = 0
    away: bool = False

    @contextmanager
    def transaction(self, *, snapshot: bool = False) -> Iterator[Any]:
        self.asked += 1
        if self.away:
            raise Unavailable("away")
        yield self

    platforms = cases = jobs = registry = probes = banks = property(lambda self: self)
    floods = property(lambda self: Quiet())

    def by_key(self, digest: bytes) -> tuple[PlatformId, UUID, int] | None:
        return self.keys.get(digest)

    def head(self) -> int:
        return 7

    def waiting(self) -> tuple[int, None]:
        return 0, None

    def deadlines(self, now: datetime, before: datetime) -> tuple[int, int]:
        assert before > now
        return 0, 0

    def alarms(self, since: datetime) -> list[Any]:
        assert since < now()
        return []

    def depth(self) -> list[Any]:
        return []

    def trials_by_bank(self) -> dict[str, int]:
        return {}


class Quiet:
    """Nothing in quarantine."""

    def waiting(self) -> tuple[int, int]:
        return 0, 0


def book() -> Any:
    made: Store | Book = Book()
    return made


def caller(per_minute: int = 60) -> Caller:
    return Caller(PlatformId(uuid4()), uuid4(), per_minute)


def allowed(pace: Pace, who: Caller) -> bool:
    try:
        pace.spend(who)
    except Declined:
        return False
    return True


def test_a_key_may_spend_a_minutes_worth_at_once_and_then_waits() -> None:
    time, who = Time(), caller(per_minute=30)
    pace = Pace(time)
    assert [allowed(pace, who) for _ in range(31)] == [True] * 30 + [False]
    with pytest.raises(Declined) as declined:
        pace.spend(who)
    assert declined.value.status == 429
    assert declined.value.headers["retry-after"] == "2"
    time.at += 2
    assert allowed(pace, who)
    assert not allowed(pace, who)


@given(
    per_minute=st.integers(1, 6000),
    gaps=st.lists(st.floats(0, 30), min_size=1, max_size=200),
)
def test_a_key_never_gets_more_than_its_share(per_minute: int, gaps: list[float]) -> None:
    time, who = Time(), caller(per_minute)
    pace, given_out, began = Pace(time), 0, time.at
    for gap in gaps:
        time.at += gap
        given_out += allowed(pace, who)
    assert given_out <= per_minute + (time.at - began) * per_minute / 60 + 1e-6


def test_a_good_key_is_remembered_for_a_moment_and_a_bad_one_never() -> None:
    time, kept = Time(), book()
    key, digest = new_key()
    kept.keys[digest] = (PlatformId(uuid4()), uuid4(), 60)
    keys = Keys(kept, time)
    assert keys.remembered(key) is None
    found = keys.find(key)
    assert found is not None
    assert keys.remembered(key) == found
    del kept.keys[digest]
    time.at += REMEMBERED
    assert keys.remembered(key) is None
    assert keys.find(key) is None
    assert keys.remembered(key) is None
    for guess in range(100):
        assert keys.find(f"csk_{guess}") is None
    assert keys._good == {}


def test_a_key_is_kept_as_a_digest_only() -> None:
    key, digest = new_key()
    assert key.startswith("csk_")
    assert len(key) == 4 + 43
    assert key_digest(key) == digest
    assert len(digest) == 32
    assert new_key()[0] != key


def test_memory_is_given_back_whatever_happens() -> None:
    budget = Budget(100)

    def fail() -> None:
        with budget.share() as share:
            share.grow(60)
            share.grow(40)  # no less than before
            assert budget.held == 60
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert budget.held == 0
    with budget.share() as first, budget.share() as second:
        first.grow(70)
        with pytest.raises(Declined) as declined:
            second.grow(31)
        assert (declined.value.status, declined.value.code) == (503, "busy")
        second.grow(30)
        assert budget.held == 100


def test_the_line_works_on_few_lets_some_wait_and_sends_the_rest_away() -> None:
    async def story() -> list[str]:
        line, go = Line(workers=2, longest=1), threading.Event()
        told: list[str] = []

        async def come() -> None:
            try:
                told.append("worked" if await line.run(lambda: go.wait(10)) else "forgotten")
            except Declined as declined:
                told.append(declined.code)
                go.set()

        async with anyio.create_task_group() as group:
            for _ in range(4):
                group.start_soon(come)
        assert (line.inside, line.waiting) == (0, 0)
        return told

    assert sorted(anyio.run(story)) == ["busy", "worked", "worked", "worked"]


def test_a_place_in_the_line_is_free_again_after_a_defect() -> None:
    def broken() -> None:
        raise ZeroDivisionError

    async def story() -> int:
        line = Line(workers=1, longest=0)
        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                await line.run(broken)
        return line.inside

    assert anyio.run(story) == 0


@pytest.mark.parametrize("away", [False, True])
def test_the_database_is_asked_once_a_moment_however_many_want_to_know(away: bool) -> None:
    time, kept = Time(), book()
    kept.away = away
    pulses: Callable[[], Any] = Pulses(kept, now, time)
    felt = [pulses() for _ in range(10)]
    assert kept.asked == 1
    assert {one.up for one in felt} == {not away}
    time.at += 1
    pulses()
    assert kept.asked == 2
