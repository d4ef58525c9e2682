"""Who may do what at the review desk, as one table.

A role is a set of powers, and a route of the console asks for one power. What kind of case in
which state somebody may take follows from the powers too, so that no page has rules of its own.
"""

from __future__ import annotations

from enum import StrEnum

from pipeline.domain.case import CaseKind, State


class Role(StrEnum):
    """What somebody is at the desk. One login has one role."""

    REVIEWER = "reviewer"
    SENIOR = "senior"
    """Also decides what reviewers handed up."""
    VERIFIER = "verifier"
    """Says whether a face that is to be protected is the person's own."""
    PROTECTED = "protected"
    """Alone sees cases with a possible minor."""
    LEAD = "lead"
    """Sees the queues, the figures and the facts of cases; never a picture."""
    OPERATOR = "operator"
    """Keeps accounts and house rules; sees no case."""
    AUDITOR = "auditor"
    """Reads the audit trail; sees no case."""


class Power(StrEnum):
    """What a route may ask for."""

    DECIDE = "decide"
    SENIOR = "senior"
    VERIFY = "verify"
    PROTECT = "protect"
    LEAD = "lead"
    OPERATE = "operate"
    AUDIT = "audit"


POWERS: dict[Role, frozenset[Power]] = {
    Role.REVIEWER: frozenset({Power.DECIDE}),
    Role.SENIOR: frozenset({Power.DECIDE, Power.SENIOR}),
    Role.VERIFIER: frozenset({Power.VERIFY}),
    Role.PROTECTED: frozenset({Power.PROTECT}),
    Role.LEAD: frozenset({Power.LEAD}),
    Role.OPERATOR: frozenset({Power.OPERATE}),
    Role.AUDITOR: frozenset({Power.AUDIT}),
}

AT_CASES = frozenset({Power.DECIDE, Power.VERIFY, Power.PROTECT})
"""Whoever has one of these takes cases."""

GUARDED = frozenset({State.FROZEN, State.REPORTED})
"""States of which nobody but the protected role sees anything."""


def can(role: Role, power: Power) -> bool:
    """Whether a role has a power."""
    return power in POWERS[role]


def takes(role: Role, kind: CaseKind, state: State) -> bool:
    """Whether a role may claim and decide a case of this kind in this state."""
    return state is not State.PARKED and asked(kind, state) in POWERS[role]


def reads(role: Role, kind: CaseKind, state: State) -> bool:
    """Whether a role may read a case's facts; pictures are for whoever holds the case."""
    if state in GUARDED:
        return can(role, Power.PROTECT)
    return can(role, Power.LEAD) or takes(role, kind, state)


def asked(kind: CaseKind, state: State) -> Power:
    """The one power that a case of this kind in this state is taken with."""
    if state in GUARDED:
        return Power.PROTECT
    if kind is CaseKind.ENROLMENT:
        return Power.VERIFY
    return Power.SENIOR if state is State.ESCALATED else Power.DECIDE


def desks(role: Role) -> tuple[tuple[State, CaseKind], ...]:
    """Every state and kind that a role takes cases of, in the order of their definition."""
    from_people = (State.OPEN, State.ESCALATED, State.FROZEN)
    return tuple(
        (state, kind) for state in from_people for kind in CaseKind if takes(role, kind, state)
    )
