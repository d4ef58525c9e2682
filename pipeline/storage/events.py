"""What platforms must be told, and every attempt to tell them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from pipeline.domain.case import Takedown
from pipeline.domain.ids import CaseId, PlatformId, WebhookId
from pipeline.ports import Event, Job
from pipeline.storage import Queries


class PgEvents:
    """See ``pipeline.ports.Events``."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    def add(self, event: Event) -> None:
        """See the port."""
        self._queries.run(
            "event_add",
            id=event.id,
            platform=event.platform,
            case=event.case,
            kind=event.kind,
            body=Jsonb(dict(event.body)),
        )

    def get(self, event: str) -> Event | None:
        """See the port."""
        row = self._queries.one("event_get", id=event)
        if row is None:
            return None
        return Event(row["id"], row["platform"], row["case_id"], row["kind"], row["body"])

    def add_takedown(self, takedown: Takedown, event: str) -> None:
        """See the port."""
        self._queries.run(
            "takedown_add",
            case=takedown.case,
            platform=takedown.platform,
            event=event,
            decided_by=takedown.verdict.reviewer,
            made_at=takedown.verdict.at,
        )

    def attempt(
        self,
        event: str,
        job: Job | None,
        webhook: WebhookId | None,
        at: datetime,
        status: int | None,
        error: str | None,
        milliseconds: float,
    ) -> int:
        """See the port."""
        return int(
            self._queries.value(
                "delivery_attempt_add",
                event=event,
                job=job.id if job else None,
                attempt=job.fence if job else 1,
                webhook=webhook,
                number=job.attempts if job else 1,
                at=at,
                status=status,
                error=error,
                milliseconds=milliseconds,
            )
        )

    def delivered(self, event: str, at: datetime) -> None:
        """See the port."""
        self._queries.run("event_delivered", id=event, at=at)

    def unsent(self, platform: PlatformId) -> list[tuple[str, str]]:
        """See the port."""
        rows = self._queries.all("events_unsent", platform=platform)
        return [(row["id"], row["kind"]) for row in rows]

    def page(self, platform: PlatformId, before: str | None, limit: int) -> list[Mapping[str, Any]]:
        """See the port."""
        return list(self._queries.all("events_page", platform=platform, before=before, limit=limit))

    def of_case(self, case: CaseId, platform: PlatformId) -> list[Mapping[str, Any]]:
        """See the port."""
        return list(self._queries.all("events_of_case", case=case, platform=platform))

    def deliveries(self, *, dead: bool, limit: int) -> list[Mapping[str, Any]]:
        """See the port."""
        return list(self._queries.all("deliveries_list", dead=dead, limit=limit))
