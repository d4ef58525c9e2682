"""One small working copy of a picture, and 64x64 tiles of any part of it.

PDQ blurs a picture with two box filters and samples 64 x 64 points; in the limit of many pixels
that is a triangle of 1/32 of the picture's side around each point. A tile applies this limit to
any rectangle with sub-pixel edges, as two small matrix products. PDQ leaves a picture of exactly
64 x 64 pixels as it is, so the hash of a tile is the hash of the part at full resolution, to
about six bits of 256, whatever the working copy's size (measured from 320 to 640 pixels; borders
are found no worse at 320 than at 448).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels of the working copy."""

Quad = NDArray[np.float32]
"""Four corners (4, 2) in pixels: a view's own top-left, top-right, bottom-right, bottom-left."""

TILE = 64
WORKING_SIDE = 320
"""The working copy has at most as many pixels as a square of this side."""


@dataclass(frozen=True, slots=True, eq=False)
class WorkingCopy:
    """A picture made small: ``rgb`` uint8 (h, w, 3), ``grey`` uint8 and ``luma`` float32 (h, w)."""

    rgb: NDArray[np.uint8] = field(repr=False)
    grey: NDArray[np.uint8] = field(repr=False)
    luma: NDArray[np.float32] = field(repr=False)

    @property
    def width(self) -> int:
        """Width in pixels."""
        return int(self.grey.shape[1])

    @property
    def height(self) -> int:
        """Height in pixels."""
        return int(self.grey.shape[0])


def working_copy(rgb: NDArray[np.uint8], side: int = WORKING_SIDE) -> WorkingCopy:
    """The picture at ``side * side`` pixels or fewer, shrunk by area; never enlarged.

    Means over whole blocks of pixels come first, because they are five times as fast as means
    over fractions; up to a block's width less one pixel is left off at the right and the bottom.
    """
    height, width = rgb.shape[:2]
    scale = side / (height * width) ** 0.5
    block = int(1 / scale)
    # Blocks of 3 cost five times what those of 2 do, and a megapixel would have blocks of 3.
    block = 2 if block == 3 else block
    if block > 1:
        rgb = rgb[: height // block * block, : width // block * block]
        rgb = _resized(rgb, (width // block, height // block), cv2.INTER_AREA)
    if scale < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        rgb = _resized(rgb, size, cv2.INTER_LINEAR if block > 1 else cv2.INTER_AREA)
    grey = np.asarray(cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2GRAY), dtype=np.uint8)
    return WorkingCopy(rgb, grey, grey.astype(np.float32))


def _resized(rgb: NDArray[np.uint8], size: tuple[int, int], how: int) -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(rgb, size, interpolation=how), dtype=np.uint8)


def tiles(luma: NDArray[np.float32], boxes: Sequence[Box]) -> NDArray[np.uint8]:
    """Each box of the plane as a 64x64 tile, uint8 (n, 64, 64)."""
    if not boxes:
        return np.zeros((0, TILE, TILE), np.uint8)
    edges = np.asarray(boxes, dtype=np.float64)
    height, width = luma.shape
    rows = _weights(edges[:, 1], edges[:, 3], height)
    columns = _weights(edges[:, 0], edges[:, 2], width)
    found = np.empty((len(boxes), TILE, TILE), np.float32)
    for at, (left, top, right, bottom) in enumerate(edges):
        down = slice(max(0, int(top) - 1), min(height, int(np.ceil(bottom)) + 1))
        across = slice(max(0, int(left) - 1), min(width, int(np.ceil(right)) + 1))
        part = rows[at][:, down] @ luma[down, across]
        found[at] = part @ columns[at][:, across].T
    return _bytes(found)


def quad_tiles(luma: NDArray[np.float32], quads: Sequence[Quad]) -> NDArray[np.uint8]:
    """Each quadrilateral of the plane, straightened, as a 64x64 tile, uint8 (n, 64, 64)."""
    straight = [straightened(luma, quad, *_sides(quad)) for quad in quads]
    return np.concatenate(
        [np.zeros((0, TILE, TILE), np.uint8)]
        + [tiles(plane, [(0, 0, plane.shape[1], plane.shape[0])]) for plane in straight]
    )


def _sides(quad: Quad) -> tuple[int, int]:
    across = max(np.linalg.norm(quad[1] - quad[0]), np.linalg.norm(quad[2] - quad[3]))
    down = max(np.linalg.norm(quad[3] - quad[0]), np.linalg.norm(quad[2] - quad[1]))
    return int(np.clip(across, TILE, WORKING_SIDE)), int(np.clip(down, TILE, WORKING_SIDE))


def straightened(
    luma: NDArray[np.float32], quad: Quad, width: int, height: int
) -> NDArray[np.float32]:
    """The quadrilateral as an upright plane (height, width); beyond the rim its pixels go on."""
    target = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    # Corners are edges of pixels; OpenCV counts from pixels' centres.
    turn = cv2.getPerspectiveTransform(target - 0.5, quad.astype(np.float32) - np.float32(0.5))
    return np.asarray(
        cv2.warpPerspective(
            luma,
            turn,
            (width, height),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        ),
        dtype=np.float32,
    )


def _bytes(found: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.clip(np.rint(found), 0, 255).astype(np.uint8)


def _weights(
    starts: NDArray[np.float64], stops: NDArray[np.float64], size: int
) -> NDArray[np.float32]:
    """Triangle weights (n, 64, size) that sample 64 points between each start and stop.

    The triangle is cut at the box's own edges and made to sum to one, as PDQ's boxes are.
    """
    length = (stops - starts)[:, None]
    centre = starts[:, None] + (np.arange(TILE) + 0.5) * (length / TILE)
    half = np.maximum(length / (2 * TILE), 0.75)
    reach = int(np.ceil(2 * half.max())) + 1
    first = np.floor(centre - half).astype(np.int64)
    edge = first[..., None] + np.arange(reach + 1)
    inside = np.clip(edge, starts[:, None, None], stops[:, None, None])
    along = np.clip((inside - centre[..., None]) / half[..., None], -1, 1)
    gathered = np.diff(along * (1 - 0.5 * np.abs(along)), axis=-1)
    gathered /= gathered.sum(-1, keepdims=True)
    dense = np.zeros((len(starts), TILE, size + reach + 1), np.float32)
    # Columns past either edge of the plane have no weight: the box is inside it.
    np.put_along_axis(
        dense, np.where(edge[..., :-1] < 0, size + reach, edge[..., :-1]), gathered, -1
    )
    return dense[..., :size]
