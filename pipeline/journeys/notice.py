"""Somebody tells of something that is online already; the law's clock starts with its receipt.

A complete notice opens a case in which each address is an upload of the platform's, so that a
reviewer's decision reaches the platform like any other. Who wrote it and how to reach her lies
sealed under a key of the notice's own, which is destroyed some time after the decision, or at once
when she takes the notice back. She follows it with a code; nobody needs an account.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

from pipeline.domain.action import AHEAD
from pipeline.domain.case import UNDECIDED, CaseKind, CaseUpload, Ground, State
from pipeline.domain.ids import CaseId, NoticeId, PlatformId, ScreeningId, uuid7
from pipeline.domain.media import Rating, Upload
from pipeline.domain.notice import LEGAL_HOLD, LONGEST, MOST_LOCATIONS, Notice, deadline
from pipeline.domain.screening import Form, Screening, Verdict
from pipeline.errors import Conflict, Denied, Invalid, NotFound
from pipeline.journeys.desk import by_platform, tell
from pipeline.journeys.sign_in import new_recovery, plain
from pipeline.ports import Clock, Store, StoredNotice, Unit

URGENT = 10
"""Notices come before what waits without a legal clock."""

OLDEST = timedelta(days=30)
"""How long ago a platform may have received what it passes on."""
_COLUMN = "notices.sealed"


@dataclass(frozen=True, slots=True)
class Receipt:
    """What whoever wrote a notice is given: the code that follows it, shown once."""

    code: str = field(repr=False)
    received_at: datetime
    deadline: datetime


@dataclass(frozen=True, slots=True)
class Forwarded:
    """What a platform is told of a notice that it passed on.

    ``code`` is for whoever wrote the notice; it is told once and None when told before.
    """

    case: CaseId
    received_at: datetime
    deadline: datetime
    code: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Status:
    """Where a notice stands, as its writer may see it."""

    received_at: datetime
    deadline: datetime
    state: State
    decided_at: datetime | None
    ground: Ground | None
    told_at: datetime | None
    """When the platform was asked to take it down."""
    confirmed_at: datetime | None
    held: bool
    """Whether name and contact are still held."""
    turned_at: datetime | None = None
    """When somebody else decided the opposite."""

    @property
    def must_go(self) -> bool:
        """What the first decision says."""
        return self.state in (State.UPHELD, State.REPORTED)


def give(store: Store, clock: Clock, platform: str, notice: Notice) -> Receipt:
    """Take in a notice; raises ``Invalid`` with what is missing, ``NotFound`` for a platform."""
    _check(notice)
    now, code = clock(), new_recovery()
    with store.transaction() as unit:
        at = unit.platforms.by_name(platform)
        if at is None:
            raise NotFound("no platform of this name works with us")
        _take_in(unit, at, notice, now, now, code, None)
    return Receipt(code, now, deadline(now))


def forward(
    store: Store,
    clock: Clock,
    platform: PlatformId,
    notice: Notice,
    reference: str,
    received_at: datetime | None = None,
) -> Forwarded:
    """Take in a notice that a platform received: the law's clock began when it did.

    The same ``reference`` is the same notice, however often it is passed on. Raises ``Invalid``
    with what is missing.
    """
    _check(notice)
    now = clock()
    received = received_at or now
    if received.tzinfo is None or not now - OLDEST <= received <= now + AHEAD:
        raise Invalid(f"received_at is a moment of the last {OLDEST.days} days, with its time zone")
    received = min(received.astimezone(UTC), now)
    code = new_recovery()
    with store.transaction() as unit:
        called = unit.vault.fingerprint(
            b"notice-reference|" + platform.bytes + b"|" + reference.encode()
        )
        unit.cases.lock_upload(platform, reference, called)
        before = unit.notices.by_reference(called)
        if before is not None:
            return Forwarded(before.case, before.received_at, deadline(before.received_at), None)
        case = _take_in(unit, platform, notice, now, received, code, called)
    return Forwarded(case, received, deadline(received), code)


def read(unit: Unit, case: CaseId) -> Notice | None:
    """What a case's notice says, for whoever reviews it; None once it is destroyed."""
    found = unit.notices.of_case(case)
    if found is None or found.sealed is None:
        return None
    return Notice.unpacked(unit.vault.unseal(found.id, _COLUMN, found.sealed))


def follow(store: Store, code: str) -> Status:
    """Where a notice stands; raises ``Denied`` for a code that no notice has."""
    with store.transaction(snapshot=True) as unit:
        found = _found(unit, code)
        case = unit.cases.get(found.case)
        assert case is not None  # a notice's case is opened with it
        asked = unit.following.takedowns([found.case])
        appeals = unit.following.appeals([found.case])
    told = asked[0] if asked else None
    decided = case.verdict if case.state not in UNDECIDED else None
    return Status(
        received_at=found.received_at,
        deadline=case.deadline or deadline(found.received_at),
        state=case.state,
        decided_at=decided.at if decided else None,
        ground=decided.ground if decided else None,
        told_at=told.asked_at if told else None,
        confirmed_at=told.confirmed_at if told else None,
        held=found.sealed is not None,
        turned_at=next((one.decided_at for one in appeals if one.state is State.OVERTURNED), None),
    )


def take_back(store: Store, clock: Clock, code: str) -> None:
    """Destroy what a notice says of its writer; a case that nobody has decided closes."""
    now = clock()
    with store.transaction() as unit:
        found = _found(unit, code)
        if found.sealed is None:
            raise Conflict("this notice's personal data is destroyed already")
        case = unit.cases.get(found.case, lock=True)
        assert case is not None  # a notice's case is opened with it
        _destroy(unit, found, now, "taken back")
        closed = case.taken_back()
        if closed is not case:
            unit.cases.save(closed)
            for platform, uploads in by_platform(closed):
                tell(unit, closed, platform, uploads, now)
            unit.audit.append("person", "case.withdrawn", f"case:{case.id}", {})


def retire_notices(store: Store, clock: Clock, window: timedelta, limit: int = 100) -> int:
    """Destroy the personal data of notices decided longer ago than ``window``; how many.

    A notice that was reported to the authorities stays for the year for which the law has what was
    reported preserved, unless its writer takes it back: who wrote it is not what was reported.
    """
    now = clock()
    with store.transaction() as unit:
        due = unit.notices.due(now - window, now - max(window, LEGAL_HOLD), limit)
        for found in due:
            _destroy(unit, found, now, "retention")
    return len(due)


def _check(notice: Notice) -> None:
    if notice.missing:
        raise Invalid(f"the notice lacks: {', '.join(notice.missing)}")
    if len(notice.locations) > MOST_LOCATIONS or len(notice.explanation) > LONGEST:
        raise Invalid(f"at most {MOST_LOCATIONS} addresses and {LONGEST} characters in one notice")


def _take_in(
    unit: Unit,
    platform: PlatformId,
    notice: Notice,
    now: datetime,
    received: datetime,
    code: str,
    reference: bytes | None,
) -> CaseId:
    """A complete notice's case, with who wrote it sealed."""
    case, identifier = CaseId(_fresh(now)), NoticeId(_fresh(now))
    unit.cases.open(case, now, kind=CaseKind.NOTICE, deadline=deadline(received), priority=URGENT)
    forwarded = reference is not None
    sequence = unit.audit.append(
        f"platform:{platform}" if forwarded else "service:portal",
        "notice.forwarded" if forwarded else "notice.received",
        f"case:{case}",
        {"notice": str(identifier), "locations": len(notice.locations)},
    )
    for number, location in enumerate(dict.fromkeys(notice.locations)):
        _name(unit, case, platform, location, now, sequence, number)
    unit.vault.create(identifier, kind="notice")
    sealed = unit.vault.seal(identifier, _COLUMN, notice.packed())
    by = platform if forwarded else None
    stored = StoredNotice(identifier, case, received, sealed, by)
    unit.notices.add(stored, _print(unit, code), reference)
    return case


def _name(
    unit: Unit,
    case: CaseId,
    platform: PlatformId,
    location: str,
    now: datetime,
    audited: int,
    number: int,
) -> None:
    """One address as an upload that the case is about; their ids are in the notice's order."""
    screening = Screening(
        id=ScreeningId(_fresh(now + timedelta(milliseconds=number))),
        platform=platform,
        upload=Upload(location, None, Rating.UNKNOWN),
        form=Form.NOTICE,
        verdict=Verdict.REVIEW,
        policy="notice",
        index_seq=0,
        received_at=now,
        milliseconds=0.0,
        case=case,
    )
    unit.screenings.add(screening, audited=audited)
    fingerprint = unit.vault.fingerprint(b"notice|" + location.encode())
    unit.cases.join(case, CaseUpload(screening.id, platform, location, fingerprint), (), now)


def _found(unit: Unit, code: str) -> StoredNotice:
    found = unit.notices.by_code(_print(unit, code))
    if found is None:
        raise Denied("no notice has this code; check every symbol and try again")
    return found


def _destroy(unit: Unit, found: StoredNotice, now: datetime, why: str) -> None:
    unit.vault.shred(found.id)
    unit.notices.destroyed(found.id, now)
    unit.audit.append("service:notice", "notice.destroyed", f"case:{found.case}", {"why": why})


def _print(unit: Unit, code: str) -> bytes:
    return unit.vault.fingerprint(b"notice-code|" + plain(code).encode())


def _fresh(now: datetime) -> UUID:
    return uuid7(now, secrets.token_bytes(10))
