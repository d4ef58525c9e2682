"""Seams across a whole picture: collages without gaps, two pictures side by side."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.media._trims import Rect, line_means

_STEP = 10
"""A jump of this many grey levels between neighbours may be part of a seam."""
_MOST = 3


def seams(grey: NDArray[np.uint8], most: int = 8) -> list[Rect]:
    """The cells between seams, then whole columns and rows of cells; empty without a seam."""
    height, width = grey.shape
    upright = line_means(_jumps(grey[:, 1:], grey[:, :-1]), 0) / 255
    level = line_means(_jumps(grey[1:], grey[:-1]), 1) / 255
    across = [0, *(at + 1 for at in _peaks(upright)), width]
    down = [0, *(at + 1 for at in _peaks(level)), height]
    if len(across) == len(down) == 2:
        return []
    cells = [
        (left, top, right, bottom)
        for left, right in pairwise(across)
        for top, bottom in pairwise(down)
    ]
    if len(across) > 2 and len(down) > 2:
        cells += [(left, 0, right, height) for left, right in pairwise(across)]
        cells += [(0, top, width, bottom) for top, bottom in pairwise(down)]
    return cells[:most]


def _jumps(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """255 where two neighbours differ by more than ``_STEP``."""
    _, jumps = cv2.threshold(cv2.absdiff(one, other), _STEP, 255, cv2.THRESH_BINARY)
    return np.asarray(jumps, dtype=np.uint8)


def _peaks(strength: NDArray[np.floating]) -> list[int]:
    """Up to three lines that stand out from those around, away from the rim and one another.

    Equal parts are what collage makers offer: at halves and thirds a weaker seam will do.
    """
    size = len(strength)
    around = _median_around(strength)
    times = strength / np.maximum(around, 0.04)
    even = np.zeros(size, np.bool_)
    for share in (1 / 2, 1 / 3, 2 / 3):
        even[max(0, int(size * share) - 2) : int(size * share) + 2] = True
    seam = (strength >= 0.5) & (times >= 2) | even & (strength >= 0.3) & (times >= 1.4)
    seam[: int(0.12 * size)] = seam[int(0.88 * size) :] = False
    kept: list[int] = []
    order = np.argsort(around - strength, kind="stable")
    for at in map(int, order[seam[order]]):
        if all(abs(at - other) > 0.06 * size for other in kept):
            kept.append(at)
        if len(kept) == _MOST:
            break
    return sorted(kept)


def _median_around(strength: NDArray[np.floating]) -> NDArray[np.float32]:
    """The median of the 31 lines around each."""
    line = np.clip(strength * 255, 0, 255).astype(np.uint8)[None]
    median = np.asarray(cv2.medianBlur(line, 31), np.float32)[0]
    return np.asarray(median / 255, np.float32)
