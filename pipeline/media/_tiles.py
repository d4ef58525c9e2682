"""The compiled loops behind tiles: a few weighted pixels for each of 64 x 64 points.

A point's weights are a triangle of a handful of pixels, so that sums over these alone cost a
fraction of products with matrices that are zero for the most part.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.kernels import compiled

TILE = 64
FOUR = 4
_WHOLE = np.float32(3 << 22)
"""Added to a small float32 and taken away again, it leaves the nearest whole number."""


@compiled
def reach(start: Any, stop: Any, zoom: Any) -> Any:
    """Of how many pixels a point between start and stop is at most."""
    length = stop - start
    pixels = max(np.rint(length * zoom), 1.0)
    window = (np.int64(pixels) + 127) // 128
    return np.int64(np.ceil(2 * max(window * (length / pixels), 0.75))) + 1


@compiled
def triangles(start: Any, stop: Any, zoom: Any, first: Any, weights: Any) -> None:
    """Triangle weights (64, reach or more) that sample 64 points between start and stop.

    Points and triangles lie as PDQ's do in as many pixels as the part has in the upload: a point is
    a pixel's middle, and boxes of an even width reach half a pixel further after than before. The
    triangle is cut at the box's own edges and made to sum to one, as PDQ's boxes are.
    """
    length = stop - start
    pixels = max(np.rint(length * zoom), 1.0)
    window = (np.int64(pixels) + 127) // 128
    half = max(window * (length / pixels), 0.75)
    shift = 1.0 if window % 2 == 0 else 0.0
    reach = weights.shape[1]
    gathered = np.empty(reach, np.float64)
    for point in range(TILE):
        at = np.floor((point + 0.5) * (pixels / TILE)) + 0.5 + shift
        centre = start + at * (length / pixels)
        low = np.floor(centre - half)
        first[point] = np.int64(low)
        before, total = 0.0, 0.0
        for step in range(reach + 1):
            along = (min(max(low + step, start), stop) - centre) / half
            along = min(max(along, -1.0), 1.0)
            along *= 1 - 0.5 * abs(along)
            if step:
                gathered[step - 1] = along - before
                total += along - before
            before = along
        total = max(total, 1e-12)
        for step in range(reach):
            weights[point, step] = gathered[step] / total


@compiled
def weighed(boxes: Any, zooms: Any) -> Any:
    """The first pixel of each point int64 (n, 2, 64), across and down, and the weights from there.

    Of parts that lie within left, top, right, bottom; ``zooms`` (n, 2) is how many of the upload's
    pixels one of the plane's stands for, across and down. Weights float32 (n, 2, 64, 4, 8...).
    """
    most = 1
    for part in range(len(boxes)):
        for axis in range(2):
            start, stop = boxes[part, axis], boxes[part, axis + 2]
            most = max(most, reach(start, stop, zooms[part, axis]))
    first = np.empty((len(boxes), 2, TILE), np.int64)
    most = (most + FOUR - 1) // FOUR * FOUR
    weights = np.zeros((len(boxes), 2, TILE, most), np.float32)
    for part in range(len(boxes)):
        for axis in range(2):
            start, stop = boxes[part, axis], boxes[part, axis + 2]
            own = weights[part, axis, :, : reach(start, stop, zooms[part, axis])]
            triangles(start, stop, zooms[part, axis], first[part, axis], own)
    return first, weights


@compiled
def between(at: Any, size: Any) -> Any:
    """Four places from one on, each within so many."""
    last = size - 1
    return (
        min(max(at, 0), last),
        min(max(at + 1, 0), last),
        min(max(at + 2, 0), last),
        min(max(at + 3, 0), last),
    )


@compiled
def column(turned: Any, at: Any, weights: Any, found: Any) -> None:
    """A weighted sum of rows of 64 from ``at`` on; those past either edge have no weight."""
    found[:] = 0
    # Four together cost little more than one: most of the time goes into reading the sums.
    for step in range(0, len(weights), FOUR):
        a, b, c, d = between(at + step, len(turned))
        first, second = weights[step], weights[step + 1]
        third, fourth = weights[step + 2], weights[step + 3]
        for y in range(TILE):
            level = found[y] + first * turned[a, y] + second * turned[b, y]
            found[y] = level + third * turned[c, y] + fourth * turned[d, y]


@compiled
def sampled(planes: Any, chosen: Any, first: Any, weights: Any, found: Any) -> None:
    """Parts of planes (m, height, width) as tiles, into uint8 (n, 64, 64).

    Part i lies in plane ``chosen[i]``; ``first`` and ``weights`` are as ``weighed`` gives them.
    """
    height, width = planes.shape[1:]
    most = weights.shape[3]
    lines = np.empty((TILE, width), np.float32)
    turned = np.empty((width, TILE), np.float32)
    columns = np.empty((TILE, TILE), np.float32)
    for part in range(len(first)):
        plane = planes[chosen[part]]
        across, down = first[part]
        low = max(across[0], 0)
        high = min(across[TILE - 1] + most, width)
        for y in range(TILE):
            line = lines[y, low:high]
            line[:] = 0
            for step in range(most):
                at = down[y] + step
                weight = weights[part, 1, y, step]
                # Pixels past either edge of the plane have no weight: the box is inside it.
                if weight != 0 and 0 <= at < height:
                    pixels = plane[at, low:high]
                    for x in range(high - low):
                        line[x] += weight * pixels[x]
        for x in range(low, high):
            for y in range(TILE):
                turned[x, y] = lines[y, x]
        for x in range(TILE):
            column(turned, across[x], weights[part, 0, x], columns[x])
        for y in range(TILE):
            here = found[part, y]
            for x in range(TILE):
                level = (columns[x, y] + _WHOLE) - _WHOLE
                here[x] = np.uint8(min(max(level, np.float32(0)), np.float32(255)))
