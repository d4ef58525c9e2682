"""Our matcher in memory, as the journeys run it: views, codes, second look, local features."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import process_time
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from pipeline import plugins
from pipeline.domain.alignment import Alignment, nominate
from pipeline.domain.evidence import Hit, Owner, Source
from pipeline.domain.generic import GenericBank
from pipeline.domain.ids import SLOTS, EntryId, ItemId, PersonId
from pipeline.domain.media import WHOLE_CORNERS, Frame, Side, View
from pipeline.domain.signal import Signals
from pipeline.domain.witness import Finding, Thresholds, asks_wide, candidates, decide
from pipeline.media.crops import REGIONS, registered_crops, slot_of_view
from pipeline.media.features import (
    ASKED,
    INDEXED,
    RADIUS,
    SPACE,
    Described,
    Features,
    align,
    check,
    describe,
    features_of,
)
from pipeline.media.generic import generic_frames
from pipeline.media.probes import probes
from pipeline.media.views import USUAL, ViewBudget, query_views
from pipeline.signals import SignalType
from services.bench.alterations import Picture

FAINTEST = 1
"""Below this quality not even a whole upload is kept to be asked; thresholds say the rest."""

_PERSON = PersonId(UUID(int=1))
_NONE = Features(np.zeros((0, 2), np.float32), np.zeros((0, 32), np.uint8), (1, 1))


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """A registered picture: its crops' codes by slot, and its local features."""

    name: str
    codes: Mapping[int, NDArray[np.uint8]] = field(repr=False)
    described: Described = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """What was computed of one upload, once, for any number of galleries."""

    frame: Frame = field(repr=False)
    signals: Signals = field(repr=False)
    features: Features = field(repr=False)


class Eye:
    """Computes what is asked and what is registered, and keeps account of the time it took."""

    def __init__(self, signal: SignalType, budget: ViewBudget = USUAL) -> None:
        self.signal, self.budget = signal, budget
        self.bank = GenericBank(signal.compute(generic_frames(), Side.QUERY).codes)
        self.seconds: dict[str, float] = {"views": 0.0, "hashes": 0.0, "features": 0.0}
        self.uploads = 0

    def register(self, name: str, picture: Picture, *, features: bool = True) -> Entry:
        """The crops that say something, and the features unless they are not wanted."""
        frame = Frame(picture)
        found = self.signal.compute(registered_crops(frame), Side.REGISTERED)
        usable = (found.quality >= self.signal.minimum_quality) & ~self.bank.generic(found.codes)
        codes = {
            slot_of_view(view): code
            for view, code, use in zip(found.views, found.codes, usable, strict=True)
            if use
        }
        return Entry(name, codes, describe(frame) if features else Described(_NONE, _NONE))

    def look(self, picture: Picture, *, features: bool = True) -> Asked:
        """An upload's codes that say something, and its features unless they are not wanted."""
        frame = Frame(np.ascontiguousarray(picture))
        began = process_time()
        views = query_views(frame, self.budget)
        seen = process_time()
        found = self.signal.compute(views, Side.QUERY)
        usable = found.quality >= self.signal.minimum_quality
        whole = np.array([view.corners == WHOLE_CORNERS for view in found.views], np.bool_)
        usable |= whole & (found.quality >= FAINTEST)
        # The bank holds every pattern in all eight ways: one of a view's eight codes is enough.
        usable &= ~np.repeat(self.bank.generic(found.codes[::8]), 8)
        hashed = process_time()
        described = features_of(frame) if features else _NONE
        self.seconds["views"] += seen - began
        self.seconds["hashes"] += hashed - seen
        self.seconds["features"] += process_time() - hashed
        self.uploads += 1
        rows = np.flatnonzero(usable)
        kept = Signals(
            found.space,
            found.codes[rows],
            found.quality[rows],
            tuple(found.views[int(row)] for row in rows),
        )
        return Asked(frame, kept, described)


class Gallery:
    """Registered pictures that uploads are compared with, exactly."""

    def __init__(self, eye: Eye, entries: Sequence[Entry]) -> None:
        self.eye, self.entries = eye, tuple(entries)
        slots = [(at, slot) for at, entry in enumerate(entries) for slot in entry.codes]
        self._slots = np.array(slots, np.int64).reshape(-1, 2)
        codes = [entries[at].codes[slot] for at, slot in slots]
        self._codes = np.array(codes, np.uint8).reshape(-1, 32).view(np.uint64)
        self._features = plugins.build("indexes", "hamming", SPACE)
        for at, part in enumerate(part for entry in entries for part in _parts(entry.described)):
            strongest = part.descriptors[:INDEXED]
            labels = np.arange(at * SLOTS, at * SLOTS + len(strongest), dtype=np.int64)
            self._features.add(labels, strongest)
        self.seconds: dict[str, float] = {"second look": 0.0, "alignment": 0.0}
        self.second_looks = 0

    def distances(self, asked: Asked) -> NDArray[np.int64]:
        """Bits between every code asked (rows) and every code registered (columns)."""
        return self.apart(asked.signals.codes)

    def apart(self, asked: NDArray[np.uint8]) -> NDArray[np.int64]:
        """The same of any codes, uint8 (n, width / 8)."""
        codes = np.ascontiguousarray(asked).view(np.uint64)
        total = np.zeros((len(codes), len(self._codes)), np.int64)
        for word in range(self._codes.shape[1]):
            total += np.bitwise_count(codes[:, word, None] ^ self._codes[None, :, word])
        return total

    def hits(self, asked: Asked, thresholds: Thresholds) -> list[Hit]:
        """Hits within the near radius of all codes, within the wide one of those that ask so."""
        found = self.distances(asked)
        wide = np.array([asks_wide(view) for view in asked.signals.views], np.bool_)
        radius = np.where(wide, thresholds.wide.bits, thresholds.near.bits)
        faint, quality = thresholds.faint, asked.signals.quality
        pale = quality < self.eye.signal.minimum_quality
        radius[pale] = -1
        if faint is not None:
            radius[pale & (quality >= faint.quality)] = min(faint.bits, thresholds.near.bits)
        radius = radius[:, None]
        return [
            self._hit(int(found[row, column]), asked.signals.views[row], *self._slots[column])
            for row, column in np.argwhere(found <= radius)
        ]

    def screen(
        self, asked: Asked, thresholds: Thresholds, *, features: bool
    ) -> tuple[Finding, ...]:
        """What the upload is believed to hold; ``Finding.entry`` is the entry's place in line."""
        hits = self.hits(asked, thresholds)
        began = process_time()
        worth = candidates(hits, REGIONS, thresholds)
        parts = {hit.entry: self._parts(asked, hit) for hit in worth}
        self.second_looks += len(worth)
        looked = process_time()
        self.seconds["second look"] += looked - began
        aligned = self._alignments(asked) if features else {}
        self.seconds["alignment"] += process_time() - looked
        return decide(hits, REGIONS, thresholds, parts=parts, alignments=aligned)

    def _parts(self, asked: Asked, hit: Hit) -> tuple[Hit, ...]:
        entry = self.entries[hit.entry]
        regions = {slot: REGIONS[slot] for slot in entry.codes}
        slots, frames = probes(asked.frame, hit.view, hit.slot, regions)
        if not frames:
            return ()
        codes = self.eye.signal.compute(frames, Side.REGISTERED)
        return tuple(
            self._hit(_bits(code, entry.codes[slot]), frame.view, hit.entry, slot)
            for code, slot, frame, quality in zip(
                codes.codes, slots, frames, codes.quality, strict=True
            )
            if quality >= self.eye.signal.minimum_quality // 2
        )

    def _alignments(self, asked: Asked) -> dict[EntryId, Alignment]:
        found: dict[EntryId, Alignment] = {}
        for part in self._nominated(asked.features):
            at, mirrored = divmod(part, 2)
            entry = self.entries[at]
            registered = _parts(entry.described)[mirrored]
            alignment = align(asked.features, registered, mirrored=bool(mirrored))
            kept = found.get(EntryId(at))
            if alignment is not None and (kept is None or alignment.inliers > kept.inliers):
                regions = {slot: REGIONS[slot] for slot in entry.codes}
                found[EntryId(at)] = check(asked.frame, alignment, regions, self._against(entry))
        return found

    def _nominated(self, features: Features) -> tuple[int, ...]:
        """Twice the place of entries with features near the upload's, and 1 more if mirrored."""
        hits = self._features.search(features.descriptors[:ASKED], RADIUS)
        return nominate(hits.query, hits.label // SLOTS)

    def _against(self, entry: Entry) -> Callable[[Sequence[Frame], Sequence[int]], list[int]]:
        def distances(frames: Sequence[Frame], slots: Sequence[int]) -> list[int]:
            codes = self.eye.signal.compute(frames, Side.REGISTERED).codes
            return [_bits(code, entry.codes[slot]) for code, slot in zip(codes, slots, strict=True)]

        return distances

    @staticmethod
    def _hit(distance: int, view: View, entry: int, slot: int) -> Hit:
        owner = Owner(
            EntryId(int(entry)),
            ItemId(UUID(int=int(entry))),
            _PERSON,
            "registered",
            Source.REGISTERED,
            None,
        )
        return Hit("pdq", distance, view, int(slot), owner)


def _bits(first: NDArray[Any], second: NDArray[Any]) -> int:
    return int(np.bitwise_count(first ^ second).sum())


def _parts(described: Described) -> tuple[Features, Features]:
    return described.plain, described.mirrored
