"""The compiled loops behind trims: how many lines from a side on are plain."""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.kernels import compiled

LEAST = 24
"""A part with a shorter side is not trimmed, and no trim leaves less."""
TOP, BOTTOM, LEFT, RIGHT = range(4)
_DEEPEST = 0.45
"""The share of a side that a border with interruptions may take."""


@compiled
def within(rect: Any, side: Any, first: Any, last: Any) -> Any:
    """Left, top, right, bottom of some of a part's lines, counted from one side on."""
    left, top, right, bottom = rect[0], rect[1], rect[2], rect[3]
    if side == TOP:
        return left, top + first, right, top + last
    if side == BOTTOM:
        return left, bottom - last, right, bottom - first
    if side == LEFT:
        return left + first, top, left + last, bottom
    return right - last, top, right - first, bottom


@compiled
def colour(rgb: Any, part: Any, tolerance: Any, counts: Any, low: Any, span: Any) -> None:
    """From where and how far channels reach that are near the median of a part's."""
    left, top, right, bottom = part
    counts[:] = 0
    for y in range(top, bottom):
        for x in range(left, right):
            counts[0, rgb[y, x, 0]] += 1
            counts[1, rgb[y, x, 1]] += 1
            counts[2, rgb[y, x, 2]] += 1
    half = (bottom - top) * (right - left) // 2
    for channel in range(3):
        level, below = 0, counts[channel, 0]
        while below <= half:
            level += 1
            below += counts[channel, level]
        low[channel] = max(level - tolerance, 0)
        span[channel] = min(level + tolerance, 255) - low[channel]


@compiled
def alike(rgb: Any, part: Any, low: Any, span: Any) -> Any:
    """How many pixels of a part are near the colour."""
    left, top, right, bottom = part
    red, green, blue = low[0], low[1], low[2]
    reds, greens, blues = span[0], span[1], span[2]
    found = 0
    for y in range(top, bottom):
        for x in range(left, right):
            # In bytes: what is below the lowest comes out above any span.
            near = np.uint8(rgb[y, x, 0] - red) <= reds
            near &= np.uint8(rgb[y, x, 1] - green) <= greens
            near &= np.uint8(rgb[y, x, 2] - blue) <= blues
            found += near
    return found


@compiled
def enough(share: Any, pixels: Any) -> Any:
    """The least whole number of pixels that is such a share of them."""
    return np.int64(np.ceil(share * pixels - 1e-9))


@compiled
def depth(rgb: Any, rect: Any, side: Any, rule: Any, counts: Any, low: Any, span: Any) -> Any:
    """How many lines from a side on are plain, in the colour of its outermost two lines.

    With a bridge, it goes on past short interruptions as long as it stays under 45% of the side.
    None are where all are, for then there is no picture inside.
    """
    tolerance, share, bridge = rule
    flat = side <= BOTTOM
    lines = rect[3] - rect[1] if flat else rect[2] - rect[0]
    length = rect[2] - rect[0] if flat else rect[3] - rect[1]
    rim = within(rect, side, 0, 2)
    colour(rgb, rim, tolerance, counts, low, span)
    if alike(rgb, rim, low, span) < enough(share, 2 * length):
        return 0
    least = enough(share, length)
    depth = 0
    while depth < lines and alike(rgb, within(rect, side, depth, depth + 1), low, span) >= least:
        depth += 1
    if depth == lines:
        return 0
    if depth == 0 or bridge == 0:
        return depth
    gap: Any = max(2, np.int64(lines * bridge))
    ahead = depth
    while depth < lines * _DEEPEST and ahead < min(depth + gap + 1, lines):
        ahead += 1
        if alike(rgb, within(rect, side, ahead - 1, ahead), low, span) >= least:
            depth = ahead
    return depth


@compiled
def trimmed(rgb: Any, rect: Any, rule: Any, found: Any) -> Any:
    """What is left of a part of ``rgb`` after each round of trimming all four sides.

    ``rect`` int64 (4,) is the part, and is trimmed itself; ``rule`` is tolerance, share and bridge;
    a row of ``found`` int64 (rounds, 4) is written a round. How many were.
    """
    counts = np.empty((3, 256), np.int64)
    low, span = np.empty(3, np.uint8), np.empty(3, np.uint8)
    for turn in range(len(found)):
        changed = False
        for side in range(4):
            if rect[2] - rect[0] < LEAST or rect[3] - rect[1] < LEAST:
                continue
            lines = rect[3] - rect[1] if side <= BOTTOM else rect[2] - rect[0]
            deep = depth(rgb, rect, side, rule, counts, low, span)
            if deep <= 1 or lines - deep < LEAST:
                continue
            # The last line of a border is blended with the picture wherever the upload was resized.
            deep += 1 if lines - deep > 40 else 0
            changed = True
            if side == TOP:
                rect[1] += deep
            elif side == BOTTOM:
                rect[3] -= deep
            elif side == LEFT:
                rect[0] += deep
            else:
                rect[2] -= deep
        if not changed:
            return turn
        for edge in range(4):
            found[turn, edge] = rect[edge]
    return len(found)
