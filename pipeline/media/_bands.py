"""Content on a ground of one colour: screenshots, collages with gaps, polaroids.

A recursive XY-cut: rows with content make bands, columns within a band make blocks, and so on.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.media._trims import Rect, line_means, near_colour

_LEAST = 32
_DEEPEST = 3
_MOST_PIECES = 6
_CONTENT = 0.30
"""A line counts as content when this share of it is not the ground's colour: text is less."""


def bands(rgb: NDArray[np.uint8], tolerance: int = 14, most: int = 8) -> list[Rect]:
    """Blocks of content, largest first; empty when the picture's rim has no colour of its own."""
    ground = _ground(rgb)
    if ground is None:
        return []
    content = np.asarray(255 - near_colour(rgb, ground, tolerance), np.uint8)
    found: list[Rect] = []
    _cut(content, (0, 0, content.shape[1], content.shape[0]), 0, found)
    return sorted(found, key=lambda rect: -_area(rect))[:most]


def _ground(rgb: NDArray[np.uint8]) -> NDArray[np.float64] | None:
    """The commonest colour of the outermost pixels, where at least a quarter of them have it."""
    # Numba takes half a second to load: only who looks at pictures waits for it.
    from pipeline.media._grounds import rim

    commonest, share = rim(rgb)
    if share < 0.25:
        return None
    middle = np.array([commonest >> 10, (commonest >> 5) & 31, commonest & 31])
    return middle * 8.0 + 4.0


def _cut(content: NDArray[np.uint8], rect: Rect, depth: int, found: list[Rect]) -> None:
    left, top, right, bottom = rect
    part = content[top:bottom, left:right]
    height, width = part.shape
    if height < _LEAST or width < _LEAST:
        return
    if depth > 0 and height * width > 0.03 * content.size:
        found.append(rect)
    if depth >= _DEEPEST:
        return
    rows = _runs(line_means(part, 1) > 255 * _CONTENT, max(_LEAST, int(content.shape[0] * 0.08)))
    if rows and rows != [(0, height)]:
        for start, stop in rows[:_MOST_PIECES]:
            _cut(content, (left, top + start, right, top + stop), depth + 1, found)
        return
    columns = _runs(line_means(part, 0) > 255 * _CONTENT, max(_LEAST, int(content.shape[1] * 0.08)))
    if columns and columns != [(0, width)]:
        for start, stop in columns[:_MOST_PIECES]:
            _cut(content, (left + start, top, left + stop, bottom), depth + 1, found)


def _runs(lines: NDArray[np.bool_], least: int, gap: int = 2) -> list[tuple[int, int]]:
    """Runs of true lines of at least some length; up to ``gap`` false lines do not end one."""
    there = np.flatnonzero(lines)
    if not len(there):
        return []
    breaks = np.flatnonzero(np.diff(there) > gap + 1)
    starts = np.r_[there[0], there[breaks + 1]]
    stops = np.r_[there[breaks], there[-1]] + 1
    return [
        (int(start), int(stop))
        for start, stop in zip(starts, stops, strict=True)
        if stop - start >= least
    ]


def _area(rect: Rect) -> int:
    return (rect[2] - rect[0]) * (rect[3] - rect[1])
