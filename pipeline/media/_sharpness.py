"""A sharp picture on a blurred ground: the fill that phones put beside upright pictures."""

from __future__ import annotations

from pipeline.media._jumps import Jumps
from pipeline.media._trims import Rect


def sharp_part(jumps: Jumps) -> list[Rect]:
    """What lies between blurred bars above and below, or left and right; empty without bars."""
    # Numba takes half a second to load: only who looks at pictures waits for it.
    from pipeline.media._steps import between

    width, height = jumps.width, jumps.height
    found: list[Rect] = []
    start, stop = between(jumps.level[2], width - 1, jumps.level[1, :-1])
    if stop:
        found.append((0, start, width, stop))
    start, stop = between(jumps.upright[2], height - 1, jumps.upright[1, :-1])
    if stop:
        found.append((start, 0, stop, height))
    return found
