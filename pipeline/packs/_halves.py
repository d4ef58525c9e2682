"""A picture at half, a quarter, an eighth of its size, each made once and when first asked for.

Averaging two by two pixels is many times faster than averaging areas of any other size. Whoever
needs a picture at some size takes the next larger of these and interpolates: between half and all
of a size, bilinear sampling skips no pixel. A part of a picture has a part of the picture's half,
so that tiles that overlap share it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

GRID = 2
"""Parts begin at multiples of so many pixels: a part's half is a part of the picture's."""


@dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """A part of ``picture`` (rows, columns, 3; contiguous), from ``left`` and ``top`` on."""

    picture: Pixels = field(repr=False)
    left: int
    top: int
    width: int
    height: int

    @property
    def pixels(self) -> Pixels:
        """The part itself."""
        return self.picture[self.top : self.top + self.height, self.left : self.left + self.width]

    def part(self, left: int, top: int, right: int, bottom: int) -> Stretch:
        """A part of the part."""
        return Stretch(self.picture, self.left + left, self.top + top, right - left, bottom - top)


class Halves:
    """A picture or a part of one, and its halves."""

    def __init__(self, picture: Pixels) -> None:
        height, width = picture.shape[:2]
        self._stretches = [Stretch(np.ascontiguousarray(picture), 0, 0, width, height)]

    @property
    def there(self) -> Stretch:
        """Where the picture itself lies."""
        return self._stretches[0]

    @property
    def whole(self) -> Pixels:
        """The picture itself."""
        return self.there.pixels

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.there.width, self.there.height

    def part(self, left: int, top: int, right: int, bottom: int) -> Halves:
        """A part whose left and top are multiples of ``GRID``."""
        assert left % GRID == top % GRID == 0
        edges = (left, top, right, bottom)
        shared = self._stretches[: 1 + self._has_half(0)]
        return _of([one.part(*(edge >> step for edge in edges)) for step, one in enumerate(shared)])

    def resized(self, scale: float) -> Halves:
        """The picture at ``scale`` (at most 1) of its size; a half of it is not made twice."""
        width, height = self.size
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        source, factor = self.shrunk(1 / scale)
        if (source.width, source.height) == size:
            return _of(self._stretches[factor.bit_length() - 1 :])
        small = cv2.resize(source.pixels, size, interpolation=cv2.INTER_LINEAR)
        return Halves(np.asarray(small, np.uint8))

    def shrunk(self, factor: float) -> tuple[Stretch, int]:
        """The smallest one shrunk no more than ``factor``, and by how much it is shrunk."""
        step = 0
        while 2 << step <= factor and self._has_half(step):
            step += 1
        return self._stretches[step], 1 << step

    def _has_half(self, step: int) -> bool:
        if step + 1 < len(self._stretches):
            return True
        last = self._stretches[step]
        height, width = last.height // 2, last.width // 2
        if not height or not width:
            return False
        # An odd last row or column is left out: it would turn averaging into interpolation.
        even = last.pixels[: 2 * height, : 2 * width]
        half = cv2.resize(even, (width, height), interpolation=cv2.INTER_AREA)
        self._stretches.append(Stretch(np.asarray(half, np.uint8), 0, 0, width, height))
        return True


def _of(stretches: list[Stretch]) -> Halves:
    one = Halves.__new__(Halves)
    one._stretches = stretches
    return one
