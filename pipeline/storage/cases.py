"""Review cases with their uploads, hits and dismissals."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
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
    Pending,
    Purpose,
    State,
    Verdict,
)
from pipeline.domain.evidence import read_stretch
from pipeline.domain.grant import in_words
from pipeline.domain.house import Standing
from pipeline.domain.ids import CaseId, EntryId, PersonId, PlatformId, ReviewerId, ScreeningId
from pipeline.domain.policy import Match
from pipeline.ports import Appeal, CaseHit, Opinion, QueueFilter, QueueRow, Related
from pipeline.storage import Queries


class PgCases:
    """See ``pipeline.ports.Cases``."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    def lock_upload(self, platform: PlatformId, content_id: str, fingerprint: bytes) -> None:
        """See the port. The two locks are taken in one order everywhere, so nobody deadlocks."""
        for what in sorted((f"content|{platform}|{content_id}", f"print|{fingerprint.hex()}")):
            self._queries.one("upload_lock", what=what)

    def entries_of_upload(
        self,
        platform: PlatformId,
        content_id: str,
        fingerprint: bytes,
        entries: Iterable[EntryId],
    ) -> set[EntryId]:
        """See the port."""
        rows = self._queries.all(
            "case_entries_of_upload",
            platform=platform,
            content_id=content_id,
            fingerprint=fingerprint,
            entries=sorted(entries),
        )
        return {EntryId(row["entry"]) for row in rows}

    def guarded(self, fingerprint: bytes) -> bool:
        """See the port."""
        return self._queries.one("upload_guarded", fingerprint=fingerprint) is not None

    def page(
        self, platform: PlatformId, before: CaseId | None, limit: int
    ) -> list[Mapping[str, Any]]:
        """See the port."""
        return list(
            self._queries.all("cases_of_platform", platform=platform, before=before, limit=limit)
        )

    def overturned(self, case: CaseId) -> bool:
        """See the port."""
        return bool(self._queries.value("case_overturned", case=case))

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
        about: CaseId | None = None,
        purpose: Purpose = Purpose.DECIDE,
        queue: str | None = None,
        state: State = State.OPEN,
    ) -> None:
        """See the port."""
        self._queries.run(
            "case_open",
            case=case,
            state=state.value,
            now=now,
            kind=kind.value,
            deadline=deadline,
            priority=priority,
            about=about,
            purpose=purpose.value,
            queue=queue,
        )
        self.place(case)

    def place(self, case: CaseId) -> None:
        """See the port."""
        self._queries.one("case_place", case=case)

    def place_some(self, after: CaseId | None, limit: int) -> list[CaseId]:
        """See the port."""
        return [
            row["id"] for row in self._queries.all("cases_place_some", after=after, limit=limit)
        ]

    def raise_to(
        self, case: CaseId, *, kind: CaseKind, priority: int, deadline: datetime | None = None
    ) -> None:
        """See the port."""
        self._queries.run(
            "case_raise", case=case, kind=kind.value, priority=priority, deadline=deadline
        )
        self.place(case)

    def join(
        self,
        case: CaseId,
        upload: CaseUpload,
        matches: Iterable[Match],
        now: datetime,
        loose: Collection[EntryId] = (),
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
                    "loose": match.hit.entry in loose,
                }
                for match in matches
            ],
        )
        self.guard(case, upload.fingerprint)
        self.place(case)

    def get(self, case: CaseId, *, lock: bool = False) -> Case | None:
        """See the port."""
        row = self._queries.one("case_get_locked" if lock else "case_get", case=case)
        if row is None:
            return None
        subject = row["about"] or case
        return Case(
            id=row["id"],
            opened_at=row["opened_at"],
            state=State(row["state"]),
            lease=_lease(row),
            uploads=tuple(
                CaseUpload(**upload)
                for upload in self._queries.all("case_uploads_of", case=subject)
            ),
            hits=tuple(
                (hit["screening"], hit["entry"])
                for hit in self._queries.all("case_hits_in_force", case=subject)
            ),
            verdict=_verdict(row),
            kind=CaseKind(row["kind"]),
            deadline=row["deadline"],
            priority=row["priority"],
            about=row["about"],
            purpose=Purpose(row["purpose"]),
            nearness=row["nearness"],
            pending=_pending(row),
            overturned_by=row["overturned_by"],
        )

    def save(self, case: Case) -> None:
        """See the port."""
        lease, verdict, pending = case.lease, case.verdict, case.pending
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
            pending_state=pending.verdict.state.value if pending else None,
            pending_ground=pending.verdict.ground.value if pending else None,
            pending_reason=pending.verdict.reason if pending else None,
            pending_by=pending.verdict.reviewer if pending else None,
            pending_at=pending.verdict.at if pending else None,
            pending_until=pending.until if pending else None,
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

    def lift_dismissals(self, case: CaseId) -> None:
        """See the port."""
        self._queries.run("dismissals_lift", case=case)

    def next(
        self,
        reviewer: ReviewerId,
        now: datetime,
        desks: Sequence[tuple[State, CaseKind]],
        queues: Sequence[str],
    ) -> CaseId | None:
        """See the port."""
        found: CaseId | None = self._queries.value(
            "case_next", reviewer=reviewer, now=now, **_desks(desks), queues=list(queues)
        )
        return found

    def queue(
        self,
        now: datetime,
        limit: int,
        wanted: QueueFilter,
        after: CaseId | None = None,
    ) -> list[QueueRow]:
        """See the port."""
        rows = self._queries.planned(
            "case_queue",
            now=now,
            limit=limit,
            after=after,
            states=[state.value for state in wanted.states],
            kind=wanted.kind,
            queue=wanted.queue,
            platform=wanted.platform,
            before=wanted.before,
        )
        return [
            QueueRow(
                id=row["id"],
                kind=CaseKind(row["kind"]),
                purpose=Purpose(row["purpose"]),
                state=State(row["state"]),
                queue=row["queue"],
                opened_at=row["opened_at"],
                deadline=row["deadline"],
                standing=_standing(row),
                language=row["language"],
                pending=row["pending"],
                platforms=tuple(row["platforms"]),
                reviewer=row["reviewer"],
            )
            for row in rows
        ]

    def standing(self, case: CaseId) -> tuple[Standing, str]:
        """See the port."""
        row = self._queries.one("case_standing", case=case)
        assert row is not None
        return _standing(row), row["queue"]

    def waiting_for(
        self, desks: Sequence[tuple[State, CaseKind]], queues: Sequence[str], most: int
    ) -> int:
        """See the port."""
        return int(
            self._queries.value(
                "cases_waiting_for", **_desks(desks), queues=list(queues), most=most
            )
        )

    def held_by(self, reviewer: ReviewerId, now: datetime) -> list[CaseId]:
        """See the port."""
        rows = self._queries.all("cases_held_by", reviewer=reviewer, now=now)
        return [row["id"] for row in rows]

    def pending_of(self, reviewer: ReviewerId, now: datetime) -> list[CaseId]:
        """See the port."""
        rows = self._queries.all("cases_pending_of", reviewer=reviewer, now=now)
        return [row["id"] for row in rows]

    def pending_due(self, now: datetime, limit: int) -> list[CaseId]:
        """See the port."""
        rows = self._queries.all("cases_pending_due", now=now, limit=limit)
        return [row["id"] for row in rows]

    def related(self, case: CaseId, subject: CaseId) -> list[Related]:
        """See the port."""
        return [
            Related(
                row["id"],
                CaseKind(row["kind"]),
                State(row["state"]),
                row["opened_at"],
                row["decided_at"],
                Ground(row["ground"]) if row["ground"] else None,
                row["overturned_by"] is not None,
            )
            for row in self._queries.all("cases_about", case=case, subject=subject)
        ]

    def repeats(self, case: CaseId) -> int:
        """See the port."""
        return int(self._queries.value("case_repeats", case=case))

    def overturn(self, case: CaseId, appeal: CaseId) -> None:
        """See the port."""
        self._queries.run("case_overturn", case=case, appeal=appeal)

    def exclude(self, case: CaseId, reviewer: ReviewerId) -> None:
        """See the port."""
        self._queries.run("case_exclude", case=case, reviewer=reviewer)

    def excluded(self, case: CaseId, reviewer: ReviewerId) -> bool:
        """See the port."""
        return bool(self._queries.value("case_excluded", case=case, reviewer=reviewer))

    def add_opinion(self, case: CaseId, verdict: Verdict, agrees: bool | None = None) -> None:
        """See the port."""
        self._queries.run(
            "opinion_add",
            case=case,
            reviewer=verdict.reviewer,
            state=verdict.state.value,
            ground=verdict.ground.value,
            reason=verdict.reason,
            at=verdict.at,
            agrees=agrees,
        )

    def opinions(self, case: CaseId) -> list[Opinion]:
        """See the port."""
        return [
            Opinion(
                Verdict(
                    State(row["state"]),
                    Ground(row["ground"]),
                    row["reason"],
                    row["reviewer"],
                    row["at"],
                ),
                Purpose(row["purpose"]),
                row["pseudonym"],
            )
            for row in self._queries.all("opinions_of", case=case)
        ]

    def deciders(self, case: CaseId) -> set[ReviewerId]:
        """See the port."""
        return {row["reviewer"] for row in self._queries.all("deciders_of", case=case)}

    def specimen_for(self, reviewer: ReviewerId) -> CaseId | None:
        """See the port."""
        found: CaseId | None = self._queries.value("specimen_for", reviewer=reviewer)
        return found

    def make_specimen(
        self, case: CaseId, state: State, ground: Ground, screening: ScreeningId, bits: int
    ) -> None:
        """See the port."""
        self._queries.run("specimen_made", case=case, state=state.value, ground=ground.value)
        self._queries.run("specimen_hit", case=case, screening=screening, bits=bits)

    def was_viewed(self, case: CaseId) -> bool:
        """See the port."""
        return bool(self._queries.value("case_was_viewed", case=case))

    def reported(self) -> list[CaseId]:
        """See the port."""
        return [row["id"] for row in self._queries.all("cases_reported")]

    def consents(self, case: CaseId) -> list[tuple[int, str, str, datetime]]:
        """See the port."""
        return [
            (row["person"], row["purpose"], row["state"], row["changed_at"])
            for row in self._queries.all("case_consents", case=case)
        ]

    def add_appeal(self, appeal: Appeal) -> bool:
        """See the port."""
        return (
            self._queries.value(
                "appeal_add",
                case=appeal.case,
                about=appeal.about,
                side=appeal.side,
                platform=appeal.platform,
                person=appeal.person,
                sealed=appeal.sealed,
                now=appeal.made_at,
            )
            is not None
        )

    def appeal(self, case: CaseId) -> Appeal | None:
        """See the port."""
        row = self._queries.one("appeal_of", case=case)
        if row is None:
            return None
        return Appeal(
            row["case_id"],
            row["about"],
            row["side"],
            row["platform"],
            row["person"],
            row["sealed"],
            row["made_at"],
        )

    def appeal_against(self, about: CaseId, side: str) -> tuple[CaseId, State] | None:
        """See the port."""
        row = self._queries.one("appeal_against", about=about, side=side)
        return (row["case_id"], State(row["state"])) if row else None

    def kept_by_law(self, person: PersonId, now: datetime) -> tuple[int, datetime | None]:
        """See the port."""
        row = self._queries.one("cases_kept_by_law", person=person, now=now)
        assert row is not None
        return row["media"], row["until"]

    def waiting(self) -> tuple[int, datetime | None]:
        """See the port."""
        row = self._queries.one("cases_undecided_count")
        assert row is not None
        return row["waiting"], row["oldest"]

    def deadlines(self, now: datetime, before: datetime) -> tuple[int, int]:
        """See the port."""
        row = self._queries.one("cases_deadlines", now=now, before=before)
        assert row is not None
        return row["overdue"], row["near"]

    def resting_on_entries(self, entries: Sequence[EntryId]) -> list[CaseId]:
        """See the port."""
        rows = self._queries.all("cases_resting_on_entries", entries=list(entries))
        return [row["id"] for row in rows]

    def guard(self, case: CaseId, fingerprint: bytes) -> bool:
        """See the port."""
        return self._queries.run("case_guard", case=case, fingerprint=fingerprint) > 0

    def forget_language(self, platform: PlatformId) -> list[CaseId]:
        """See the port."""
        rows = self._queries.all("cases_forget_language", platform=platform)
        return [row["id"] for row in rows]

    def rests_on_frozen(self, case: CaseId) -> bool:
        """See the port."""
        return self._queries.one("case_rests_on_frozen", case=case) is not None

    def resting_on(self, person: PersonId) -> list[CaseId]:
        """See the port."""
        return [row["id"] for row in self._queries.all("cases_resting_on", person=person)]

    def forget_entries(self, entries: Iterable[EntryId]) -> list[CaseId]:
        """See the port."""
        wanted = list(entries)
        if not wanted:
            return []
        rows = self._queries.all("cases_resting_on_entries", entries=wanted)
        self._queries.run("screening_notes_forget_entries", entries=wanted)
        self._queries.run("case_hits_forget_entries", entries=wanted)
        self._queries.run("dismissals_forget_entries", entries=wanted)
        return [row["id"] for row in rows]

    def forget_person(self, person: PersonId) -> None:
        """See the port."""
        self._queries.run("screening_notes_forget", person=person)
        self._queries.run("case_hits_forget", person=person)
        self._queries.run("dismissals_forget", person=person)
        self._queries.run("appeals_forget", person=person)


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


def _pending(row: dict[str, Any]) -> Pending | None:
    if row["pending_until"] is None:
        return None
    verdict = Verdict(
        State(row["pending_state"]),
        Ground(row["pending_ground"]),
        row["pending_reason"],
        row["pending_by"],
        row["pending_at"],
    )
    return Pending(verdict, row["pending_until"])


def _standing(row: dict[str, Any]) -> Standing:
    return Standing(
        deadline=row["deadline"].timestamp() if row["deadline"] else None,
        priority=row["priority"],
        severity=row["severity"],
        spread=row["spread"],
        nearness=row["nearness"],
        opened=row["opened_at"].timestamp(),
    )


def _desks(desks: Sequence[tuple[State, CaseKind]]) -> dict[str, list[str]]:
    return {
        "states": [state.value for state, _ in desks],
        "kinds": [kind.value for _, kind in desks],
    }
