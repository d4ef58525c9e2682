"""Seams across a whole picture: collages without gaps, two pictures side by side."""

from __future__ import annotations

from itertools import pairwise

from pipeline.media._jumps import Jumps
from pipeline.media._trims import Rect


def seams(jumps: Jumps, most: int = 8) -> list[Rect]:
    """The cells between seams, then whole columns and rows of cells; empty without a seam."""
    # Numba takes half a second to load: only who looks at pictures waits for it.
    from pipeline.media._steps import peaks

    width, height = jumps.width, jumps.height
    upright, level = peaks(jumps.upright[0, :-1], height), peaks(jumps.level[0, :-1], width)
    across = [0, *sorted((upright + 1).tolist()), width]
    down = [0, *sorted((level + 1).tolist()), height]
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
