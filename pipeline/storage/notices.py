"""Notices of content that is online; who wrote them is sealed, and destroyed in time."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pipeline.domain.ids import CaseId, NoticeId
from pipeline.ports import StoredNotice
from pipeline.storage import Queries


class PgNotices:
    """See ``pipeline.ports.Notices``."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    def add(self, notice: StoredNotice, code: bytes, reference: bytes | None = None) -> None:
        """See the port."""
        self._queries.run(
            "notice_add",
            id=notice.id,
            case=notice.case,
            code=code,
            received_at=notice.received_at,
            sealed=notice.sealed,
            platform=notice.platform,
            reference=reference,
        )

    def by_reference(self, reference: bytes) -> StoredNotice | None:
        """See the port."""
        row = self._queries.one("notice_by_reference", reference=reference)
        return _notice(row) if row else None

    def of_case(self, case: CaseId) -> StoredNotice | None:
        """See the port."""
        row = self._queries.one("notice_of_case", case=case)
        return _notice(row) if row else None

    def by_code(self, code: bytes) -> StoredNotice | None:
        """See the port."""
        row = self._queries.one("notice_by_code", code=code)
        return _notice(row) if row else None

    def due(
        self, decided_before: datetime, reported_before: datetime, limit: int
    ) -> list[StoredNotice]:
        """See the port."""
        rows = self._queries.all(
            "notices_due", before=decided_before, reported_before=reported_before, limit=limit
        )
        return [_notice(row) for row in rows]

    def destroyed(self, notice: NoticeId, now: datetime) -> None:
        """See the port."""
        self._queries.run("notice_destroyed", id=notice, now=now)


def _notice(row: dict[str, Any]) -> StoredNotice:
    return StoredNotice(
        row["id"], row["case_id"], row["received_at"], row["sealed"], row["platform"]
    )
