"""Banks: what is said of partners' lists and of known false matches.

A partner's list has an enabled share (which of its entries, a seed decides), distances of its own
that are narrower than the policy's, an end for what it holds, and it may be *tried*: then its hits
reach no reviewer and no verdict, and it is only recorded which uploads would have gone to a person.

A negative bank holds pictures that were taken for somebody's and are not, so that they raise
nothing.

A negative bank can only take a match back that is clearly worse. An upload that is all but a known
false match, and further by ``MARGIN`` bits from an entry, raises nothing for that entry. Whoever
really registers that very picture is matched as near as the bank is, and therefore stays protected:
nobody can be cut off by what a negative bank holds. Repeats of upheld content, the same bytes,
faces, videos and local features are never taken back.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from pipeline.domain.evidence import Hit, Source
from pipeline.domain.ids import ItemId, PersonId, PlatformId
from pipeline.domain.signal import Metric
from pipeline.errors import Invalid

NEGATIVE = "negative"
"""The bank that entries of negative banks lie in."""

WITHIN = {"pdq": 12.0, "phash": 16.0}
"""How near an upload must be to a known false match to be taken for it."""

MARGIN = 8.0
"""By how many bits an entry must be further off than the false match."""

SHORTEST, LONGEST = timedelta(days=1), timedelta(days=3650)


class BankKind(StrEnum):
    """What a bank is of."""

    NEGATIVE = "negative"
    PARTNER = "partner"


NARROWED = {"pdq": 31.0, "bytes": 0.0}
"""Signals of partners' lists, and the widest distance that a list of its own may name."""


@dataclass(frozen=True, slots=True)
class Bank:
    """A bank, and who answers for it. ``holder`` holds its codes, under a key of its own.

    ``keeps``: how long a code lies in it; None for as long as a partner's list names it. ``share``
    of its entries count, the ones that ``seed`` says. ``within``: how near an upload must come, by
    signal. ``test``: it is only tried.
    """

    name: str
    holder: PersonId
    keeps: timedelta | None
    owners: str = ""
    notes: str = ""
    kind: BankKind = BankKind.NEGATIVE
    test: bool = False
    share: float = 1.0
    seed: int = 0
    within: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        if not self.name.strip() or len(self.name) > 100:
            raise Invalid("a bank's name has 1 to 100 characters")
        if self.keeps is None and self.kind is BankKind.NEGATIVE:
            raise Invalid("a negative bank keeps its codes from 1 to 3650 days, not for good")
        if self.keeps is not None and not SHORTEST <= self.keeps <= LONGEST:
            raise Invalid("a bank keeps its codes from 1 to 3650 days")
        if not (math.isfinite(self.share) and 0 <= self.share <= 1):
            raise Invalid("share is from 0 (none of its entries count) to 1 (all do)")
        if not 0 <= self.seed < 1 << 31:
            raise Invalid("seed is a whole number from 0 to 2147483647")
        if self.kind is BankKind.NEGATIVE and (self.test or self.within):
            raise Invalid("a negative bank raises nothing: there is nothing to try or to narrow")
        for signal, distance in self.within.items():
            most = NARROWED.get(signal)
            if most is None or not (math.isfinite(distance) and 0 <= distance <= most):
                said = ", ".join(f"{name} from 0 to {most:g}" for name, most in NARROWED.items())
                raise Invalid(f"within: {signal} {distance:g} is not one of {said}")
        if len(self.owners) > 500 or len(self.notes) > 2000:
            raise Invalid("owners have up to 500 characters, notes up to 2000")


def enabled(item: ItemId, share: float, seed: int) -> bool:
    """Whether an item is of the share of its bank that counts; raising the share keeps those in."""
    drawn = hashlib.sha256(seed.to_bytes(8, "big") + item.bytes).digest()
    return int.from_bytes(drawn[:8], "big") < share * 2**64


def part(
    hits: Iterable[Hit], platform: PlatformId | None
) -> tuple[tuple[Hit, ...], tuple[Hit, ...]]:
    """The hits that count for a platform (None: for every one), and those on banks that it tries.

    What lies further off than a list says for itself is in neither.
    """
    counting: list[Hit] = []
    tried: list[Hit] = []
    for hit in hits:
        if hit.distance > dict(hit.owner.within).get(hit.signal, math.inf):
            continue
        tries = hit.owner.tried_by
        only = hit.owner.test or (bool(tries) if platform is None else platform in tries)
        (tried if only else counting).append(hit)
    return tuple(counting), tuple(tried)


def said_of(bank: Bank) -> dict[str, Any]:
    """What may be told of a bank: never what it holds."""
    return {
        "bank": bank.name, "kind": bank.kind.value, "test": bank.test, "share": bank.share,
        "seed": bank.seed, "within": dict(bank.within),
        "days": bank.keeps.days if bank.keeps else None, "owners": bank.owners,
        "notes": bank.notes,
    }  # fmt: skip


def sift(hits: Iterable[Hit]) -> tuple[tuple[Hit, ...], int]:
    """The hits that count, without those of negative banks; how many these have taken back."""
    seen = tuple(hits)
    false = [
        hit
        for hit in seen
        if hit.owner.bank == NEGATIVE and hit.distance <= WITHIN.get(hit.signal, -1.0)
    ]
    real = tuple(hit for hit in seen if hit.owner.bank != NEGATIVE)
    kept = tuple(hit for hit in real if not any(_beats(one, hit) for one in false))
    return kept, len(real) - len(kept)


def _beats(false: Hit, hit: Hit) -> bool:
    """Whether a known false match explains a hit better than what it hit: by the same view."""
    return (
        hit.metric is Metric.HAMMING
        and hit.signal == false.signal
        and hit.owner.source is not Source.UPHELD
        and not hit.stretches
        and hit.view.corners == false.view.corners
        and hit.distance > false.distance + MARGIN
    )
