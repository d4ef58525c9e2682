"""What the pipeline's names are called on a reviewer's page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.domain.case import Ground, State
from pipeline.domain.media import Turn

_SIGNALS = {
    "pdq": ("PDQ", "compares the light and shade of the whole picture"),
    "phash": ("pHash", "compares the picture's coarse shapes"),
    "orb": ("Local features", "lays the corners of the registered picture over the upload"),
}
_STATES = {
    State.OPEN: "Open",
    State.ESCALATED: "Escalated",
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
        (Ground.POSSIBLE_MINOR, Ground.THREAT, Ground.UNSURE),
    ),
)
"""Decisions in the order of the form, with what each brings about and the grounds it may name."""


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


def view(stored: Mapping[str, Any]) -> str:
    """Which part of the upload matched, and how it lay, from a hit's stored view."""
    name, turn = str(stored.get("name", "whole")), str(stored.get("turn", Turn.NONE.value))
    part = "the whole picture" if name == "whole" else name
    return part if turn == Turn.NONE.value else f"{part}, {turn}"


def source(bank_source: str) -> str:
    """What the upload came near to."""
    return "an upload that was upheld before" if bank_source == "upheld" else "a registered picture"
