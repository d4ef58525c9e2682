"""A video is looked at, moment by moment, against everything in force.

Each moment is asked whole, in all eight orientations, and where that is near nothing, its parts
are asked too: a moment that looks like one whose parts were near nothing has the same parts, and
they are not asked again. What came near is put in order of time at the end (``domain.timeline``),
or earlier, when enough has come together to be certain.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.domain.digest import Digests
from pipeline.domain.entry import Layout
from pipeline.domain.evidence import Hit, Owner
from pipeline.domain.film import ALIKE, prune
from pipeline.domain.generic import GenericBank
from pipeline.domain.ids import EntryId, ItemId, entry_of, slot_of
from pipeline.domain.media import WHOLE, Frame, Side, View
from pipeline.domain.policy import Policy
from pipeline.domain.signal import Signals, unpack, unpack_times
from pipeline.domain.timeline import Length, Showing, Sighting, counts, showings
from pipeline.domain.trace import FilmTrace, turned
from pipeline.domain.witness import Witness
from pipeline.journeys.restore_index import LiveIndexes
from pipeline.journeys.see_bytes import believe_bytes, entries_of, same_bytes
from pipeline.media.moments import Moment
from pipeline.media.views import ViewBudget, query_views
from pipeline.ports import Unit
from pipeline.signals import SignalType

_SIDE, _SHORTER = 640, 240
"""A moment is halved while its sides stay this long: within 2 bits of all its pixels, mostly."""

_SAME_SECONDS = 15.0
"""How long a moment that looks like another is believed to have its parts.

An inset that changes, a fifth as wide as the picture, moves 38 bits and more (15 pairs of pictures
over a desk); moments count as alike within 8.
"""

_MOST_SIGHTINGS = 200_000


@dataclass(frozen=True, slots=True)
class Glimpse:
    """A code near a moment, before anybody's name was looked up."""

    time: float
    stream: int
    view: View
    label: int
    distance: float


@dataclass(slots=True)
class Watch:
    """What has been seen of one video so far."""

    signal: SignalType
    bank: GenericBank | None
    policy: Policy
    live: LiveIndexes
    budget: ViewBudget
    wide_codes: int
    remember: bool = False
    """Whether the codes of moments are kept until the end, for what the video leaves."""
    telling: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Times of the moments that say something, a stream."""
    glimpses: list[Glimpse] = field(default_factory=list, repr=False)
    codes: dict[int, list[tuple[float, bytes, int]]] = field(
        default_factory=lambda: defaultdict(list), repr=False
    )
    """Time, code and quality of the moments that say something, a stream; in no order."""
    frames: int = 0
    too_plain: int = 0
    too_common: int = 0
    truncated: bool = False
    _times: dict[EntryId, dict[int, tuple[float, float]]] = field(default_factory=dict, repr=False)
    _in_vain: dict[int, tuple[float, NDArray[np.uint8]]] = field(default_factory=dict, repr=False)
    """Time and code of the last moment whose parts were near nothing, a stream."""

    def look(self, moment: Moment) -> bool:
        """One moment; whether it came near anything."""
        self.frames += 1
        copy = halved(moment.frame)
        whole = self.signal.compute([copy], Side.QUERY)
        if whole.quality[0] < self.signal.minimum_quality:
            self.too_plain += 1
            return False
        if self._common(whole, 1)[0]:
            self.too_common += 1
            return False
        self.telling[moment.stream].append(moment.time)
        if self.remember:
            self.codes[moment.stream].append(
                (moment.time, whole.codes[0].tobytes(), int(whole.quality[0]))
            )
        if self._ask(whole, moment.stream, moment.time, wide=True):
            return True
        if self._asked_in_vain(moment, whole.codes[0]):
            return False
        parts = query_views(copy, self.budget)[1:]
        found = bool(parts) and self._ask_parts(parts, moment)
        if not found:
            self._in_vain[moment.stream] = (moment.time, whole.codes[0])
        return found

    def left(self) -> FilmTrace:
        """What the video leaves: its moments as they were, each stretch that looks alike once."""
        least = self.signal.minimum_quality
        streams = {at: prune(sorted(seen), least) for at, seen in self.codes.items()}
        return FilmTrace(self.signal.space.key, streams)

    def recall(self, film: FilmTrace) -> None:
        """Look at an earlier video by what it left: a stretch is its first and its last moment."""
        for stream, codes in film.streams.items():
            for at, (begin, end) in enumerate(zip(codes.begin, codes.end, strict=True)):
                row = slice(at, at + 1)
                whole = Signals(self.signal.space, codes.codes[row], codes.quality[row], (WHOLE,))
                for time in sorted({float(begin), float(end)}):
                    self.frames += 1
                    self.telling[stream].append(time)
                    self._ask(turned(whole), stream, time, wide=True)

    def same_bytes(self, digests: Digests, unit: Unit) -> tuple[Hit, ...]:
        """Entries of this very file."""
        labels = same_bytes(self.live, self.policy, digests)
        return believe_bytes(labels, unit.registry.owners(entries_of(labels)), (1.0, 1.0))

    def showings(self, unit: Unit) -> tuple[Showing, ...]:
        """What the video shows of entries in force, weightiest first."""
        owners = unit.registry.owners({entry_of(one.label) for one in self.glimpses})
        self._learn(unit, owners)
        near = self.policy.radius(self.signal.space.name)
        seen = [
            Sighting(
                one.time,
                one.stream,
                owner,
                slot_of(one.label),
                one.distance,
                one.view,
                self._times.get(owner.entry, {}).get(slot_of(one.label)),
            )
            for one in self.glimpses
            if (owner := owners.get(entry_of(one.label))) is not None
        ]
        moments = sum(len(times) for times in self.telling.values())
        shown = showings(seen, self.telling, self._lengths(unit, owners.values()), near or 0.0)
        return tuple(one for one in shown if counts(one, moments))

    def hits(self, showing: Showing) -> Hit:
        """A showing as evidence."""
        return showing.hit(self.signal.space.name, Witness.TIME.value)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the answer could not rest on."""
        name = self.signal.space.name
        notes = []
        if self.too_plain:
            notes.append(f"low_quality_frames:{name}:{self.too_plain}")
        if self.too_common:
            notes.append(f"too_common_frames:{name}:{self.too_common}")
        if not any(self.telling.values()):
            notes.append(f"low_quality:{name}")
        return (*notes, *(("truncated",) if self.truncated else ()))

    def _asked_in_vain(self, moment: Moment, code: NDArray[np.uint8]) -> bool:
        before = self._in_vain.get(moment.stream)
        if before is None or abs(moment.time - before[0]) > _SAME_SECONDS:
            return False
        return int(np.bitwise_count(code ^ before[1]).sum()) <= ALIKE

    def _ask_parts(self, parts: tuple[Frame, ...], moment: Moment) -> bool:
        computed = self.signal.compute(parts, Side.QUERY)
        keep = (computed.quality >= self.signal.minimum_quality) & ~self._common(
            computed, len(parts)
        )
        return self._ask(_rows(computed, keep), moment.stream, moment.time, wide=False)

    def _ask(self, signals: Signals, stream: int, time: float, *, wide: bool) -> bool:
        name = signals.space.name
        near, far = self.policy.radius(name), self.policy.wide(name)
        within = near
        if wide and far is not None and self.live.codes(signals.space) <= self.wide_codes:
            within = max(far, near or 0.0)
        if within is None or not len(signals):
            return False
        hits = self.live.search(signals.space, signals.codes, within)
        self.truncated |= hits.truncated or len(self.glimpses) > _MOST_SIGHTINGS
        if len(self.glimpses) <= _MOST_SIGHTINGS:
            self.glimpses += [
                Glimpse(time, stream, signals.views[int(query)], int(label), float(bits))
                for query, label, bits in zip(hits.query, hits.label, hits.distance, strict=True)
            ]
        return len(hits) > 0

    def _common(self, computed: Signals, frames: int) -> NDArray[np.bool_]:
        if self.bank is None or not len(computed):
            return np.zeros(len(computed), np.bool_)
        stride = len(computed) // frames
        return np.repeat(self.bank.generic(computed.codes[::stride]), stride)

    def _learn(self, unit: Unit, owners: dict[EntryId, Owner]) -> None:
        """When the codes of registered videos are shown, of entries not read before."""
        wanted = [
            entry
            for entry, owner in owners.items()
            if owner.layout in (Layout.FRAMES, Layout.MOMENT) and entry not in self._times
        ]
        for stored, packed in unit.registry.unseal_all(unit.registry.entries(wanted)):
            slots, _, _ = unpack(self.signal.space, packed)
            times = unpack_times(self.signal.space, packed)
            if times is not None:
                pairs = [(float(begin), float(end)) for begin, end in times]
                self._times[stored.id] = dict(zip(map(int, slots), pairs, strict=True))

    def _lengths(self, unit: Unit, owners: Iterable[Owner]) -> dict[ItemId, Length]:
        films = {owner.item for owner in owners if owner.layout is not Layout.PICTURE}
        known = unit.registry.film_lengths(films) if films else {}
        lasts = {last: item for item, (_, last) in known.items()}
        lengths = {}
        for stored, packed in unit.registry.unseal_all(unit.registry.entries(list(lasts))):
            times = unpack_times(self.signal.space, packed)
            item = lasts[stored.id]
            seconds = float(times.max()) if times is not None and len(times) else 0.0
            lengths[item] = Length(known[item][0], seconds)
        return lengths


def halved(frame: Frame) -> Frame:
    """A sketch of a frame: its luma plane, or its picture, halved as often as its sides allow."""
    pixels = frame.rgb if frame.luma is None else frame.luma
    height, width = pixels.shape[:2]
    while max(pixels.shape[:2]) >= 2 * _SIDE and min(pixels.shape[:2]) >= 2 * _SHORTER:
        # Means over two by two pixels are five times as fast as any other means.
        high, wide = pixels.shape[0] // 2, pixels.shape[1] // 2
        pixels = np.asarray(
            cv2.resize(pixels[: 2 * high, : 2 * wide], (wide, high), interpolation=cv2.INTER_AREA),
            np.uint8,
        )
    of = None if pixels.shape[:2] == (height, width) else (width, height)
    if pixels.ndim == 3:
        return Frame(pixels, frame.time, of=of)
    rgb = np.broadcast_to(pixels[..., None], (*pixels.shape, 3))
    return Frame(rgb, frame.time, luma=pixels, of=of)


def _rows(signals: Signals, keep: NDArray[np.bool_]) -> Signals:
    views = tuple(view for view, kept in zip(signals.views, keep, strict=True) if kept)
    return Signals(signals.space, signals.codes[keep], signals.quality[keep], views)
