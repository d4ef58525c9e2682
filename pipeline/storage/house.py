"""The house rules, and what they count: looks, shifts, what somebody opted out of."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from pipeline.domain.case import CaseKind
from pipeline.domain.house import HouseRules, parse
from pipeline.domain.ids import ReviewerId
from pipeline.ports import Exposure, Shift
from pipeline.storage import Queries

_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)


class PgHouse:
    """See ``pipeline.ports.House``."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    def rules(self) -> HouseRules:
        """See the port."""
        return parse(self._queries.value("house_rules_get"))

    def set_rules(self, document: Mapping[str, Any]) -> None:
        """See the port."""
        self._queries.run("house_rules_set", document=Jsonb(dict(document)))

    def look(self, look: UUID, reviewer: ReviewerId, now: datetime) -> None:
        """See the port."""
        self._queries.run("look_add", id=look, reviewer=reviewer, now=now)

    def look_began(self, look: UUID, reviewer: ReviewerId) -> datetime | None:
        """See the port."""
        began: datetime | None = self._queries.value("look_began", id=look, reviewer=reviewer)
        return began

    def looked(self, look: UUID, reviewer: ReviewerId, seconds: float) -> None:
        """See the port."""
        self._queries.run("look_ended", id=look, reviewer=reviewer, seconds=seconds)

    def exposure(self, reviewer: ReviewerId, now: datetime, assumed: float) -> Exposure:
        """See the port."""
        row = self._queries.one(
            "exposure_of",
            reviewer=reviewer,
            hour_ago=now - _HOUR,
            day_ago=now - _DAY,
            assumed=assumed,
        )
        assert row is not None
        return Exposure(
            row["looks_hour"],
            row["looks_day"],
            row["seconds_hour"],
            row["seconds_day"],
            row["first_hour"] + _HOUR if row["first_hour"] else None,
            row["first_day"] + _DAY if row["first_day"] else None,
        )

    def forget_looks(self, before: datetime) -> int:
        """See the port."""
        return self._queries.run("looks_purge", before=before)

    def lock_exposure(self, reviewer: ReviewerId) -> None:
        """See the port."""
        self._queries.one("reviewer_lock", reviewer=reviewer)

    def shift(self, reviewer: ReviewerId) -> Shift | None:
        """See the port."""
        row = self._queries.one("shift_get", reviewer=reviewer)
        return Shift(row["began_at"], row["worked_at"], row["resting_since"]) if row else None

    def set_shift(self, reviewer: ReviewerId, shift: Shift) -> None:
        """See the port."""
        self._queries.run(
            "shift_set",
            reviewer=reviewer,
            began_at=shift.began_at,
            worked_at=shift.worked_at,
            resting_since=shift.resting_since,
        )

    def opt_out(self, reviewer: ReviewerId, kind: CaseKind, until: datetime) -> None:
        """See the port."""
        self._queries.run("optout_set", reviewer=reviewer, kind=kind.value, until=until)

    def opt_in(self, reviewer: ReviewerId, kind: CaseKind) -> None:
        """See the port."""
        self._queries.run("optout_end", reviewer=reviewer, kind=kind.value)

    def opted_out(self, reviewer: ReviewerId, now: datetime) -> set[CaseKind]:
        """See the port."""
        rows = self._queries.all("optouts_of", reviewer=reviewer, now=now)
        return {CaseKind(row["kind"]) for row in rows}
