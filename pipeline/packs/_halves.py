"""A picture at half, a quarter, an eighth of its size, each made once and when first asked for.

Averaging two by two pixels is many times faster than averaging areas of any other size. Whoever
needs a picture at some size takes the next larger of these and interpolates: between half and all
of a size, bilinear sampling skips no pixel.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]


class Halves:
    """A picture and its halves."""

    def __init__(self, picture: Pixels) -> None:
        self._pictures = [picture]

    @property
    def whole(self) -> Pixels:
        """The picture itself."""
        return self._pictures[0]

    def shrunk(self, factor: float) -> tuple[Pixels, int]:
        """The smallest one shrunk no more than ``factor``, and by how much it is shrunk."""
        step = 0
        while 2 << step <= factor and self._has_half(step):
            step += 1
        return self._pictures[step], 1 << step

    def _has_half(self, step: int) -> bool:
        if step + 1 < len(self._pictures):
            return True
        picture = self._pictures[step]
        height, width = picture.shape[0] // 2, picture.shape[1] // 2
        if not height or not width:
            return False
        # An odd last row or column is left out: it would turn averaging into interpolation.
        even = picture[: 2 * height, : 2 * width]
        half = cv2.resize(even, (width, height), interpolation=cv2.INTER_AREA)
        self._pictures.append(np.asarray(half, np.uint8))
        return True


def resized(halves: Halves, scale: float) -> Pixels:
    """The picture at ``scale`` (at most 1) of its size."""
    height, width = halves.whole.shape[:2]
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    source, _ = halves.shrunk(1 / scale)
    if source.shape[1::-1] == size:
        return source
    return np.asarray(cv2.resize(source, size, interpolation=cv2.INTER_LINEAR), np.uint8)
