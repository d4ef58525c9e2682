"""What leads look at: how much waits, how long decisions take, how often people agree."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from pipeline.domain.ids import CaseId
from pipeline.storage import Queries

_PUBLIC = {
    "people": "public_people",
    "uploads": "public_uploads",
    "cases": "public_cases",
    "hours": "public_hours",
    "appeals": "public_appeals",
    "actions": "public_actions",
}


class PgFigures:
    """See ``pipeline.ports.Figures``."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    def open_cases(self, now: datetime) -> list[Mapping[str, Any]]:
        """See the port."""
        hours = {span: timedelta(hours=span) for span in (1, 6, 24, 72)}
        rows = self._queries.all(
            "figures_open",
            now=now,
            six=now + hours[6],
            day=now + hours[24],
            hour_ago=now - hours[1],
            six_ago=now - hours[6],
            day_ago=now - hours[24],
            three_ago=now - hours[72],
        )
        return list(rows)

    def decided(self, since: datetime) -> list[Mapping[str, Any]]:
        """See the port."""
        return list(self._queries.all("figures_decided", since=since))

    def durations(self, since: datetime) -> dict[int, int]:
        """See the port."""
        rows = self._queries.all("figures_hours", since=since)
        return {row["bucket"]: row["cases"] for row in rows}

    def agreement(self, since: datetime) -> list[Mapping[str, Any]]:
        """See the port."""
        return list(self._queries.all("figures_agreement", since=since))

    def appeals(self, since: datetime) -> list[Mapping[str, Any]]:
        """See the port."""
        return list(self._queries.all("figures_appeals", since=since))

    def public(self, what: str, since: datetime, until: datetime) -> list[Mapping[str, Any]]:
        """See the port."""
        return list(self._queries.all(_PUBLIC[what], since=since, until=until))

    def public_lists(self) -> list[Mapping[str, Any]]:
        """See the port."""
        return list(self._queries.all("public_lists"))

    def cases(self, after: CaseId | None, limit: int) -> list[Mapping[str, Any]]:
        """See the port."""
        return list(self._queries.all("figures_cases", after=after, limit=limit))
