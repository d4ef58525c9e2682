"""PDQ in the peer's own order of float32 operations, for pictures where the order decides a bit.

The reference (Meta's ``pdqhash``) blurs with running sums in float32, whose rounding drifts by
about 5e-4 grey levels. The sums here are added, subtracted and divided in that same order, a
whole row of pixels at a time, so every coefficient has the same 32 bits, on any machine whose
float32 follows IEEE 754 and whose reference was compiled without fused multiply-add (x86-64 is).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]

_STRIP = 256


def luma(rgb: NDArray[np.uint8]) -> Plane:
    """Grey of RGB, summed in float64 and rounded once to float32, as the Python peer does it."""
    height, width = rgb.shape[:2]
    grey = np.empty((height, width), np.float32)
    for top in range(0, height, _STRIP):
        part = rgb[top : top + _STRIP]
        grey[top : top + _STRIP] = (
            part[..., 0] * 0.299 + part[..., 1] * 0.587 + part[..., 2] * 0.114
        )
    return grey


def to64(grey: Plane, window: tuple[int, int], rows: Plane, columns: Plane) -> Plane:
    """Two box blurs along x and y, then every 64th part's middle pixel: float32 (64, 64).

    ``window`` is the box's length down and across; ``rows`` and ``columns`` are the pixels kept.
    """
    if grey.shape != (64, 64):
        down, across = window
        for _ in range(2):
            grey = np.ascontiguousarray(_box(np.ascontiguousarray(grey.T), across).T)
            grey = _box(grey, down)
    return np.ascontiguousarray(grey[np.ix_(rows, columns)])


def dct16(grid: Plane, basis: Plane) -> Plane:
    """The 16 x 16 low frequencies of one 64 x 64 grid, each sum taken in order of its index."""
    half = np.zeros((16, 64), np.float32)
    for k in range(64):
        half += basis[:, k, None] * grid[k]
    whole = np.zeros((16, 16), np.float32)
    for k in range(64):
        whole += half[:, k, None] * basis[:, k]
    return whole


def _box(lines: Plane, window: int) -> Plane:
    """Means over ``window`` lines around each line, by one running sum; narrower at the ends."""
    count = len(lines)
    before = (window + 2) // 2 - 1
    out = np.empty_like(lines)
    total = np.zeros(lines.shape[1], np.float32)
    enter = leave = size = 0
    for line in range(-before, count):
        if enter < count:
            total += lines[enter]
            enter += 1
            size += 1
        if size > window or line + before >= count:
            total -= lines[leave]
            leave += 1
            size -= 1
        if line >= 0:
            np.divide(total, np.float32(size), out=out[line])
    return out
