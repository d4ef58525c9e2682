"""How many neighbours differ on each line of a picture: counted once for all that ask."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]

_DRAWN = 0.6
"""The share of flat pixels from which a picture is taken for drawn: nobody levels the horizon of
one, and its few figures look like those of another from many sides."""


@dataclass(frozen=True, slots=True, eq=False)
class Jumps:
    """Jumps between neighbours on upright lines, int64 (3, width), and level ones (3, height).

    A row each: large jumps across the line, some jumps across it, and some along it. A jump across
    lies between a line and the next, so that the last has none.
    """

    upright: Counts = field(repr=False)
    level: Counts = field(repr=False)
    same: int
    """How many pixels are exactly like those above and to the left."""

    @property
    def width(self) -> int:
        """Width in pixels."""
        return int(self.upright.shape[1])

    @property
    def height(self) -> int:
        """Height in pixels."""
        return int(self.level.shape[1])

    @property
    def drawn(self) -> bool:
        """Whether most pixels are exactly like those beside them: a page, a mark, a diagram.

        Of seventeen photographs 25% are at most, of marks, pages and codes of squares 70% at least.
        """
        return self.same > _DRAWN * (self.width - 1) * (self.height - 1)


def jumps_of(grey: NDArray[np.uint8]) -> Jumps:
    """The jumps of a plane (height, width)."""
    # Numba takes half a second to load: only who looks at pictures waits for it.
    from pipeline.media._steps import counted

    height, width = grey.shape
    upright, level = np.empty((3, width), np.int64), np.empty((3, height), np.int64)
    return Jumps(upright, level, counted(grey, upright, level))
