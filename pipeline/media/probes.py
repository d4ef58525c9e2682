"""The second look: registered crops cut out of an upload, where a first hit says they must lie.

A hit between the near and the wide radius is a guess that the registered picture lies in the
upload in a certain way. If it does, other registered crops lie in their places, too: cut out
and hashed, they are near the codes of their slots; of strangers they are not. That uses only codes
that are kept anyway.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from pipeline.domain.alignment import (
    Placement,
    Region,
    inside,
    overlap,
    placement_of,
    region_corners,
)
from pipeline.domain.media import Frame, View
from pipeline.media._planes import WORKING_SIDE, quad_tiles, working_copy

_SLACK = 0.02
_ALIKE = 0.8
"""Two regions that overlap by more than this say nearly the same; only one of them is asked.

Lower would be more independent, but a guess is a little off, and small regions forgive less: at
0.6 a tenth fewer true copies are confirmed, and neither value confirmed a stranger."""


def probes(
    frame: Frame, view: View, slot: int, regions: Mapping[int, Region], most: int = 16
) -> tuple[tuple[int, ...], tuple[Frame, ...]]:
    """Slots that should be seen too if ``view`` shows the crop of ``slot``, and what is there.

    The frames lie as the registered picture lies and are grey, 64x64: compute their codes as
    on the registered side and compare each with the stored code of its slot. Both are empty
    where no other crop lies inside the upload.
    """
    placement = placement_of(view, regions[slot])
    slots = _witnesses(placement, slot, regions, most)
    return slots, cut(frame, placement, [regions[at] for at in slots])


def cut(
    frame: Frame, placement: Placement, regions: Sequence[Region], side: int = WORKING_SIDE
) -> tuple[Frame, ...]:
    """Regions of the registered picture cut out of the upload, as grey 64x64 frames."""
    if not regions:
        return ()
    copy = working_copy(frame.rgb, side, frame.of)
    size = np.array([copy.width, copy.height])
    corners = [region_corners(placement, region) for region in regions]
    quads = [(np.array(found) * size).astype(np.float32) for found in corners]
    return tuple(
        Frame(np.repeat(tile[..., None], 3, axis=2), frame.time, View("where it should be", found))
        for tile, found in zip(quad_tiles(copy, quads), corners, strict=True)
    )


def largest_inside(
    placement: Placement, regions: Mapping[int, Region], most: int = 3
) -> tuple[int, ...]:
    """The slots of the largest registered crops that lie wholly inside the upload."""
    largest = sorted(regions, key=lambda slot: -_area(regions[slot]))
    found = (slot for slot in largest if _seen(placement, regions[slot]))
    return tuple(slot for slot, _ in zip(found, range(most), strict=False))


def _witnesses(
    placement: Placement, slot: int, regions: Mapping[int, Region], most: int
) -> tuple[int, ...]:
    """Slots inside the upload that overlap little with the hit's and with one another."""
    kept: list[int] = []
    for other in sorted(regions, key=lambda at: -_area(regions[at])):
        if len(kept) == most:
            break
        alike = (overlap(regions[other], regions[at]) for at in (slot, *kept))
        if max(alike) <= _ALIKE and _seen(placement, regions[other]):
            kept.append(other)
    return tuple(kept)


def _seen(placement: Placement, region: Region) -> bool:
    return inside(region_corners(placement, region), _SLACK)


def _area(region: Region) -> float:
    return (region[2] - region[0]) * (region[3] - region[1])
