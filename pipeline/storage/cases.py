"""Review cases with their uploads, hits and dismissals."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from pipeline.domain.case import (
    ORDINARY,
    Case,
    CaseKind,
    CaseUpload,
    Dismissal,
    Ground,
    Lease,
    State,
    Verdict,
)
from pipeline.domain.evidence import read_stretch
from pipeline.domain.grant import in_words
from pipeline.domain.ids import CaseId, EntryId, PersonId, PlatformId, ReviewerId
from pipeline.domain.policy import Match
from pipeline.ports import CaseHit, QueueRow
from pipeline.storage import Queries


class PgCases:
    """See ``pipeline.ports.Cases``."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    def lock_upload(self, platform: PlatformId, content_id: str, fingerprint: bytes) -> None:
        """See the port. The two locks are taken in one order everywhere, so nobody deadlocks."""
        for what in sorted((f"content|{platform}|{content_id}", f"print|{fingerprint.hex()}")):
            self._queries.one("upload_lock", what=what)

    def undecided_for(
        self, platform: PlatformId, content_id: str, fingerprint: bytes
    ) -> CaseId | None:
        """See the port."""
        found: CaseId | None = self._queries.value(
            "case_undecided_for",
            platform=platform,
            content_id=content_id,
            fingerprint=fingerprint,
        )
        return found

    def open(
        self,
        case: CaseId,
        now: datetime,
        *,
        kind: CaseKind = CaseKind.HASH,
        deadline: datetime | None = None,
        priority: int = ORDINARY,
    ) -> None:
        """See the port."""
        self._queries.run(
            "case_open",
            case=case,
            now=now,
            kind=kind.value,
            deadline=deadline,
            priority=priority,
        )

    def raise_to(self, case: CaseId, *, kind: CaseKind, priority: int) -> None:
        """See the port."""
        self._queries.run("case_raise", case=case, kind=kind.value, priority=priority)

    def join(
        self, case: CaseId, upload: CaseUpload, matches: Iterable[Match], now: datetime
    ) -> None:
        """See the port."""
        self._queries.run(
            "case_upload_add",
            screening=upload.screening,
            case=case,
            platform=upload.platform,
            content_id=upload.content_id,
            fingerprint=upload.fingerprint,
            now=now,
        )
        self._queries.many(
            "case_hit_add",
            [
                {
                    "case": case,
                    "screening": upload.screening,
                    "entry": match.hit.entry,
                    "person": match.hit.owner.person,
                    "signal": match.hit.signal,
                    "distance": match.hit.distance,
                    "threshold": match.threshold,
                    "bank": match.hit.owner.bank,
                    "source": match.hit.owner.source.value,
                    "slot": match.hit.slot,
                    "view": Jsonb(asdict(match.hit.view)),
                    "witness": match.hit.witness,
                    "stretches": Jsonb([one.document() for one in match.hit.stretches]),
                    "metric": match.hit.metric.value,
                    "granted": match.hit.grant.id if match.hit.grant else None,
                }
                for match in matches
            ],
        )

    def get(self, case: CaseId, *, lock: bool = False) -> Case | None:
        """See the port."""
        row = self._queries.one("case_get_locked" if lock else "case_get", case=case)
        if row is None:
            return None
        return Case(
            id=row["id"],
            opened_at=row["opened_at"],
            state=State(row["state"]),
            lease=_lease(row),
            uploads=tuple(
                CaseUpload(**upload) for upload in self._queries.all("case_uploads_of", case=case)
            ),
            hits=tuple(
                (hit["screening"], hit["entry"])
                for hit in self._queries.all("case_hits_in_force", case=case)
            ),
            verdict=_verdict(row),
            kind=CaseKind(row["kind"]),
            deadline=row["deadline"],
            priority=row["priority"],
        )

    def save(self, case: Case) -> None:
        """See the port."""
        lease, verdict = case.lease, case.verdict
        self._queries.run(
            "case_save",
            case=case.id,
            state=case.state.value,
            lease_reviewer=lease.reviewer if lease else None,
            lease_until=lease.until if lease else None,
            lease_token=lease.token if lease else None,
            ground=verdict.ground.value if verdict else None,
            reason=verdict.reason if verdict else None,
            decided_by=verdict.reviewer if verdict else None,
            decided_at=verdict.at if verdict else None,
        )

    def hits(self, case: CaseId) -> list[CaseHit]:
        """See the port."""
        return [_hit(row) for row in self._queries.all("case_hits_of", case=case)]

    def dismissed(self, fingerprint: bytes, entries: Iterable[EntryId]) -> set[EntryId]:
        """See the port."""
        rows = self._queries.all(
            "dismissed_among", fingerprint=fingerprint, entries=sorted(entries)
        )
        return {EntryId(row["entry"]) for row in rows}

    def add_dismissals(self, case: CaseId, dismissals: Iterable[Dismissal]) -> None:
        """See the port."""
        self._queries.many(
            "dismissal_add",
            [
                {"fingerprint": pair.fingerprint, "entry": pair.entry, "case": case}
                for pair in dismissals
            ],
        )

    def next(self, reviewer: ReviewerId, now: datetime, *, senior: bool) -> CaseId | None:  # noqa: ARG002
        """See the port."""
        found: CaseId | None = self._queries.value("case_next", now=now, senior=senior)
        return found

    def queue(self, now: datetime, limit: int, after: CaseId | None = None) -> list[QueueRow]:
        """See the port."""
        return [
            QueueRow(
                id=row["id"],
                state=State(row["state"]),
                opened_at=row["opened_at"],
                nearest=row["nearest"],
                signal=row["signal"],
                uploads=row["uploads"],
                platforms=tuple(row["platforms"]),
                reviewer=row["reviewer"],
            )
            for row in self._queries.all("case_queue", now=now, limit=limit, after=after)
        ]

    def waiting(self) -> tuple[int, datetime | None]:
        """See the port."""
        row = self._queries.one("cases_undecided_count")
        assert row is not None
        return row["waiting"], row["oldest"]

    def resting_on(self, person: PersonId) -> list[CaseId]:
        """See the port."""
        return [row["id"] for row in self._queries.all("cases_resting_on", person=person)]

    def forget_entries(self, entries: Iterable[EntryId]) -> list[CaseId]:
        """See the port."""
        wanted = list(entries)
        if not wanted:
            return []
        rows = self._queries.all("cases_resting_on_entries", entries=wanted)
        self._queries.run("case_hits_forget_entries", entries=wanted)
        self._queries.run("dismissals_forget_entries", entries=wanted)
        return [row["id"] for row in rows]

    def forget_person(self, person: PersonId) -> None:
        """See the port."""
        self._queries.run("case_hits_forget", person=person)
        self._queries.run("dismissals_forget", person=person)


def _hit(row: dict[str, Any]) -> CaseHit:
    row["stretches"] = tuple(read_stretch(one) for one in row["stretches"])
    grant = row.pop("granted")
    given = {name: row.pop(f"grant_{name}") for name in ("given_at", "expires_at", "revoked_at")}
    if grant is None or row["person"] is None:
        return CaseHit(**row)
    return CaseHit(**row, grant=in_words(**given))


def _lease(row: dict[str, Any]) -> Lease | None:
    if row["lease_reviewer"] is None:
        return None
    return Lease(row["lease_reviewer"], row["lease_until"], row["lease_token"])


def _verdict(row: dict[str, Any]) -> Verdict | None:
    """The decision, which an escalation is one of; a withdrawn case has none."""
    if row["decided_by"] is None:
        return None
    ground = Ground(row["ground"])
    state = State(row["state"]) if row["state"] != State.WITHDRAWN else State.ESCALATED
    return Verdict(state, ground, row["reason"], row["decided_by"], row["decided_at"])
