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
    """Up to three lines where most neighbours jump, away from the rim and from one another."""
    size = len(strength)
    threshold = max(0.5, 2.2 * float(np.median(strength)))
    kept: list[int] = []
    for at in np.argsort(-strength, kind="stable")[:40]:
        if strength[at] < threshold or len(kept) == _MOST:
            break
        inside = 0.12 * size <= at <= 0.88 * size
        if inside and all(abs(int(at) - other) > 0.06 * size for other in kept):
            kept.append(int(at))
    return sorted(kept)
