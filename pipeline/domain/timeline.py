"""When an uploaded video shows what somebody registered: sightings put in order of time.

A frame of the upload that came near a frame of a registered video is a *sighting*. One alone says
little: title cards and black frames look alike everywhere. What counts is a *run*: sightings that
follow each other in the upload as they do in the registered video, at one speed. The best run is
the offset that most frames agree on (each sighting votes for all offsets that put its moment within
its stretch of the registered video), at the speed where that number is greatest; it is refined by
least squares, cut where frames that were looked at don't match, taken out, and the next is sought,
so that a film cut into pieces is found piece by piece.

*Support* is what a run weighs. Each registered stretch that was seen counts once, however long the
upload rests on it; a frame beyond the near radius counts half; a frame that many people's entries
claim (a hot frame) is shared between them. A registered still has no order: moments are counted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
from numpy.typing import NDArray

from pipeline.domain.evidence import Hit, Owner, Stretch
from pipeline.domain.ids import ItemId
from pipeline.domain.media import View

LEAST_SUPPORT = 2.0
"""What a run must weigh, unless the whole upload has fewer moments than that."""

CERTAIN_SUPPORT = 5.0
"""From here on a hit is told before the video has been looked at to its end."""

REPEAT = 0.9
"""Share of both videos that must match before one is a repeat of the other."""

_SPEEDS = (
    1.0, 0.98, 1.02, 0.96, 1.04, 0.94, 1.06, 0.92, 1.08, 0.9, 1.1, 0.88, 1.12,
    0.5, 0.75, 1.25, 1.5, 2.0, -1.0,
)  # fmt: skip
_SLACK = 0.35
"""Seconds by which a sighting may miss its place in a run."""

_MOST_RUNS = 16
_MOST_ROWS = 8
_MISSED = 3
"""Moments in a row that were looked at and don't match before a stretch ends."""

_REACH = 0.5
"""Seconds that a stretch goes on beyond its first and last sighting, at most."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """A moment of the upload near one code of an entry.

    ``entry`` is when that code is shown in the registered video (seconds); None for a still.
    """

    time: float
    stream: int
    owner: Owner
    slot: int
    distance: float
    view: View
    entry: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Length:
    """How much of a registered item there is: its stretches, and when the last one ends."""

    rows: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Showing:
    """One registered item in an upload: where, and how much speaks for it."""

    sightings: tuple[Sighting, ...]
    """Those that a run is made of, nearest first."""
    stretches: tuple[Stretch, ...]
    support: float
    upload_share: float
    """Of the upload's telling moments, how many match: vPDQ's query-matched share."""
    entry_share: float
    """Of the registered video, how much is shown: vPDQ's entry-matched share. 1 for a still."""

    @property
    def distance(self) -> float:
        """The median over the moments that match."""
        return float(median(one.distance for one in self.sightings))

    def hit(self, signal: str, witness: str) -> Hit:
        """The showing as evidence, under its nearest sighting's view and entry."""
        best = self.sightings[0]
        return Hit(
            signal,
            self.distance,
            best.view,
            best.slot,
            best.owner,
            witness,
            self.stretches,
            shares=(self.upload_share, self.entry_share),
        )


def showings(
    sightings: Iterable[Sighting],
    moments: Mapping[int, Sequence[float]],
    lengths: Mapping[ItemId, Length],
    near: float,
) -> tuple[Showing, ...]:
    """What an upload shows, weightiest first; sightings that no run holds are left out.

    ``moments`` are the times of each stream's telling frames, ``lengths`` the registered items'.
    """
    found = tuple(sightings)
    claims: dict[tuple[int, float], set[object]] = defaultdict(set)
    by_item: dict[tuple[ItemId, int], list[Sighting]] = defaultdict(list)
    for one in found:
        claims[one.stream, one.time].add(one.owner.person)
        by_item[one.owner.item, one.stream].append(one)
    shared = {moment: 1 / len(people) for moment, people in claims.items()}
    shown = []
    for (item, stream), seen in by_item.items():
        length = lengths.get(item, Length(1, 0.0))
        weigher = _Weigher(shared, near, length)
        timeline = np.array(sorted(moments.get(stream, ())), np.float64)
        showing = _showing(seen, timeline, length, weigher)
        if showing is not None:
            shown.append(showing)
    return tuple(sorted(shown, key=lambda one: (-one.support, one.distance)))


def counts(showing: Showing, moments: int) -> bool:
    """Whether a showing is more than chance; a very short upload has only so much to show."""
    return showing.support >= min(LEAST_SUPPORT, max(1, moments))


@dataclass(frozen=True, slots=True)
class _Run:
    speed: float
    offset: float
    inliers: tuple[Sighting, ...]
    """The nearest sighting of each moment, in order of time."""


@dataclass(frozen=True, slots=True)
class _Weigher:
    shared: Mapping[tuple[int, float], float]
    near: float
    length: Length

    def one(self, sighting: Sighting) -> float:
        """What one sighting weighs."""
        share = self.shared[sighting.stream, sighting.time]
        return share if sighting.distance <= self.near else share / 2

    def all(self, sightings: Iterable[Sighting]) -> float:
        """Each registered stretch once, where there are several to be told apart."""
        heaviest: dict[object, float] = {}
        for sighting in sightings:
            moving = sighting.entry is not None and self.length.rows > _MISSED
            what = sighting.entry if moving else sighting.time
            heaviest[what] = max(heaviest.get(what, 0.0), self.one(sighting))
        return sum(heaviest.values())


def _showing(
    seen: list[Sighting], timeline: NDArray[np.float64], length: Length, weigher: _Weigher
) -> Showing | None:
    left = _nearest_rows(seen)
    runs: list[_Run] = []
    while left and len(runs) < _MOST_RUNS:
        run = _still(left) if left[0].entry is None else _best(left, weigher)
        if run is None:
            break
        taken = {one.time for one in run.inliers}
        left = [one for one in left if one.time not in taken]
        runs.append(run)
    kept = [run for run in runs if weigher.all(run.inliers) >= LEAST_SUPPORT]
    if not kept:  # nothing follows anything: the best there is, for uploads of a moment or two
        kept = runs[:1]
    inliers = [one for run in kept for one in run.inliers]
    if not inliers:
        return None
    stretches = [stretch for run in kept for stretch in _stretches(run, timeline, length)]
    return Showing(
        tuple(sorted(inliers, key=lambda one: (one.distance, one.time))),
        tuple(sorted(stretches, key=lambda stretch: stretch.upload)),
        weigher.all(inliers),
        min(1.0, len({one.time for one in inliers}) / max(1, len(timeline))),
        _covered(stretches, length),
    )


def _nearest_rows(seen: list[Sighting]) -> list[Sighting]:
    """At most a few rows a moment: a film that rests would have thousands."""
    by_time: dict[float, list[Sighting]] = defaultdict(list)
    for one in seen:
        by_time[one.time].append(one)
    return [
        one
        for time in sorted(by_time)
        for one in sorted(by_time[time], key=lambda one: (one.distance, one.slot))[:_MOST_ROWS]
    ]


def _still(left: list[Sighting]) -> _Run:
    nearest = {one.time: one for one in sorted(left, key=lambda one: -one.distance)}
    return _Run(1.0, 0.0, tuple(nearest[time] for time in sorted(nearest)))


def _best(left: list[Sighting], weigher: _Weigher) -> _Run | None:
    """The run that most speaks for; of equal ones that at the speed nearest to the usual."""
    time = np.array([one.time for one in left])
    begin = np.array([one.entry[0] if one.entry else 0.0 for one in left])
    end = np.array([one.entry[1] if one.entry else 0.0 for one in left])
    weight = np.array([weigher.one(one) for one in left])
    best: tuple[float, float, float] | None = None
    for speed in _SPEEDS:
        low, high = begin - speed * time - _SLACK, end - speed * time + _SLACK
        votes, offset = _most_voted(low, high, time, weight)
        if best is None or votes > best[0] + 1e-9:
            best = (votes, speed, offset)
    if best is None:
        return None
    _, speed, offset = best
    chosen = _within(left, time, begin, end, speed, offset)
    for _ in range(6):
        refined = _refit(chosen, speed, offset)
        again = _within(left, time, begin, end, *refined)
        if len(again) <= len(chosen):
            break
        chosen, (speed, offset) = again, refined
    return _Run(speed, offset, tuple(chosen)) if chosen else None


def _most_voted(
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    time: NDArray[np.float64],
    weight: NDArray[np.float64],
) -> tuple[float, float]:
    """The offset in most intervals, each moment counted once; how much, and where."""
    places = np.concatenate([low, high])
    opens = np.concatenate([np.zeros(len(low), np.int8), np.ones(len(high), np.int8)])
    order = np.lexsort((opens, places))
    _, moment = np.unique(time, return_inverse=True)
    open_now: list[list[float]] = [[] for _ in range(int(moment.max()) + 1)]
    total, best, where = 0.0, 0.0, float(low[0])
    count = len(low)
    for at in order.tolist():
        row = at % count
        votes = open_now[moment[row]]
        total -= max(votes, default=0.0)
        if at < count:
            votes.append(float(weight[row]))
        else:
            votes.remove(float(weight[row]))
        total += max(votes, default=0.0)
        if total > best + 1e-9:
            best, where = total, float(places[at])
    return best, where + _SLACK / 2


def _within(
    left: list[Sighting],
    time: NDArray[np.float64],
    begin: NDArray[np.float64],
    end: NDArray[np.float64],
    speed: float,
    offset: float,
) -> list[Sighting]:
    place = speed * time + offset
    miss = np.maximum(np.maximum(begin - place, place - end), 0.0)
    nearest: dict[float, Sighting] = {}
    for row in np.flatnonzero(miss <= _SLACK).tolist():
        one = left[row]
        kept = nearest.get(one.time)
        if kept is None or one.distance < kept.distance:
            nearest[one.time] = one
    return [nearest[moment] for moment in sorted(nearest)]


def _refit(chosen: Sequence[Sighting], speed: float, offset: float) -> tuple[float, float]:
    """Speed and offset by least squares; as they were where the sightings say too little."""
    time = np.array([one.time for one in chosen])
    if len(chosen) < 4 or np.ptp(time) < 4.0:
        return speed, offset
    place = speed * time + offset
    begin = np.array([one.entry[0] if one.entry else 0.0 for one in chosen])
    end = np.array([one.entry[1] if one.entry else 0.0 for one in chosen])
    slope, cut = np.polyfit(time, np.clip(place, begin, end), 1)
    return float(slope), float(cut)


def _stretches(run: _Run, timeline: NDArray[np.float64], length: Length) -> list[Stretch]:
    """A run in pieces: it ends where several moments in a row don't match."""
    pieces: list[list[Sighting]] = []
    for one in run.inliers:
        if pieces:
            last = pieces[-1][-1].time
            between = int(((timeline > last) & (timeline < one.time)).sum())
            if between < _MISSED:
                pieces[-1].append(one)
                continue
        pieces.append([one])
    return [_stretch(piece, run, timeline, length) for piece in pieces]


def _stretch(
    piece: list[Sighting], run: _Run, timeline: NDArray[np.float64], length: Length
) -> Stretch:
    first, last = piece[0].time, piece[-1].time
    before, after = timeline[timeline < first], timeline[timeline > last]
    begin = max(0.0, first - _half_way(first, before[-1] if len(before) else None))
    end = last + _half_way(last, after[0] if len(after) else None)
    sampled = int(((timeline >= first) & (timeline <= last)).sum())
    entry = None
    if piece[0].entry is not None:
        ends = sorted(run.speed * at + run.offset for at in (begin, end))
        low, high = (min(max(0.0, at), length.seconds) for at in ends)
        entry = (round(low, 3), round(high, 3))
    return Stretch(
        (round(begin, 3), round(end, 3)),
        entry,
        len(piece),
        max(sampled, len(piece)),
        float(median(one.distance for one in piece)),
    )


def _half_way(time: float, neighbour: float | None) -> float:
    """How far beyond a sighting a stretch goes: half way to the next moment looked at."""
    return _REACH if neighbour is None else min(_REACH, abs(time - neighbour) / 2)


def _covered(stretches: Iterable[Stretch], length: Length) -> float:
    spans = sorted(stretch.entry for stretch in stretches if stretch.entry)
    if not spans or length.seconds <= 0:
        return 1.0
    total, reached = 0.0, 0.0
    for low, high in spans:
        total += max(0.0, high - max(low, reached))
        reached = max(reached, high)
    return min(1.0, total / length.seconds)
