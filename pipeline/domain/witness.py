"""Two stages: a near code stands alone, a code a little further off needs a second witness.

The room between the near and the wide radius is where stickers, logos and crops put true copies,
and where now and then a stranger turns up. What lies there is believed when something else says
the same: other crops of the same registered picture, where the first hit says they must lie;
another signal; two hits that place the picture alike; or an alignment of local features. None of
this decides: it says what a person looks at, and why.

Thresholds are data, each with the false-positive rate that it was calibrated at.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.domain.alignment import (
    Acceptance,
    Alignment,
    Region,
    apart,
    overlap,
    placement_of,
    region_corners,
)
from pipeline.domain.entry import Layout
from pipeline.domain.evidence import Hit
from pipeline.domain.ids import EntryId
from pipeline.domain.media import GUESSES, WHOLE_CORNERS, Turn, TurnedViews, View, whole
from pipeline.errors import Invalid

_LEAST_ALONE = 0.2
"""The share of a registered picture that a crop has to show to stand alone."""
SECOND_LOOKS = 4
"""How many candidates of one upload are looked at a second time."""

_WHOLE: Region = (0.0, 0.0, 1.0, 1.0)
_SAME_PLACE = 0.12
_ALIKE = 0.8


class Witness(StrEnum):
    """Why an entry is believed to be in an upload. The value is what a reviewer reads."""

    NEAR = "near enough alone"
    PARTS = "other parts lie where they should"
    PLACES = "two parts place the picture alike"
    SIGNAL = "another signal agrees"
    ALIGNMENT = "local features agree"
    TIME = "frames follow each other as they should"
    BYTES = "the same bytes"


@dataclass(frozen=True, slots=True)
class Calibrated:
    """A threshold in bits, and the share of unrelated pairs of codes that lie within it."""

    bits: int
    false_positive_rate: float


@dataclass(frozen=True, slots=True)
class Faint:
    """How a blurred or pale upload asks: as a whole, from a ``quality`` up, within ``bits``.

    A nearer near radius counts for it, too. Nothing of less than the signal's own least quality is
    registered, and no part of an upload asks with it. Of 52,000,000 pairs of a registered crop and
    a whole picture of quality 25 to 49 that was not of it, made pale or blurred, none was within
    56 bits but memes of one template.
    """

    quality: int = 25
    bits: int = 31
    false_positive_rate: float = 1e-7


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What counts as near, what as a candidate, and what as a second witness.

    The rates are upper bounds from 490,000,000 pairs of a crop of a photograph and a view of
    another picture, some of which were copies after all; an operator calibrates them on their own
    pictures. The wide radius stops where the index's fast search does: at a million codes, 47 bits
    cost a fifteenth of 64. Small banks may well ask within 64, whose rate is 1e-6.
    """

    near: Calibrated = Calibrated(31, 1e-8)
    wide: Calibrated = Calibrated(47, 3e-7)
    part: Calibrated = Calibrated(56, 6e-7)
    least_parts: int = 2
    signals: Mapping[str, Calibrated] = field(
        default_factory=lambda: MappingProxyType({"phash": Calibrated(60, 1.5e-5)})
    )
    acceptance: Acceptance = field(default_factory=Acceptance)
    faint: Faint | None = field(default_factory=Faint)
    """None in policies from before there was one: what is faint asks nothing."""

    def __post_init__(self) -> None:
        if not 0 <= self.near.bits <= self.wide.bits:
            raise Invalid("the wide radius is no smaller than the near one, and neither negative")
        if self.least_parts < 1:
            raise Invalid("a second witness of parts needs at least one part")

    def document(self) -> dict[str, Any]:
        """The thresholds as JSON-ready data; ``parse`` reads them back."""
        faint = {} if self.faint is None else {"faint": asdict(self.faint)}
        return {
            "near": asdict(self.near),
            "wide": asdict(self.wide),
            "part": asdict(self.part),
            "least_parts": self.least_parts,
            "signals": {name: asdict(of) for name, of in self.signals.items()},
            "acceptance": asdict(self.acceptance),
            **faint,
        }


@dataclass(frozen=True, slots=True)
class Finding:
    """An entry that is believed to be in the upload: the hit, why, and what else says so.

    ``hit`` is None where local features alone found the entry. ``agreeing`` holds the second
    witness's own hits, so that they can be drawn. ``threshold`` is what ``hit`` had to be within.
    """

    entry: EntryId
    witness: Witness
    hit: Hit | None
    threshold: Calibrated | None
    agreeing: tuple[Hit, ...] = ()
    alignment: Alignment | None = None


def parse(document: Mapping[str, Any]) -> Thresholds:
    """Thresholds from their document; raises ``Invalid`` naming what is wrong."""
    known = set(Thresholds().document())
    if {*document, "faint"} != known:
        raise Invalid(
            f"witness thresholds have {', '.join(sorted(known))}, all of them but faint at will"
        )
    try:
        return Thresholds(
            near=Calibrated(**document["near"]),
            wide=Calibrated(**document["wide"]),
            part=Calibrated(**document["part"]),
            least_parts=int(document["least_parts"]),
            signals={name: Calibrated(**of) for name, of in document["signals"].items()},
            acceptance=Acceptance(**document["acceptance"]),
            faint=Faint(**document["faint"]) if "faint" in document else None,
        )
    except (TypeError, ValueError, AttributeError) as wrong:
        raise Invalid(f"witness thresholds: {wrong}; compare with the documented form") from None


def asks_wide(view: View) -> bool:
    """Whether a query code is asked within the wide radius, too, which costs ten times as much.

    The whole upload in all eight ways; its parts only as they are; guesses never.
    """
    if view.name in GUESSES:
        return False
    return view.corners == WHOLE_CORNERS or view.turn is Turn.NONE


def ask_wide(views: Sequence[View]) -> NDArray[np.bool_]:
    """``asks_wide`` of each."""
    if not isinstance(views, TurnedViews):
        return np.array([asks_wide(view) for view in views], np.bool_)
    guesses = views.where([view.name in GUESSES for view in views.views])
    return ~guesses & (whole(views) | views.as_they_are)


def stands_alone(hit: Hit, near: float, regions: Mapping[int, Region]) -> bool:
    """Whether a hit within the ``near`` radius needs no other.

    A guess does: there are a hundred codes of them in each upload. So does a hit on a small crop,
    which shows one plain figure often enough: marks of one style lay within 20 bits by such.
    """
    if hit.distance > near or hit.view.name in GUESSES:
        return False
    if hit.owner.layout is Layout.FRAMES or hit.slot not in regions:
        return True
    left, top, right, bottom = regions[hit.slot]
    return (right - left) * (bottom - top) >= _LEAST_ALONE


def candidates(
    hits: Iterable[Hit],
    regions: Mapping[int, Region],
    thresholds: Thresholds,
    signal: str = "pdq",
    most: int = SECOND_LOOKS,
) -> tuple[Hit, ...]:
    """The hits worth a second look: nearest of each entry that none stands for, nearest first."""
    nearest: dict[EntryId, Hit] = {}
    stood: set[EntryId] = set()
    for hit in hits:
        if hit.signal != signal:
            continue
        if stands_alone(hit, thresholds.near.bits, regions):
            stood.add(hit.entry)
        kept = nearest.get(hit.entry)
        if kept is None or hit.distance < kept.distance:
            nearest[hit.entry] = hit
    between = (
        hit
        for entry, hit in nearest.items()
        if entry not in stood and hit.distance <= thresholds.wide.bits
    )
    return tuple(sorted(between, key=lambda hit: (hit.distance, hit.entry))[:most])


def decide(
    hits: Iterable[Hit],
    regions: Mapping[int, Region],
    thresholds: Thresholds,
    *,
    parts: Mapping[EntryId, Sequence[Hit]] | None = None,
    alignments: Mapping[EntryId, Alignment] | None = None,
    signal: str = "pdq",
) -> tuple[Finding, ...]:
    """What an upload is believed to hold, nearest first, at most one finding an entry.

    ``hits`` are what the indexes gave within the wide radius, of all signals. ``parts`` are the
    hits of the second look, each compared with the code of its own slot only; ``alignments`` are
    those of people who opted in to local features. The order of hits does not matter.
    """
    by_entry: dict[EntryId, list[Hit]] = defaultdict(list)
    for hit in hits:
        by_entry[hit.entry].append(hit)
    aligned = alignments or {}
    found = []
    for entry in sorted({*by_entry, *aligned}):
        own = sorted(by_entry[entry], key=lambda hit: (hit.distance, hit.slot, hit.view.words))
        finding = _standing(own, (parts or {}).get(entry, ()), regions, thresholds, signal)
        if finding is None and entry in aligned and thresholds.acceptance.believes(aligned[entry]):
            nearest = next((hit for hit in own if hit.signal == signal), None)
            finding = Finding(entry, Witness.ALIGNMENT, nearest, None, (), aligned[entry])
        if finding is not None:
            found.append(finding)
    return tuple(sorted(found, key=_nearness))


def _standing(
    own: Sequence[Hit],
    parts: Sequence[Hit],
    regions: Mapping[int, Region],
    thresholds: Thresholds,
    signal: str,
) -> Finding | None:
    """The strongest reason to believe an entry by its codes alone."""
    asked = [hit for hit in own if hit.signal == signal]
    if not asked or asked[0].distance > thresholds.wide.bits:
        return None
    for hit in asked:
        if stands_alone(hit, thresholds.near.bits, regions):
            return Finding(hit.entry, Witness.NEAR, hit, thresholds.near)
    first = asked[0]
    seen = tuple(hit for hit in parts if hit.distance <= thresholds.part.bits)
    if len({hit.slot for hit in seen}) >= thresholds.least_parts:
        return Finding(first.entry, Witness.PARTS, first, thresholds.wide, seen)
    alike = _placed_alike(first, own, regions, thresholds)
    if alike:
        return Finding(first.entry, Witness.PLACES, first, thresholds.wide, alike)
    others = tuple(
        hit
        for hit in own
        if hit.signal in thresholds.signals
        and hit.distance <= thresholds.signals[hit.signal].bits
        and hit.slot == first.slot
        and hit.view.turn is first.view.turn
        and apart(hit.view.corners, first.view.corners) <= _SAME_PLACE
    )
    if others:
        return Finding(first.entry, Witness.SIGNAL, first, thresholds.wide, others)
    return None


def _placed_alike(
    first: Hit, own: Sequence[Hit], regions: Mapping[int, Region], thresholds: Thresholds
) -> tuple[Hit, ...]:
    """Hits of other views on other crops that imply the same place, as near as parts must be."""
    if first.slot not in regions:
        return ()
    whole = region_corners(placement_of(first.view, regions[first.slot]), _WHOLE)
    return tuple(
        hit
        for hit in own
        if hit.signal == first.signal
        and hit.view != first.view
        and hit.slot in regions
        and hit.distance <= thresholds.part.bits
        and overlap(regions[hit.slot], regions[first.slot]) <= _ALIKE
        and apart(whole, region_corners(placement_of(hit.view, regions[hit.slot]), _WHOLE))
        <= _SAME_PLACE
    )


def _nearness(finding: Finding) -> tuple[float, int]:
    return (finding.hit.distance if finding.hit else float("inf"), finding.entry)
