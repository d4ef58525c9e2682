"""Uploads that have nothing to do with anybody: how many of them would a person have to look at?

The strangers are made by formula, each drawn by itself, so that their number says something: of
3,000 without a hit the true share is below 0.1%, 19 times in 20. Among what is registered are
pictures of their own kinds, so that they meet what looks most like them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice
from math import comb

from pipeline.domain.witness import Thresholds, Witness
from services.bench._corpus import generated
from services.bench._gallery import Entry, Eye, Gallery
from services.bench.alterations import Picture

_TEMPLATES = ("meme",)
"""Pictures of one template share most of their pixels: a person must decide about those."""


@dataclass(frozen=True, slots=True)
class Unrelated:
    """How many uploads were strangers to everybody, and how many would reach a person."""

    uploads: int
    pairs: int
    by_hashes: int
    by_features: int

    def document(self) -> dict[str, float]:
        """As JSON-ready data; bounds hold with 95% confidence."""
        return {
            "uploads": self.uploads,
            "pairs": self.pairs,
            "to_a_person_by_hashes": self.by_hashes,
            "to_a_person_with_features": self.by_features,
            "bound_by_hashes": upper_bound(self.by_hashes, self.uploads),
            "bound_with_features": upper_bound(self.by_features, self.uploads),
        }


def screened(
    eye: Eye,
    registered: Sequence[Entry],
    thresholds: Thresholds,
    *,
    uploads: int,
    seed: int,
    progress: Callable[[str], None] = lambda _: None,
) -> Unrelated:
    """Screen ``uploads`` generated strangers against the entries and some of their own kind."""
    alike = [eye.register(name, picture) for name, picture in _drawn(seed + 7_000_000, 66)]
    gallery = Gallery(eye, [*registered, *(entry for entry in alike if entry.codes)])
    by_hashes = by_features = 0
    for at, (_, picture) in enumerate(_drawn(seed + 1_000_000, uploads)):
        if at % 250 == 0:
            progress(f"stranger {at} of {uploads}")
        found = gallery.screen(eye.look(picture), thresholds, features=True)
        by_hashes += any(one.witness is not Witness.ALIGNMENT for one in found)
        by_features += bool(found)
    return Unrelated(uploads, uploads * len(gallery.entries), by_hashes, by_features)


def upper_bound(hits: int, trials: int, confidence: float = 0.95) -> float:
    """The share that so few hits leave possible, exactly (Clopper and Pearson)."""
    if hits >= trials:
        return 1.0
    low, high = hits / trials, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        as_few = sum(
            comb(trials, k) * middle**k * (1 - middle) ** (trials - k) for k in range(hits + 1)
        )
        low, high = (middle, high) if as_few > 1 - confidence else (low, middle)
    return high


def _drawn(seed: int, most: int) -> Iterator[tuple[str, Picture]]:
    """Generated pictures of all kinds but those of one template, new ones as long as asked."""
    kinds = (named for turn in count() for named in generated(seed + turn))
    return islice((named for named in kinds if not named[0].startswith(_TEMPLATES)), most)
