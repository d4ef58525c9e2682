"""Versions of policy documents."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from pipeline.domain.ids import PlatformId
from pipeline.ports import StoredPolicy
from pipeline.storage import Queries


class PgPolicies:
    """See ``pipeline.ports.Policies``."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    def head(self) -> int:
        """See the port."""
        return int(self._queries.value("policies_head"))

    def current(self) -> list[StoredPolicy]:
        """See the port."""
        return [StoredPolicy(**row) for row in self._queries.all("policies_current")]

    def add(
        self,
        platform: PlatformId | None,
        version: int,
        document: Mapping[str, Any],
        actor: str,
        now: datetime,
    ) -> bool:
        """See the port."""
        added = self._queries.one(
            "policy_add",
            platform=platform,
            version=version,
            document=Jsonb(dict(document)),
            actor=actor,
            now=now,
        )
        return added is not None

    def history(
        self, platform: PlatformId | None, before: int | None, limit: int
    ) -> list[StoredPolicy]:
        """See the port."""
        rows = self._queries.all("policies_history", platform=platform, before=before, limit=limit)
        return [StoredPolicy(**row) for row in rows]
