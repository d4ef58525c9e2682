"""Rectangles bounded by long straight edges: a picture in a picture, a screen in a screenshot.

A border is a straight line along which neighbouring pixels differ by more than they do on the
lines beside it. The difference alone says nothing: gravel and grass differ everywhere.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.media._trims import Rect

_LEAST_SIDE = 0.15
_RIM = 0.6
"""What a side is worth that is only the picture's own rim: every rectangle that reaches it has it.
"""
_ODD_CORNER = 0.85
"""What each corner is worth that a side does not end at."""


def rectangles(grey: NDArray[np.uint8], most: int = 4) -> list[Rect]:
    """The best-supported rectangles, each overlapping the others by less than three quarters."""
    kept: list[Rect] = []
    for rect in _best(grey):
        if all(overlap(rect, other) < 0.75 for other in kept):
            kept.append(rect)
        if len(kept) == most:
            break
    return kept


def _best(grey: NDArray[np.uint8]) -> list[Rect]:
    """Rectangles with all four sides supported, best first. Large ones are preferred a little."""
    # Numba takes half a second to load: only who looks at pictures waits for it.
    from pipeline.media._edges import supported

    height, width = grey.shape
    level, down = _lines(np.asarray(cv2.transpose(grey), np.uint8), width)
    upright, across = _lines(grey, height)
    rects, weakest, counts = supported(level, down, upright, across, _LEAST_SIDE)
    rims, odd = counts.T
    share = (rects[:, 2] - rects[:, 0]) * (rects[:, 3] - rects[:, 1]) / (width * height)
    support = np.sqrt(np.minimum(weakest, 16.0))
    score = support * share**0.25 * _RIM**rims * _ODD_CORNER**odd * (share < 0.97)
    order = np.argsort(-score, kind="stable")[:24]
    return [
        (left, top, right, bottom)
        for (left, top, right, bottom), worth in zip(
            rects[order].tolist(), score[order].tolist(), strict=True
        )
        if worth > 0
    ]


def _lines(grey: NDArray[np.uint8], across: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Sums along a plane's upright lines, and which of these to look at."""
    from pipeline.media._edges import ALONG, chosen, summed

    height, width = grey.shape
    sums = np.empty((height // ALONG + 1, width + 1), np.float32)
    best = np.empty(width + 1, np.float32)
    summed(grey, sums, best)
    return sums, chosen(best, across)


def overlap(first: Rect, second: Rect) -> float:
    """Intersection over union of two rectangles, 0 to 1."""
    across = max(0, min(first[2], second[2]) - max(first[0], second[0]))
    down = max(0, min(first[3], second[3]) - max(first[1], second[1]))
    shared = across * down
    areas = sum((rect[2] - rect[0]) * (rect[3] - rect[1]) for rect in (first, second))
    return shared / max(1, areas - shared)
