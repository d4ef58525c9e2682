"""Area means in whole numbers: a large picture made smaller, the same on every machine.

Along one axis, let ``n`` pixels become ``m``. Measured in units of 1/m of a pixel, input pixel
``i`` covers [i*m, (i+1)*m) and output pixel ``j`` covers [j*n, (j+1)*n). A pixel's weight is the
length of the overlap, a whole number. The output is the weighted sum over both axes, divided by
(n_x * n_y) and rounded half up, for each of red, green and blue. No sum exceeds
255 * n_x * n_y < 2**53, so a browser gets the same bytes from plain numbers.

Pictures of more than 16,000,000 pixels are hashed from 2048 pixels on the longer side, a registered
picture's crops too: they are cut from what was made smaller, so that a phone can do the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

FULL_RESOLUTION_PIXELS = 16_000_000
LONGER_SIDE = 2048
_BLOCK = 16


def reduce(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The pixels that are hashed: all up to 16 megapixels, 2048 on the longer side above.

    Colour (height, width, 3), or a plane that is grey already (height, width).
    """
    height, width = rgb.shape[:2]
    if height * width <= FULL_RESOLUTION_PIXELS:
        return rgb
    if rgb.ndim == 2:
        return shrink(np.repeat(rgb[..., None], 3, axis=2), LONGER_SIDE)[..., 0]
    return shrink(rgb, LONGER_SIDE)


def reduced_size(width: int, height: int) -> tuple[int, int]:
    """The width and height of what ``reduce`` makes of a picture of this size."""
    most = max(width, height)
    if width * height <= FULL_RESOLUTION_PIXELS or most <= LONGER_SIDE:
        return width, height
    width, height = (max(1, (2 * n * LONGER_SIDE + most) // (2 * most)) for n in (width, height))
    return width, height


def span(length: int, whole: int) -> float:
    """How many pixels long a side of a sketch really is, that has ``length`` of them.

    Each pixel is the mean of as many of the ``whole`` picture's, but for the last, which is of
    those that are left.
    """
    factor = round(whole / length)
    return whole / factor if -(-whole // factor) == length else float(length)


def shrink(rgb: NDArray[np.uint8], longer: int) -> NDArray[np.uint8]:
    """``rgb`` with its longer side made ``longer`` and the other in proportion (half up, least 1).

    Pictures that are no larger come back as they are. Sides up to 65,793 pixels stay exact.
    """
    height, width = rgb.shape[:2]
    most = max(height, width)
    if most <= longer:
        return rgb
    new_height, new_width = (max(1, (2 * n * longer + most) // (2 * most)) for n in (height, width))
    out = np.empty((new_height, new_width, 3), np.uint8)
    area = height * width
    columns = [(first, *_overlap(width, new_width, first)) for first in range(0, new_width, _BLOCK)]
    for top in range(0, new_height, _BLOCK):
        low, high, weights = _overlap(height, new_height, top)
        lines = rgb[low:high].reshape(high - low, width * 3).astype(np.float32)
        # Whole numbers up to 255 * height < 2**24: exact in float32, whatever the order.
        across = (weights.astype(np.float32) @ lines).astype(np.float64)
        across = across.reshape(len(weights), width, 3).transpose(1, 0, 2).reshape(width, -1)
        for first, left, right, share in columns:
            total = (share @ across[left:right]).reshape(len(share), len(weights), 3)
            mean = (2 * total.astype(np.int64) + area) // (2 * area)
            out[top : top + len(weights), first : first + len(share)] = mean.transpose(1, 0, 2)
    return out


def _overlap(old: int, new: int, first: int) -> tuple[int, int, NDArray[Any]]:
    """Weights of ``_BLOCK`` outputs from ``first`` on, over the inputs ``low`` up to ``high``."""
    outputs = np.arange(first, min(first + _BLOCK, new))
    low = int(outputs[0]) * old // new
    high = -(-(int(outputs[-1]) + 1) * old // new)
    inputs = np.arange(low, high)
    start = np.maximum(outputs[:, None] * old, inputs * new)
    end = np.minimum((outputs[:, None] + 1) * old, (inputs + 1) * new)
    return low, high, np.maximum(end - start, 0).astype(np.float64)
