"""PDQ: 256 bits of a picture's low frequencies, bit for bit those of the reference ``pdqhash``.

Reference: facebook/ThreatExchange, ``pdq/cpp``. Its blur and decimation are linear and separable,
so the 64 x 64 grid is ``A_rows . luma . A_columns`` with banded matrices that depend on the size
alone; a DCT of the grid gives 16 x 16 coefficients, of which each bit says whether one
is above their median.

The reference's own rounding moves a coefficient by ~1e-3 from this product (4.3e-3 at most). Where
two coefficients lie so close around the median that this could decide a bit, or where it could
decide the quality, the picture is computed again in the reference's order of operations
(``_pdq_peer``).

Pictures of more than 16,000,000 pixels are first made smaller, to 2048 on the longer side, by the
area means of ``domain.shrink``: a browser can do the same, to the same bits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.domain.media import WHOLE, Frame, Side, TurnedViews
from pipeline.domain.shrink import reduce, reduced_size, span
from pipeline.domain.signal import Metric, Signals, Space
from pipeline.signals import _pdq_peer

Floats = NDArray[np.float32]

SPACE = Space("pdq", "1", Metric.HAMMING, 256)
MINIMUM_QUALITY = 50
SMALLEST_SIDE = 5
"""Below this side the reference gives zero bits and quality 0, and so do we."""

_STRIP = 1 << 14
"""Pixels that are turned grey at a time: 12 bytes each."""
_TILE = (64, 64, 3)
"""A picture of this size is its own grid: PDQ neither blurs nor decimates it."""

_BANDS = 32
"""Stretches that a side is cut into: the more, the fewer zeros are multiplied."""
_TOGETHER = 8
"""Stretches whose luma is computed at once: neighbours share pixels."""
_GRID_DRIFT = 3e-3
_DCT_DRIFT = 1e-2
"""Twice the largest differences seen between the product and the reference in photographs of up to
a megapixel (1.4e-3, 4.3e-3)."""
_DRAWN = 6.0
"""How many times as much is allowed for where the code of a whole picture is kept: the reference's
running sums drift most along the flat white of a page, and the longer it is. Seen: 1.4e-2 and
5.1e-2 in ruled pages of 3000 x 2000, 6.2e-3 and 3.3e-2 in blocks of 1000 x 15000.
"""

_FREQUENCY = np.arange(16)[:, None] + 1
_BASIS = (
    np.float64(np.float32(np.sqrt(2 / 64)))
    * np.cos((np.pi / 2 / 64) * _FREQUENCY * (2 * np.arange(64)[None, :] + 1))
).astype(np.float32)
_ODD = np.where(np.arange(16) % 2 == 0, -1, 1).astype(np.float32)
"""Mirroring an axis negates the frequencies 1, 3, 5... along it, which stand at 0, 2, 4..."""


def build() -> Pdq:
    """The PDQ signal."""
    return Pdq()


@dataclass(frozen=True, slots=True)
class Pdq:
    """One code a frame on the registered side; on the query side eight, one a ``Turn``.

    Registered frames and whole uploads get the reference's bits and quality exactly; other query
    views, whose codes never leave this process, skip the second computation and may differ in a
    bit of a borderline code. Frames must come unturned. A sketch is read with the weights of the
    picture that it was made of, each pixel standing for those that it is the mean of: its code
    lies a bit or two from the whole picture's.

    The eight are not the reference's dihedral hashes: its decimation is not symmetric, so those
    lie up to 20 bits from the code of the picture really turned (``dihedral``). Ours come from the
    grids of the mirrored pictures, for one product more, and equal it but for a borderline bit.
    """

    space: Space = SPACE
    minimum_quality: int = MINIMUM_QUALITY
    asks_parts: bool = True

    def compute(self, frames: Sequence[Frame], side: Side) -> Signals:
        """Codes uint8 (n, 32) whose ``bytes.hex()`` is the canonical PDQ string, and quality."""
        turned = side is Side.QUERY
        pictures = [reduce(frame.rgb if frame.luma is None else frame.luma) for frame in frames]
        codes = np.zeros((len(frames), 8 if turned else 1, 32), np.uint8)
        said = np.zeros(len(frames), np.uint8)
        parts = [at for at, one in enumerate(pictures) if turned and _is_part(one, frames[at])]
        if parts:
            codes[parts], said[parts] = _of_parts([pictures[at] for at in parts])
        sketches = [at for at, frame in enumerate(frames) if turned and _is_sketch(frame)]
        for at in sketches:
            codes[at], said[at] = _of_sketch(pictures[at], frames[at])
        rest = sorted(set(range(len(frames))).difference(parts, sketches))
        if rest:
            some = [pictures[at] for at in rest], [frames[at] for at in rest]
            codes[rest], said[rest] = _of_others(*some, turned=turned)
        views = tuple(frame.view for frame in frames)
        return Signals(
            space=self.space,
            codes=codes.reshape(-1, 32),
            quality=np.repeat(said, codes.shape[1]),
            views=TurnedViews.every(views) if turned else views,
        )


Coded = tuple[NDArray[np.uint8], NDArray[np.uint8]]
"""Codes (..., 32), and quality."""


def _is_part(rgb: NDArray[np.uint8], frame: Frame) -> bool:
    """Whether this is a part of an upload: one plane of 64 x 64 that is told three times."""
    return rgb.shape == _TILE and rgb.strides[2] == 0 and frame.view != WHOLE


def _is_sketch(frame: Frame) -> bool:
    return frame.of is not None and min(frame.width, frame.height) > _TILE[0]


def _of_parts(pictures: Sequence[NDArray[np.uint8]]) -> Coded:
    """Codes (n, 8, 32) of parts. Mirrored, a tile has its own coefficients but for their signs."""
    # Numba takes half a second to load: only who looks at uploads waits for it.
    from pipeline.signals._codes import codes_of_tiles, grids_of_tiles

    planes = np.stack([rgb[..., 0] for rgb in pictures])
    codes = np.empty((len(planes), 8, 32), np.uint8)
    totals = np.empty(len(planes), np.float32)
    grids = np.empty(planes.shape, np.float32)
    grids_of_tiles(planes, _grey_levels(), grids, totals)
    codes_of_tiles(dct16(grids), 0, codes)
    return codes, _of_total(totals)


def _of_sketch(picture: NDArray[np.uint8], frame: Frame) -> Coded:
    """Codes (8, 32) of a sketch, from whole grey levels: it is a bit or two off by itself."""
    from pipeline.signals._codes import summed

    grey = picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    across, down = reduced_size(*(frame.of or (frame.width, frame.height)))
    sums = np.empty((128, 128), np.float32)
    summed(grey, *_lines(grey.shape[0], down), *_lines(grey.shape[1], across), False, sums)
    grids = sums.reshape(2, 64, 2, 64).swapaxes(1, 2).reshape(4, 64, 64)
    return codes_in_all_ways(dct16(grids)[None])[0], quality(grids[0])


def _of_others(
    pictures: Sequence[NDArray[np.uint8]], frames: Sequence[Frame], *, turned: bool
) -> Coded:
    """Codes (n, 8, 32), or (n, 1, 32), and the reference's wherever that is promised."""
    grids = np.zeros((len(frames), 64, 64), np.float32)
    coefficients = np.zeros((len(frames), 4 if turned else 1, 16, 16), np.float32)
    tiles = [at for at, one in enumerate(pictures) if one.shape == _TILE]
    if tiles:
        grids[tiles] = plain = _grids_of_tiles([pictures[at] for at in tiles])
        coefficients[tiles] = dct16(_mirrored(plain)[:, : coefficients.shape[1]])
    for at, (rgb, frame) in enumerate(zip(pictures, frames, strict=True)):
        if min(rgb.shape[:2]) >= SMALLEST_SIDE and rgb.shape != _TILE:
            of = None if frame.of is None else reduced_size(*frame.of)
            four = mirrored_grids(rgb, of) if turned else to64_of_rgb(rgb, of)[None]
            grids[at], coefficients[at] = four[0], dct16(four)
    exact = [
        at
        for at, frame in enumerate(frames)
        if frame.of is None and (not turned or frame.view == WHOLE)
    ]
    if exact:
        # Of a hundred crops one bit in one of them is not worth a second of work for each.
        wider = np.array(
            [1.0 if turned or frames[at].view != WHOLE else _DRAWN for at in exact], np.float32
        )
        doubtful = _undecided(coefficients[exact, 0], wider) | _unsure(grids[exact], wider)
        for row in (exact[at] for at in np.flatnonzero(doubtful)):
            grids[row], coefficients[row, 0] = reference(pictures[row])
    codes = codes_in_all_ways(coefficients) if turned else codes_from_dct(coefficients)
    return codes.reshape(len(frames), -1, 32), quality(grids)


def luma(rgb: NDArray[np.uint8]) -> Floats:
    """Grey, 0 to 255, float32 (height, width): 0.299 red, 0.587 green, 0.114 blue, unrounded.

    A plane that is grey already, a video's, stays as it is.
    """
    if rgb.ndim == 2:
        return rgb.astype(np.float32)
    height, width = rgb.shape[:2]
    grey = np.empty((height, width), np.float32)
    # In strips that stay in the core's own cache: a third of the time of the whole at once.
    some = max(1, min(height, _STRIP // max(1, width)))
    strip = np.empty((some, width, 3), np.float32)
    for top in range(0, height, some):
        part = strip[: min(some, height - top)]
        np.copyto(part, rgb[top : top + some])
        cv2.cvtColor(part, cv2.COLOR_RGB2GRAY, dst=grey[top : top + some])
    return grey


def to64(grey: Floats) -> Floats:
    """Blur and decimate luma (..., height, width) to the grid (..., 64, 64); slices are welcome."""
    height, width = grey.shape[-2:]
    rows = np.empty((*grey.shape[:-2], 64, width), np.float32)
    for band in bands(height, height):
        np.matmul(band.weights[0], grey[..., band.low : band.high, :], out=rows[..., band.rows, :])
    return np.asarray(_across(rows)[..., 0, :, :], np.float32)


def to64_of_rgb(rgb: NDArray[np.uint8], of: tuple[int, int] | None = None) -> Floats:
    """``to64(luma(rgb))`` of one picture without ever holding its luma plane.

    ``of`` is the width and height of the picture that ``rgb`` is a sketch of.
    """
    height, width = rgb.shape[:2]
    across, down = of or (width, height)
    rows = np.empty((64, width), np.float32)
    for band, grey in _stretches(rgb, down):
        rows[band.rows] = band.weights[0] @ grey
    return np.asarray(_across(rows, across)[0], np.float32)


def mirrored_grids(rgb: NDArray[np.uint8], of: tuple[int, int] | None = None) -> Floats:
    """Grids (4, 64, 64) of a picture as it is, mirrored, upside down, and both."""
    height, width = rgb.shape[:2]
    across, down = of or (width, height)
    rows = np.empty((2, 64, width), np.float32)
    for band, grey in _stretches(rgb, down):
        both = band.weights.reshape(-1, band.high - band.low) @ grey
        rows[:, band.rows] = both.reshape(2, -1, width)
    rows[1] = rows[1, ::-1].copy()
    return _across(rows, across).reshape(4, 64, 64)


def _stretches(rgb: NDArray[np.uint8], of: int) -> Iterator[tuple[Band, Floats]]:
    """The bands of a picture's rows with their luma, without ever holding its luma plane."""
    every = bands(len(rgb), of)
    for at in range(0, len(every), _TOGETHER):
        some = every[at : at + _TOGETHER]
        first, last = min(band.low for band in some), max(band.high for band in some)
        grey = luma(rgb[first:last])
        for band in some:
            yield band, grey[band.low - first : band.high - first]


def _grids_of_tiles(pictures: Sequence[NDArray[np.uint8]]) -> Floats:
    """The luma of many pictures of 64 x 64 at once: (n, 64, 64)."""
    if all(rgb.strides[2] == 0 for rgb in pictures):
        # One plane that is told three times, as a view's is.
        planes = np.stack([rgb[..., 0] for rgb in pictures])
        return np.asarray(_grey_levels()[planes], np.float32)
    return luma(np.concatenate(pictures)).reshape(-1, 64, 64)


@lru_cache(maxsize=1)
def _grey_levels() -> Floats:
    """The luma of each grey, as sums of floats have it."""
    greys = np.arange(256, dtype=np.uint8)[None, :, None]
    return np.asarray(luma(np.repeat(greys, 3, axis=2))[0], np.float32)


def _mirrored(plain: Floats) -> Floats:
    """``mirrored_grids`` (n, 4, 64, 64) of tiles."""
    across = plain[..., ::-1]
    return np.stack([plain, across, plain[:, ::-1], across[:, ::-1]], axis=1)


def quality(grids: Floats) -> NDArray[np.uint8]:
    """How much a grid (..., 64, 64) has to say, 0 to 100: its gradients above 1%, summed."""
    from pipeline.signals._codes import steps

    totals = np.empty(grids.shape[:-2], np.float32)
    steps(np.ascontiguousarray(grids, np.float32).reshape(-1, 64, 64), totals.reshape(-1))
    return _of_total(totals)


def dct16(grids: Floats) -> Floats:
    """The 16 x 16 low frequencies, without the constant ones, of grids (..., 64, 64)."""
    return np.asarray(_BASIS @ grids @ _BASIS.T, np.float32)


def dihedral(coefficients: Floats) -> Floats:
    """Coefficients (..., 16, 16) of the picture laid in all eight ways: (..., 8, 16, 16).

    In the order of ``Turn``: row ``k`` undoes what ``Turn`` ``k`` says was done to the upload. Free
    of cost and equal to the reference's dihedral hashes, but up to 20 bits from the code of the
    picture really turned.
    """
    down, across = _ODD[:, None], _ODD[None, :]
    turned = np.swapaxes(coefficients, -1, -2)
    return np.stack(
        [
            coefficients,
            turned * down,
            coefficients * down * across,
            turned * across,
            coefficients * down,
            coefficients * across,
            turned,
            turned * down * across,
        ],
        axis=-3,
    )


def codes_from_dct(coefficients: Floats) -> NDArray[np.uint8]:
    """Coefficients (..., 16, 16) to codes uint8 (..., 32), the last coefficient's bit first."""
    flat = coefficients.reshape(*coefficients.shape[:-2], 256)
    median = np.partition(flat, 127, axis=-1)[..., 127:128]
    return np.packbits((flat > median)[..., ::-1], axis=-1)


def codes_in_all_ways(mirrored: Floats) -> NDArray[np.uint8]:
    """Coefficients (n, 4, 16, 16) of ``mirrored_grids`` to codes of all turns, (n, 8, 32)."""
    # Numba takes half a second to load: only who looks at uploads waits for it.
    from pipeline.signals._codes import eight_codes

    flat = np.ascontiguousarray(mirrored, np.float32).reshape(-1, 4, 256)
    codes = np.empty((len(flat), 8, 32), np.uint8)
    eight_codes(flat, codes)
    return codes


def reference(rgb: NDArray[np.uint8]) -> tuple[Floats, Floats]:
    """Grid (64, 64) and coefficients (16, 16) of one picture with the reference's own rounding."""
    height, width = rgb.shape[:2]
    if min(height, width) < SMALLEST_SIDE:
        return np.zeros((64, 64), np.float32), np.zeros((16, 16), np.float32)
    window = (_window(height), _window(width))
    grey = luma(rgb) if rgb.ndim == 2 else _pdq_peer.luma(rgb)
    grid = _pdq_peer.to64(grey, window, _centres(height), _centres(width))
    return grid, _pdq_peer.dct16(grid, _BASIS)


@dataclass(frozen=True, slots=True, eq=False)
class Band:
    """A few grid lines and the stretch of pixels [low, high) that they are a weighted sum of.

    ``weights`` (2, lines, high - low): of the picture as it is, and of the grid lines of the
    mirrored picture that fall on the same stretch (line ``63 - k`` beside line ``k``).
    """

    rows: slice
    low: int
    high: int
    weights: Floats = field(repr=False)


@lru_cache(maxsize=32)
def bands(length: int, of: int | None = None) -> tuple[Band, ...]:
    """The 64 x ``length`` matrix of blur and decimation, in bands without most of its zeros.

    ``of`` is how many pixels the ``length`` stand for, in a sketch. 72 bytes a pixel of ``length``:
    the cache holds at most 69 MB, at sides of 30,000.
    """
    lines, mirrored = _every_line(length, of)
    size, found = 64 // _BANDS, []
    for first in range(0, 64, size):
        part = lines[first : first + size] + mirrored[first : first + size]
        low = min(start for start, _ in part)
        high = max(start + len(weights) for start, weights in part)
        matrix = np.zeros((2 * size, high - low), np.float32)
        for row, (start, weights) in enumerate(part):
            matrix[row, start - low : start - low + len(weights)] = weights
        stacked = matrix.reshape(2, size, high - low)
        found.append(Band(slice(first, first + size), low, high, stacked))
    return tuple(found)


@lru_cache(maxsize=32)
def _lines(length: int, of: int) -> tuple[NDArray[np.intp], Floats]:
    """The same 64 lines, and then those of the mirrored picture: starts (128,), weights (128, n).

    Weights past the rim are zero.
    """
    lines, mirrored = _every_line(length, of)
    every = [*lines, *mirrored[::-1]]
    weights = np.zeros((len(every), max(len(some) for _, some in every)), np.float32)
    for row, (_, some) in enumerate(every):
        weights[row, : len(some)] = some
    return np.array([start for start, _ in every], np.intp), weights


Lines = list[tuple[int, NDArray[np.float64]]]
"""Where each line's pixels start, and their weights."""


def _every_line(length: int, of: int | None) -> tuple[Lines, Lines]:
    """All lines of the grid; and of the mirrored picture's, the last first."""
    whole = of or length
    lines = [_line(whole, int(centre)) for centre in _centres(whole)]
    mirrored = [(whole - start - len(weights), weights[::-1]) for start, weights in lines[::-1]]
    if whole != length:
        share = span(length, whole) / whole
        lines, mirrored = ([_folded(*line, share) for line in some] for some in (lines, mirrored))
    return lines, mirrored


def _folded(
    start: int, weights: NDArray[np.float64], share: float
) -> tuple[int, NDArray[np.float64]]:
    """A grid line's weights on a sketch whose pixels are each the mean of ``1 / share`` pixels."""
    edges = np.arange(start, start + len(weights) + 1) * share
    first, last = int(edges[0] + 1e-9), int(np.ceil(edges[-1] - 1e-9))
    total = np.interp(np.arange(first, last + 1), edges, np.append(0, np.cumsum(weights)))
    return first, np.diff(total)


def _line(length: int, centre: int) -> tuple[int, NDArray[np.float64]]:
    """One grid line: where its pixels start, and their weights (a box mean of box means)."""
    if length == 64:
        return centre, np.ones(1)
    outer_low, outer_high = _reach(length, np.array([centre]))
    middles = np.arange(outer_low[0], outer_high[0] + 1)
    low, high = _reach(length, middles)
    start = int(low[0])
    steps = np.zeros(int(high[-1]) - start + 2)
    share = 1 / (len(middles) * (high - low + 1))
    np.add.at(steps, low - start, share)
    np.add.at(steps, high + 1 - start, -share)
    return start, np.cumsum(steps)[:-1]


def _reach(length: int, centres: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """First and last pixel of the box around each centre."""
    window = _window(length)
    after = (window + 2) // 2 - 1
    before = window - 1 - after
    return np.maximum(centres - before, 0), np.minimum(centres + after, length - 1)


def _window(length: int) -> int:
    return (length + 127) // 128


def _centres(length: int) -> NDArray[Any]:
    return ((np.arange(64) + 0.5) * length / 64).astype(np.intp)


def _across(rows: Floats, of: int | None = None) -> Floats:
    """Rows (..., 64, width) to grids (..., 2, 64, 64): as they are, and mirrored."""
    grids = np.empty((*rows.shape[:-2], 2, 64, 64), np.float32)
    for band in bands(rows.shape[-1], of or rows.shape[-1]):
        stretch = rows[..., None, :, band.low : band.high]
        grids[..., band.rows] = stretch @ np.swapaxes(band.weights, -1, -2)
    grids[..., 1, :, :] = grids[..., 1, :, ::-1].copy()
    return grids


def _gradients(grids: Floats) -> tuple[Floats, Floats]:
    """Steps between neighbours, down and across, in percent of the grey range."""
    hundred, white = np.float32(100), np.float32(255)
    down = np.abs((grids[..., :-1, :] - grids[..., 1:, :]) * hundred / white)
    across = np.abs((grids[..., :-1] - grids[..., 1:]) * hundred / white)
    return down, across


def _quality(down: Floats, across: Floats) -> NDArray[np.uint8]:
    return _of_total(np.trunc(down).sum(axis=(-1, -2)) + np.trunc(across).sum(axis=(-1, -2)))


def _of_total(total: Floats) -> NDArray[np.uint8]:
    return np.asarray(np.minimum(total // 90, 100), np.uint8)


def _undecided(coefficients: Floats, wider: Floats) -> NDArray[np.bool_]:
    """Where the reference's rounding could move a coefficient across the median."""
    flat = coefficients.reshape(*coefficients.shape[:-2], 256)
    middle = np.partition(flat, (127, 128), axis=-1)[..., 127:129]
    return np.asarray(middle[..., 1] - middle[..., 0] <= 2 * wider * _DCT_DRIFT, np.bool_)


def _unsure(grids: Floats, wider: Floats) -> NDArray[np.bool_]:
    """Where the reference's rounding could change the quality."""
    down, across = _gradients(grids)
    slack = (wider * np.float32(2 * _GRID_DRIFT * 100 / 255))[..., None, None]
    least = _quality(np.maximum(down - slack, 0), np.maximum(across - slack, 0))
    return np.asarray(least != _quality(down + slack, across + slack), np.bool_)
