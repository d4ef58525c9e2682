"""The house rules: what an organisation decides about how its reviewers work, as one document.

Which case comes first, which queue it belongs to, how much anybody may see in an hour, how often
somebody looks a second time. ``parse`` reads the document and names the part that is wrong;
``RULES`` is what holds where nobody has said anything.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any

from pipeline.domain.case import CaseKind
from pipeline.errors import Invalid


class OrderBy(StrEnum):
    """What may decide which case comes first."""

    DEADLINE = "deadline"
    """The law's clock: the one that runs out first."""
    PRIORITY = "priority"
    """The higher number first."""
    SEVERITY = "severity"
    """A threat, then what a platform itself rated intimate, then the rest."""
    SPREAD = "spread"
    """How many uploads: each doubling counts."""
    CONFIDENCE = "confidence"
    """How near the best match is, in fifths."""
    AGE = "age"
    """The longest waiting first."""


MAIN = "main"
"""The queue of whatever no rule sends elsewhere."""


@dataclass(frozen=True, slots=True)
class Route:
    """A queue and the cases that belong to it; an empty list asks for nothing."""

    name: str
    kinds: tuple[CaseKind, ...] = ()
    platforms: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Budget:
    """What one reviewer may see; zero means no limit."""

    looks_per_hour: int = 60
    looks_per_day: int = 300
    minutes_per_hour: int = 20
    minutes_per_day: int = 90


@dataclass(frozen=True, slots=True)
class Breaks:
    """After how many minutes at cases a break is due, and how long it must last."""

    after_minutes: int = 50
    seconds: int = 120


@dataclass(frozen=True, slots=True)
class Display:
    """How a revealed picture is shown unless a reviewer chose otherwise for themself."""

    greyscale: bool = True
    blur: int = 0
    """Pixels of blur that stay while a picture is revealed; 0 to 40."""
    brightness: int = 80
    """Per cent; 30 to 100."""
    cartoon: bool = False


@dataclass(frozen=True, slots=True)
class HouseRules:
    """How a desk works. Shares are of 1."""

    order: tuple[OrderBy, ...] = tuple(OrderBy)
    queues: tuple[Route, ...] = ()
    undo_seconds: int = 10
    reason_below: float = 0.5
    """A decision on a match less near than this (1 the same, 0 at its threshold) says why."""
    second_person_for_faces: bool = True
    second_looks: float = 0.05
    golden_cases: float = 0.02
    budget: Budget = field(default_factory=Budget)
    breaks: Breaks = field(default_factory=Breaks)
    display: Display = field(default_factory=Display)

    @property
    def undo(self) -> timedelta:
        """How long a decision can be undone before anything leaves the building."""
        return timedelta(seconds=self.undo_seconds)

    @property
    def queue_names(self) -> tuple[str, ...]:
        """Every queue there is, in the order of the rules."""
        return (*dict.fromkeys(route.name for route in self.queues), MAIN)

    def document(self) -> dict[str, Any]:
        """The rules as JSON-ready data; ``parse`` reads them back."""
        return {
            "order": [key.value for key in self.order],
            "queues": [
                {
                    "name": route.name,
                    "kinds": [kind.value for kind in route.kinds],
                    "platforms": list(route.platforms),
                    "languages": list(route.languages),
                }
                for route in self.queues
            ],
            "undo_seconds": self.undo_seconds,
            "reason_below": self.reason_below,
            "second_person_for_faces": self.second_person_for_faces,
            "second_looks": self.second_looks,
            "golden_cases": self.golden_cases,
            "budget": asdict(self.budget),
            "breaks": asdict(self.breaks),
            "display": asdict(self.display),
        }


RULES = HouseRules()
"""What holds where an organisation has said nothing."""


def parse(document: Mapping[str, Any]) -> HouseRules:
    """House rules from a document; what it leaves out is as in ``RULES``. Raises ``Invalid``."""
    known = RULES.document()
    if not isinstance(document, Mapping) or set(document) - set(known):
        raise Invalid(f"house rules have: {', '.join(known)}")
    said = {**known, **document}
    return HouseRules(
        order=_order(said["order"]),
        queues=_queues(said["queues"]),
        undo_seconds=_whole(said["undo_seconds"], "undo_seconds", 0, 60),
        reason_below=_share(said["reason_below"], "reason_below"),
        second_person_for_faces=_yes_or_no(
            said["second_person_for_faces"], "second_person_for_faces"
        ),
        second_looks=_share(said["second_looks"], "second_looks"),
        golden_cases=_share(said["golden_cases"], "golden_cases"),
        budget=Budget(**_wholes(said["budget"], "budget", asdict(Budget()), 0, 10_000)),
        breaks=Breaks(**_wholes(said["breaks"], "breaks", asdict(Breaks()), 0, 3600)),
        display=display(said["display"]),
    )


def display(document: Any, base: Display = Display()) -> Display:
    """How pictures are shown, from a document; what it leaves out is as in ``base``."""
    said = _fields(document, "display", asdict(base))
    return Display(
        greyscale=_yes_or_no(said["greyscale"], "display.greyscale"),
        blur=_whole(said["blur"], "display.blur", 0, 40),
        brightness=_whole(said["brightness"], "display.brightness", 30, 100),
        cartoon=_yes_or_no(said["cartoon"], "display.cartoon"),
    )


def _order(said: Any) -> tuple[OrderBy, ...]:
    names = ", ".join(OrderBy)
    if not isinstance(said, list) or not said:
        raise Invalid(f"order is a list of: {names}")
    try:
        keys = tuple(OrderBy(key) for key in said)
    except ValueError:
        raise Invalid(f"order is a list of: {names}") from None
    if len(set(keys)) != len(keys):
        raise Invalid("order names something twice")
    # Whatever comes first, equal cases are taken by age: nothing waits for ever.
    return keys if OrderBy.AGE in keys else (*keys, OrderBy.AGE)


def _queues(said: Any) -> tuple[Route, ...]:
    if not isinstance(said, list):
        raise Invalid("queues is a list of rules, the first that fits holds")
    return tuple(_route(rule, f"queues[{at}]") for at, rule in enumerate(said))


def _route(rule: Any, where: str) -> Route:
    fields = _fields(rule, where, {"name": "", "kinds": [], "platforms": [], "languages": []})
    name = fields["name"]
    if not isinstance(name, str) or not name.strip() or len(name) > 40:
        raise Invalid(f"{where}.name is a word")
    for key in ("kinds", "platforms", "languages"):
        listed = fields[key]
        if not isinstance(listed, list) or not all(isinstance(one, str) and one for one in listed):
            raise Invalid(f"{where}.{key} is a list of words")
    try:
        kinds = tuple(CaseKind(kind) for kind in fields["kinds"])
    except ValueError:
        raise Invalid(f"{where}.kinds are of: {', '.join(CaseKind)}") from None
    return Route(name.strip(), kinds, tuple(fields["platforms"]), tuple(fields["languages"]))


def _fields(said: Any, where: str, known: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(said, Mapping) or set(said) - set(known):
        raise Invalid(f"{where} has: {', '.join(known)}")
    return {**known, **said}


def _wholes(
    said: Any, where: str, known: Mapping[str, Any], least: int, most: int
) -> dict[str, int]:
    found = _fields(said, where, known)
    return {key: _whole(value, f"{where}.{key}", least, most) for key, value in found.items()}


def _whole(said: Any, where: str, least: int, most: int) -> int:
    if not isinstance(said, int) or isinstance(said, bool) or not least <= said <= most:
        raise Invalid(f"{where} is a whole number from {least} to {most}")
    return said


def _share(said: Any, where: str) -> float:
    number = isinstance(said, int | float) and not isinstance(said, bool)
    if not number or not math.isfinite(said) or not 0 <= said <= 1:
        raise Invalid(f"{where} is a number from 0 to 1")
    return float(said)


def _yes_or_no(said: Any, where: str) -> bool:
    if not isinstance(said, bool):
        raise Invalid(f"{where} is true or false")
    return said


@dataclass(frozen=True, slots=True)
class Standing:
    """What a case's place in its queue rests on."""

    deadline: float | None
    """Seconds since the epoch."""
    priority: int
    severity: int
    spread: int
    nearness: float
    opened: float
    """Seconds since the epoch."""


_KEYS: dict[OrderBy, Callable[[Standing], float]] = {
    OrderBy.DEADLINE: lambda case: math.inf if case.deadline is None else case.deadline,
    OrderBy.PRIORITY: lambda case: -case.priority,
    OrderBy.SEVERITY: lambda case: -case.severity,
    OrderBy.SPREAD: lambda case: -math.floor(math.log2(max(case.spread, 1))),
    OrderBy.CONFIDENCE: lambda case: -math.floor(case.nearness * 5 + 0.5),
    OrderBy.AGE: lambda case: case.opened,
}


def rank(case: Standing, order: tuple[OrderBy, ...]) -> tuple[float, ...]:
    """Where a case stands: the smaller comes first. The database's ``case_rank`` says the same.

    Nothing in it moves with the clock: a deadline and an age are moments, so that a rank once
    written stays right and an index can hold it.
    """
    return tuple(_KEYS[key](case) for key in order)


def why_first(case: Standing, order: tuple[OrderBy, ...]) -> OrderBy:
    """The first key of the order that says anything about this case: why it comes now."""
    quiet = {
        OrderBy.DEADLINE: case.deadline is None,
        OrderBy.PRIORITY: case.priority <= 0,
        OrderBy.SEVERITY: case.severity == 0,
        OrderBy.SPREAD: case.spread < 2,
        OrderBy.CONFIDENCE: case.nearness < 0.5,
        OrderBy.AGE: False,
    }
    return next((key for key in order if not quiet[key]), OrderBy.AGE)
