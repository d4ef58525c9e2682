"""What an upload's codes are near to, and what vouches for it.

Codes within the near radius stand alone. The room between it and the wide radius holds true
copies under stickers and crops, and now and then a stranger: what lies there is looked at a second
time, against the other codes of the same registered picture, before anybody is asked to look.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.domain.entry import Layout
from pipeline.domain.evidence import Hit, Owner
from pipeline.domain.generic import GenericBank
from pipeline.domain.ids import SLOTS, EntryId, ItemId, entry_of, slot_of
from pipeline.domain.media import (
    WAYS,
    WHOLE_CORNERS,
    Frame,
    Side,
    TurnedViews,
    View,
    as_it_is,
    those,
    whole,
)
from pipeline.domain.policy import Policy
from pipeline.domain.signal import Metric, Signals, Space, unpack
from pipeline.domain.witness import (
    SECOND_LOOKS,
    Witness,
    ask_wide,
    candidates,
    decide,
    stands_alone,
)
from pipeline.indexes import Hits
from pipeline.journeys.align_features import NOBODY, Nominated, alignments, hit_of, nominated
from pipeline.journeys.restore_index import LiveIndexes
from pipeline.media.crops import REGIONS
from pipeline.media.features import SPACE as FEATURES
from pipeline.media.grey import with_grey
from pipeline.media.probes import probes
from pipeline.media.refine import Refiner
from pipeline.media.views import USUAL, ViewBudget, query_views
from pipeline.ports import Unit
from pipeline.signals import SignalType

INVERTED = "inverted colours"

_SLACK = 6
"""Bits by which the code of a whole upload may be off in a sketch: 0.4 on average, 2 at most of
photographs, 4 of altered ones and 6 of the least telling pictures that were measured. The code of
a part may be off by as much either way whatever it is taken from: parts are asked no further."""
_BLUR = 3
"""Points of quality by which a sketch may be off; 2 at most were seen."""
_RANKED = 12
"""Among how many doubtful candidates those for a second look are chosen."""
_LAID_BY_CODES = 2
"""How many candidates that no features name are laid over the upload all the same."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What was computed of an upload."""

    asked: tuple[Signals, ...]
    """Codes to ask the indexes with, a batch a signal."""
    own: tuple[Signals, ...]
    """The codes of the whole upload as it is; they join a person's bank if a case is upheld."""
    notes: tuple[str, ...]
    frame: Frame | None = None
    """The upload's pixels, for a second look; None when only hashes came."""
    reduced: bool = False
    """Whether it was a sketch that was looked at: what is near is then looked at again, whole."""


@dataclass(frozen=True, slots=True)
class Found:
    """Codes in the indexes near to what was asked, before anybody's name was looked up."""

    batches: tuple[tuple[Signals, Hits], ...]
    truncated: bool
    nominated: Nominated = NOBODY

    @property
    def entries(self) -> set[EntryId]:
        """The entries that were hit, and those that local features name."""
        hit = {entry_of(int(label)) for _, hits in self.batches for label in hits.label}
        return hit | set(self.nominated.entries)

    def of_parts(self) -> Found:
        """What only the upload's parts are near to."""
        batches = []
        for signals, hits in self.batches:
            parts = ~whole(signals.views)
            kept = parts[hits.query]
            if kept.any():
                near = Hits(hits.query[kept], hits.label[kept], hits.distance[kept], hits.truncated)
                batches.append((signals, near))
        return Found(tuple(batches), self.truncated)


class Eye:
    """Looks at uploads with all signals of a deployment."""

    def __init__(
        self,
        signals: Sequence[SignalType],
        generic: Mapping[str, GenericBank],
        policy: Policy,
        budget: ViewBudget = USUAL,
        wide_codes: int = 2_000_000,
    ) -> None:
        """``generic`` holds a bank of codes that say nothing for each signal that has one.

        The wide radius is asked only of indexes of up to ``wide_codes`` codes: beyond, chance
        alone puts many strangers within it, and each costs a second look.
        """
        self.signals, self._generic, self._policy = tuple(signals), generic, policy
        self._budget, self._wide_codes = budget, wide_codes
        names = [signal.space.name for signal in signals]
        # A policy finds these by reading all its rules, and every upload asks for them.
        self._near = {name: policy.radius(name) for name in names}
        self._wide = {name: policy.wide(name) for name in names}
        self._least = {
            signal.space.name: signal.minimum_quality
            for signal in signals
            if self._wide[signal.space.name] is not None
        }

    @property
    def reach(self) -> dict[Space, tuple[float, float]]:
        """Within how many bits each Hamming signal that finds by itself is asked: near and wide.

        A signal without a wide radius is asked within the near one alone.
        """
        found = {}
        for signal in self.signals:
            near, wide = self._near[signal.space.name], self._wide[signal.space.name]
            if near is not None and signal.space.metric is Metric.HAMMING:
                found[signal.space] = (near, max(near, wide or 0))
        return found

    def asked_within(self, seen: Seen) -> dict[str, float]:
        """Within which distances everything near to an upload was asked for, by signal."""
        names = (signals.space.name for signals in seen.asked)
        return {name: near for name in names if (near := self._near[name]) is not None}

    def under(self, policy: Policy) -> Eye:
        """The same eye, asking as far as another policy wants."""
        return Eye(self.signals, self._generic, policy, self._budget, self._wide_codes)

    def look(self, frames: Sequence[Frame]) -> Seen:
        """Compute everything that is asked of an upload; codes that say nothing are left out."""
        asked, own, notes = [], [], []
        reduced = any(frame.of is not None for frame in frames)
        parts: list[Frame] = []
        for frame, grey in zip(frames, greyed := with_grey(frames), strict=True):
            parts += (grey, *query_views(frame, self._budget)[1:])
        for signal in self.signals:
            looked_at = parts if signal.asks_parts else greyed
            computed = signal.compute(looked_at, Side.QUERY)
            telling = computed.quality >= signal.minimum_quality - _BLUR * reduced
            common = self._says_nothing(computed, len(looked_at))
            said = telling & ~common
            itself = said & as_it_is(computed.views)
            asked.append(
                _with_inverted(_rows(computed, said | (self._faint(signal, computed) & ~common)))
            )
            own.append(_rows(computed, itself))
            if not itself.any():
                why = "too_common" if telling.any() else "low_quality"
                notes.append(f"{why}:{signal.space.name}")
        return Seen(tuple(asked), tuple(own), tuple(notes), frames[0], reduced)

    def search(self, live: LiveIndexes, seen: Seen) -> Found:
        """Everything near enough to matter; raises ``IndexNotReady``."""
        batches: list[tuple[Signals, Hits]] = []
        truncated, doubtful = False, False
        # Those with a wide radius first: whether others are asked as witnesses depends on them.
        for signals in sorted(seen.asked, key=lambda one: self._wide[one.space.name] is None):
            near = self._near[signals.space.name]
            for batch, within in self._questions(live, signals, seen, doubtful=doubtful):
                hits = live.search(batch.space, batch.codes, within)
                truncated |= hits.truncated
                if len(hits):
                    batches.append((batch, hits))
                    doubtful |= near is None or bool((hits.distance > near).any())
        return Found(tuple(batches), truncated, nominated(live, seen.frame))

    def believe(
        self, unit: Unit, seen: Seen, found: Found, owners: Mapping[EntryId, Owner]
    ) -> tuple[Hit, ...]:
        """Hits on entries in force, each with the witness that vouches for it, if any does."""
        hits = [
            Hit(
                signals.space.name,
                float(distance),
                signals.views[int(query)],
                slot_of(int(label)),
                owners[entry_of(int(label))],
            )
            for signals, near in found.batches
            for query, label, distance in zip(near.query, near.label, near.distance, strict=True)
            if entry_of(int(label)) in owners
        ]
        together = _by_item(hits)
        thresholds = self._policy.witness
        parts: dict[EntryId, Sequence[Hit]] = {}
        worth: tuple[Hit, ...] = ()
        if seen.frame is not None:
            worth = self._ranked(
                unit, seen.frame, candidates(together, REGIONS, thresholds, most=_RANKED)
            )
            for hit in worth:
                parts[hit.entry] = self._second_look(unit, seen.frame, hit)
        findings = decide(together, REGIONS, thresholds, parts=parts)
        vouched = {one.hit: one.witness.value for one in findings if one.hit is not None}
        near = {
            signal.space.name: self._policy.radius(signal.space.name) for signal in self.signals
        }
        said = tuple(
            replace(hit, witness=vouched.get(joined) or _alone(hit, near.get(hit.signal)))
            for hit, joined in zip(hits, together, strict=True)
        )
        # As near as a rule asks and yet not to be relied on: it must not count for one.
        said = tuple(
            hit for hit in said if hit.witness is not None or not _within(hit, near.get(hit.signal))
        )
        known = {hit.owner.item for hit in said if hit.witness is not None}
        doubtful = [hit.owner.item for hit in worth if hit.owner.item not in known]
        laid = {
            entry: owners[entry] for entry in found.nominated.entries if entry in owners
        } | self._named_by_codes(unit, found, owners, doubtful)
        asked = {entry: owner for entry, owner in laid.items() if owner.item not in known}
        return (*said, *self._aligned(unit, seen, found.nominated, asked))

    def asks_faintly(self, signal: SignalType, quality: int) -> bool:
        """Whether the code of a whole upload may ask that is below the signal's least quality."""
        return quality >= self._faintest(signal)

    def _faintest(self, signal: SignalType) -> float:
        faint = self._policy.witness.faint
        if faint is None or self._wide.get(signal.space.name) is None:
            return math.inf
        return faint.quality

    def _faint(self, signal: SignalType, computed: Signals) -> NDArray[np.bool_]:
        """Which codes of the whole upload ask though they say less than others must."""
        dim = computed.quality < signal.minimum_quality
        dim &= computed.quality >= self._faintest(signal)
        return dim & whole(computed.views) if dim.any() else dim

    def _ranked(self, unit: Unit, frame: Frame, worth: tuple[Hit, ...]) -> tuple[Hit, ...]:
        """The candidates for a second look: where there are too many, by how near they come.

        Nothing but the order follows from it: see ``media.refine``.
        """
        if len(worth) <= SECOND_LOOKS:
            return worth
        refiner = Refiner(frame)
        nearest = {hit.entry: self._refined(unit, refiner, hit) for hit in worth}
        order = sorted(worth, key=lambda hit: (nearest[hit.entry], hit.distance, hit.entry))
        return tuple(order[:SECOND_LOOKS])

    def _refined(self, unit: Unit, refiner: Refiner, hit: Hit) -> int:
        signal, kept = self._stored(unit, hit)
        if hit.slot not in kept or hit.slot not in REGIONS:
            return int(hit.distance)
        code = kept[hit.slot]

        def distances(frames: Sequence[Frame]) -> list[int]:
            return [_bits(row, code) for row in signal.compute(frames, Side.REGISTERED).codes]

        return refiner.nearest(hit.view, REGIONS[hit.slot], distances, int(hit.distance))

    def _named_by_codes(
        self,
        unit: Unit,
        found: Found,
        owners: Mapping[EntryId, Owner],
        doubtful: Sequence[ItemId],
    ) -> dict[EntryId, Owner]:
        """Feature entries of the first doubtful items that the upload's features did not name."""
        if not len(found.nominated.query):
            return {}
        named = {owners[entry].item for entry in found.nominated.entries if entry in owners}
        entries = [
            stored.id
            for item in [item for item in doubtful if item not in named][:_LAID_BY_CODES]
            for stored in unit.registry.of_item(item)
            if stored.space == FEATURES.key
        ]
        return unit.registry.owners(entries) if entries else {}

    def _aligned(
        self, unit: Unit, seen: Seen, nominated: Nominated, asked: Mapping[EntryId, Owner]
    ) -> Iterable[Hit]:
        """Hits by local features on items that nothing else vouches for."""
        compared = next((one for one in self.signals if one.asks_parts), None)
        if not asked or seen.frame is None or compared is None:
            return
        laid = alignments(unit, seen.frame, nominated, asked, compared)
        for entry, alignment in laid.items():
            if self._policy.witness.acceptance.believes(alignment):
                yield hit_of(alignment, asked[entry])

    def _questions(
        self, live: LiveIndexes, signals: Signals, seen: Seen, *, doubtful: bool
    ) -> Iterable[tuple[Signals, float]]:
        """What to ask, and within what; witnesses further off only where something is doubtful.

        What is faint, and is the whole upload, is asked within its own radius alone. A sketch's
        code of the whole upload is asked that much further than near is.
        """
        name, slack = signals.space.name, _SLACK * seen.reduced
        near, wide = self._near[name], self._wide[name]
        if wide is None and doubtful and name in self._policy.witness.signals:
            wide = float(self._policy.witness.signals[name].bits)
        if not len(signals):
            return
        faint = self._policy.witness.faint
        if faint is not None and near is not None and name in self._least:
            pale = signals.quality < self._least[name] - _BLUR * seen.reduced
            if pale.any():
                yield _rows(signals, pale), min(near, faint.bits) + slack
                signals = _rows(signals, ~pale)
        if not len(signals):
            return
        if wide is not None and live.codes(signals.space) <= self._wide_codes:
            far = ask_wide(signals.views)
            yield _rows(signals, far), max(wide, (near or 0) + slack)
            signals = _rows(signals, ~far)
        if near is not None and slack and len(signals):
            every = whole(signals.views)
            if every.any():
                yield _rows(signals, every), near + slack
                signals = _rows(signals, ~every)
        if near is not None and len(signals):
            yield signals, near

    def _second_look(self, unit: Unit, frame: Frame, hit: Hit) -> tuple[Hit, ...]:
        """Other crops of the registered picture, where the hit says that they must lie."""
        signal, kept = self._stored(unit, hit)
        regions = {slot: REGIONS[slot] for slot in kept if slot in REGIONS}
        if hit.slot not in regions:
            return ()
        asked, cut = probes(frame, hit.view, hit.slot, regions)
        if not cut:
            return ()
        seen = signal.compute(cut, Side.REGISTERED)
        return tuple(
            Hit(hit.signal, _bits(code, kept[slot]), part.view, slot, hit.owner)
            for code, slot, part, quality in zip(seen.codes, asked, cut, seen.quality, strict=True)
            if quality >= signal.minimum_quality // 2
        )

    def _stored(self, unit: Unit, hit: Hit) -> tuple[SignalType, dict[int, NDArray[np.uint8]]]:
        """The hit's signal, and the codes of its entry by slot; none once it is out of force."""
        signal = next(one for one in self.signals if one.space.name == hit.signal)
        for _, packed in unit.registry.unseal_all(unit.registry.entries([hit.entry])):
            slots, _, codes = unpack(signal.space, packed)
            return signal, dict(zip(map(int, slots), codes, strict=True))
        return signal, {}

    def _says_nothing(self, computed: Signals, frames: int) -> NDArray[np.bool_]:
        """Rows of views that look like edges, skies, text: near a code of the generic bank.

        The bank holds each pattern in all orientations, so one row a view is enough.
        """
        bank = self._generic.get(computed.space.name)
        if bank is None or not len(computed):
            return np.zeros(len(computed), np.bool_)
        stride = len(computed) // frames
        return np.repeat(bank.generic(computed.codes[::stride]), stride)


def _alone(hit: Hit, near: float | None) -> str | None:
    """Whether a hit within its signal's own radius needs nobody to vouch for it."""
    return Witness.NEAR.value if near is not None and stands_alone(hit, near, REGIONS) else None


def _within(hit: Hit, near: float | None) -> bool:
    return near is not None and hit.distance <= near


def _by_item(hits: Iterable[Hit]) -> list[Hit]:
    """The same hits with the entries of one registered item under one entry's name.

    A signal's codes are an entry each; what vouches for an item may be another signal's.
    """
    first: dict[ItemId, EntryId] = {}
    seen = tuple(hits)
    for hit in seen:
        if hit.owner.layout is Layout.PICTURE:  # each entry of a video is of other moments
            kept = first.get(hit.owner.item, hit.entry)
            first[hit.owner.item] = min(kept, hit.entry)
    return [_named(hit, first.get(hit.owner.item, hit.entry)) for hit in seen]


def _named(hit: Hit, entry: EntryId) -> Hit:
    if hit.owner.layout is Layout.PICTURE:
        return replace(hit, owner=replace(hit.owner, entry=entry))
    # The slots of a video's frames are no crops: nothing follows from where those would lie.
    return hit if hit.owner.layout is Layout.MOMENT else replace(hit, slot=SLOTS)


def _with_inverted(signals: Signals) -> Signals:
    """The batch and, for the whole upload, the codes of its negative: all bits turned.

    PDQ and pHash compare coefficients with their median, so a negative's code is the complement.
    """
    if signals.space.metric is not Metric.HAMMING:
        return signals
    rows = np.flatnonzero(whole(signals.views))
    if not len(rows):
        return signals
    return Signals(
        signals.space,
        np.concatenate([signals.codes, ~signals.codes[rows]]),
        np.concatenate([signals.quality, signals.quality[rows]]),
        _and_inverted(signals.views, rows),
    )


def _and_inverted(views: Sequence[View], rows: NDArray[np.intp]) -> Sequence[View]:
    """The views, and those of some rows once more as the negative."""
    if isinstance(views, TurnedViews):
        negative = View(INVERTED, WHOLE_CORNERS)
        ways = len(views.views) * WAYS + views.rows[rows] % WAYS
        return TurnedViews((*views.views, negative), np.concatenate([views.rows, ways]))
    return (*views, *(View(INVERTED, WHOLE_CORNERS, views[row].turn) for row in rows))


def _rows(signals: Signals, keep: NDArray[np.bool_]) -> Signals:
    return Signals(
        signals.space,
        signals.codes[keep],
        signals.quality[keep],
        those(signals.views, keep),
    )


def _bits(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> int:
    return int(np.bitwise_count(first ^ second).sum())
