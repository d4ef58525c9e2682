"""Negative banks: pictures that were taken for somebody's and are not, so that they raise nothing.

A negative bank can only take a match back that is clearly worse. An upload that is all but a known
false match, and further by ``MARGIN`` bits from an entry, raises nothing for that entry. Whoever
really registers that very picture is matched as near as the bank is, and therefore stays protected:
nobody can be cut off by what a negative bank holds. Repeats of upheld content, the same bytes,
faces, videos and local features are never taken back.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from pipeline.domain.evidence import Hit, Source
from pipeline.domain.ids import PersonId
from pipeline.domain.signal import Metric
from pipeline.errors import Invalid

NEGATIVE = "negative"
"""The bank that entries of negative banks lie in."""

WITHIN = {"pdq": 12.0, "phash": 16.0}
"""How near an upload must be to a known false match to be taken for it."""

MARGIN = 8.0
"""By how many bits an entry must be further off than the false match."""

SHORTEST, LONGEST = timedelta(days=1), timedelta(days=3650)


@dataclass(frozen=True, slots=True)
class Bank:
    """A negative bank, and who answers for it. ``holder`` holds its codes, under a key of its own.

    ``keeps``: how long a code lies in it.
    """

    name: str
    holder: PersonId
    keeps: timedelta
    owners: str = ""
    notes: str = ""

    def __post_init__(self) -> None:
        if not self.name.strip() or len(self.name) > 100:
            raise Invalid("a bank's name has 1 to 100 characters")
        if not SHORTEST <= self.keeps <= LONGEST:
            raise Invalid("a bank keeps its codes from 1 to 3650 days")
        if len(self.owners) > 500 or len(self.notes) > 2000:
            raise Invalid("owners have up to 500 characters, notes up to 2000")


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
