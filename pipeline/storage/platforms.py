"""Hosting platforms, their keys and endpoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from pipeline.domain.ids import PlatformId
from pipeline.errors import Conflict
from pipeline.storage import Queries


class PgPlatforms:
    """See ``pipeline.ports.Platforms``."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    def add(self, name: str) -> PlatformId:
        """See the port."""
        found = self._queries.value("platform_add", name=name)
        if found is None:
            raise Conflict(f"there is a platform {name!r} already; choose another name")
        return PlatformId(found)

    def add_key(self, platform: PlatformId, digest: bytes, per_minute: int) -> UUID:
        """See the port."""
        key: UUID = self._queries.value(
            "api_key_add", platform=platform, digest=digest, per_minute=per_minute
        )
        return key

    def by_key(self, digest: bytes) -> tuple[PlatformId, UUID, int] | None:
        """See the port."""
        row = self._queries.one("api_key_find", digest=digest)
        return (row["platform"], row["id"], row["per_minute"]) if row else None

    def revoke_keys(self, platform: PlatformId) -> int:
        """See the port."""
        return self._queries.run("api_keys_revoke", platform=platform)

    def allow_host(self, platform: PlatformId, host: str, *, private: bool) -> None:
        """See the port."""
        self._queries.run("platform_allow_host", platform=platform, host=host, private=private)

    def forget_host(self, platform: PlatformId, host: str) -> bool:
        """See the port."""
        return self._queries.run("platform_forget_host", platform=platform, host=host) == 1

    def hosts(self, platform: PlatformId) -> dict[str, bool]:
        """See the port."""
        rows = self._queries.all("platform_hosts", platform=platform)
        return {row["host"]: row["private"] for row in rows}

    def set_language(self, platform: PlatformId, language: str | None) -> None:
        """See the port."""
        self._queries.run("platform_set_language", platform=platform, language=language)

    def by_name(self, name: str) -> PlatformId | None:
        """See the port."""
        found: PlatformId | None = self._queries.value("platform_by_name", name=name)
        return found

    def all(self) -> list[Mapping[str, Any]]:
        """See the port."""
        return list(self._queries.all("platforms_all"))
