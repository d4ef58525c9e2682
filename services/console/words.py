"""What the pipeline's names are called on a reviewer's page."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from pipeline.domain.case import OF_ENROLMENTS, CaseKind, Ground, State
from pipeline.domain.house import OrderBy, Standing
from pipeline.domain.media import Turn

_SIGNALS = {
    "pdq": ("PDQ", "compares the light and shade of the whole picture"),
    "phash": ("pHash", "compares the picture's coarse shapes"),
    "orb": ("Local features", "lays the corners of the registered picture over the upload"),
}
_STATES = {
    State.OPEN: "Open",
    State.ESCALATED: "Escalated",
    State.PARKED: "In quarantine",
    State.FROZEN: "Frozen",
    State.REPORTED: "Reported",
    State.STANDS: "Stands",
    State.OVERTURNED: "Overturned",
    State.UPHELD: "Upheld",
    State.DISMISSED: "Dismissed",
    State.WITHDRAWN: "Withdrawn",
}
_GROUNDS = {
    Ground.MATCH: "It is what the person registered",
    Ground.WRONG_MATCH: "Wrong match: a different picture",
    Ground.CONSENTED: "The person consented to this",
    Ground.NOT_INTIMATE: "Not intimate",
    Ground.PUBLIC_INTEREST: "News or public interest",
    Ground.POSSIBLE_MINOR: "Possibly a minor",
    Ground.THREAT: "A threat, or somebody is in danger",
    Ground.UNSURE: "I am not sure",
    Ground.APPARENT_MINOR: "It appears to show a minor",
    Ground.ADULT: "Not a minor",
    Ground.DECISION_RIGHT: "The decision was right",
    Ground.DECISION_WRONG: "The decision was wrong",
    Ground.OWN_FACE: "I made sure that it is her own face",
    Ground.NOT_OWN_FACE: "It is somebody else's face, or not an adult's",
    Ground.UNPROVEN: "Nobody could make sure whose it is",
}
_KINDS = {
    CaseKind.HASH: "Picture or video",
    CaseKind.FACE: "Face",
    CaseKind.NOTICE: "Notice",
    CaseKind.APPEAL: "Appeal",
    CaseKind.ENROLMENT: "Enrolment",
}
DECISIONS: tuple[tuple[State, str, str, tuple[Ground, ...]], ...] = (
    (
        State.UPHELD,
        "Uphold",
        "Every platform that has it is told to take it down.",
        (Ground.MATCH,),
    ),
    (
        State.DISMISSED,
        "Dismiss",
        "It stays, and this upload does not come back for these matches.",
        (Ground.WRONG_MATCH, Ground.CONSENTED, Ground.NOT_INTIMATE, Ground.PUBLIC_INTEREST),
    ),
    (
        State.ESCALATED,
        "Escalate",
        "A senior reviewer decides; the platforms wait.",
        (Ground.THREAT, Ground.UNSURE),
    ),
    (
        State.FROZEN,
        "Freeze",
        "At once and without undo: nobody but the protected role sees it from now on.",
        (Ground.POSSIBLE_MINOR,),
    ),
    (
        State.REPORTED,
        "Report",
        "Platforms take it down and preserve it; the report to the CyberTipline is prepared.",
        (Ground.APPARENT_MINOR,),
    ),
    (
        State.OPEN,
        "Give it back",
        "It goes back to the ordinary queue, undecided.",
        (Ground.ADULT,),
    ),
    (
        State.STANDS,
        "Keep the decision",
        "Whoever appealed is told that it stands.",
        (Ground.DECISION_RIGHT,),
    ),
    (
        State.OVERTURNED,
        "Turn it round",
        "The platforms are told the opposite of what they were told before.",
        (Ground.DECISION_WRONG,),
    ),
)
"""Decisions in the order of the form, with what each brings about and the grounds it may name."""

ON_ENROLMENTS: tuple[tuple[State, str, str, tuple[Ground, ...]], ...] = (
    (
        State.UPHELD,
        "Approve",
        "The face counts from now on.",
        (Ground.OWN_FACE,),
    ),
    (
        State.DISMISSED,
        "Refuse",
        "Its templates are destroyed; whoever asked may ask anew.",
        (Ground.NOT_OWN_FACE, Ground.UNPROVEN),
    ),
    (
        State.ESCALATED,
        "Hand it on",
        "Another verifier decides; it does not come to you again.",
        (Ground.THREAT, Ground.UNSURE),
    ),
)
"""The same for the question whose face an enrolment is."""


def decisions(asked: CaseKind) -> tuple[tuple[State, str, str, tuple[Ground, ...]], ...]:
    """What the form of a case offers, before the case itself leaves out what it cannot take."""
    return ON_ENROLMENTS if asked is CaseKind.ENROLMENT else DECISIONS


def signal(name: str) -> str:
    """A signal's short name."""
    return _SIGNALS[name][0] if name in _SIGNALS else name


def explained(name: str) -> str:
    """What a signal compares, as half a sentence; empty for one we have no words for."""
    return _SIGNALS[name][1] if name in _SIGNALS else ""


def state(value: State) -> str:
    """A case's state."""
    return _STATES[value]


def ground(value: Ground) -> str:
    """Why a reviewer decided."""
    return _GROUNDS[value]


def kind(value: CaseKind) -> str:
    """What a case asks."""
    return _KINDS[value]


_PURPOSES = {
    "hashes": "Hashes of pictures are held and compared",
    "face": "The face is learned and compared with intimate uploads",
    "features": "Local features of pictures are held and compared",
}


def purpose(name: str) -> str:
    """What somebody's consent is for."""
    return _PURPOSES.get(name, name)


KEYS: dict[str, str] = {
    "upheld:match": "u",
    "dismissed:wrong_match": "w",
    "dismissed:consented": "c",
    "dismissed:not_intimate": "n",
    "dismissed:public_interest": "p",
    "escalated:threat": "t",
    "escalated:unsure": "s",
    "frozen:possible_minor": "m",
    "reported:apparent_minor": "r",
    "open:adult": "a",
    "stands:decision_right": "d",
    "overturned:decision_wrong": "o",
    "upheld:own_face": "u",
    "dismissed:not_own_face": "w",
    "dismissed:unproven": "n",
    "write": "e",
    "submit": "Shift+Enter",
    "submit_next": "Ctrl+Enter",
    "skip": "x",
    "range_next": "j",
    "range_before": "k",
    "frame_before": ",",
    "frame_next": ".",
    "play": "l",
}
"""What is pressed for what: a letter selects, other keys submit. Everybody may choose their own."""

KEY_NAMES: dict[str, str] = {
    "write": "Write the reason",
    "submit": "Decide",
    "submit_next": "Decide and take the next",
    "skip": "Not this one",
    "range_next": "Next matched stretch",
    "range_before": "Matched stretch before",
    "frame_before": "A frame back",
    "frame_next": "A frame on",
    "play": "Play a video, or stop it",
}


def together(one: str, other: str) -> bool:
    """Whether two things that keys do can stand on one page: no case is of a face and of content.

    Where they cannot, one key may serve both.
    """
    return {_of_enrolments(one), _of_enrolments(other)} != {True, False}


def _of_enrolments(action: str) -> bool | None:
    """Whether a key decides about enrolments; None for what stands on every case's page."""
    to, _, why = action.partition(":")
    if to not in (State.UPHELD, State.DISMISSED):
        return None
    return Ground(why) in OF_ENROLMENTS


def outcome(value: str) -> str:
    """A decision with its ground, such as ``dismissed:consented``, in words."""
    to, _, why = value.partition(":")
    table = ON_ENROLMENTS if Ground(why) in OF_ENROLMENTS else DECISIONS
    named = {state: name for state, name, _, _ in table}
    return f"{named[State(to)]}: {ground(Ground(why))}"


def rate(name: str, distance: float, threshold: float) -> str:
    """How often pictures that have nothing to do with each other come this near, in words.

    From the measurements that ``domain.witness`` and the README name.
    """
    if name == "pdq":
        if distance <= 31:
            return "None of 30 thousand million comparisons of unrelated pictures came this near."
        return "About 3 in 10 million comparisons of unrelated parts of pictures come this near."
    if name == "phash":
        return "At most 15 in a million comparisons of unrelated pictures come within 60 bits" + (
            "." if distance > 20 else ", and far fewer this near."
        )
    if 0 < threshold < 1:
        return (
            "Faces of different people come this near now and then, the more often the more people"
            " are protected: look for what else speaks for it."
        )
    return ""


def due(deadline: datetime | None, now: datetime) -> str:
    """How long the law still gives, or how late it is; empty without a clock."""
    if deadline is None:
        return ""
    if deadline <= now:
        return f"{lasting(now - deadline)} late"
    return f"in {lasting(deadline - now)}"


def reason(why: OrderBy, case: Standing, now: datetime) -> str:
    """Why a case comes now, as a reviewer reads it."""
    if why is OrderBy.DEADLINE and case.deadline is not None:
        until = datetime.fromtimestamp(case.deadline, UTC)
        if until <= now:
            return f"its deadline passed {lasting(now - until)} ago"
        return f"deadline in {lasting(until - now)}"
    if why is OrderBy.PRIORITY:
        return "it was marked as urgent" if case.spread else "two people have enrolled one face"
    if why is OrderBy.SEVERITY:
        return "a threat is named" if case.severity >= 3 else "the platform rates it intimate"
    if why is OrderBy.SPREAD:
        return f"it was uploaded {case.spread} times"
    if why is OrderBy.CONFIDENCE:
        return "the match is near"
    waited = now - datetime.fromtimestamp(case.opened, UTC)
    return f"it has waited for {lasting(waited)}"


def lasting(span: timedelta) -> str:
    """A span in its two largest units, such as ``3 d 4 h``."""
    minutes = max(0, int(span.total_seconds() // 60))
    days, hours = divmod(minutes // 60, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes % 60} min"
    return f"{minutes} min" if minutes else "less than a minute"


def view(stored: Mapping[str, Any]) -> str:
    """Which part of the upload matched, and how it lay, from a hit's stored view."""
    name, turn = str(stored.get("name", "whole")), str(stored.get("turn", Turn.NONE.value))
    part = "the whole picture" if name == "whole" else name
    return part if turn == Turn.NONE.value else f"{part}, {turn}"


def source(bank_source: str, *, face: bool) -> str:
    """What the upload came near to."""
    if face:
        return "a face that its owner protects"
    return "an upload that was upheld before" if bank_source == "upheld" else "a registered picture"
