"""One small working copy of a picture, and 64x64 tiles of any part of it.

PDQ blurs a picture with two box filters and samples 64 x 64 points: a triangle around each. Its
boxes and its points lie up to one and a half pixels off the middle, more so the fewer pixels a
picture has, and a fine texture makes fifty bits of that. So a tile is told how many pixels the part
has in the upload, and samples where PDQ would, as two small matrix products, from any rectangle
with sub-pixel edges. PDQ leaves a picture of exactly 64 x 64 pixels as it is, so the hash of a tile
is the hash of the part at full resolution, to about two bits of 256, whatever the working copy's
size (measured from 320 to 512 pixels; borders are found no worse at 320 than at 448).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.domain.shrink import span

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels of the working copy."""

Quad = NDArray[np.float32]
"""Four corners (4, 2) in pixels: a view's own top-left, top-right, bottom-right, bottom-left."""

Zoom = tuple[float, float]

TILE = 64
WORKING_SIDE = 320
"""The working copy has at most as many pixels as a square of this side."""


@dataclass(frozen=True, slots=True, eq=False)
class WorkingCopy:
    """A picture made small: ``rgb`` uint8 (h, w, 3), ``grey`` uint8 and ``luma`` float32 (h, w)."""

    rgb: NDArray[np.uint8] = field(repr=False)
    grey: NDArray[np.uint8] = field(repr=False)
    luma: NDArray[np.float32] = field(repr=False)
    zoom: Zoom = (1.0, 1.0)
    """How many of the upload's pixels one of these stands for, across and down."""

    @property
    def width(self) -> int:
        """Width in pixels."""
        return int(self.grey.shape[1])

    @property
    def height(self) -> int:
        """Height in pixels."""
        return int(self.grey.shape[0])


def working_copy(
    picture: NDArray[np.uint8], side: int = WORKING_SIDE, of: tuple[int, int] | None = None
) -> WorkingCopy:
    """The picture, RGB or a luma plane, at ``side * side`` pixels or fewer; never enlarged.

    It is shrunk by area. Means over whole blocks of pixels come first, because they are five times
    as fast as means over fractions; up to a block's width less one pixel is left off at the right
    and the bottom.
    ``of`` is the width and height of the picture that this is a sketch of: one of means already.
    """
    height, width = picture.shape[:2]
    whole = of or (width, height)
    if of is not None:
        width, height = int(span(width, of[0])), int(span(height, of[1]))
        picture = picture[:height, :width]
    scale = side / (height * width) ** 0.5
    block = int(1 / scale)
    # Blocks of 3 cost five times what those of 2 do, and a megapixel would have blocks of 3.
    block = 2 if block == 3 else block
    if block > 1:
        picture = picture[: height // block * block, : width // block * block]
        picture = _resized(picture, (width // block, height // block), cv2.INTER_AREA)
    if scale < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        means = block > 1 or of is not None
        picture = _resized(picture, size, cv2.INTER_LINEAR if means else cv2.INTER_AREA)
    # Loops are compiled for arrays that can be written, and would be once more for others.
    picture = np.require(picture, requirements=["C", "W"])
    if picture.ndim == 2:
        grey, rgb = picture, np.asarray(cv2.merge([picture] * 3), np.uint8)
    else:
        rgb = picture
        grey = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
    zoom = (whole[0] / grey.shape[1], whole[1] / grey.shape[0])
    return WorkingCopy(rgb, grey, grey.astype(np.float32), zoom)


def _resized(picture: NDArray[np.uint8], size: tuple[int, int], how: int) -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(picture, size, interpolation=how), dtype=np.uint8)


def tiles(
    luma: NDArray[np.float32], boxes: Sequence[Box], zoom: Zoom = (1.0, 1.0)
) -> NDArray[np.uint8]:
    """Each box of the plane as a 64x64 tile, uint8 (n, 64, 64).

    ``zoom`` is how many of the upload's pixels one of the plane's stands for, across and down.
    """
    found = np.empty((len(boxes), TILE, TILE), np.uint8)
    if boxes:
        # Numba takes half a second to load: only who looks at pictures waits for it.
        from pipeline.media._tiles import sampled, weighed

        edges = np.array(boxes, np.float64)
        first, weights = weighed(edges, np.full((len(boxes), 2), zoom))
        sampled(luma[None], np.zeros(len(boxes), np.int64), first, weights, found)
    return found


def quad_tiles(copy: WorkingCopy, quads: Sequence[Quad]) -> NDArray[np.uint8]:
    """Each quadrilateral of the copy, straightened, as a 64x64 tile, uint8 (n, 64, 64)."""
    found = [np.zeros((0, TILE, TILE), np.uint8)]
    for quad in quads:
        across, down = sides(quad)
        width, height = (int(min(max(side, TILE), WORKING_SIDE)) for side in (across, down))
        upload = quad * np.array(copy.zoom, np.float32)
        zoom = tuple(
            float(side / size) for side, size in zip(sides(upload), (width, height), strict=True)
        )
        plane = straightened(copy.luma, quad, width, height)
        found.append(tiles(plane, [(0, 0, width, height)], (zoom[0], zoom[1])))
    return np.concatenate(found)


@dataclass(frozen=True, slots=True, eq=False)
class Turns:
    """Turned parts of all copies of a size, and what it takes to draw them.

    ``points`` float32 (n, 4, 64) and ``weights`` float32 (n, 2, odd) are as ``_turns.drawn`` reads
    them: where a tile's points lie in a copy at half its size, and what blurs that first.
    """

    points: NDArray[np.float32] = field(repr=False)
    weights: NDArray[np.float32] = field(repr=False)


def turns_of(zoom: Zoom, quads: NDArray[np.floating]) -> Turns:
    """What it takes to draw parts (n, 4, 2) that are only turned, by a few degrees.

    Points lie where PDQ's do, as in a tile. Its triangles are not turned with a part, so that they
    are the same for all points and both ways of turning: the copy is blurred by them, and each
    point then costs four pixels.
    """
    half = np.asarray(quads, np.float64) / 2
    start, arms = half[:, 0], half[:, [1, 3]] - half[:, :1]
    # Rounded, so that turning a part either way does not give it a pixel more.
    lengths = np.round(np.hypot(*np.moveaxis(2 * arms * zoom, 2, 0)), 1)
    pixels = np.maximum(np.rint(lengths), 1.0)
    window = (pixels.astype(np.int64) + 127) // 128
    shift = 0.5 + (window % 2 == 0)
    at = np.floor((np.arange(TILE) + 0.5) * (pixels / TILE)[..., None]) + shift[..., None]
    along = arms[..., None] * (at / pixels[..., None])[:, :, None]
    # Corners are edges of pixels; points are counted from pixels' middles.
    along[:, 1] += (start - 0.5)[..., None]
    reaches = np.hypot(*np.moveaxis(arms, 2, 0)) * np.maximum(window / pixels, 0.375 / TILE)
    # The same to the last bit for both ways of turning, which then share a blur.
    reaches = np.round(reaches, 4)
    steps = int(np.ceil(max(reaches.max(initial=0.5), 0.5) - 0.5))
    edges = np.clip((np.arange(-steps, steps + 2) - 0.5) / reaches[..., None], -1, 1)
    weights = np.diff(edges * (1 - 0.5 * np.abs(edges)), axis=-1).astype(np.float32)
    return Turns(along.reshape(-1, 4, TILE).astype(np.float32), weights)


def turned_tiles(copy: WorkingCopy, turns: Turns, most: int) -> NDArray[np.uint8]:
    """The first of them as 64x64 tiles, a tenth of the price of ``quad_tiles``: uint8 (n, 64, 64).

    The copy is of the size that they were made for.
    """
    count = max(0, min(most, len(turns.points)))
    found = np.zeros((count, TILE, TILE), np.uint8)
    if count and min(copy.width, copy.height) > 1:
        # Numba takes half a second to load: only who looks at pictures waits for it.
        from pipeline.media._turns import drawn

        drawn(copy.luma, turns.points, turns.weights, found)
    return found


def sides(quad: Quad) -> tuple[float, float]:
    """How long a quadrilateral is across and down."""
    across = max(np.linalg.norm(quad[1] - quad[0]), np.linalg.norm(quad[2] - quad[3]))
    down = max(np.linalg.norm(quad[3] - quad[0]), np.linalg.norm(quad[2] - quad[1]))
    return float(across), float(down)


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
