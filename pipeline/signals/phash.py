"""pHash at 256 bits, as ``imagehash.phash(image, hash_size=16)`` computes it.

Its quality is PDQ's gradient measure on the 64 x 64 grey picture that pHash itself looks at, so a
flat picture is named by the same word and threshold in both signals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.domain.media import Frame, Side, Turn
from pipeline.domain.signal import Metric, Signals, Space
from pipeline.signals.pdq import MINIMUM_QUALITY, quality

SPACE = Space("phash", "1", Metric.HAMMING, 256)
_SIDE = 64
_GAP = 6.0
"""How many times larger than needed a picture stays when it is reduced before resampling."""
_UNDO: dict[Turn, Image.Transpose | None] = {
    Turn.NONE: None,
    Turn.ROTATE_90: Image.Transpose.ROTATE_90,
    Turn.ROTATE_180: Image.Transpose.ROTATE_180,
    Turn.ROTATE_270: Image.Transpose.ROTATE_270,
    Turn.FLIP_X: Image.Transpose.FLIP_TOP_BOTTOM,
    Turn.FLIP_Y: Image.Transpose.FLIP_LEFT_RIGHT,
    Turn.FLIP_PLUS_1: Image.Transpose.TRANSPOSE,
    Turn.FLIP_MINUS_1: Image.Transpose.TRANSVERSE,
}
"""What lays an upload back as the picture was: Pillow turns left, a ``Turn`` right."""


def build() -> PHash:
    """The pHash signal."""
    return PHash()


@dataclass(frozen=True, slots=True)
class PHash:
    """One code a frame on the registered side; on the query side eight, one a ``Turn``.

    What is registered is exactly imagehash's. The eight are made by turning the 64 x 64 grey
    picture, within a few bits of turning the upload.
    Frames must come unturned.
    """

    space: Space = SPACE
    minimum_quality: int = MINIMUM_QUALITY
    asks_parts: bool = False

    def compute(self, frames: Sequence[Frame], side: Side) -> Signals:
        """Codes uint8 (n, 32) whose ``bytes.hex()`` is what ``imagehash`` prints, and quality."""
        turns = tuple(Turn) if side is Side.QUERY else (Turn.NONE,)
        greys = [_grey(frame.rgb, exact=side is Side.REGISTERED) for frame in frames]
        grids = np.zeros((len(frames), _SIDE, _SIDE), np.float32)
        codes = np.zeros((len(frames), len(turns), 32), np.uint8)
        for row, grey in enumerate(greys):
            grids[row] = np.asarray(grey, np.float32)
            for column, turn in enumerate(turns):
                codes[row, column] = _code(grey, turn)
        return Signals(
            space=self.space,
            codes=codes.reshape(-1, 32),
            quality=np.repeat(quality(grids), len(turns)),
            views=tuple(
                frame.view if turn is Turn.NONE else replace(frame.view, turn=turn)
                for frame in frames
                for turn in turns
            ),
        )


def _grey(rgb: NDArray[np.uint8], *, exact: bool) -> Image.Image:
    """What ``imagehash`` makes of a picture before its DCT: it leaves this 64 x 64 as it is.

    Not ``exact``, large pictures are first reduced by whole numbers: a third of the time, and codes
    within 2 bits on eleven photographs.
    """
    grey = Image.fromarray(rgb).convert("L")
    gap = None if exact else _GAP
    return grey.resize((_SIDE, _SIDE), Image.Resampling.LANCZOS, reducing_gap=gap)


def _code(grey: Image.Image, turn: Turn) -> NDArray[np.uint8]:
    # imagehash brings SciPy and PyWavelets with it: only who computes a pHash waits for them.
    import imagehash

    undo = _UNDO[turn]
    laid = grey if undo is None else grey.transpose(undo)
    return np.packbits(imagehash.phash(laid, hash_size=16).hash.ravel())
