"""A person decides. Nothing else in Consentry can bring about a takedown.

Each decision writes everything that follows from it in one transaction: the case, the takedowns,
what each platform must be told, the audit record, and (for an upheld case) the content's codes in
the bank of the person it was upheld for, so that a repeat is known. Either all of it happened or
none of it.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from pipeline.domain.case import LEASE, UNDECIDED, Case, CaseKind, CaseUpload, Ground, State
from pipeline.domain.entry import read_key
from pipeline.domain.evidence import Source
from pipeline.domain.ids import CaseId, MediaId, PersonId, PlatformId, ReviewerId, uuid7
from pipeline.domain.signal import rows_of, split_all
from pipeline.errors import Denied, IllegalTransition, LeaseLost, NotFound
from pipeline.ports import Blobs, Clock, Event, NewEntry, Store, StoredMedium, Unit

APPEAL_WINDOW = timedelta(days=14)
"""How long media outlive a decision, so that an appeal can be judged."""

DELIVERY_ATTEMPTS = 12
UPHELD_BANK = "upheld"


@dataclass(frozen=True, slots=True)
class Claim:
    """A case in a reviewer's hands."""

    case: CaseId
    token: UUID
    until: datetime


@dataclass(frozen=True, slots=True)
class Desk:
    """Where reviewers work: everything that the steps below need."""

    store: Store
    blobs: Blobs
    clock: Clock
    appeal_window: timedelta = APPEAL_WINDOW
    lease: timedelta = LEASE


def claim(desk: Desk, case: CaseId, reviewer: ReviewerId, *, senior: bool = False) -> Claim:
    """Take a case; raises ``LeaseLost`` while another reviewer holds it.

    Raises ``Denied`` when the case was escalated and the reviewer is not a senior.
    """
    with desk.store.transaction() as unit:
        found = _locked(unit, case)
        if found.state is State.ESCALATED and not senior:
            raise Denied("this case was escalated; a senior reviewer decides it")
        return _claim(unit, desk, found, reviewer)


def claim_next(desk: Desk, reviewer: ReviewerId, *, senior: bool = False) -> Claim | None:
    """Take the case that has waited longest; None when the queue is empty.

    Escalated cases are handed to seniors only.
    """
    with desk.store.transaction() as unit:
        found = unit.cases.next(reviewer, desk.clock(), senior=senior)
        return None if found is None else _claim(unit, desk, _locked(unit, found), reviewer)


def renew(desk: Desk, case: CaseId, token: UUID) -> Claim:
    """Hold a case for longer; raises ``LeaseLost`` when the lease is gone."""
    with desk.store.transaction() as unit:
        renewed = _locked(unit, case).renew(token, desk.clock(), desk.lease)
        unit.cases.save(renewed)
        assert renewed.lease is not None
        return Claim(case, token, renewed.lease.until)


def release(desk: Desk, case: CaseId, token: UUID) -> None:
    """Give a case back to the queue."""
    with desk.store.transaction() as unit:
        unit.cases.save(_locked(unit, case).release(token, desk.clock()))


def uphold(desk: Desk, case: CaseId, token: UUID, ground: Ground, reason: str) -> Case:
    """It is what the person registered, and it must go: takedowns to all platforms that have it."""
    now = desk.clock()
    with desk.store.transaction() as unit:
        found = _locked(unit, case)
        if found.state in UNDECIDED and not found.hits and found.kind is not CaseKind.NOTICE:
            raise IllegalTransition("all that this case rested on was withdrawn; it closes itself")
        decided, takedowns = found.uphold(token, ground, reason, now)
        unit.cases.save(decided)
        for takedown in takedowns:
            event = tell(unit, decided, takedown.platform, takedown.uploads, now)
            unit.events.add_takedown(takedown, event)
        banked = _join_banks(unit, decided)
        unit.media.destroy_at(case, now + desk.appeal_window)
        _audit(unit, decided, {"takedowns": len(takedowns), "entries": banked})
    return decided


def dismiss(desk: Desk, case: CaseId, token: UUID, ground: Ground, reason: str) -> Case:
    """It stays: the platforms are told, and this upload never comes back for these entries."""
    now = desk.clock()
    with desk.store.transaction() as unit:
        decided, pairs = _locked(unit, case).dismiss(token, ground, reason, now)
        unit.cases.save(decided)
        unit.cases.add_dismissals(case, pairs)
        for platform, uploads in by_platform(decided):
            tell(unit, decided, platform, uploads, now)
        unit.media.destroy_at(case, now + desk.appeal_window)
        _audit(unit, decided, {"pairs": len(pairs)})
    return decided


def escalate(desk: Desk, case: CaseId, token: UUID, ground: Ground, reason: str) -> Case:
    """Somebody more senior must decide; the platforms wait."""
    now = desk.clock()
    with desk.store.transaction() as unit:
        decided = _locked(unit, case).escalate(token, ground, reason, now)
        unit.cases.save(decided)
        _audit(unit, decided, {})
    return decided


def preview(desk: Desk, case: CaseId, medium: MediaId, reviewer: ReviewerId) -> Iterator[bytes]:
    """The bytes of which a derivative is made for the case's holder; every one is audited.

    Raises ``LeaseLost`` for anybody else, ``NotFound`` when the upload is destroyed.
    """
    with desk.store.transaction() as unit:
        lease = _locked(unit, case).lease
        if lease is None or lease.reviewer != reviewer or not lease.holds(desk.clock()):
            raise LeaseLost("your claim on this case has ended; claim it again to see the upload")
        return _opened(unit, desk, case, medium, reviewer, "media.derivative")


def reveal(
    desk: Desk, case: CaseId, medium: MediaId, token: UUID, reviewer: ReviewerId
) -> Iterator[bytes]:
    """The clear bytes of an upload for the reviewer who holds its case; every look is audited.

    Raises ``LeaseLost`` without the case's lease, ``NotFound`` when the upload is destroyed.
    """
    with desk.store.transaction() as unit:
        _locked(unit, case).renew(token, desk.clock(), desk.lease)  # proves the lease; not saved
        return _opened(unit, desk, case, medium, reviewer, "media.revealed")


def tell(
    unit: Unit,
    case: Case,
    platform: PlatformId,
    uploads: tuple[CaseUpload, ...],
    now: datetime,
) -> str:
    """Keep an event for a platform, and the job that delivers it; the event's id."""
    event = Event(
        id=f"evt_{uuid7(now, secrets.token_bytes(10)).hex}",
        platform=platform,
        case=case.id,
        kind=f"case.{case.state}",
        body={
            "type": f"case.{case.state}",
            "timestamp": now.isoformat(),
            "data": {
                "case": str(case.id),
                "decision": case.state.value,
                "ground": case.verdict.ground.value if case.verdict else None,
                "decided_at": (case.verdict.at if case.verdict else now).isoformat(),
                "uploads": [
                    {"content_id": upload.content_id, "screening": str(upload.screening)}
                    for upload in uploads
                ],
            },
        },
    )
    unit.events.add(event)
    if unit.platforms.endpoint(platform) is not None:
        send(unit, event.id)
    return event.id


def send(unit: Unit, event: str) -> None:
    """Have an event delivered. One of a platform without an address waits until it has one."""
    unit.jobs.add("deliver", {"event": event}, max_attempts=DELIVERY_ATTEMPTS)


def by_platform(case: Case) -> list[tuple[PlatformId, tuple[CaseUpload, ...]]]:
    """A case's uploads, a platform at a time."""
    platforms = dict.fromkeys(upload.platform for upload in case.uploads)
    return [
        (platform, tuple(upload for upload in case.uploads if upload.platform == platform))
        for platform in platforms
    ]


def _claim(unit: Unit, desk: Desk, case: Case, reviewer: ReviewerId) -> Claim:
    claimed = case.claim(reviewer, uuid4(), desk.clock(), desk.lease)
    unit.cases.save(claimed)
    assert claimed.lease is not None
    unit.audit.append(f"reviewer:{reviewer}", "case.claimed", f"case:{case.id}", {})
    return Claim(case.id, claimed.lease.token, claimed.lease.until)


def _locked(unit: Unit, case: CaseId) -> Case:
    found = unit.cases.get(case, lock=True)
    if found is None:
        raise NotFound("there is no such case")
    return found


def _opened(
    unit: Unit, desk: Desk, case: CaseId, medium: MediaId, reviewer: ReviewerId, action: str
) -> Iterator[bytes]:
    found = _medium(unit, case, medium)
    key = unit.vault.key(found.id)
    unit.audit.append(f"reviewer:{reviewer}", action, f"case:{case}", {"media": str(medium)})
    return desk.blobs.read(found.id, key)


def _medium(unit: Unit, case: CaseId, medium: MediaId) -> StoredMedium:
    for found in unit.media.of_case(case):
        if found.id == medium and found.blob and found.destroyed_at is None:
            return found
    raise NotFound("this upload is not held (any more)")


def _join_banks(unit: Unit, case: Case) -> int:
    """Put the upheld content's codes into the bank of each person it was upheld for."""
    people: dict[object, dict[PersonId, None]] = {}
    for hit in unit.cases.hits(case.id):
        if hit.person is not None and not hit.withdrawn:
            people.setdefault(hit.screening, {})[hit.person] = None
    banked = 0
    for medium in unit.media.of_case(case.id):
        if medium.codes is None or medium.destroyed_at is not None:
            continue
        codes = split_all(unit.vault.unseal(medium.id, "media.codes", medium.codes))
        for person in people.get(medium.screening, {}):
            if not unit.registry.hold(person):
                continue
            entries = [
                NewEntry(space, rows, unit.vault.seal(person, f"entries.{space}", packed), layout)
                for key, packed in codes
                for space, layout in (read_key(key),)
                if (rows := rows_of(packed))
            ]
            if entries:
                unit.registry.add_item(person, UPHELD_BANK, Source.UPHELD, entries, case.id)
                banked += len(entries)
    return banked


def _audit(unit: Unit, case: Case, body: dict[str, int]) -> None:
    verdict = case.verdict
    assert verdict is not None
    unit.audit.append(
        f"reviewer:{verdict.reviewer}",
        f"case.{verdict.state}",
        f"case:{case.id}",
        {"ground": verdict.ground.value, **body},
    )
