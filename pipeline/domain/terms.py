"""What one platform asks of the operator's policy, and how far it may go.

Terms are a small document beside the policy: how near a match must be, what an upload without a
rating means, which verdicts block, where its cases wait and for how long. They say nothing about
which rules there are, nor about ``Known``: those protect people, and stay the operator's. A
threshold may be moved within bounds that the operator's policy sets; by default it may be drawn in
to half of the operator's own distance, and widened not at all.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from pipeline.errors import Invalid

BLOCKABLE = ("review", "known", "refused", "pending")
"""Verdicts that a platform may say block an upload."""

LONGEST = 24 * 366
"""Hours in the longest deadline or window that a policy may name."""


class Unknown(StrEnum):
    """What becomes of faces in an upload that nobody has rated."""

    LEAVE = "leave_faces"
    LOOK = "look_at_faces"


@dataclass(frozen=True, slots=True)
class Limit:
    """How near a match must be, and the rate of strangers that this was calibrated at."""

    distance: float
    false_positive_rate: float | None = None

    def document(self) -> dict[str, Any]:
        """As JSON-ready data."""
        if self.false_positive_rate is None:
            return {"distance": self.distance}
        return {"distance": self.distance, "false_positive_rate": self.false_positive_rate}


@dataclass(frozen=True, slots=True)
class Range:
    """From where to where, both edges included."""

    least: float
    most: float

    def __post_init__(self) -> None:
        if not self.least <= self.most:
            raise Invalid("bounds: least is no greater than most")

    def holds(self, value: float) -> bool:
        """Whether a value lies within."""
        return self.least <= value <= self.most

    def nearest(self, value: float) -> float:
        """The value, or the edge beyond which it lies."""
        return min(max(value, self.least), self.most)

    def document(self) -> dict[str, Any]:
        """As JSON-ready data."""
        return {"least": self.least, "most": self.most}


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far platforms may move what the operator's policy says.

    ``signals`` holds for every bank; a signal that is not named may be drawn in to half.
    ``look`` says whether a platform may have faces looked at in uploads that nobody rates.
    """

    signals: Mapping[str, Range] = field(default_factory=lambda: MappingProxyType({}))
    hours: Range = Range(24, 24 * 30)
    look: bool = False

    def of(self, signal: str, own: float) -> Range:
        """Between which distances a platform may put a signal whose own distance is ``own``."""
        return self.signals.get(signal) or Range(math.ceil(own / 2), own)

    def document(self) -> dict[str, Any]:
        """As JSON-ready data; ``parse_bounds`` reads it back."""
        return {
            "signals": {name: of.document() for name, of in self.signals.items()},
            "deadline_hours": self.hours.document(),
            "look_when_unknown": self.look,
        }


@dataclass(frozen=True, slots=True)
class Flood:
    """When an entry matches so much that a lead looks into it before it raises anything more.

    ``uploads`` unrelated pictures of ``accounts`` different accounts within ``hours``; close copies
    and copies of one another do not count. 0 uploads: never. See ``domain.flood``.
    """

    uploads: int = 25
    accounts: int = 10
    hours: float = 24.0

    def document(self) -> dict[str, Any]:
        """As JSON-ready data; ``parse_flood`` reads it back."""
        return {"uploads": self.uploads, "accounts": self.accounts, "hours": self.hours}


@dataclass(frozen=True, slots=True)
class Terms:
    """What a platform asks; all of it may be left out. ``banks`` go before ``signals``."""

    signals: Mapping[str, Limit] = field(default_factory=lambda: MappingProxyType({}))
    banks: Mapping[str, Mapping[str, Limit]] = field(default_factory=lambda: MappingProxyType({}))
    unknown: Unknown | None = None
    blocks: tuple[str, ...] = ("review", "known")
    queue: str | None = None
    deadline_hours: float | None = None

    def limit(self, bank: str, signal: str) -> Limit | None:
        """How near a match in a bank must be; None where the operator's own distance holds."""
        return self.banks.get(bank, {}).get(signal) or self.signals.get(signal)

    def named(self) -> Iterable[tuple[str | None, str, Limit]]:
        """Every limit with its bank (None: all of them) and signal."""
        yield from ((None, signal, limit) for signal, limit in self.signals.items())
        for bank, limits in self.banks.items():
            yield from ((bank, signal, limit) for signal, limit in limits.items())

    def document(self) -> dict[str, Any]:
        """As JSON-ready data; ``parse`` reads it back."""
        return {
            "signals": _limits_document(self.signals),
            "banks": {bank: _limits_document(limits) for bank, limits in self.banks.items()},
            "unknown": self.unknown.value if self.unknown else None,
            "blocks": list(self.blocks),
            "queue": self.queue,
            "deadline_hours": self.deadline_hours,
        }


NOTHING_ASKED = Terms()
"""The terms of a platform that has set none."""


def parse(document: Any) -> Terms:
    """Terms from their document; raises ``Invalid`` naming the part that is wrong."""
    said = _fields(document, "a platform's policy", Terms().document())
    blocks = said["blocks"]
    if not isinstance(blocks, list) or set(map(str, blocks)) - set(BLOCKABLE):
        raise Invalid(f"blocks is a list of: {', '.join(BLOCKABLE)}")
    if "known" not in blocks:
        raise Invalid("blocks has known in it: a person has upheld that very content")
    try:
        unknown = None if said["unknown"] is None else Unknown(said["unknown"])
    except ValueError:
        raise Invalid(f"unknown is one of: {', '.join(Unknown)}") from None
    queue, hours = said["queue"], said["deadline_hours"]
    if queue is not None and (not isinstance(queue, str) or not 0 < len(queue.strip()) <= 100):
        raise Invalid("queue is a queue's name")
    banks = said["banks"]
    if not isinstance(banks, Mapping):
        raise Invalid("banks is an object of banks with their signals")
    return Terms(
        _limits(said["signals"], "signals"),
        {str(bank): _limits(limits, f"banks.{bank}") for bank, limits in banks.items()},
        unknown,
        tuple(one for one in BLOCKABLE if one in blocks),
        None if queue is None else queue.strip(),
        None if hours is None else _number(hours, "deadline_hours", 1, LONGEST),
    )


def parse_bounds(document: Any) -> Bounds:
    """Bounds from their document; what is left out is as usual."""
    usual = Bounds()
    said = _fields(document, "bounds", usual.document())
    if not isinstance(said["signals"], Mapping) or not isinstance(said["look_when_unknown"], bool):
        raise Invalid("bounds has signals with least and most, and look_when_unknown, yes or no")
    return Bounds(
        {str(name): _range(of, f"bounds.{name}") for name, of in said["signals"].items()},
        _range(said["deadline_hours"], "bounds.deadline_hours"),
        said["look_when_unknown"],
    )


def parse_flood(document: Any) -> Flood:
    """When an entry floods, from its document; what is left out is as usual."""
    said = _fields(document, "flood", Flood().document())
    return Flood(
        int(_number(said["uploads"], "flood.uploads", 0, 1_000_000)),
        int(_number(said["accounts"], "flood.accounts", 1, 1_000_000)),
        _number(said["hours"], "flood.hours", 0.01, LONGEST),
    )


def _limits(document: Any, where: str) -> Mapping[str, Limit]:
    if not isinstance(document, Mapping):
        raise Invalid(f"{where} is an object of signals with their distance")
    return {str(name): _limit(body, f"{where}.{name}") for name, body in document.items()}


def _limit(body: Any, where: str) -> Limit:
    said = _fields(body, where, {"distance": None, "false_positive_rate": None})
    rate = said["false_positive_rate"]
    return Limit(
        _number(said["distance"], f"{where}.distance", 0, 65_536),
        None if rate is None else _number(rate, f"{where}.false_positive_rate", 0, 1),
    )


def _range(body: Any, where: str) -> Range:
    said = _fields(body, where, {"least": None, "most": None})
    return Range(*(_number(said[name], f"{where}.{name}", 0, 65_536) for name in said))


def _limits_document(limits: Mapping[str, Limit]) -> dict[str, Any]:
    return {signal: limit.document() for signal, limit in limits.items()}


def _fields(said: Any, where: str, known: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(said, Mapping) or set(said) - set(known):
        raise Invalid(f"{where} has: {', '.join(known)}")
    return {**known, **said}


def _number(said: Any, where: str, least: float, most: float) -> float:
    number = isinstance(said, int | float) and not isinstance(said, bool)
    if not number or not math.isfinite(said) or not least <= said <= most:
        raise Invalid(f"{where} is a number from {least:g} to {most:g}")
    return float(said)
