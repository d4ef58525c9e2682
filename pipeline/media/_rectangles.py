"""Rectangles bounded by long straight edges: a picture in a picture, a screen in a screenshot.

A border is a straight line along which neighbouring pixels differ by more than they do on the
lines beside it. The difference alone says nothing: gravel and grass differ everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.media._trims import Rect

Sums = NDArray[np.float32]
Grid = NDArray[np.floating]
Places = NDArray[np.int64]

_CAP = 48
"""Grey levels above which a jump counts no more: one black letter is not a border."""
_BESIDE, _OWN = 13, 3
"""Lines around one that it is compared with, and how many in the middle of these are its own."""
_SHARE = 0.25
"""A border's jumps exceed those beside it by this share at least, or count against it."""
_LEVEL = 2.0
"""Grey levels that a line's best stretch must rise by on average, or it would run on for ever."""
_COARSE = 8
"""Pixels between the places where a line's best stretch may start and end."""
_MOST_LINES = 16
_LEAST_SIDE = 0.15
_LEAST = 2.0
"""Grey levels by which each side of a rectangle must stand out on average."""
_LEAST_QUARTER = 0.5
"""The same of each quarter of each side: a side that is only half there is another thing's."""
_ENOUGH = 16.0
"""Grey levels above which a side is no better for standing out more."""
_MISSING, _BEYOND, _LOOSE = 0.35, 0.5, 0.85
"""A side is worth less by the last for each end whose last tenth stands out by less than the first
of the side's mean, or that runs on behind its corner at more than the second of it.
"""
_LOOKED_AT, _MOST_WORTH = 400, 24
"""Rectangles whose corners are looked at, and how many of these are worth telling apart."""
_RIM = 0.8
"""What a side is worth that is only the picture's own rim: every rectangle that reaches it has it.
"""


def rectangles(grey: NDArray[np.uint8], most: int = 4) -> list[Rect]:
    """The best-supported rectangles, each overlapping the others by less than three quarters."""
    height, width = grey.shape
    level = _sums(grey)
    upright = _sums(np.ascontiguousarray(grey.T))
    rows = _lines(level, max(24, int(width * 0.16)))
    columns = _lines(upright, max(24, int(height * 0.16)))
    kept: list[Rect] = []
    for rect in _supported(level, upright, rows, columns):
        if all(overlap(rect, other) < 0.75 for other in kept):
            kept.append(rect)
        if len(kept) == most:
            break
    return kept


def _sums(grey: NDArray[np.uint8]) -> Sums:
    """How much more each pixel differs from the one above than pixels beside that line do.

    Summed along lines, so that any stretch is a difference of two: (height + 1, width + 1). Line 0
    and the last are the picture's own rim, of which nothing is known.
    """
    height, width = grey.shape
    found = np.zeros((height + 1, width + 1), np.float32)
    if height < 2:
        return found
    jumps = np.minimum(cv2.absdiff(grey[1:], grey[:-1]), _CAP).astype(np.float32)
    around, own = (
        cv2.boxFilter(jumps, -1, (1, lines), normalize=False, borderType=cv2.BORDER_REFLECT)
        for lines in (_BESIDE, _OWN)
    )
    beside = (around - own) * np.float32((1 + _SHARE) / (_BESIDE - _OWN))
    excess = np.minimum(jumps - beside, np.float32(_CAP / 2))
    np.cumsum(excess, axis=1, out=found[1:-1, 1:])
    return found


def _lines(sums: Sums, least: int) -> Places:
    """Where the lines with the best stretches are, one of several neighbours, and the rim."""
    columns = np.arange(0, sums.shape[1], _COARSE)
    risen = sums[:, columns] - columns.astype(np.float32) * _LEVEL
    # The best stretch of a line ends where it has risen most above what came before.
    best = (risen - np.minimum.accumulate(risen, axis=1)).max(1)
    best[[0, -1]] = 0
    kept: list[int] = []
    for at in np.argsort(-best, kind="stable")[: 4 * _MOST_LINES].tolist():
        if best[at] < least or len(kept) == _MOST_LINES:
            break
        if all(abs(at - other) > 3 for other in kept):
            kept.append(at)
    return np.array(sorted({0, len(sums) - 1, *kept}), np.int64)


def _supported(level: Sums, upright: Sums, rows: Places, columns: Places) -> list[Rect]:
    """Rectangles all of whose sides stand out, best first. Large ones are preferred a little."""
    height, width = len(level) - 1, len(upright) - 1
    top, bottom = _pairs(rows, height * _LEAST_SIDE)
    left, right = _pairs(columns, width * _LEAST_SIDE)
    if not len(top) or not len(left):
        return []
    # (row pairs, column pairs)
    sides = _sides(level, upright, top[:, None], bottom[:, None], left[None], right[None])
    whole = np.minimum.reduce([side.stands_out(side.low, side.high) for side in sides])
    at_rim = sum(side.rim.astype(np.int64) for side in sides)
    share = (bottom - top)[:, None] * (right - left)[None] / (width * height)
    worth = np.sqrt(np.clip(whole, 0, _ENOUGH)) * share**0.25 * _RIM**at_rim
    worth[(whole <= _LEAST) | (share >= 0.97) | (at_rim == 4)] = 0
    best = np.argsort(-worth, axis=None, kind="stable")[:_LOOKED_AT]
    worth = worth.ravel()[best]
    down, across = np.unravel_index(best[worth > 0], share.shape)
    worth = worth[worth > 0]
    top, bottom, left, right = top[down], bottom[down], left[across], right[across]
    for side in _sides(level, upright, top, bottom, left, right):
        cuts = [side.low + (side.high - side.low) * part // 4 for part in range(5)]
        for start, stop in pairwise(cuts):
            worth[side.stands_out(start, stop) <= _LEAST_QUARTER] = 0
        worth *= _LOOSE ** side.loose_ends()
    order = np.argsort(-worth, kind="stable")
    corners = np.stack([left, top, right, bottom], axis=1)[order[worth[order] > 0]]
    return [(int(x), int(y), int(far), int(low)) for x, y, far, low in corners[:_MOST_WORTH]]


@dataclass(frozen=True, slots=True)
class _Side:
    """Sides of rectangles: on the lines ``at`` of ``sums`` from ``low`` to ``high``."""

    sums: Sums
    at: Places
    low: Places
    high: Places

    @property
    def rim(self) -> NDArray[np.bool_]:
        """Which are the picture's own rim, of which nothing is known."""
        return np.asarray((self.at == 0) | (self.at == len(self.sums) - 1))

    def stands_out(self, low: Places, high: Places) -> Grid:
        """By how many grey levels the lines stand out between two places; infinite at the rim."""
        return np.asarray(np.where(self.rim, np.inf, _mean(self.sums, self.at, low, high)))

    def loose_ends(self) -> NDArray[np.int64]:
        """How many of four ends are amiss: missing before a corner, or running on behind it."""
        tip = np.maximum(6, (self.high - self.low) // 10)
        usual = _mean(self.sums, self.at, self.low, self.high)

        def tips(low: Places, high: Places) -> Grid:
            far = self.sums.shape[1] - 1
            return _mean(self.sums, self.at, np.clip(low, 0, far), np.clip(high, 0, far))

        amiss = [
            tips(self.low, self.low + tip) < _MISSING * usual,
            tips(self.high - tip, self.high) < _MISSING * usual,
            tips(self.low - tip, self.low) > _BEYOND * usual,
            tips(self.high, self.high + tip) > _BEYOND * usual,
        ]
        return np.asarray(np.where(self.rim, 0, np.stack(amiss).sum(0)), np.int64)


def _sides(
    level: Sums, upright: Sums, top: Places, bottom: Places, left: Places, right: Places
) -> tuple[_Side, ...]:
    return (
        _Side(level, top, left, right),
        _Side(level, bottom, left, right),
        _Side(upright, left, top, bottom),
        _Side(upright, right, top, bottom),
    )


def _mean(sums: Sums, at: Places, low: Places, high: Places) -> Grid:
    """By how many grey levels a stretch of a line stands out on average."""
    return np.asarray((sums[at, high] - sums[at, low]) / np.maximum(1, high - low))


def _pairs(places: Places, least: float) -> tuple[Places, Places]:
    """All pairs of lines that lie at least ``least`` apart, the lower first."""
    first, second = np.nonzero(places[None] - places[:, None] >= least)
    return places[first], places[second]


def overlap(first: Rect, second: Rect) -> float:
    """Intersection over union of two rectangles, 0 to 1."""
    across = max(0, min(first[2], second[2]) - max(first[0], second[0]))
    down = max(0, min(first[3], second[3]) - max(first[1], second[1]))
    shared = across * down
    areas = sum((rect[2] - rect[0]) * (rect[3] - rect[1]) for rect in (first, second))
    return shared / max(1, areas - shared)
