"""The compiled loops behind grounds: the colour of a picture's rim, and of its corners."""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.kernels import compiled

_CORNER = 6
"""Pixels of a corner's side."""
_APART = 30
"""How far a corner's channel may be from the ground's."""


@compiled
def rim(rgb: Any) -> Any:
    """The commonest colour of the outermost pixels, and the share of them that have it.

    In steps of 8 grey levels; the darkest of several that are as common.
    """
    height, width = rgb.shape[:2]
    codes = np.empty(2 * (width + height), np.int64)
    counts = np.zeros(1 << 15, np.int32)
    for at in range(len(codes)):
        if at < 2 * width:
            y, x = (0, at) if at < width else (height - 1, at - width)
        else:
            down = at - 2 * width
            y, x = (down, 0) if down < height else (down - height, width - 1)
        red, green, blue = rgb[y, x]
        codes[at] = (np.int64(red) >> 3 << 10) | (np.int64(green) >> 3 << 5) | np.int64(blue) >> 3
        counts[codes[at]] += 1
    best = codes[0]
    for code in codes:
        if counts[code] > counts[best] or (counts[code] == counts[best] and code < best):
            best = code
    return best, counts[best] / len(codes)


@compiled
def corners(rgb: Any, ground: Any) -> Any:
    """Whether the four corners are of one colour; the median is put in ``ground`` float64 (3,)."""
    height, width = rgb.shape[:2]
    tall, wide = min(_CORNER, height), min(_CORNER, width)
    pixels = tall * wide
    alike = True
    for channel in range(3):
        total, least, most = 0, 255 * pixels, 0
        for corner in range(4):
            top = 0 if corner < 2 else height - tall
            left = 0 if corner % 2 == 0 else width - wide
            own: Any = 0
            for y in range(top, top + tall):
                for x in range(left, left + wide):
                    own += np.int64(rgb[y, x, channel])
            total += own
            least, most = min(least, own), max(most, own)
        middle = (total - least - most) / 2
        ground[channel] = middle / pixels
        alike = alike and max(middle - least, most - middle) <= _APART * pixels
    return alike
