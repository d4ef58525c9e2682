"""Pictures for people's eyes, made anew of canonical pixels: bounded, or blurred and grey."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

PREVIEW_SIDE = 480
PREVIEW_CELLS = 20
"""What a derivative can tell: this many cells along its longer side, whatever a decoder undoes."""


def derivative(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Grey (height, width), at most 480 pixels a side, and blurred beyond recognition.

    The picture is first reduced to a few cells, so that no sharpening brings anything back.
    """
    grey = _bounded(rgb, PREVIEW_SIDE).convert("L")
    longer = max(grey.size)
    cells = [max(1, round(PREVIEW_CELLS * side / longer)) for side in grey.size]
    coarse = grey.resize((cells[0], cells[1]), Image.Resampling.BOX)
    soft = coarse.resize(grey.size, Image.Resampling.BICUBIC)
    return np.asarray(soft.filter(ImageFilter.GaussianBlur(longer / PREVIEW_CELLS / 2)))


def bounded(rgb: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """The picture (height, width, 3), made smaller where a side is longer than ``side`` pixels."""
    return np.asarray(_bounded(rgb, side))


def _bounded(rgb: NDArray[Any], side: int) -> Image.Image:
    picture = Image.fromarray(rgb)
    picture.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return picture
