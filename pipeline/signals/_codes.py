"""The compiled loops behind codes of uploads: bits in all eight ways, and how much a grid says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pipeline.kernels import compiled

_HUNDRED, _WHITE = np.float32(100), np.float32(255)


def _eight_codes(mirrored: Any, medians: Any, codes: Any) -> None:
    """Codes uint8 (n, 8, 32), zeros before, in the order of ``Turn``; the last bit first.

    ``mirrored`` (n, 4, 16, 16) are coefficients of a picture as it is, mirrored, upside down and
    both, ``medians`` (n, 4) theirs. Each stands for itself and, transposed, for another turn.
    """
    for row in range(len(mirrored)):
        for way in range(4):
            itself = 0 if way == 0 else 5 if way == 1 else 4 if way == 2 else 2
            turned = 6 if way == 0 else 1 if way == 1 else 3 if way == 2 else 7
            median = medians[row, way]
            plain, other = codes[row, itself], codes[row, turned]
            for y in range(16):
                for x in range(16):
                    bit = np.uint8(mirrored[row, way, y, x] > median)
                    plain[31 - (2 * y + x // 8)] |= bit << np.uint8(x % 8)
                    other[31 - (2 * x + y // 8)] |= bit << np.uint8(y % 8)


def _steps(grids: Any, totals: Any) -> None:
    """Steps between neighbours of grids float32 (n, 64, 64), each in whole percents, summed."""
    for row in range(len(grids)):
        total = np.float32(0)
        for y in range(grids.shape[1]):
            here = grids[row, y]
            part = np.int64(0)
            for x in range(grids.shape[2] - 1):
                part += np.int32(abs((here[x] - here[x + 1]) * _HUNDRED / _WHITE))
            if y + 1 < grids.shape[1]:
                below = grids[row, y + 1]
                for x in range(grids.shape[2]):
                    part += np.int32(abs((here[x] - below[x]) * _HUNDRED / _WHITE))
            total += np.float32(part)
        totals[row] = total


eight_codes: Callable[..., None] = compiled(_eight_codes)
steps: Callable[..., None] = compiled(_steps)
