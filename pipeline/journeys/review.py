"""A person decides. Nothing else in Consentry can bring about a takedown.

A reviewer takes the case that comes first, holds it while they work, and decides. For some seconds
a decision can be undone: it lies in the database and nothing has left the building. Then
``settle`` carries it out, in the reviewer's name and as of the moment of the decision; whatever
happens to any process in between, the decision is neither lost nor made twice.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import BinaryIO
from uuid import UUID, uuid4

from pipeline.domain.case import (
    UNDECIDED,
    Case,
    CaseKind,
    Ground,
    Purpose,
    State,
    Verdict,
)
from pipeline.domain.house import HouseRules
from pipeline.domain.ids import CaseId, MediaId, ReviewerId
from pipeline.domain.roles import AT_CASES, Role, asked, can, desks, takes
from pipeline.errors import Denied, IllegalTransition, LeaseLost, NotFound
from pipeline.journeys import rest
from pipeline.journeys.carry_out import carry_out
from pipeline.journeys.desk import Desk, fresh_case, locked
from pipeline.ports import StoredMedium, Unit

_NOT_YOURS = {
    "senior": "this case was escalated; a senior reviewer decides it",
    "protect": "this case is for the protected role alone",
    "verify": "this case is for those who verify enrolments",
}


@dataclass(frozen=True, slots=True)
class Claim:
    """A case in a reviewer's hands."""

    case: CaseId
    token: UUID
    until: datetime


def claim(desk: Desk, case: CaseId, reviewer: ReviewerId, *, role: Role = Role.REVIEWER) -> Claim:
    """Take a case; raises ``LeaseLost`` while another reviewer holds it.

    Raises ``Denied`` when the case is not for this role or not for this person, and ``Resting``
    when they have seen enough for now.
    """
    with desk.store.transaction() as unit:
        found = locked(unit, case)
        if found.purpose is Purpose.SPECIMEN:
            raise NotFound("there is no such case")
        if not takes(role, found.kind, found.state) and found.state in UNDECIDED:
            power = asked(found.kind, found.state)
            raise Denied(_NOT_YOURS.get(power.value, "your role takes no cases of this kind"))
        if unit.cases.excluded(case, reviewer):
            raise Denied("this case is for somebody else; take the next one")
        if found.lease is None or found.lease.reviewer != reviewer:
            # Whoever holds it already may finish it, whatever they have seen.
            rest.refuse_if_resting(unit, reviewer, desk.clock())
        return _claim(unit, desk, found, reviewer)


def claim_next(
    desk: Desk,
    reviewer: ReviewerId,
    *,
    role: Role = Role.REVIEWER,
    queues: tuple[str, ...] | None = None,
) -> Claim | None:
    """Take the case that comes first by the house rules; None when there is none for them.

    Now and then it is a golden one, whose answer is known. Raises ``Resting`` when the reviewer has
    seen enough for now.
    """
    if not any(can(role, power) for power in AT_CASES):
        raise Denied("your role takes no cases")
    now = desk.clock()
    with desk.store.transaction() as unit:
        rest.refuse_if_resting(unit, reviewer, now)
        rules = unit.house.rules()
        golden = _golden(unit, desk, rules, reviewer, role)
        if golden is not None:
            return _claim(unit, desk, locked(unit, golden), reviewer)
        wanted = open_to(unit, reviewer, role, now)
        found = unit.cases.next(reviewer, now, wanted, queues or rules.queue_names)
        return None if found is None else _claim(unit, desk, locked(unit, found), reviewer)


def open_to(
    unit: Unit, reviewer: ReviewerId, role: Role, now: datetime
) -> tuple[tuple[State, CaseKind], ...]:
    """The states and kinds of cases that somebody takes just now."""
    out = unit.house.opted_out(reviewer, now)
    return tuple((state, kind) for state, kind in desks(role) if kind not in out)


def renew(desk: Desk, case: CaseId, token: UUID) -> Claim:
    """Hold a case for longer; raises ``LeaseLost`` when the lease is gone."""
    with desk.store.transaction() as unit:
        renewed = locked(unit, case).renew(token, desk.clock(), desk.lease)
        unit.cases.save(renewed)
        assert renewed.lease is not None
        rest.at_work(unit, renewed.lease.reviewer, desk.clock())
        return Claim(case, token, renewed.lease.until)


def release(desk: Desk, case: CaseId, token: UUID) -> None:
    """Give a case back to the queue."""
    with desk.store.transaction() as unit:
        unit.cases.save(locked(unit, case).release(token, desk.clock()))


def leave(desk: Desk, case: CaseId, token: UUID) -> None:
    """The case's page was left; it comes free in some seconds unless its holder is back by then."""
    with desk.store.transaction() as unit:
        unit.cases.save(locked(unit, case).leave(token, desk.clock()))


def skip(desk: Desk, case: CaseId, token: UUID) -> None:
    """Not this one: it goes back and never comes to this reviewer again. Nobody is asked why."""
    with desk.store.transaction() as unit:
        found = locked(unit, case)
        released = found.release(token, desk.clock())
        assert found.lease is not None
        unit.cases.save(released)
        unit.cases.exclude(case, found.lease.reviewer)


def decide(desk: Desk, case: CaseId, token: UUID, to: State, ground: Ground, reason: str) -> Case:
    """Decide, to take effect when the time for undoing has passed.

    A possible minor is frozen at once. Raises what the decision itself would raise.
    """
    with desk.store.transaction() as unit:
        rules, found = unit.house.rules(), _taken(unit, case)
        wordless = not wants_reason(rules, found, to)
        if to is State.UPHELD and _rests_on_nothing(found):
            if unit.cases.rests_on_frozen(found.subject):
                raise IllegalTransition(
                    "the face that this case rests on is frozen until a verifier has said whose it"
                    " is; give the case back, it waits"
                )
            raise IllegalTransition("all that this case rested on was withdrawn; it closes itself")
        held = found.hold(to, token, ground, reason, desk.clock(), rules.undo, wordless=wordless)
        assert held.pending is not None
        if to is State.FROZEN or not rules.undo_seconds:
            return carry_out(unit, desk, found, token, held.pending.verdict, wordless=wordless)
        unit.cases.save(held)
        _audit(unit, held.pending.verdict.reviewer, "case.decision_held", case, to)
        return held


def undo(desk: Desk, case: CaseId, reviewer: ReviewerId) -> Claim:
    """Take a decision back before it has taken effect; the case is the reviewer's again."""
    now = desk.clock()
    with desk.store.transaction() as unit:
        found = locked(unit, case)
        undone = found.undo(reviewer, uuid4(), now, desk.lease)
        unit.cases.save(undone)
        assert undone.lease is not None
        _audit(unit, reviewer, "case.decision_undone", case, None)
        return Claim(case, undone.lease.token, undone.lease.until)


def settle_due(desk: Desk, limit: int = 50) -> int:
    """Carry out every decision that can be undone no more; how many."""
    with desk.store.transaction() as unit:
        due = unit.cases.pending_due(desk.clock(), limit)
    return sum(settle(desk, case) for case in due)


def settle(desk: Desk, case: CaseId) -> bool:
    """Carry out one decision; false when somebody else was first."""
    now = desk.clock()
    with desk.store.transaction() as unit:
        found = _taken(unit, case)
        if found.pending is None or now < found.pending.until:
            return False
        token = uuid4()
        resumed, verdict = found.settle(token, now)
        if verdict.state is State.UPHELD and _rests_on_nothing(resumed):
            # The person has left since: her withdrawal closes the case, nothing goes out.
            unit.cases.save(replace(resumed, lease=None))
            return True
        carry_out(unit, desk, resumed, token, verdict, wordless=True)
        return True


def uphold(desk: Desk, case: CaseId, token: UUID, ground: Ground, reason: str) -> Case:
    """Uphold with effect at once."""
    return _at_once(desk, case, token, State.UPHELD, ground, reason)


def dismiss(desk: Desk, case: CaseId, token: UUID, ground: Ground, reason: str) -> Case:
    """Dismiss with effect at once."""
    return _at_once(desk, case, token, State.DISMISSED, ground, reason)


def escalate(desk: Desk, case: CaseId, token: UUID, ground: Ground, reason: str) -> Case:
    """Hand a case up with effect at once; a possible minor is frozen."""
    to = State.FROZEN if ground is Ground.POSSIBLE_MINOR else State.ESCALATED
    return _at_once(desk, case, token, to, ground, reason)


def wants_reason(rules: HouseRules, case: Case, to: State) -> bool:
    """Whether a decision must say why: always but on clear evidence that is upheld or dismissed."""
    return to not in (State.UPHELD, State.DISMISSED) or case.nearness < rules.reason_below


def preview(
    desk: Desk, case: CaseId, medium: MediaId, reviewer: ReviewerId, at: float | None = None
) -> BinaryIO:
    """The file of which a derivative is made for the case's holder; every one is audited.

    ``at`` is the moment of a video that it is made of, in seconds.

    Raises ``LeaseLost`` for anybody else, ``NotFound`` when the upload is destroyed.
    """
    with desk.store.transaction() as unit:
        found = locked(unit, case)
        lease = found.lease
        if lease is None or lease.reviewer != reviewer or not lease.holds(desk.clock()):
            raise LeaseLost("your claim on this case has ended; claim it again to see the upload")
        return _opened(unit, desk, found, medium, reviewer, "media.derivative", at)


def reveal(
    desk: Desk,
    case: CaseId,
    medium: MediaId,
    token: UUID,
    reviewer: ReviewerId,
    at: float | None = None,
    look: UUID | None = None,
) -> tuple[UUID, BinaryIO]:
    """An upload as an open file for the reviewer who holds its case, and the look's id.

    ``at`` is the moment of a video; ``look`` is one that goes on there, and None for a new one.

    Every look is audited and counted. Raises ``LeaseLost`` without the case's lease, ``NotFound``
    when the upload is destroyed, ``Resting`` when the reviewer has seen enough for now.
    """
    with desk.store.transaction() as unit:
        found = locked(unit, case)
        found.renew(token, desk.clock(), desk.lease)  # proves the lease; not saved
        if look is None:
            look = rest.begin_look(unit, reviewer, desk.clock())
        else:
            rest.go_on_looking(unit, reviewer, look, desk.clock())
        return look, _opened(unit, desk, found, medium, reviewer, "media.revealed", at)


def _at_once(desk: Desk, case: CaseId, token: UUID, to: State, ground: Ground, reason: str) -> Case:
    with desk.store.transaction() as unit:
        found = _taken(unit, case)
        reviewer = found.lease.reviewer if found.lease else ReviewerId(UUID(int=0))
        verdict = Verdict(to, ground, reason.strip(), reviewer, desk.clock())
        return carry_out(unit, desk, found, token, verdict)


def _taken(unit: Unit, case: CaseId) -> Case:
    """A case that is decided, locked; of an enrolment nobody else decides anything meanwhile.

    Its own lock comes first, as in every step of an enrolment, so that two steps never wait for
    each other.
    """
    found = unit.cases.get(case)
    if found is not None and found.kind is CaseKind.ENROLMENT:
        unit.enrolments.alone()
    return locked(unit, case)


def _rests_on_nothing(case: Case) -> bool:
    """Only what somebody decides for real, and about a match, must rest on entries in force."""
    matched = case.kind not in (CaseKind.NOTICE, CaseKind.ENROLMENT)
    decides = case.purpose is Purpose.DECIDE and matched
    return decides and case.state in UNDECIDED and not case.hits


def _golden(
    unit: Unit, desk: Desk, rules: HouseRules, reviewer: ReviewerId, role: Role
) -> CaseId | None:
    """Now and then, a copy of a specimen that this reviewer hasn't judged yet."""
    if not takes(role, CaseKind.HASH, State.OPEN) or desk.chance() >= rules.golden_cases:
        return None
    specimen = unit.cases.specimen_for(reviewer)
    if specimen is None:
        return None
    now = desk.clock()
    case = fresh_case(now)
    unit.cases.open(case, now, about=specimen, purpose=Purpose.GOLDEN)
    return case


def _claim(unit: Unit, desk: Desk, case: Case, reviewer: ReviewerId) -> Claim:
    claimed = case.claim(reviewer, uuid4(), desk.clock(), desk.lease)
    unit.cases.save(claimed)
    assert claimed.lease is not None
    rest.at_work(unit, reviewer, desk.clock())
    unit.audit.append(f"reviewer:{reviewer}", "case.claimed", f"case:{case.id}", {})
    return Claim(case.id, claimed.lease.token, claimed.lease.until)


def _audit(unit: Unit, reviewer: ReviewerId, action: str, case: CaseId, to: State | None) -> None:
    body = {"to": to.value} if to else {}
    unit.audit.append(f"reviewer:{reviewer}", action, f"case:{case}", body)


def _opened(
    unit: Unit,
    desk: Desk,
    case: Case,
    medium: MediaId,
    reviewer: ReviewerId,
    action: str,
    at: float | None = None,
) -> BinaryIO:
    found = _medium(unit, case, medium)
    key = unit.vault.key(found.id)
    # Milliseconds: what is chained in the trail has no fractions.
    moment = {} if at is None else {"at_ms": round(1000 * at)}
    body = {"media": str(medium), **moment}
    unit.audit.append(f"reviewer:{reviewer}", action, f"case:{case.id}", body)
    return desk.blobs.open(found.id, key)


def _medium(unit: Unit, case: Case, medium: MediaId) -> StoredMedium:
    for found in unit.media.of_case(case.subject):
        if found.id == medium and found.blob and found.destroyed_at is None:
            return found
    raise NotFound("this upload is not held (any more)")
