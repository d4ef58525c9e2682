"""pHash at 256 bits, as ``imagehash.phash(image, hash_size=16)`` computes it.

Its quality is PDQ's gradient measure on the 64 x 64 grey picture that pHash itself looks at, so a
flat picture is named by the same word and threshold in both signals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.domain.media import Frame, Side, Turn
from pipeline.domain.shrink import span
from pipeline.domain.signal import Metric, Signals, Space
from pipeline.signals.pdq import MINIMUM_QUALITY, quality

SPACE = Space("phash", "1", Metric.HAMMING, 256)
_SIDE = 64
_GAP = 4
"""How many times larger than needed a picture stays when it is reduced before resampling."""
_TOGETHER = 8
"""Points of the small picture that are computed at once: each is of a tenth of the pixels."""
_BASIS = np.cos(np.pi / (2 * _SIDE) * np.arange(16)[:, None] * (2 * np.arange(_SIDE)[None] + 1))
_ODD = np.where(np.arange(16) % 2 == 0, 1.0, -1.0)
"""Mirroring an axis negates the odd frequencies along it."""


def build() -> PHash:
    """The pHash signal."""
    return PHash()


@dataclass(frozen=True, slots=True)
class PHash:
    """One code a frame on the registered side; on the query side eight, one a ``Turn``.

    What is registered is exactly imagehash's. The eight come from one DCT of the 64 x 64 grey
    picture, of which mirrors are signs and turns are transposes: within a few bits of turning the
    upload.
    Frames must come unturned.
    """

    space: Space = SPACE
    minimum_quality: int = MINIMUM_QUALITY
    asks_parts: bool = False

    def compute(self, frames: Sequence[Frame], side: Side) -> Signals:
        """Codes uint8 (n, 32) whose ``bytes.hex()`` is what ``imagehash`` prints, and quality."""
        asked = side is Side.QUERY
        turns = tuple(Turn) if asked else (Turn.NONE,)
        grids = np.zeros((len(frames), _SIDE, _SIDE), np.float32)
        codes = np.zeros((len(frames), len(turns), 32), np.uint8)
        for row, frame in enumerate(frames):
            if asked:
                grids[row] = _quick_grey(frame.rgb, frame.of)
                codes[row] = _eight_codes(grids[row])
            else:
                grey = _grey(frame.rgb)
                grids[row] = np.asarray(grey, np.float32)
                codes[row] = _code(grey)
        views = (frame.view for frame in frames)
        return Signals(
            space=self.space,
            codes=codes.reshape(-1, 32),
            quality=np.repeat(quality(grids), len(turns)),
            views=tuple(
                chain.from_iterable(view.in_all_ways() for view in views) if asked else views
            ),
        )


def _grey(rgb: NDArray[np.uint8]) -> Image.Image:
    """What ``imagehash`` makes of a picture before its DCT: it leaves this 64 x 64 as it is."""
    return Image.fromarray(rgb).convert("L").resize((_SIDE, _SIDE), Image.Resampling.LANCZOS)


def _quick_grey(rgb: NDArray[np.uint8], of: tuple[int, int] | None = None) -> NDArray[np.float32]:
    """The same for an upload, its blocks of pixels averaged first: a sixth of the time.

    Codes stay within 2 bits on eleven photographs. ``of`` is the width and height of the picture
    that this is a sketch of.
    """
    across, down = of or (rgb.shape[1], rgb.shape[0])
    wide, tall = span(rgb.shape[1], across), span(rgb.shape[0], down)
    grey = np.asarray(cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2GRAY), np.uint8)
    height, width = grey.shape
    block = 1
    while min(height, width) >= 2 * block * _GAP * _SIDE:
        block *= 2
    if block > 1:
        whole = grey[: height // block * block, : width // block * block]
        size = (width // block, height // block)
        grey = np.asarray(cv2.resize(whole, size, interpolation=cv2.INTER_AREA), np.uint8)
    plane, across = grey.astype(np.float32), np.empty((len(grey), _SIDE), np.float32)
    for points, pixels, weights in _stretches(grey.shape[1], wide / block):
        np.matmul(plane[:, pixels], weights.T, out=across[:, points])
    across, grid = _levels(across), np.empty((_SIDE, _SIDE), np.float32)
    for points, pixels, weights in _stretches(grey.shape[0], tall / block):
        np.matmul(weights, across[pixels], out=grid[points])
    return _levels(grid)


@lru_cache(maxsize=64)
def _stretches(pixels: int, length: float) -> tuple[tuple[slice, slice, NDArray[np.float32]], ...]:
    """``_lanczos`` without most of its zeros: points, pixels, and the weights of those."""
    weights, found = _lanczos(pixels, length), []
    for first in range(0, _SIDE, _TOGETHER):
        points = slice(first, first + _TOGETHER)
        used = np.flatnonzero(weights[points].any(0))
        stretch = slice(int(used[0]), int(used[-1]) + 1)
        found.append((points, stretch, np.ascontiguousarray(weights[points, stretch])))
    return tuple(found)


def _levels(grid: NDArray[np.float32]) -> NDArray[np.float32]:
    """Whole grey levels, as Pillow has them after each axis."""
    return np.clip(np.rint(grid), 0, 255)


def _lanczos(pixels: int, length: float) -> NDArray[np.float32]:
    """Pillow's ``LANCZOS`` weights (64, pixels) for so many pixels of a side that long."""
    scale = length / _SIDE
    wide = max(scale, 1.0)
    centre = (np.arange(_SIDE) + 0.5) * scale
    away = (np.arange(pixels) + 0.5 - centre[:, None]) / wide
    weights = np.where(np.abs(away) < 3, np.sinc(away) * np.sinc(away / 3), 0.0)
    return np.asarray(weights / weights.sum(1, keepdims=True), np.float32)


def _code(grey: Image.Image) -> NDArray[np.uint8]:
    # imagehash brings SciPy and PyWavelets with it: only who registers a picture waits for them.
    import imagehash

    return np.packbits(imagehash.phash(grey, hash_size=16).hash.ravel())


def _eight_codes(grey: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Codes (8, 32) of a grey picture laid back in all ways, in the order of ``Turn``.

    A ``Turn`` says what was done to the upload, to the right; each row undoes it.
    """
    plain = _BASIS @ grey.astype(np.float64) @ _BASIS.T
    turned, down, across = plain.T, _ODD[:, None], _ODD[None, :]
    low = np.stack(
        [
            plain,
            turned * down,
            plain * down * across,
            turned * across,
            plain * down,
            plain * across,
            turned,
            turned * down * across,
        ]
    ).reshape(8, 256)
    return np.packbits(low > np.median(low, axis=1, keepdims=True), axis=1)
