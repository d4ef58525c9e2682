"""A sharp picture on a blurred ground: the fill that phones put beside upright pictures."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.media._trims import Rect, line_means

_STEP = 6
_BLURRED = 0.015
"""A line with fewer jumps than this share of its length is blurred, or plain."""
_LEAST = 0.04
_SNAP = 4


def sharp_part(grey: NDArray[np.uint8]) -> list[Rect]:
    """What lies between blurred bars above and below, or left and right; empty without bars."""
    height, width = grey.shape
    across = _jumps(grey[:, 1:], grey[:, :-1])
    down = _jumps(grey[1:], grey[:-1])
    found: list[Rect] = []
    rows = _between(line_means(across, 1) / 255, line_means(down, 1) / 255)
    if rows is not None:
        found.append((0, rows[0], width, rows[1]))
    columns = _between(line_means(down, 0) / 255, line_means(across, 0) / 255)
    if columns is not None:
        found.append((columns[0], 0, columns[1], height))
    return found


def _between(detail: NDArray[np.floating], edge: NDArray[np.floating]) -> tuple[int, int] | None:
    """Where lines with detail start and stop, moved to the strongest edge close by."""
    sharp = np.flatnonzero(detail > _BLURRED)
    size = len(detail)
    if not len(sharp):
        return None
    start, stop = _snapped(edge, int(sharp[0])), _snapped(edge, int(sharp[-1]) + 1)
    if start < _LEAST * size or size - stop < _LEAST * size or stop - start < 0.2 * size:
        return None
    return start, stop


def _snapped(edge: NDArray[np.floating], at: int) -> int:
    """The line just after the strongest of the edges within a few lines."""
    low = max(0, at - _SNAP)
    near = edge[low : at + _SNAP]
    return low + int(np.argmax(near)) + 1 if len(near) else at


def _jumps(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.uint8]:
    _, jumps = cv2.threshold(cv2.absdiff(one, other), _STEP, 255, cv2.THRESH_BINARY)
    return np.asarray(jumps, dtype=np.uint8)
