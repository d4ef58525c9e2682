"""Hash-guided refinement: which of many doubtful candidates are worth a second look first.

A candidate's view shows a registered crop nearly, a few hundredths of its side off at some edge.
Moving the four edges step by step so that the distance to the stored code falls makes true copies
collapse to a few bits, and strangers hardly move. Some strangers collapse, too (ten times as many
uploads have a false hit by it): so what comes out is an order and nothing else. No distance that
was found by moving is ever compared with a threshold.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.domain.alignment import Region, placement_of, region_corners
from pipeline.domain.media import Frame, View
from pipeline.media._planes import Box, Zoom, sides, straightened, tiles, working_copy

STEPS = (0.06, 0.03, 0.015)
"""How far an edge moves at a time, as shares of the crop's side."""

_MARGIN = 0.25
_PLANE = 192
_CROP: Box = (_PLANE / 6, _PLANE / 6, _PLANE * 5 / 6, _PLANE * 5 / 6)
"""Where the crop lies in the plane: a margin of a quarter of its side is a sixth of the plane."""

_ROUNDS = 4
_ENOUGH = 16
_MOVES = (
    *(tuple(way if at == edge else 0 for at in range(4)) for edge in range(4) for way in (1, -1)),
    (1, 1, -1, -1),
    (-1, -1, 1, 1),
)
"""Each edge by itself, in and out, and all four at once."""

Distances = Callable[[Sequence[Frame]], Sequence[int]]
"""Hashes frames as the registered side is hashed; how far each is from one stored code, in bits."""


class Refiner:
    """Refines any number of candidates of one upload."""

    def __init__(self, frame: Frame) -> None:
        self._copy = working_copy(frame.rgb, of=frame.of)

    def nearest(self, view: View, region: Region, distances: Distances, start: int) -> int:
        """The least distance to the code of ``region`` that moving the view's edges comes to.

        ``start`` is the view's own distance. At most 120 crops are hashed, in batches of ten.
        """
        if start <= _ENOUGH:
            return start
        plane, zoom = self._around(view, region)
        best, kept = start, _CROP
        for step in STEPS:
            for _ in range(_ROUNDS):
                moved = [_moved(kept, move, step) for move in _MOVES]
                found = distances(
                    [
                        Frame(np.repeat(tile[..., None], 3, axis=2))
                        for tile in tiles(plane, moved, zoom)
                    ]
                )
                at = int(np.argmin(found))
                if found[at] >= best:
                    break
                best, kept = int(found[at]), moved[at]
                if best <= _ENOUGH:
                    return best
        return best

    def _around(self, view: View, region: Region) -> tuple[NDArray[np.float32], Zoom]:
        """The crop as it was registered, upright, with room on all sides for its edges to move."""
        left, top, right, bottom = region
        across, down = (right - left) * _MARGIN, (bottom - top) * _MARGIN
        wider = (left - across, top - down, right + across, bottom + down)
        corners = np.array(region_corners(placement_of(view, region), wider))
        quad = (corners * (self._copy.width, self._copy.height)).astype(np.float32)
        wide, tall = sides(quad * np.array(self._copy.zoom, np.float32))
        plane = straightened(self._copy.luma, quad, _PLANE, _PLANE)
        return plane, (wide / _PLANE, tall / _PLANE)


def _moved(box: Box, move: tuple[int, ...], step: float) -> Box:
    """A crop with its edges moved, within the plane; small crops keep half of their size."""
    by = step * (_CROP[2] - _CROP[0])
    left, top, right, bottom = (
        min(max(edge + way * by, 0.0), float(_PLANE)) for edge, way in zip(box, move, strict=True)
    )
    return (left, top, max(right, left + _PLANE / 4), max(bottom, top + _PLANE / 4))
