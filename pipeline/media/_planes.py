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

from collections.abc import Iterator, Sequence
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
_TOGETHER = 16
"""Points of a tile that are computed at once: each is of a few pixels, and these overlap little."""
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
    if picture.ndim == 2:
        grey, rgb = picture, np.asarray(cv2.merge([picture] * 3), np.uint8)
    else:
        rgb = np.ascontiguousarray(picture)
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
    if not boxes:
        return np.zeros((0, TILE, TILE), np.uint8)
    edges = np.asarray(boxes, dtype=np.float64)
    height, width = luma.shape
    rows = _weights(edges[:, 1], edges[:, 3], height, zoom[1])
    columns = _weights(edges[:, 0], edges[:, 2], width, zoom[0])
    found = np.empty((len(boxes), TILE, TILE), np.float32)
    part = np.empty((TILE, width), np.float32)
    for at, (left, _, right, _) in enumerate(edges):
        across = slice(max(0, int(left) - 1), min(width, int(np.ceil(right)) + 1))
        for lines, weights, pixels in rows.bands(at):
            np.matmul(weights, luma[pixels, across], out=part[lines, across])
        found[at] = part[:, across] @ columns.dense[at][:, across].T
    return _bytes(found)


def quad_tiles(copy: WorkingCopy, quads: Sequence[Quad]) -> NDArray[np.uint8]:
    """Each quadrilateral of the copy, straightened, as a 64x64 tile, uint8 (n, 64, 64)."""
    found = [np.zeros((0, TILE, TILE), np.uint8)]
    for quad in quads:
        across, down = sides(quad)
        width, height = (int(np.clip(side, TILE, WORKING_SIDE)) for side in (across, down))
        upload = quad * np.array(copy.zoom, np.float32)
        zoom = tuple(
            float(side / size) for side, size in zip(sides(upload), (width, height), strict=True)
        )
        plane = straightened(copy.luma, quad, width, height)
        found.append(tiles(plane, [(0, 0, width, height)], (zoom[0], zoom[1])))
    return np.concatenate(found)


def turned_tiles(copy: WorkingCopy, quads: Sequence[Quad]) -> NDArray[np.uint8]:
    """The same for parts that are only turned, a third of the price: uint8 (n, 64, 64).

    Each is drawn at two pixels for one of the tile's, from the copy at half its size.
    """
    if not quads:
        return np.zeros((0, TILE, TILE), np.uint8)
    size = 2 * TILE
    half = (max(1, copy.width // 2), max(1, copy.height // 2))
    plane = cv2.resize(copy.luma, half, interpolation=cv2.INTER_AREA)
    shrunk = np.array([half[0] / copy.width, half[1] / copy.height], np.float32)
    zoom = np.array(copy.zoom, np.float32)
    upright = np.array([[0, 0], [size, 0], [0, size]], np.float32) - np.float32(0.5)
    lengths = [tuple(round(side, 1) for side in sides(quad * zoom)) for quad in quads]
    # Those that are turned either way have the same.
    every = {length: at for at, length in enumerate(sorted({x for pair in lengths for x in pair}))}
    stops = np.full(len(every), float(size))
    weights = _weights(np.zeros(len(every)), stops, size, np.array(list(every)) / size)
    found = np.empty((len(quads), TILE, TILE), np.float32)
    part = np.empty((TILE, size), np.float32)
    for at, (quad, (across, down)) in enumerate(zip(quads, lengths, strict=True)):
        corners = quad[[0, 1, 3]] * shrunk - np.float32(0.5)
        drawn = cv2.warpAffine(
            plane,
            cv2.getAffineTransform(upright, corners.astype(np.float32)),
            (size, size),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        for lines, of_these, pixels in weights.bands(every[down]):
            np.matmul(of_these, drawn[pixels], out=part[lines])
        found[at] = part @ weights.dense[every[across]].T
    return _bytes(found)


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


def _bytes(found: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Means of grey levels to the nearest whole ones."""
    flat = found.reshape(-1, TILE)
    return np.asarray(cv2.convertScaleAbs(flat), np.uint8).reshape(found.shape)


@dataclass(frozen=True, slots=True, eq=False)
class _Weights:
    """Weights (n, 64, size) of pixels in each of 64 points, all but a few of them zero."""

    dense: NDArray[np.float32] = field(repr=False)
    first: NDArray[np.int64] = field(repr=False)
    reach: int
    """Each point is of so many pixels from ``first`` (n, 64) on."""

    def bands(self, at: int) -> Iterator[tuple[slice, NDArray[np.float32], slice]]:
        """A few points at a time, their weights, and the stretch of pixels that these are of."""
        dense, size = self.dense[at], self.dense.shape[2]
        starts, stops = self.first[at, ::_TOGETHER], self.first[at, _TOGETHER - 1 :: _TOGETHER]
        for turn, (start, stop) in enumerate(zip(starts.tolist(), stops.tolist(), strict=True)):
            lines = slice(turn * _TOGETHER, (turn + 1) * _TOGETHER)
            pixels = slice(max(0, start), min(size, stop + self.reach))
            yield lines, dense[lines, pixels], pixels


def _weights(
    starts: NDArray[np.float64],
    stops: NDArray[np.float64],
    size: int,
    zoom: float | NDArray[np.float64],
) -> _Weights:
    """Triangle weights that sample 64 points between each start and stop.

    Points and triangles lie as PDQ's do in as many pixels as the part has in the upload: a point is
    a pixel's middle, and boxes of an even width reach half a pixel further after than before. The
    triangle is cut at the box's own edges and made to sum to one, as PDQ's boxes are. ``zoom`` is
    one for all, or one each.
    """
    length = (stops - starts)[:, None]
    pixels = np.maximum(np.rint(length * np.reshape(zoom, (-1, 1))), 1.0)
    window = (pixels.astype(np.int64) + 127) // 128
    at = np.floor((np.arange(TILE) + 0.5) * (pixels / TILE)) + 0.5 + (window % 2 == 0)
    centre = starts[:, None] + at * (length / pixels)
    half = np.maximum(window * (length / pixels), 0.75)
    reach = int(np.ceil(2 * half.max())) + 1
    first = np.floor(centre - half).astype(np.int64)
    # In place, because there are thousands of small arrays like these in an upload's views.
    along = np.clip(
        first[..., None] + np.arange(reach + 1), starts[:, None, None], stops[:, None, None]
    )
    along -= centre[..., None]
    along /= half[..., None]
    np.clip(along, -1, 1, out=along)
    along *= 1 - 0.5 * np.abs(along)
    gathered = np.diff(along, axis=-1)
    gathered /= np.maximum(gathered.sum(-1, keepdims=True), 1e-12)
    dense = np.zeros((len(starts) * TILE, size + reach + 1), np.float32)
    columns = (first[..., None] + np.arange(reach)).reshape(-1, reach)
    # Columns past either edge of the plane have no weight: the box is inside it.
    columns[columns < 0] = size + reach
    dense[np.arange(len(dense))[:, None], columns] = gathered.reshape(-1, reach)
    return _Weights(dense.reshape(len(starts), TILE, -1)[..., :size], first, reach)
