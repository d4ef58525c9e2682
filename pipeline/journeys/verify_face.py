"""Verifiers say whose face an enrolment is: each one that waits is a case of the review desk.

The case has no upload: the photos were destroyed when the face was learned. It is taken, held,
decided and undone like every other; what follows from the decision stands here. An enrolment that
ends by itself (its person leaves, asks anew, or lets it run out) closes its case.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from pipeline.domain.case import ORDINARY, UNDECIDED, Case, CaseKind, State
from pipeline.domain.consent import Consent, ConsentState, Purpose
from pipeline.domain.enrolment import NEXT, WAITING, Enrolment, EnrolmentState
from pipeline.domain.evidence import Source
from pipeline.domain.ids import CaseId, MediaId, PersonId, ReviewerId
from pipeline.domain.likeness import FACES
from pipeline.domain.signal import rows_of, split_all
from pipeline.errors import Conflict
from pipeline.journeys.desk import fresh_case
from pipeline.journeys.withdraw import close_if_empty
from pipeline.ports import Clock, NewEntry, Store, Unit

SEALED = "enrolments.templates"
"""What templates are sealed as while they are not in force."""

URGENT = 1
"""The priority of a frozen one: somebody may be trying to follow another."""


def keep_asking(unit: Unit, people: Iterable[PersonId], now: datetime) -> None:
    """See to it that each enrolment that waits has an open case, and no other has one.

    To be called with ``enrolments.alone``, after the change log and before the audit trail. A
    decision on one that was frozen since, and can still be undone, is void: it was about something
    else.
    """
    closed: list[CaseId] = []
    for one in (one for person in dict.fromkeys(people) for one in unit.enrolments.of(person)):
        case = unit.cases.get(one.case, lock=True) if one.case else None
        asked = case is not None and case.state in UNDECIDED
        if one.state not in WAITING:
            if case is not None and asked:
                unit.cases.save(case.taken_back())
                closed.append(case.id)
            continue
        priority = URGENT if one.state is EnrolmentState.FROZEN else ORDINARY
        if case is None or not asked:
            fresh = fresh_case(now)
            unit.cases.open(fresh, now, kind=CaseKind.ENROLMENT, priority=priority)
            unit.enrolments.save(replace(one, case=fresh))
        elif case.priority < priority:
            if case.pending:
                unit.cases.save(replace(case, pending=None))
            unit.cases.raise_to(case.id, kind=CaseKind.ENROLMENT, priority=priority)
    for gone in closed:
        unit.audit.append("service:enrol", "case.withdrawn", f"case:{gone}", {})


def ask_about_all(store: Store, clock: Clock, limit: int = 100) -> int:
    """Open cases for enrolments that were asked for before there were such cases; how many."""
    with store.transaction() as unit:
        unasked = unit.enrolments.unasked(limit)
    for enrolment in unasked:
        with store.transaction() as unit:
            unit.enrolments.alone()
            found = unit.enrolments.get(enrolment)
            if found is not None:
                keep_asking(unit, (found.person,), clock())
    return len(unasked)


def carry_out_word(unit: Unit, decided: Case) -> None:
    """What a verifier's decision does: the face counts, or its templates are destroyed.

    Nothing where the enrolment is gone: who has left is beyond anybody's word.
    """
    found, verdict = unit.enrolments.of_case(decided.id), decided.verdict
    assert verdict is not None
    if found is None or not unit.registry.hold(found.person):
        return
    if verdict.state is State.UPHELD:
        enforce(unit, found, verdict.at, verdict.reviewer)
        said = EnrolmentState.APPROVED
    else:
        # Blobs of what closes here are unreadable at once; the sweep removes them.
        end(unit, found, EnrolmentState.REFUSED, verdict.at, verdict.reviewer, verdict.reason)
        said = EnrolmentState.REFUSED
    keep_asking(unit, (found.person,), verdict.at)
    by = f"reviewer:{verdict.reviewer}"
    unit.audit.append(by, f"enrolment.{said}", f"enrolment:{found.id}", {})


def enforce(
    unit: Unit, enrolment: Enrolment, now: datetime, by: ReviewerId | None = None
) -> tuple[Enrolment, list[MediaId]]:
    """Put an enrolment's templates in force, in the place of an earlier enrolment of hers."""
    if not unit.registry.hold(enrolment.person):
        raise Conflict("this person has left; nothing of hers may be added")
    item = enrolment.item
    if item is not None:
        unit.registry.thaw(item)
    else:
        entries = [
            NewEntry(
                key,
                rows_of(packed),
                unit.vault.seal(enrolment.person, f"entries.{key}", packed),
            )
            for key, packed in templates_of(unit, enrolment)
        ]
        item, _ = unit.registry.add_item(enrolment.person, FACES, Source.REGISTERED, entries)
    approved = enrolment.to(EnrolmentState.APPROVED)
    done = replace(approved, item=item, decided_at=now, rival=None, likeness=None)
    unit.enrolments.save(done, by=by)
    closed = []
    for earlier in unit.enrolments.of(enrolment.person):
        if earlier.id != enrolment.id and NEXT[earlier.state]:
            closed += end(unit, earlier, EnrolmentState.REPLACED, now, by)
    return done, closed


def freeze_both(
    unit: Unit, own: Enrolment, rival: tuple[Enrolment, str], now: datetime
) -> Enrolment:
    """Neither counts until a verifier has looked at both; the first one, frozen."""
    other, words = rival
    if other.item is not None:
        unit.registry.freeze(other.item, now)
    if other.state is not EnrolmentState.FROZEN:
        other = other.to(EnrolmentState.FROZEN)
    unit.enrolments.save(replace(other, rival=own.id, likeness=words))
    frozen = replace(own.to(EnrolmentState.FROZEN), rival=other.id, likeness=words)
    unit.enrolments.save(frozen)
    keep_asking(unit, (own.person, other.person), now)
    for one, rival_of in ((own, other), (other, own)):
        unit.audit.append(
            "service:enrol",
            "enrolment.frozen",
            f"enrolment:{one.id}",
            {"rival": str(rival_of.id)},
        )
    return frozen


def end(
    unit: Unit,
    enrolment: Enrolment,
    state: EnrolmentState,
    now: datetime,
    by: ReviewerId | None = None,
    reason: str | None = None,
) -> list[MediaId]:
    """Destroy an enrolment's templates; the media of cases that rested on nothing else."""
    entries = unit.registry.destroy_item(enrolment.item) if enrolment.item is not None else ()
    ended = replace(enrolment.to(state), item=None, decided_at=now, reason=reason)
    unit.enrolments.save(replace(ended, rival=None, likeness=None), by=by)
    if all(not NEXT[one.state] for one in unit.enrolments.of(enrolment.person)):
        consent = Consent(Purpose.FACE, enrolment.text_version, ConsentState.WITHDRAWN, now)
        unit.registry.put_consent(enrolment.person, consent)
    closed = []
    for case in unit.cases.forget_entries(entries):
        for medium in close_if_empty(unit, case, now, "service:enrol") or ():
            closed.append(medium.id)
    return closed


def templates_of(unit: Unit, enrolment: Enrolment) -> list[tuple[str, bytes]]:
    """An enrolment's packed templates by space, wherever they lie."""
    if enrolment.item is not None:
        held = unit.registry.unseal_all(unit.registry.of_item(enrolment.item))
        return [(entry.space, packed) for entry, packed in held]
    sealed = unit.enrolments.sealed(enrolment.id)
    if sealed is None:
        return []
    return split_all(unit.vault.unseal(enrolment.person, SEALED, sealed))
