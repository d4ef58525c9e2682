"""The compiled loops behind seams, blurred bars and what is drawn: where neighbours differ."""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.kernels import compiled

_SOME, _MUCH = np.uint8(6), np.uint8(10)
"""Grey levels: neighbours that differ by more show detail, or may be part of a seam."""
_TOGETHER = 255
"""Lines after which counts that are kept in bytes are added up."""
_BLURRED = np.float32(0.015)
"""A line with fewer jumps than this share of its length is blurred, or plain."""
_LEAST = 0.04
_SNAP = 4
_AROUND = 31
"""Lines that a seam is compared with."""
_MOST = 3
_LEVELS = np.float32(255)


@compiled
def counted(grey: Any, upright: Any, level: Any) -> Any:
    """How many neighbours differ on each line of ``grey`` uint8 (height, width).

    ``upright`` int64 (3, width): how many differ much, and somewhat, from those to their right, and
    somewhat from those below, on each upright line; ``level`` int64 (3, height) the same of level
    ones, with those below in the place of those to the right and the other way round. How many
    pixels are exactly like those above and to the left.
    """
    height, width = grey.shape
    upright[:] = 0
    level[:] = 0
    right_much = np.zeros(width, np.uint8)
    right_some = np.zeros(width, np.uint8)
    down_some = np.zeros(width, np.uint8)
    same: Any = 0
    for y in range(height):
        here = grey[y]
        for first in range(0, width - 1, _TOGETHER):
            part, after = here[first : width - 1], here[first + 1 :]
            count = min(len(part), _TOGETHER)
            far, near = right_much[first:], right_some[first:]
            some = np.uint8(0)
            for x in range(count):
                step = np.uint8(max(part[x], after[x]) - min(part[x], after[x]))
                far[x] = np.uint8(far[x] + (step > _MUCH))
                near[x] = np.uint8(near[x] + (step > _SOME))
                some = np.uint8(some + (step > _SOME))
            level[2, y] += some
        if y + 1 < height:
            below = grey[y + 1]
            for first in range(0, width, _TOGETHER):
                part, under = here[first:], below[first:]
                count = min(len(part), _TOGETHER)
                down = down_some[first:]
                much, some = np.uint8(0), np.uint8(0)
                for x in range(count):
                    step = np.uint8(max(part[x], under[x]) - min(part[x], under[x]))
                    down[x] = np.uint8(down[x] + (step > _SOME))
                    much = np.uint8(much + (step > _MUCH))
                    some = np.uint8(some + (step > _SOME))
                level[0, y] += much
                level[1, y] += some
            for first in range(1, width, _TOGETHER):
                part, under, before = here[first:], below[first:], below[first - 1 :]
                count = min(len(part), _TOGETHER)
                equal = np.uint8(0)
                for x in range(count):
                    equal = np.uint8(equal + ((under[x] == part[x]) & (under[x] == before[x])))
                same += equal
        if y % _TOGETHER == _TOGETHER - 1 or y == height - 1:
            for x in range(width):
                upright[0, x] += right_much[x]
                upright[1, x] += right_some[x]
                upright[2, x] += down_some[x]
            right_much[:] = 0
            right_some[:] = 0
            down_some[:] = 0
    return same


@compiled
def medians(bytes_: Any, found: Any) -> None:
    """The median of the 31 around each of a line of bytes; beyond the ends they go on."""
    last = len(bytes_) - 1
    counts = np.zeros(256, np.int64)
    half = _AROUND // 2
    for at in range(-half, half + 1):
        counts[bytes_[min(max(at, 0), last)]] += 1
    level, below = 0, 0
    for at in range(len(bytes_)):
        # ``below`` counts what lies under the level; the median is where it passes the half.
        while below > half:
            level -= 1
            below -= counts[level]
        while below + counts[level] <= half:
            below += counts[level]
            level += 1
        found[at] = level
        gone, new = bytes_[max(at - half, 0)], bytes_[min(at + half + 1, last)]
        counts[gone] -= 1
        counts[new] += 1
        below += (new < level) - (gone < level)


@compiled
def peaks(counts: Any, lines: Any) -> Any:
    """Up to three lines that stand out from those around, away from the rim and one another.

    The one that stands out most is first. ``counts`` says how many of ``lines`` pixels jump on
    each. Equal parts are what collage makers offer: at halves and thirds a weaker seam will do.
    """
    size = len(counts)
    strength, levels = np.empty(size, np.float32), np.empty(size, np.uint8)
    for at in range(size):
        strength[at] = np.float32(counts[at]) / np.float32(lines)
        levels[at] = np.uint8(strength[at] * _LEVELS)
    around = np.empty(size, np.float32)
    medians(levels, around)
    even = np.zeros(size, np.bool_)
    for share in (1 / 2, 1 / 3, 2 / 3):
        even[max(0, np.int64(size * share) - 2) : np.int64(size * share) + 2] = True
    left = np.full(size, -np.inf, np.float32)
    for at in range(np.int64(0.12 * size), np.int64(0.88 * size)):
        beside = around[at] / _LEVELS
        times = strength[at] / max(beside, np.float32(0.04))
        weak = even[at] and strength[at] >= np.float32(0.3) and times >= np.float32(1.4)
        if weak or (strength[at] >= np.float32(0.5) and times >= np.float32(2)):
            left[at] = strength[at] - beside
    kept = np.empty(_MOST, np.int64)
    found = 0
    while found < _MOST and size:
        best = np.int64(np.argmax(left))
        if left[best] == -np.inf:
            break
        kept[found] = best
        found += 1
        for at in range(size):
            if abs(at - best) <= 0.06 * size:
                left[at] = -np.inf
    return kept[:found]


@compiled
def snapped(edge: Any, at: Any) -> Any:
    """The line just after the strongest of the edges within a few lines."""
    low = max(0, at - _SNAP)
    near = edge[low : at + _SNAP]
    return low + np.int64(np.argmax(near)) + 1 if len(near) else at


@compiled
def between(detail: Any, lines: Any, edge: Any) -> Any:
    """Where lines with detail start and stop, moved to the strongest edge close by.

    ``detail`` and ``edge`` are counts; of ``lines`` pixels, the former. Zeros where there is
    nothing blurred on both sides of them.
    """
    size = len(detail)
    first, last = -1, -1
    for at in range(size):
        if np.float32(detail[at]) / np.float32(lines) > _BLURRED:
            first = at if first < 0 else first
            last = at
    if first < 0:
        return 0, 0
    start, stop = snapped(edge, first), snapped(edge, last + 1)
    if start < _LEAST * size or size - stop < _LEAST * size or stop - start < 0.2 * size:
        return 0, 0
    return start, stop
