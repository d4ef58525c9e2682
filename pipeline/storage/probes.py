"""Who tries how near a variant may come: keyed digests that live for a window."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from pipeline.domain.ids import PersonId, PlatformId
from pipeline.storage import Queries

_ALARMS_KEPT = timedelta(days=366)  # as far back as the lead's page looks


class PgProbes:
    """See ``pipeline.ports.Probes``."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    def add(
        self, subject: bytes, print_: bytes, person: PersonId, at: datetime, *, hit: bool
    ) -> None:
        """See the port."""
        self._queries.one("probe_lock", what=subject.hex())
        self._queries.run("probe_add", subject=subject, print=print_, person=person, at=at, hit=hit)

    def count(self, subject: bytes, since: datetime) -> tuple[int, bool, bool]:
        """See the port."""
        row = self._queries.one("probe_count", subject=subject, since=since)
        assert row is not None
        return row["uploads"], row["hit"], row["raised"]

    def raise_alarm(self, subject: bytes, platform: PlatformId, uploads: int, at: datetime) -> None:
        """See the port."""
        self._queries.run("probe_alarm", subject=subject, platform=platform, uploads=uploads, at=at)

    def forget(self, before: datetime) -> int:
        """See the port."""
        self._queries.run("probe_alarms_forget", before=before - _ALARMS_KEPT)
        return self._queries.run("probes_forget", before=before)

    def alarms(self, since: datetime) -> list[Mapping[str, Any]]:
        """See the port."""
        return list(self._queries.all("probe_alarms_by_platform", since=since))
