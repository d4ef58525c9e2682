"""The compiled loops behind an upload's codes: sums, coefficients, bits in all eight ways.

A picture laid in eight ways has its grid mirrored along either axis or both, and each of the four
once more with rows and columns exchanged. A mirrored grid's coefficients are those of the grid with
other signs; a whole picture's mirrored grids are others, because PDQ's points lie askew.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from pipeline.kernels import compiled

_HUNDRED, _WHITE, _NOTHING = np.float32(100), np.float32(255), np.float32(0)
_SIDE, _LOW = 64, 16
_LAST = np.int32(0x7FFFFFFF)
_ONE, _NONE = np.uint16(1), np.uint16(0)


@compiled
def steps(grids: Any, totals: Any) -> None:
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


@compiled
def middle(values: Any, keys: Any) -> Any:
    """The 128th smallest of 256 float32, found bit by bit; ``keys`` int32 (256,) is scratch."""
    words = values.view(np.int32)
    for at in range(len(words)):
        word = words[at]
        keys[at] = word ^ ((word >> np.int32(31)) & _LAST)  # in the order of the numbers
    low, high = np.int64(-(1 << 31)), np.int64((1 << 31) - 1)
    while low < high:
        limit = np.int32((low + high) >> 1)
        count = np.int32(0)
        for at in range(len(keys)):
            count += np.int32(keys[at] <= limit)
        if count >= len(keys) // 2:
            high = np.int64(limit)
        else:
            low = np.int64(limit) + 1
    found = np.empty(1, np.int32)
    key = np.int32(low)
    found[0] = key ^ ((key >> np.int32(31)) & _LAST)
    return found.view(np.float32)[0]


@compiled
def write(values: Any, median: Any, itself: Any, turned: Any) -> None:
    """Codes uint8 (32,) of coefficients float32 (256,) as they are, and transposed.

    The last coefficient's bit comes first.
    """
    columns = np.zeros(_LOW, np.uint16)
    for y in range(_LOW):
        row = _NONE
        for x in range(_LOW):
            bit = np.uint16(values[_LOW * y + x] > median)
            row |= bit << np.uint16(x)
            columns[x] |= bit << np.uint16(y)
        itself[31 - 2 * y] = np.uint8(row & np.uint16(255))
        itself[30 - 2 * y] = np.uint8(row >> np.uint16(8))
    for x in range(_LOW):
        turned[31 - 2 * x] = np.uint8(columns[x] & np.uint16(255))
        turned[30 - 2 * x] = np.uint8(columns[x] >> np.uint16(8))


@compiled
def eight_codes(mirrored: Any, codes: Any) -> None:
    """Codes uint8 (n, 8, 32) in the order of ``Turn``.

    ``mirrored`` float32 (n, 4, 256) are coefficients of a picture as it is, mirrored, upside down
    and both. Each stands for itself and, transposed, for another turn.
    """
    keys = np.empty(_LOW * _LOW, np.int32)
    for row in range(len(mirrored)):
        for way in range(4):
            itself = 0 if way == 0 else 5 if way == 1 else 4 if way == 2 else 2
            other = 6 if way == 0 else 1 if way == 1 else 3 if way == 2 else 7
            values = mirrored[row, way]
            write(values, middle(values, keys), codes[row, itself], codes[row, other])


@compiled
def grids_of_tiles(planes: Any, levels: Any, grids: Any, totals: Any) -> None:
    """Grids float32 (n, 64, 64) of grey tiles uint8 (n, 64, 64), and their ``steps`` summed.

    ``levels`` float32 (256,) is the luma of each grey.
    """
    for row in range(len(planes)):
        for y in range(_SIDE):
            for x in range(_SIDE):
                grids[row, y, x] = levels[planes[row, y, x]]
    steps(grids, totals)


@compiled
def codes_of_tiles(low: Any, odd: Any, codes: Any) -> None:
    """Codes (n, 8, 32) of tiles, of whose grids ``low`` float32 (n, 16, 16) are coefficients.

    Mirrored, those of odd frequencies along an axis have the other sign; ``odd`` is the first row
    of one, 0 or 1.
    """
    mirrored = np.empty((1, 4, _LOW * _LOW), np.float32)
    for row in range(len(low)):
        for y in range(_LOW):
            for x in range(_LOW):
                value, at = low[row, y, x], _LOW * y + x
                across = -value if x % 2 == odd else value
                mirrored[0, 0, at] = value
                mirrored[0, 1, at] = across
                mirrored[0, 2, at] = -value if y % 2 == odd else value
                mirrored[0, 3, at] = -across if y % 2 == odd else across
        eight_codes(mirrored, codes[row : row + 1])


@partial(compiled, fastmath={"contract"})
def summed(
    plane: Any, down: Any, rows: Any, across: Any, columns: Any, whole: Any, sums: Any
) -> None:
    """Weighted sums of a grey plane uint8 (height, width), along both axes: (n, m).

    ``rows`` (n, reach) are the weights of the pixels from ``down`` (n,) on, ``columns`` and
    ``across`` those from left to right. Where ``whole`` is true, sums along either axis become
    whole grey levels.
    """
    width, count = plane.shape[1], len(rows)
    lines = np.empty((count, width), np.float32)
    for y in range(count):
        line = lines[y]
        line[:] = 0
        for step in range(rows.shape[1]):
            weight = rows[y, step]
            if weight != 0:  # those past the rim have none
                pixels = plane[down[y] + step]
                for x in range(width):
                    line[x] += weight * np.float32(pixels[x])
        if whole:
            for x in range(width):
                line[x] = min(max(np.rint(line[x]), _NOTHING), _WHITE)
    turned = np.empty((width, count), np.float32)
    for x in range(width):
        for y in range(count):
            turned[x, y] = lines[y, x]
    column = np.empty(count, np.float32)
    for x in range(len(columns)):
        column[:] = 0
        for step in range(columns.shape[1]):
            weight = columns[x, step]
            if weight != 0:
                pixels = turned[across[x] + step]
                for y in range(count):
                    column[y] += weight * pixels[y]
        for y in range(count):
            value = column[y]
            sums[y, x] = min(max(np.rint(value), _NOTHING), _WHITE) if whole else value
