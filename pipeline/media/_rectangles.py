"""Rectangles bounded by long straight edges: a picture in a picture, a screen in a screenshot.

A border is a straight line along which neighbouring pixels differ by more than they do on the
lines beside it. The difference alone says nothing: gravel and grass differ everywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.media._trims import Rect

Grid = NDArray[np.float32]
Places = NDArray[np.int64]

_CAP = 80
"""Grey levels above which a jump counts no more: a black letter is not a border."""
_ALONG = 2
"""Pixels along a line that count as one: it is long, and where it ends need not be exact."""
_BESIDE, _OWN = 9, 3
"""Lines that a line is compared with, and how many of these in the middle are its own."""
_LEVEL = 2.0
"""Grey levels that a stretch of a line must jump by more than the lines beside it."""
_EVEN = 0.5
"""The same for each quarter of a side: it is a border all along, not only for a part."""
_MOST_LINES = 12
_LEAST_SIDE = 0.15
_RIM = 0.6
"""What a side is worth that is only the picture's own rim: every rectangle that reaches it has it.
"""
_TIP = 0.1
"""The share of a side that is looked at before and behind each of its corners."""
_SHORT, _LONG, _ODD_CORNER = 0.35, 0.5, 0.85
"""A side ends at its corners. One that is weaker than so much of its mean before a corner, or
stronger than so much behind it, belongs to another rectangle; what each such corner is worth.
"""


@dataclass(frozen=True, slots=True)
class _Sides:
    """Sides of rectangles on parallel lines: ``sums`` at ``at``, from ``low`` to ``high``."""

    sums: Grid
    at: Places
    low: Places
    high: Places

    def of(self, chosen: NDArray[np.intp]) -> _Sides:
        """Some of them."""
        return _Sides(self.sums, self.at[chosen], self.low[chosen], self.high[chosen])

    @property
    def rim(self) -> NDArray[np.bool_]:
        """Which of them are the picture's own rim, whose jumps are not known."""
        return np.asarray((self.at == 0) | (self.at == len(self.sums) - 1))

    def mean(self) -> Grid:
        """By how much they jump more than what is beside them."""
        return self._between(self.low, self.high)

    def weakest_quarter(self) -> Grid:
        """The same of the quarter where it is least."""
        cuts = [self.low + (self.high - self.low) * part // 4 for part in range(5)]
        parts = [self._between(a, b) for a, b in pairwise(cuts)]
        return np.asarray(np.minimum.reduce(parts))

    def odd_corners(self) -> NDArray[np.int64]:
        """At how many of their two ends they stop too early or go on."""
        tip = np.maximum(6, ((self.high - self.low) * _TIP).astype(np.int64))
        mean = self.mean()
        short = [(self.low, self.low + tip), (self.high - tip, self.high)]
        over = [(self.low - tip, self.low), (self.high, self.high + tip)]
        odd = [self._between(*ends) < _SHORT * mean for ends in short]
        odd += [self._between(*ends) > _LONG * mean for ends in over]
        return np.where(self.rim, 0, np.sum(odd, axis=0, dtype=np.int64))

    def _between(self, low: Places, high: Places) -> Grid:
        last = self.sums.shape[1] - 1
        low = np.clip((low + _ALONG // 2) // _ALONG, 0, last)
        high = np.clip((high + _ALONG // 2) // _ALONG, 0, last)
        risen = self.sums[self.at, high] - self.sums[self.at, low]
        return np.asarray(risen / np.maximum(1, high - low), np.float32)


def rectangles(grey: NDArray[np.uint8], most: int = 4) -> list[Rect]:
    """The best-supported rectangles, each overlapping the others by less than three quarters."""
    height, width = grey.shape
    level, upright = _sums(grey), _sums(np.ascontiguousarray(grey.T))
    top, bottom = _pairs(_lines(level, width), height)
    left, right = _pairs(_lines(upright, height), width)
    kept: list[Rect] = []
    if not len(top) or not len(left):
        return kept
    down, across = (found.ravel() for found in np.indices((len(top), len(left))))
    sides = [
        _Sides(level, top[down], left[across], right[across]),
        _Sides(level, bottom[down], left[across], right[across]),
        _Sides(upright, left[across], top[down], bottom[down]),
        _Sides(upright, right[across], top[down], bottom[down]),
    ]
    for rect in _best(sides):
        if all(overlap(rect, other) < 0.75 for other in kept):
            kept.append(rect)
        if len(kept) == most:
            break
    return kept


def _best(sides: list[_Sides]) -> list[Rect]:
    """Rectangles with all four sides supported, best first. Large ones are preferred a little."""
    for measure, least in ((_Sides.mean, _LEVEL), (_Sides.weakest_quarter, _EVEN)):
        # Few are left for what costs more.
        weakest = _least(sides, measure)
        chosen = np.flatnonzero((weakest > least) & np.isfinite(weakest))
        sides = [side.of(chosen) for side in sides]
    above, _, leftmost, _ = sides
    height, width = len(above.sums) - 1, len(leftmost.sums) - 1
    wide, tall = above.high - above.low, leftmost.high - leftmost.low
    share = wide * tall / (width * height)
    rims = sum(side.rim.astype(np.int64) for side in sides)
    odd = sum(side.odd_corners() for side in sides)
    support = np.sqrt(np.minimum(_least(sides, _Sides.mean), 16.0))
    score = support * share**0.25 * _RIM**rims * _ODD_CORNER**odd * (share < 0.97)
    order = np.argsort(-score, kind="stable")[:24]
    found = zip(above.low, leftmost.low, above.high, leftmost.high, strict=True)
    rects = [tuple(int(value) for value in rect) for rect in found]
    return [rects[at] for at in order.tolist() if score[at] > 0]


def _least(sides: list[_Sides], measure: Callable[[_Sides], Grid]) -> Grid:
    """What the weakest side of each rectangle measures; the rim is as good as need be."""
    return np.asarray(
        np.minimum.reduce([np.where(side.rim, np.inf, measure(side)) for side in sides])
    )


def _sums(grey: NDArray[np.uint8]) -> Grid:
    """How much more pixels differ from those above than pixels beside that line do.

    Summed along lines, so that any stretch is a difference of two, in steps of ``_ALONG`` pixels:
    (height + 1, width / 2 + 1). Line 0 and the last are the picture's own rim.
    """
    height, width = grey.shape
    steps = width // _ALONG
    jumps = np.minimum(cv2.absdiff(grey[1:], grey[:-1]), _CAP)[:, : steps * _ALONG]
    means = cv2.resize(jumps.astype(np.float32), (steps, height - 1), interpolation=cv2.INTER_AREA)
    around, own = (
        cv2.boxFilter(means, -1, (1, lines), normalize=False, borderType=cv2.BORDER_REFLECT)
        for lines in (_BESIDE, _OWN)
    )
    more = means - (around - own) * np.float32(1 / (_BESIDE - _OWN))
    found = np.zeros((height + 1, steps + 1), np.float32)
    np.cumsum(np.minimum(more, _CAP / 2), axis=1, out=found[1:-1, 1:])
    return found


def _lines(sums: Grid, across: int) -> Places:
    """Where the lines with the best stretch are, one of several neighbours, and the rim."""
    risen = sums - np.arange(sums.shape[1], dtype=np.float32) * _LEVEL
    # The best stretch of a line ends where it has risen most above what came before.
    best = (risen - np.minimum.accumulate(risen, axis=1)).max(1)
    best[[0, -1]] = 0
    kept: list[int] = []
    for at in np.argsort(-best, kind="stable")[:64].tolist():
        if best[at] * _ALONG < max(24.0, across * 0.16) or len(kept) == _MOST_LINES:
            break
        if all(abs(at - other) > 3 for other in kept):
            kept.append(at)
    return np.array(sorted({0, len(sums) - 1, *kept}), np.int64)


def _pairs(lines: Places, size: int) -> tuple[Places, Places]:
    """All pairs of lines that lie far enough apart, the lower one first."""
    first, second = np.nonzero(lines[None] - lines[:, None] >= size * _LEAST_SIDE)
    return lines[first], lines[second]


def overlap(first: Rect, second: Rect) -> float:
    """Intersection over union of two rectangles, 0 to 1."""
    across = max(0, min(first[2], second[2]) - max(first[0], second[0]))
    down = max(0, min(first[3], second[3]) - max(first[1], second[1]))
    shared = across * down
    areas = sum((rect[2] - rect[0]) * (rect[3] - rect[1]) for rect in (first, second))
    return shared / max(1, areas - shared)
