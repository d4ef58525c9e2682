"""Borders and bars taken off a picture's four sides: frames, letterboxes, captions."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Rect = tuple[int, int, int, int]
"""Left, top, right, bottom in whole pixels."""


@dataclass(frozen=True, slots=True)
class Strictness:
    """How plain a line must be to belong to a border.

    ``tolerance`` is how far a pixel may be from the border's colour (0 to 255 a channel),
    ``share`` how much of a line must be within it, ``bridge`` how thick a line of text (as a
    share of the side) may interrupt the border.
    """

    tolerance: int
    share: float
    bridge: float = 0.0


PLAIN = Strictness(tolerance=16, share=0.98)
WRITTEN_ON = Strictness(tolerance=20, share=0.55, bridge=0.03)
"""A caption bar: most of each line is background, lines of text interrupt it."""


def trims(
    rgb: NDArray[np.uint8],
    strictness: Strictness = PLAIN,
    rounds: int = 3,
    part: Rect | None = None,
) -> list[Rect]:
    """What is left after each round of trimming all four sides; empty where nothing is plain.

    Of the whole picture, or of a part of it; in pixels of the picture either way.
    """
    # Numba takes half a second to load: only who looks at pictures waits for it.
    from pipeline.media._bars import trimmed

    rect = np.array(part or (0, 0, rgb.shape[1], rgb.shape[0]), np.int64)
    found = np.empty((rounds, 4), np.int64)
    rule = (strictness.tolerance, strictness.share, strictness.bridge)
    count = trimmed(np.ascontiguousarray(rgb), rect, rule, found)
    return [(left, top, right, bottom) for left, top, right, bottom in found[:count].tolist()]


def line_means(mask: NDArray[np.uint8], along: int) -> NDArray[np.float32]:
    """The mean of each row (``along`` 1) or column (0)."""
    means = cv2.reduce(mask, along, cv2.REDUCE_AVG, dtype=cv2.CV_32F)
    return np.asarray(means, dtype=np.float32).ravel()


def near_colour(
    pixels: NDArray[np.uint8], colour: NDArray[np.floating], tolerance: int
) -> NDArray[np.uint8]:
    """255 where all three channels are within ``tolerance`` of a colour, else 0."""
    # Plain numbers: NumPy's clip costs more than the comparison on what is this small.
    channels = [float(value) for value in colour]
    low = tuple(max(value - tolerance, 0.0) for value in channels)
    high = tuple(min(value + tolerance, 255.0) for value in channels)
    return np.asarray(cv2.inRange(pixels, low, high), dtype=np.uint8)
