"""The rows of media under review; their bytes lie in the blob store."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from pipeline.domain.ids import CaseId, MediaId
from pipeline.ports import StoredMedium
from pipeline.storage import Queries


class PgMedia:
    """See ``pipeline.ports.MediaStore``."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    def add(self, medium: StoredMedium, now: datetime) -> None:
        """See the port."""
        self._queries.run(
            "medium_add",
            id=medium.id,
            case=medium.case,
            screening=medium.screening,
            blob=medium.blob,
            size=medium.size,
            mime=medium.mime,
            codes=medium.codes,
            now=now,
        )

    def of_case(self, case: CaseId) -> list[StoredMedium]:
        """See the port."""
        return [_medium(row) for row in self._queries.all("media_of_case", case=case)]

    def destroy_at(self, case: CaseId, when: datetime | None) -> None:
        """See the port."""
        self._queries.run("media_destroy_at", case=case, when=when)

    def hold(self, case: CaseId, until: datetime | None) -> int:
        """See the port."""
        return self._queries.run("media_hold", case=case, until=until)

    def due(self, now: datetime, limit: int) -> list[StoredMedium]:
        """See the port."""
        return [_medium(row) for row in self._queries.all("media_due_now", now=now, limit=limit)]

    def destroyed(self, medium: MediaId, now: datetime) -> None:
        """See the port."""
        self._queries.run("medium_destroyed", id=medium, now=now)
        self._queries.run("medium_paths_forget", id=medium)

    def known_blobs(self, names: Iterable[MediaId]) -> set[MediaId]:
        """See the port."""
        return {row["id"] for row in self._queries.all("media_known", ids=list(names))}


def _medium(row: dict[str, Any]) -> StoredMedium:
    return StoredMedium(
        id=row["id"],
        case=row["case_id"],
        screening=row["screening"],
        blob=row["blob"],
        size=row["size"],
        mime=row["mime"],
        codes=row["codes"],
        destroyed_at=row["destroyed_at"],
    )
