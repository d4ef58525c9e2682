"""pHash at 256 bits, as ``imagehash.phash(image, hash_size=16)`` computes it.

Its quality is PDQ's gradient measure on the 64 x 64 grey picture that pHash itself looks at, so a
flat picture is named by the same word and threshold in both signals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.domain.media import Frame, Side, Turn, TurnedViews
from pipeline.domain.shrink import span
from pipeline.domain.signal import Metric, Signals, Space
from pipeline.signals.pdq import MINIMUM_QUALITY, quality

SPACE = Space("phash", "1", Metric.HAMMING, 256)
_SIDE = 64
_GAP = 3
"""How many times larger than needed a picture stays when it is reduced before resampling."""
_BASIS = np.cos(
    np.pi / (2 * _SIDE) * np.arange(16)[:, None] * (2 * np.arange(_SIDE)[None] + 1)
).astype(np.float32)


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
        grids = np.zeros((len(frames), _SIDE, _SIDE), np.uint8)
        codes = np.zeros((len(frames), len(turns), 32), np.uint8)
        for row, frame in enumerate(frames):
            if asked:
                grids[row] = _quick_grey(frame)
                codes[row] = _eight_codes(grids[row])
            else:
                grey = _grey(frame.rgb)
                grids[row] = np.asarray(grey)
                codes[row] = _code(grey)
        views = tuple(frame.view for frame in frames)
        return Signals(
            space=self.space,
            codes=codes.reshape(-1, 32),
            quality=np.repeat(quality(grids.astype(np.float32)), len(turns)),
            views=TurnedViews.every(views) if asked else views,
        )


def _grey(rgb: NDArray[np.uint8]) -> Image.Image:
    """What ``imagehash`` makes of a picture before its DCT: it leaves this 64 x 64 as it is."""
    return Image.fromarray(rgb).convert("L").resize((_SIDE, _SIDE), Image.Resampling.LANCZOS)


def _quick_grey(frame: Frame) -> NDArray[np.uint8]:
    """The same for an upload, its blocks of pixels averaged first: a tenth of the time.

    Codes stay within 2 bits on eleven photographs.
    """
    across, down = frame.of or (frame.width, frame.height)
    wide, tall = span(frame.width, across), span(frame.height, down)
    if frame.of is not None and frame.luma is not None:
        grey = frame.luma
    else:
        rgb = np.ascontiguousarray(frame.rgb)
        grey = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.uint8)
    height, width = grey.shape
    block = 1
    while min(height, width) >= 2 * block * _GAP * _SIDE:
        block *= 2
    if block > 1:
        whole = grey[: height // block * block, : width // block * block]
        size = (width // block, height // block)
        grey = np.asarray(cv2.resize(whole, size, interpolation=cv2.INTER_AREA), np.uint8)
    # Numba takes half a second to load: only who looks at uploads waits for it.
    from pipeline.signals._codes import summed

    found = np.empty((_SIDE, _SIDE), np.uint8)
    rows, columns = (
        _stretches(pixels, length / block)
        for pixels, length in ((grey.shape[0], tall), (grey.shape[1], wide))
    )
    # Pillow sums across before it sums down, and each makes whole levels.
    summed(np.asarray(cv2.transpose(grey), np.uint8), *columns, *rows, True, found)
    return np.ascontiguousarray(found.T)


@lru_cache(maxsize=64)
def _stretches(pixels: int, length: float) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """``_lanczos`` without most of its zeros: where weights of each point start, and these."""
    weights = _lanczos(pixels, length)
    starts = (weights != 0).argmax(1)
    ends = pixels - (weights[:, ::-1] != 0).argmax(1)
    found = np.zeros((_SIDE, int((ends - starts).max())), np.float32)
    for row, (start, end) in enumerate(zip(starts, ends, strict=True)):
        found[row, : end - start] = weights[row, start:end]
    return starts, found


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


def _eight_codes(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Codes (8, 32) of a grey picture laid back in all ways, in the order of ``Turn``.

    A ``Turn`` says what was done to the upload, to the right; each row undoes it.
    """
    from pipeline.signals._codes import codes_of_tiles

    codes = np.empty((1, 8, 32), np.uint8)
    codes_of_tiles(np.asarray(_BASIS @ grey.astype(np.float32)[None] @ _BASIS.T), 1, codes)
    # The loop writes the last bit first, as PDQ has it.
    return np.packbits(np.unpackbits(codes[0], axis=1)[:, ::-1], axis=1)
