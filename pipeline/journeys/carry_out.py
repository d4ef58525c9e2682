"""What follows from a decision, all of it in one transaction.

The case, the takedowns, what each platform must be told, the audit record, and (for an upheld
case) the content's codes in the bank of the person it was upheld for, so that a repeat is known.
Either all of it happened or none of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from pipeline.domain.case import (
    UNDECIDED,
    Case,
    CaseKind,
    Ground,
    Purpose,
    State,
    Takedown,
    Verdict,
)
from pipeline.domain.entry import read_key
from pipeline.domain.evidence import Source
from pipeline.domain.ids import CaseId, PersonId
from pipeline.domain.notice import LEGAL_HOLD
from pipeline.domain.signal import rows_of, split_all
from pipeline.errors import IllegalTransition
from pipeline.journeys.desk import Desk, by_platform, fresh_case, tell
from pipeline.journeys.verify_face import carry_out_word
from pipeline.journeys.withdraw import close_if_empty
from pipeline.ports import Appeal, NewEntry, Unit

UPHELD_BANK = "upheld"


def carry_out(
    unit: Unit,
    desk: Desk,
    case: Case,
    token: UUID,
    verdict: Verdict,
    *,
    wordless: bool = False,
) -> Case:
    """Do what a reviewer decided, as of the moment when they decided it.

    Raises ``IllegalTransition`` when the case has moved on, ``LeaseLost`` without its lease.
    """
    to = verdict.state
    if case.kind is CaseKind.ENROLMENT:
        return verify(unit, desk, case, token, verdict, wordless=wordless)
    if case.purpose is not Purpose.DECIDE and not _of_minors(case, to):
        return _opine(unit, desk, case, token, verdict, wordless=wordless)
    if to is State.UPHELD and _wants_a_second_person(unit, case, verdict):
        return _hand_to_second_person(unit, case, verdict)
    if to is State.DISMISSED and _was_upheld_by_another(unit, case, verdict):
        return _disagree(unit, case, token, verdict)
    return _STEPS[to](unit, desk, case, token, verdict, wordless)


def uphold(
    unit: Unit, desk: Desk, case: Case, token: UUID, verdict: Verdict, wordless: bool
) -> Case:
    """It is what the person registered, and it must go: takedowns to all that have it."""
    if case.state in UNDECIDED and not case.hits and case.kind is not CaseKind.NOTICE:
        raise IllegalTransition("all that this case rested on was withdrawn; it closes itself")
    decided, takedowns = case.uphold(
        token, verdict.ground, verdict.reason, verdict.at, wordless=wordless
    )
    unit.cases.save(decided)
    _take_down(unit, decided, takedowns, desk.clock())
    banked = join_banks(unit, decided)
    _conclude(unit, desk, decided, {"takedowns": len(takedowns), "entries": banked})
    return decided


def dismiss(
    unit: Unit, desk: Desk, case: Case, token: UUID, verdict: Verdict, wordless: bool
) -> Case:
    """It stays: the platforms are told, and this upload never comes back for these entries."""
    decided, pairs = case.dismiss(
        token, verdict.ground, verdict.reason, verdict.at, wordless=wordless
    )
    unit.cases.save(decided)
    unit.cases.add_dismissals(case.id, pairs)
    for platform, uploads in by_platform(decided):
        tell(unit, decided, platform, uploads, desk.clock())
    _conclude(unit, desk, decided, {"pairs": len(pairs)})
    return decided


def verify(
    unit: Unit, desk: Desk, case: Case, token: UUID, verdict: Verdict, *, wordless: bool
) -> Case:
    """Whose face an enrolment is: it counts from now on, or its templates are destroyed.

    A verifier who is not sure leaves it to another one.
    """
    to = verdict.state
    if to is State.ESCALATED:
        unit.cases.exclude(case.id, verdict.reviewer)
        return escalate(unit, desk, case, token, verdict, wordless)
    return say_whose(unit, case, token, verdict, wordless=wordless)


def say_whose(
    unit: Unit, case: Case, token: UUID, verdict: Verdict, *, wordless: bool = False
) -> Case:
    """A verifier's yes or no to an enrolment's case, and all that follows from it."""
    said = case.uphold if verdict.state is State.UPHELD else case.dismiss
    decided, _ = said(token, verdict.ground, verdict.reason, verdict.at, wordless=wordless)
    unit.cases.save(decided)
    carry_out_word(unit, decided)
    _say(unit, decided, {})
    return decided


def escalate(
    unit: Unit,
    desk: Desk,  # noqa: ARG001
    case: Case,
    token: UUID,
    verdict: Verdict,
    wordless: bool,  # noqa: ARG001
) -> Case:
    """Somebody more senior must decide; the platforms wait."""
    decided = case.escalate(token, verdict.ground, verdict.reason, verdict.at)
    unit.cases.save(decided)
    unit.cases.place(case.id)
    _say(unit, decided, {})
    return decided


def freeze(
    unit: Unit,
    desk: Desk,
    case: Case,
    token: UUID,
    verdict: Verdict,
    wordless: bool,  # noqa: ARG001
) -> Case:
    """A possible minor: out of sight of everybody but the protected role, and preserved."""
    decided = case.freeze(token, verdict.ground, verdict.reason, verdict.at)
    unit.cases.save(decided)
    unit.cases.place(case.id)
    kept = unit.media.hold(case.subject, desk.clock() + LEGAL_HOLD)
    _say(unit, decided, {"preserved": kept})
    return decided


def unfreeze(
    unit: Unit,
    desk: Desk,
    case: Case,
    token: UUID,
    verdict: Verdict,
    wordless: bool,  # noqa: ARG001
) -> Case:
    """Not a minor: back to the ordinary queue, and the law's hold ends."""
    back = case.unfreeze(token, verdict.ground, verdict.reason, verdict.at)
    if not back.hits and back.about is None and back.kind is not CaseKind.NOTICE:
        # Whoever it concerned has left meanwhile; nothing is left to decide.
        back = replace(back, state=State.WITHDRAWN)
        unit.media.hold(case.subject, desk.clock())
        for platform, uploads in by_platform(back):
            tell(unit, back, platform, uploads, desk.clock())
    else:
        unit.media.hold(case.subject, None)
    unit.cases.save(back)
    unit.cases.place(case.id)
    _say(unit, replace(back, verdict=verdict), {})
    return back


def report(
    unit: Unit,
    desk: Desk,
    case: Case,
    token: UUID,
    verdict: Verdict,
    wordless: bool,  # noqa: ARG001
) -> Case:
    """An apparent minor: the report is prepared, platforms take it down and must preserve it."""
    now = desk.clock()
    decided, takedowns = case.report(token, verdict.ground, verdict.reason, verdict.at)
    unit.cases.save(decided)
    until = now + LEGAL_HOLD
    kept = unit.media.hold(case.subject, until)
    preserved = {"preserve_until": until.isoformat()}
    _take_down(unit, decided, takedowns, now, preserved)
    _say(unit, decided, {"preserved": kept, "takedowns": len(takedowns)})
    return decided


def stand(
    unit: Unit,
    desk: Desk,
    case: Case,
    token: UUID,
    verdict: Verdict,
    wordless: bool,  # noqa: ARG001
) -> Case:
    """An appeal that changes nothing: whoever appealed through a platform is answered there."""
    decided = case.stand(token, verdict.ground, verdict.reason, verdict.at)
    unit.cases.save(decided)
    appeal = unit.cases.appeal(case.id)
    if appeal is not None and appeal.side == "uploader":
        _answer_appeal(unit, desk, decided, "appeal_stands")
    _conclude(unit, desk, decided, {})
    return decided


def overturn(
    unit: Unit,
    desk: Desk,
    case: Case,
    token: UUID,
    verdict: Verdict,
    wordless: bool,  # noqa: ARG001
) -> Case:
    """An appeal that turns a decision round: platforms are told, and a repeat is known no more."""
    now = desk.clock()
    earlier = unit.cases.get(case.subject, lock=True)
    assert earlier is not None
    decided, takedowns = case.overturn(
        token, verdict.ground, verdict.reason, verdict.at, earlier.state
    )
    unit.cases.save(decided)
    unit.cases.overturn(earlier.id, decided.id)
    ended = banked = 0
    if earlier.state is State.UPHELD:
        ended = _end_known(unit, earlier, now)
        _answer_appeal(unit, desk, decided, "overturned")
    else:
        unit.cases.lift_dismissals(earlier.id)
        banked = join_banks(unit, decided)
        appeal = {"appeal": str(decided.id)}
        _take_down(unit, decided, takedowns, now, appeal, kind=State.UPHELD.value)
    _conclude(unit, desk, decided, {"takedowns": len(takedowns), "entries": banked, "ended": ended})
    return decided


Step = Callable[[Unit, Desk, Case, UUID, Verdict, bool], Case]
_STEPS: dict[State, Step] = {
    State.UPHELD: uphold,
    State.DISMISSED: dismiss,
    State.ESCALATED: escalate,
    State.FROZEN: freeze,
    State.OPEN: unfreeze,
    State.REPORTED: report,
    State.STANDS: stand,
    State.OVERTURNED: overturn,
}


def join_banks(unit: Unit, case: Case) -> int:
    """Put the upheld content's codes into the bank of each person it was upheld for."""
    people: dict[object, dict[PersonId, None]] = {}
    for hit in unit.cases.hits(case.subject):
        if hit.person is not None and not hit.withdrawn:
            people.setdefault(hit.screening, {})[hit.person] = None
    banked = 0
    for medium in unit.media.of_case(case.subject):
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
                unit.registry.add_item(person, UPHELD_BANK, Source.UPHELD, entries, case.subject)
                banked += len(entries)
    return banked


# --- second people and second looks -------------------------------------------------------------


def _wants_a_second_person(unit: Unit, case: Case, verdict: Verdict) -> bool:
    """A likeness of faces alone is upheld by two people, or not at all."""
    if case.kind is not CaseKind.FACE or not unit.house.rules().second_person_for_faces:
        return False
    return not _was_upheld_by_another(unit, case, verdict)


def _was_upheld_by_another(unit: Unit, case: Case, verdict: Verdict) -> bool:
    return any(
        said.verdict.state is State.UPHELD and said.verdict.reviewer != verdict.reviewer
        for said in unit.cases.opinions(case.id)
    )


def _hand_to_second_person(unit: Unit, case: Case, verdict: Verdict) -> Case:
    waiting = replace(case, lease=None)
    unit.cases.save(waiting)
    unit.cases.add_opinion(case.id, verdict)
    unit.cases.exclude(case.id, verdict.reviewer)
    unit.cases.place(case.id)
    _audit(unit, case, verdict, "case.awaits_second_person", {})
    return waiting


def _disagree(unit: Unit, case: Case, token: UUID, verdict: Verdict) -> Case:
    """Two people see one face differently: a senior decides."""
    unit.cases.add_opinion(case.id, verdict, agrees=False)
    said = verdict.reason or "the second person did not agree"
    decided = case.escalate(token, Ground.UNSURE, said, verdict.at)
    unit.cases.save(decided)
    unit.cases.place(case.id)
    _audit(unit, decided, verdict, "case.escalated", {"second_person": "disagrees"})
    return decided


def _opine(
    unit: Unit, desk: Desk, case: Case, token: UUID, verdict: Verdict, *, wordless: bool
) -> Case:
    """A second look or a golden case: compared with what was said or known; nothing else.

    Whoever hands it on is not sure, which neither agrees nor disagrees. Where a second look sees
    it differently, a third person decides, as in an appeal.
    """
    decided = case.opine(
        verdict.state, token, verdict.ground, verdict.reason, verdict.at, wordless=wordless
    )
    before = unit.cases.get(case.subject)
    unsure = verdict.state in UNDECIDED
    agrees = None if unsure or before is None else before.state is verdict.state
    decided = replace(decided, state=State.WITHDRAWN) if unsure else decided
    unit.cases.save(decided)
    unit.cases.add_opinion(case.id, verdict, agrees=agrees)
    said = {True: "agrees", False: "disagrees", None: "unsure"}[agrees]
    _audit(unit, decided, verdict, f"case.{case.purpose}", {"second": said})
    if case.purpose is Purpose.SECOND_LOOK and agrees is False:
        _ask_a_third(unit, desk, case.subject)
    return decided


def _ask_a_third(unit: Unit, desk: Desk, about: CaseId) -> None:
    now = desk.clock()
    third = fresh_case(now)
    unit.cases.open(third, now, kind=CaseKind.APPEAL, about=about)
    unit.cases.add_appeal(Appeal(third, about, "quality", None, None, None, now))
    for reviewer in unit.cases.deciders(about):
        unit.cases.exclude(third, reviewer)
    unit.media.destroy_at(about, None)


def _sample_second_look(unit: Unit, desk: Desk, case: Case) -> None:
    """Put a share of decided cases before somebody else, who can't tell that they were decided."""
    if case.kind in (CaseKind.APPEAL, CaseKind.ENROLMENT):
        return
    if desk.chance() >= unit.house.rules().second_looks:
        return
    now = desk.clock()
    look = fresh_case(now)
    unit.cases.open(
        look, now, kind=case.kind, priority=case.priority, about=case.id,
        purpose=Purpose.SECOND_LOOK,
    )  # fmt: skip
    for reviewer in unit.cases.deciders(case.id):
        unit.cases.exclude(look, reviewer)


def _of_minors(case: Case, to: State) -> bool:
    """A possible minor in a second look is frozen like in any other case; a specimen shows none."""
    guarded = case.state is State.FROZEN or to is State.FROZEN
    return guarded and case.purpose is Purpose.SECOND_LOOK


# --- what all steps share -----------------------------------------------------------------------


def _take_down(
    unit: Unit,
    decided: Case,
    takedowns: tuple[Takedown, ...],
    now: datetime,
    more: dict[str, str] | None = None,
    kind: str | None = None,
) -> None:
    for takedown in takedowns:
        event = tell(unit, decided, takedown.platform, takedown.uploads, now, kind=kind, more=more)
        unit.events.add_takedown(takedown, event)


def _conclude(unit: Unit, desk: Desk, decided: Case, body: dict[str, int]) -> None:
    unit.media.destroy_at(decided.subject, desk.clock() + desk.appeal_window)
    _say(unit, decided, body)
    _sample_second_look(unit, desk, decided)


def _answer_appeal(unit: Unit, desk: Desk, decided: Case, kind: str) -> None:
    for platform, uploads in by_platform(decided):
        tell(
            unit, decided, platform, uploads, desk.clock(), kind=kind,
            more={"appeal": str(decided.id)},
        )  # fmt: skip


def _end_known(unit: Unit, earlier: Case, now: datetime) -> int:
    """Take an overturned case's codes out of every bank; cases that rested on them alone close."""
    ended = unit.registry.remove_upheld(earlier.id)
    for resting in unit.cases.resting_on_entries(ended):
        # Blobs of what closes here are unreadable at once; the sweep removes them.
        close_if_empty(unit, resting, now, "service:appeal")
    return len(ended)


def _say(unit: Unit, decided: Case, body: dict[str, int]) -> None:
    verdict = decided.verdict
    assert verdict is not None
    unit.cases.add_opinion(decided.id, verdict)
    _audit(unit, decided, verdict, f"case.{verdict.state}", body)


def _audit(
    unit: Unit, case: Case, verdict: Verdict, action: str, body: dict[str, int] | dict[str, str]
) -> None:
    unit.audit.append(
        f"reviewer:{verdict.reviewer}",
        action,
        f"case:{case.id}",
        {"ground": verdict.ground.value, **body},
    )
