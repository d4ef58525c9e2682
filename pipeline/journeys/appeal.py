"""Somebody disagrees with a decision: somebody else decides again.

An uploader appeals through the platform against what was upheld, a registered person against what
was dismissed. An appeal is a case of its own about the earlier one; whoever said anything about
that one never gets it. What an overturned decision brings about stands in ``carry_out.overturn``.
"""

from __future__ import annotations

from pipeline.domain.case import CaseKind, State
from pipeline.domain.ids import CaseId, PersonId, PlatformId
from pipeline.errors import Conflict, Invalid, NotFound
from pipeline.journeys.desk import Desk, fresh_case
from pipeline.ports import Appeal, Side, Unit

LONGEST_STATEMENT = 4000

_AGAINST: dict[Side, State] = {"uploader": State.UPHELD, "registered": State.DISMISSED}


def by_uploader(desk: Desk, platform: PlatformId, case: CaseId, statement: str) -> CaseId:
    """A platform passes on that an uploader disagrees with an upheld case; the appeal's case.

    Raises ``NotFound`` where the platform has no upload in the case, ``Conflict`` when there is
    nothing to appeal against (any more).
    """
    with desk.store.transaction() as unit:
        found = unit.cases.get(case)
        if found is None or platform not in {upload.platform for upload in found.uploads}:
            raise NotFound("you have no upload in a case of this id")
        return _open(unit, desk, case, "uploader", statement, platform=platform)


def by_registered(desk: Desk, person: PersonId, case: CaseId, statement: str) -> CaseId:
    """A registered person disagrees with a dismissed case that concerned her; the appeal's case.

    Raises ``NotFound`` where the case doesn't concern her, ``Conflict`` as for uploaders.
    """
    with desk.store.transaction() as unit:
        if not unit.registry.hold(person) or person not in {
            hit.person for hit in unit.cases.hits(case)
        }:
            raise NotFound("there is no such case of yours")
        return _open(unit, desk, case, "registered", statement, person=person)


def statement_of(unit: Unit, appeal: Appeal) -> str | None:
    """What whoever appealed wrote; None when they have left and it is gone."""
    owner = appeal.person or appeal.platform
    if appeal.sealed is None or owner is None:
        return None
    return unit.vault.unseal(owner, "appeals.statement", appeal.sealed).decode()


def _open(
    unit: Unit,
    desk: Desk,
    about: CaseId,
    side: Side,
    statement: str,
    *,
    platform: PlatformId | None = None,
    person: PersonId | None = None,
) -> CaseId:
    now, said = desk.clock(), statement.strip()
    if not said or len(said) > LONGEST_STATEMENT:
        raise Invalid(f"say in 1 to {LONGEST_STATEMENT} characters why the decision is wrong")
    earlier = unit.cases.get(about, lock=True)
    if earlier is None:
        raise NotFound("there is no such case")
    if earlier.state is not _AGAINST[side] or earlier.verdict is None:
        raise Conflict(f"this case was not {_AGAINST[side]}; there is nothing to appeal against")
    if now - earlier.verdict.at > desk.appeal_window:
        raise Conflict("the time in which this decision could be appealed against has passed")
    if any(one.state is State.OVERTURNED for one in unit.following.appeals([about])):
        raise Conflict("somebody else has decided again already; look at your case")
    case = fresh_case(now)
    unit.cases.open(case, now, kind=CaseKind.APPEAL, about=about)
    owner = platform or person
    assert owner is not None
    sealed = unit.vault.seal(owner, "appeals.statement", said.encode())
    if not unit.cases.add_appeal(Appeal(case, about, side, platform, person, sealed, now)):
        raise Conflict("this decision was appealed against already; the answer will come")
    for reviewer in unit.cases.deciders(about) | {earlier.verdict.reviewer}:
        unit.cases.exclude(case, reviewer)
    unit.media.destroy_at(about, None)
    who = f"platform:{platform}" if platform else "person"
    unit.audit.append(who, "case.appealed", f"case:{about}", {"appeal": str(case)})
    return case
