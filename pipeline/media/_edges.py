"""The compiled loops behind rectangles: sums of jumps along lines, and what each side is worth."""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.kernels import compiled

CAP = 80
"""Grey levels above which a jump counts no more: a black letter is not a border."""
ALONG = 2
"""Pixels along a line that count as one: it is long, and where it ends need not be exact."""
_BESIDE, _OWN = 9, 3
"""Lines that a line is compared with, and how many of these in the middle are its own."""
LEVEL = 2.0
"""Grey levels that a stretch of a line must jump by more than the lines beside it."""
_EVEN = 0.5
"""The same for each quarter of a side: it is a border all along, not only for a part."""
_MOST_LINES = 12
_TRIED = 64
_TIP = 0.1
"""The share of a side that is looked at before and behind each of its corners."""
_SHORT, _LONG = np.float32(0.35), np.float32(0.5)
"""A side ends at its corners. One that is weaker than so much of its mean before a corner, or
stronger than so much behind it, belongs to another rectangle.
"""
_PAD = _BESIDE // 2
_HALF, _MOST = np.float32(0.5), np.float32(CAP)
_SHARE, _CEILING = np.float32(1 / (_BESIDE - _OWN)), np.float32(CAP / 2)
_STEP = np.float32(LEVEL)


@compiled
def jumped(one: Any, other: Any, means: Any) -> None:
    """By how much pixels of two lines differ from those left of them, in the mean of the two."""
    for x in range(len(means)):
        first = np.float32(max(one[x], one[x + 1]) - min(one[x], one[x + 1]))
        second = np.float32(max(other[x], other[x + 1]) - min(other[x], other[x + 1]))
        means[x] = (min(first, _MOST) + min(second, _MOST)) * _HALF


@compiled
def risen(means: Any, above: Any, here: Any, least: Any, best: Any, allowed: Any) -> None:
    """Sums one step further, ``here``, and each line's best stretch up to there."""
    # Comparisons that are written out become vectors; ``min`` and ``max`` would not.
    for x in range(len(here)):
        beside = means[x] + means[x + 1] + means[x + 2] + means[x + 6] + means[x + 7]
        beside += means[x + 8]
        more = means[x + 4] - beside * _SHARE
        total = above[x] + (more if more < _CEILING else _CEILING)
        here[x] = total
        risen = total - allowed
        lowest = risen if risen < least[x] else least[x]
        least[x] = lowest
        best[x] = risen - lowest if risen - lowest > best[x] else best[x]


@compiled
def summed(grey: Any, sums: Any, best: Any) -> None:
    """How much more pixels differ from those left of them than pixels beside that line do.

    Of upright lines of ``grey`` uint8 (height, width); summed along them into ``sums`` float32
    (height / 2 + 1, width + 1), so that any stretch is a difference of two, in steps of ``ALONG``
    pixels. Line 0 and the last are the picture's own rim. ``best`` (width + 1) becomes by how much
    each line's best stretch jumps more than so much a step: it ends where the line has risen most
    above what came before.
    """
    count = grey.shape[1] - 1
    means = np.empty(count + 2 * _PAD, np.float32)
    least = np.zeros(count + 2, np.float32)
    sums[0] = 0
    sums[:, 0] = 0
    sums[:, count + 1] = 0
    best[:] = 0
    if count < 1:
        return
    inner = means[_PAD : _PAD + count]
    for step in range(len(sums) - 1):
        jumped(grey[ALONG * step], grey[ALONG * step + 1], inner)
        for x in range(1, _PAD + 1):
            # Beyond the rim the lines come once more, the nearest first.
            before, after = -x, count - 1 + x
            while before < 0 or before >= count:
                before = -1 - before if before < 0 else 2 * count - 1 - before
            while after < 0 or after >= count:
                after = -1 - after if after < 0 else 2 * count - 1 - after
            means[_PAD - x] = means[_PAD + before]
            means[_PAD + count - 1 + x] = means[_PAD + after]
        above, here = sums[step, 1 : count + 1], sums[step + 1, 1 : count + 1]
        allowed = np.float32(step + 1) * _STEP
        risen(means, above, here, least[1 : count + 1], best[1 : count + 1], allowed)


@compiled
def chosen(best: Any, across: Any) -> Any:
    """The lines with the best stretch, one of several neighbours, and the rim; in order."""
    left = best.copy()
    kept = np.zeros(len(best), np.bool_)
    kept[0] = kept[-1] = True
    count = 0
    for _ in range(min(_TRIED, len(best))):
        at = np.int64(np.argmax(left))
        if best[at] * ALONG < max(24.0, across * 0.16) or count == _MOST_LINES:
            break
        left[at] = -1
        # The rim does not count as near.
        near = kept[1 : len(best) - 1][max(at - 4, 0) : at + 3]
        if not near.any():
            kept[at] = True
            count += 1
    return np.flatnonzero(kept)


@compiled
def mean(sums: Any, line: Any, low: Any, high: Any) -> Any:
    """What a line jumps by between two places, in the mean."""
    last = sums.shape[0] - 1
    start = min(max((low + ALONG // 2) // ALONG, 0), last)
    stop = min(max((high + ALONG // 2) // ALONG, 0), last)
    risen = np.float64(sums[stop, line] - sums[start, line])
    return np.float32(risen / max(1, stop - start))


@compiled
def table(sums: Any, lines: Any, low: Any, high: Any) -> Any:
    """What each line (rows) jumps by between ``low`` and ``high`` (columns); rims infinitely."""
    found = np.empty((len(lines), len(low)), np.float32)
    for row in range(len(lines)):
        rim = lines[row] == 0 or lines[row] == sums.shape[1] - 1
        for column in range(len(low)):
            if rim:
                found[row, column] = np.inf
            else:
                found[row, column] = mean(sums, lines[row], low[column], high[column])
    return found


@compiled
def pairs(lines: Any, apart: Any) -> Any:
    """All pairs (2, n) of lines that lie so far apart, the lower one first, as numbers of lines."""
    found = np.empty((2, len(lines) * len(lines)), np.int64)
    count = 0
    for first in range(len(lines)):
        for second in range(len(lines)):
            if lines[second] - lines[first] >= apart:
                found[0, count], found[1, count] = first, second
                count += 1
    return found[:, :count].copy()


@compiled
def supported(level: Any, down: Any, upright: Any, across: Any, least_side: Any) -> Any:
    """Rectangles with four supported sides between lines ``down`` and ``across``.

    ``level`` and ``upright`` are the sums along either. Left, top, right, bottom (n, 4); by how
    much the weakest side jumps, float32 (n,); how many sides are the picture's own rim, whose jumps
    are not known, and at how many corners sides stop too early or go on (n, 2).
    """
    height, width = level.shape[1] - 1, upright.shape[1] - 1
    rows, columns = pairs(down, height * least_side), pairs(across, width * least_side)
    flat = table(level, down, across[columns[0]], across[columns[1]])
    steep = table(upright, across, down[rows[0]], down[rows[1]])
    most = rows.shape[1] * columns.shape[1]
    rects, weakest = np.empty((most, 4), np.int64), np.empty(most, np.float32)
    counts = np.zeros((most, 2), np.int64)
    found = 0
    for row in range(rows.shape[1]):
        for column in range(columns.shape[1]):
            level_ones = min(flat[rows[0, row], column], flat[rows[1, row], column])
            upright_ones = min(steep[columns[0, column], row], steep[columns[1, column], row])
            least = min(level_ones, upright_ones)
            if not (least > _STEP and least < np.inf):
                continue
            top, bottom = down[rows[0, row]], down[rows[1, row]]
            left, right = across[columns[0, column]], across[columns[1, column]]
            weight, even, rims, odd = np.float32(np.inf), True, 0, 0
            for side in range(4):
                sums = level if side < 2 else upright
                line = top if side == 0 else bottom if side == 1 else left if side == 2 else right
                low, high = (left, right) if side < 2 else (top, bottom)
                if line == 0 or line == sums.shape[1] - 1:
                    rims += 1
                    continue
                length = high - low
                for part in range(4):
                    start, stop = low + length * part // 4, low + length * (part + 1) // 4
                    even = even and mean(sums, line, start, stop) > _EVEN
                if not even:
                    break
                own = mean(sums, line, low, high)
                weight = min(weight, own)
                tip = max(6, np.int64(length * _TIP))
                odd += mean(sums, line, low, low + tip) < _SHORT * own
                odd += mean(sums, line, high - tip, high) < _SHORT * own
                odd += mean(sums, line, low - tip, low) > _LONG * own
                odd += mean(sums, line, high, high + tip) > _LONG * own
            if even:
                rects[found, 0], rects[found, 1] = left, top
                rects[found, 2], rects[found, 3] = right, bottom
                weakest[found] = weight
                counts[found, 0], counts[found, 1] = rims, odd
                found += 1
    return rects[:found], weakest[:found], counts[:found]
