"""The compiled loops behind parts that are only turned: a blur a size, and one point a pixel."""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.kernels import compiled

TILE = 64
_HALF, _QUARTER = np.float32(0.5), np.float32(0.25)
_ZERO, _NEXT = np.float32(0), np.uint32(1)


@compiled
def halved(plane: Any, found: Any) -> None:
    """Means of 2 x 2 pixels; a last odd line is left off."""
    for y in range(len(found)):
        one, other, here = plane[2 * y], plane[2 * y + 1], found[y]
        for x in range(len(here)):
            above, below = one[2 * x] + one[2 * x + 1], other[2 * x] + other[2 * x + 1]
            here[x] = (above + below) * _QUARTER


@compiled
def added(line: Any, pixels: Any, weight: Any) -> None:
    for x in range(len(line)):
        line[x] += pixels[x] * weight


@compiled
def blurred(plane: Any, across: Any, down: Any, found: Any) -> None:
    """Weighted means of an odd number of pixels around each, across and down.

    Beyond the rim its pixels go on.
    """
    height, width = plane.shape
    wide, tall = len(across) // 2, len(down) // 2
    line = np.empty(width + 2 * wide, np.float32)
    for y in range(height):
        inner = line[wide : wide + width]
        inner[:] = 0
        for step in range(len(down)):
            added(inner, plane[min(max(y + step - tall, 0), height - 1)], down[step])
        line[:wide] = inner[0]
        line[wide + width :] = inner[width - 1]
        here = found[y]
        here[:] = 0
        for step in range(len(across)):
            added(here, line[step : step + width], across[step])


@compiled
def places(across: Any, down: Any, size: Any, first: Any, beside: Any, below: Any) -> None:
    """Of a tile's line of points the pixel before each, and by how much it is past its middle.

    Points are ``across`` (2, 64) and ``down`` (2,) together; those beyond the rim lie on it.
    """
    width, height = size
    last_x, last_y = np.float32(width - 1), np.float32(height - 1)
    # Comparisons that are written out become vectors; ``min`` and ``max`` would not.
    for point in range(TILE):
        x, y = down[0] + across[0, point], down[1] + across[1, point]
        x = x if x > _ZERO else _ZERO
        x = x if x < last_x else last_x
        y = y if y > _ZERO else _ZERO
        y = y if y < last_y else last_y
        left, top = np.int32(x), np.int32(y)
        first[point] = np.uint32(top * width + left)
        beside[point], below[point] = x - np.float32(left), y - np.float32(top)


@compiled
def levels(flat: Any, width: Any, first: Any, beside: Any, below: Any, found: Any) -> None:
    """Between each pixel of a plane, the one after it, and those below."""
    for point in range(TILE):
        at = first[point]
        under = at + width
        upper = flat[at] + (flat[at + _NEXT] - flat[at]) * beside[point]
        lower = flat[under] + (flat[under + _NEXT] - flat[under]) * beside[point]
        found[point] = upper + (lower - upper) * below[point]


@compiled
def whole(levels: Any, found: Any) -> None:
    for point in range(TILE):
        found[point] = np.uint8(np.int32(levels[point] + _HALF))


@compiled
def drawn(luma: Any, points: Any, weights: Any, found: Any) -> None:
    """Turned parts of a plane as tiles, into uint8 (n, 64, 64), from the plane at half its size.

    Point (x, y) of part i is at ``points[i, :2, x] + points[i, 2:, y]`` of that, counted from the
    middle of its first pixel. ``weights`` (n, 2, odd) blur it first, across and down.
    """
    height, width = luma.shape[0] // 2, luma.shape[1] // 2
    plane = np.empty((height, width), np.float32)
    halved(luma, plane)
    # Of what lies after the last pixels nothing is taken; but it is read.
    flat = np.zeros((height + 1) * width + 1, np.float32)
    soft = flat[: height * width].reshape(height, width)
    first = np.empty(TILE, np.uint32)
    beside, below = np.empty(TILE, np.float32), np.empty(TILE, np.float32)
    line = np.empty(TILE, np.float32)
    size = (np.int32(width), np.int32(height))
    for part in range(len(found)):
        if part == 0 or (weights[part] != weights[part - 1]).any():
            blurred(plane, weights[part, 0], weights[part, 1], soft)
        for y in range(TILE):
            places(points[part, :2], points[part, 2:, y], size, first, beside, below)
            levels(flat, np.uint32(width), first, beside, below, line)
            whole(line, found[part, y])
