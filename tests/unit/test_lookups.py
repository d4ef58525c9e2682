"""Look-ups by value go together, and each gets its own outcome."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from pipeline.domain.ids import PlatformId, ScreeningId
from pipeline.domain.media import Rating, Upload
from pipeline.domain.screening import Form, Screening, Verdict
from pipeline.errors import Invalid
from pipeline.journeys.screen_upload import Lookup
from services.api.line import Line
from services.api.lookups import MOST, WORKERS, Lookups, Outcome
from services.api.problems import Declined

PLATFORM = PlatformId(uuid4())


def asked(name: str) -> Lookup:
    return Lookup(PLATFORM, Upload(name, None, Rating.UNKNOWN), ())


def answer(lookup: Lookup) -> Screening:
    return Screening(
        id=ScreeningId(uuid4()),
        platform=lookup.platform,
        upload=lookup.upload,
        form=Form.HASHES,
        verdict=Verdict.CLEAR,
        policy="1",
        index_seq=0,
        received_at=datetime.now(UTC),
        milliseconds=0.0,
    )


class Desk:
    """Answers when it is let; by name some are wrong, some take their time."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.batches: list[list[str]] = []

    def many(self, lookups: Sequence[Lookup]) -> list[Outcome]:
        names = [one.upload.content_id for one in lookups]
        self.batches.append(names)
        assert self.open.wait(30)
        return [self._outcome(one) for one in lookups]

    def _outcome(self, one: Lookup) -> Outcome:
        name = one.upload.content_id
        if name.startswith("wrong"):
            return Invalid(name)
        if name.startswith("near"):
            return lambda: replace(answer(one), verdict=Verdict.REVIEW)
        if name.startswith("defect"):
            raise KeyError(name)
        return answer(one)


def run(desk: Desk, names: Sequence[str], line: Line | None = None) -> list[Any]:
    async def all_of_them() -> list[Any]:
        lookups = Lookups(desk.many, line or Line(4, 10_000))
        tasks = [asyncio.create_task(lookups.screen(asked(name))) for name in names]
        await asyncio.sleep(0.05)
        desk.open.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    return asyncio.run(all_of_them())


def test_those_who_come_while_others_are_worked_on_go_together_and_none_is_lost() -> None:
    desk, names = Desk(), [f"post-{number}" for number in range(3 * MOST)]
    found = run(desk, names)
    assert [one.upload.content_id for one in found] == names
    assert sorted(name for batch in desk.batches for name in batch) == sorted(names)
    assert len(desk.batches) <= WORKERS + 4
    assert max(map(len, desk.batches)) <= MOST


def test_what_is_wrong_with_one_and_what_takes_long_stops_no_other() -> None:
    found = run(Desk(), ["a", "wrong-b", "near-c", "d"])
    assert isinstance(found[1], Invalid)
    assert [one.verdict for one in (found[0], found[2], found[3])] == [
        Verdict.CLEAR, Verdict.REVIEW, Verdict.CLEAR,
    ]  # fmt: skip


def test_a_defect_is_told_to_all_whom_it_met_and_work_goes_on() -> None:
    desk = Desk()
    assert all(isinstance(one, KeyError) for one in run(desk, ["defect"]))

    async def twice() -> Screening:
        lookups = Lookups(desk.many, Line(4, 10))
        with pytest.raises(KeyError):
            await lookups.screen(asked("defect"))
        return await lookups.screen(asked("fine"))

    assert asyncio.run(twice()).verdict is Verdict.CLEAR


def test_when_the_line_is_full_more_are_sent_away() -> None:
    found = run(Desk(), [f"post-{number}" for number in range(9)], Line(2, 3))
    away = [one for one in found if isinstance(one, Declined)]
    assert [one.status for one in away] == [503] * 4
    assert len(found) - len(away) == 5
