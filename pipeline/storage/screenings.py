"""The record of every answer, and its place in the audit trail.

Clear and refused uploads are many, so they are audited in batches: one record covers a batch by
its number of rows and their digest. What opened or joined a case has a record of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from pipeline.domain import trial
from pipeline.domain.action import ActionKind, PlatformAction
from pipeline.domain.audit import canonical_json
from pipeline.domain.ids import CaseId, PlatformId, ScreeningId
from pipeline.domain.media import Rating, Upload
from pipeline.domain.screening import Answer, Form, Screening, Verdict
from pipeline.errors import RefusalReason
from pipeline.ports import Judged
from pipeline.storage import Queries
from pipeline.storage.audit import screenings_digest
from pipeline.storage.traces import Days


class PgScreenings:
    """See ``pipeline.ports.Screenings``."""

    def __init__(self, queries: Queries, days: Days) -> None:
        self._queries, self._days = queries, days

    def add(self, screening: Screening, *, audited: int | None = None) -> None:
        """See the port."""
        self._queries.run("screening_add", **_row(screening, audited))
        if left := self._days.sealed([screening]):
            self._queries.run("trace_add", **left[0])

    def add_all(self, screenings: Sequence[Screening]) -> None:
        """Answers that a batch of the audit trail will cover, all or none of them."""
        left = self._days.sealed(screenings)
        if len(screenings) == 1:  # a transaction of several statements costs twice as much
            row = _row(screenings[0], None)
            if left:
                self._queries.run("screening_add_traced", **(left[0] | row))
            else:
                self._queries.run("screening_add", **row)
            return
        # One pipeline, one way to the server: it keeps all of it or nothing.
        with self._queries.connection.pipeline(), self._queries.connection.transaction():
            self._queries.many("screening_add", [_row(one, None) for one in screenings])
            if left:
                self._queries.many("trace_add", left)

    def get(
        self, screening: ScreeningId, platform: PlatformId, *, lock: bool = False
    ) -> Screening | None:
        """See the port."""
        query = "screening_get_locked" if lock else "screening_get"
        row = self._queries.one(query, id=screening, platform=platform)
        return _screening(row) if row else None

    def add_action(self, action: PlatformAction, sealed: bytes | None) -> None:
        """See the port."""
        self._queries.run(
            "screening_action_add",
            screening=action.screening,
            action=action.kind.value,
            at=action.at,
            told_at=action.told_at,
            note=sealed,
        )

    def actions(
        self, screening: ScreeningId, platform: PlatformId
    ) -> list[tuple[PlatformAction, bytes | None]]:
        """See the port."""
        rows = self._queries.all("screening_actions_of", screening=screening, platform=platform)
        return [
            (
                PlatformAction(
                    row["screening"],
                    row["platform"],
                    ActionKind(row["action"]),
                    row["at"],
                    row["told_at"],
                ),
                row["note"],
            )
            for row in rows
        ]

    def of(self, ids: Iterable[ScreeningId]) -> dict[ScreeningId, Screening]:
        """See the port."""
        rows = self._queries.all("screenings_of", ids=list(ids))
        return {row["id"]: _screening(row) for row in rows}

    def answered(self, case: CaseId, platform: PlatformId, content_id: str) -> bool:
        """See the port."""
        row = self._queries.one(
            "screening_answered", case=case, platform=platform, content_id=content_id
        )
        return row is not None

    def mentions(self, case: CaseId, platform: PlatformId) -> bool:
        """See the port."""
        return self._queries.one("screening_mentions", case=case, platform=platform) is not None

    def page(
        self, platform: PlatformId, before: tuple[datetime, ScreeningId] | None, limit: int
    ) -> list[Screening]:
        """See the port."""
        at, which = before or (None, None)
        rows = self._queries.all("screenings_page", platform=platform, at=at, id=which, limit=limit)
        return [_screening(row) for row in rows]

    def last(self, platform: PlatformId, limit: int) -> Iterator[Judged]:
        """See the port."""
        for row in self._queries.stream("screenings_last", platform=platform, limit=limit):
            near = trial.read(row["near"]) if row["near"] is not None else None
            yield Judged(row["id"], row["content_id"], row["verdict"], row["received_at"], near)

    def audit_batch(self, limit: int) -> int:
        """See the port."""
        rows = self._queries.all("screenings_unaudited", limit=limit)
        if not rows:
            return 0
        body = {
            "from": str(rows[0]["id"]),
            "to": str(rows[-1]["id"]),
            "count": len(rows),
            "digest": screenings_digest(rows),
        }
        sequence = self._queries.value(
            "audit_append",
            actor="service:worker",
            action="screenings.sealed",
            subject=f"screenings:{rows[0]['id']}",
            body=canonical_json(body),
        )
        ids = [row["id"] for row in rows]
        self._queries.run("screenings_mark_audited", seq=sequence, ids=ids)
        return len(rows)


def _row(screening: Screening, audited: int | None) -> dict[str, Any]:
    return {
        "id": screening.id,
        "platform": screening.platform,
        "content_id": screening.upload.content_id,
        "uploader": screening.upload.uploader,
        "rating": screening.upload.rating.value,
        "form": screening.form.value,
        "bytes": screening.bytes,
        "mime": screening.mime,
        "verdict": screening.verdict.value,
        "refusal": screening.refusal.value if screening.refusal else None,
        "message": screening.message,
        "matches": Jsonb([match.document() for match in screening.matches]),
        "notes": Jsonb(list(screening.notes)),
        "case_id": screening.case,
        "policy": screening.policy,
        "index_seq": screening.index_seq,
        "milliseconds": screening.milliseconds,
        "received_at": screening.received_at,
        "audited": audited,
        "near": Jsonb(screening.near.document()) if screening.near else None,
        "blocks": screening.blocks,
    }


def _screening(row: dict[str, Any]) -> Screening:
    return Screening(
        id=row["id"],
        platform=row["platform"],
        upload=Upload(row["content_id"], row["uploader"], Rating(row["rating"])),
        form=Form(row["form"]),
        verdict=Verdict(row["verdict"]),
        policy=row["policy"],
        index_seq=row["index_seq"],
        received_at=row["received_at"],
        milliseconds=row["milliseconds"],
        bytes=row["bytes"],
        mime=row["mime"],
        refusal=RefusalReason(row["refusal"]) if row["refusal"] else None,
        message=row["message"],
        matches=tuple(Answer.read(match) for match in row["matches"]),
        notes=tuple(row["notes"]),
        case=row["case_id"],
        blocks=row["blocks"],
    )
