"""A face moved to where the recogniser expects it: five points, one similarity."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
# Bilinear sampling looks at four pixels: shrinking further than this would skip some in between.
SHRINK_BELOW = 0.5
_MARGIN = 4


def similarity(source: NDArray[np.floating], target: NDArray[np.floating]) -> NDArray[np.float64]:
    """The turn, scale and shift (2, 3) that take ``source`` points (n, 2) nearest to ``target``.

    This is Umeyama's solution (1991) without mirroring; with points as complex numbers it is one
    division.
    """
    start = np.asarray(source, np.float64) @ (1, 1j)
    end = np.asarray(target, np.float64) @ (1, 1j)
    start_middle, end_middle = start.mean(), end.mean()
    centred = start - start_middle
    spread = float(np.vdot(centred, centred).real)
    # Points that all coincide have no direction; leave them unturned.
    turn = complex(np.vdot(centred, end - end_middle)) / spread if spread > 0 else 1 + 0j
    shift = complex(end_middle - turn * start_middle)
    return np.array(
        [[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]], np.float64
    )


@dataclass(frozen=True, slots=True, eq=False)
class Places:
    """Where a recogniser expects the five points: in pixels (5, 2) of a chip of ``side`` pixels."""

    side: int
    points: NDArray[np.float64]


def places(fractions: tuple[tuple[float, float], ...], side: int) -> Places:
    """A manifest's five-point template for chips of a given side."""
    return Places(side, np.array(fractions, np.float64) * side)


def chip(picture: Pixels, landmarks: NDArray[np.floating], expected: Places) -> Pixels:
    """The face at five ``landmarks``, upright where it is expected, uint8 (side, side, 3).

    What lies outside the picture is black.
    """
    side, goal = expected.side, expected.points
    matrix = similarity(landmarks, goal)
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    if 0 < scale < SHRINK_BELOW:
        picture, landmarks = _shrunk(picture, landmarks, matrix, side, scale)
        matrix = similarity(landmarks, goal)
    return np.asarray(cv2.warpAffine(picture, matrix, (side, side), flags=cv2.INTER_LINEAR))


def _shrunk(
    picture: Pixels,
    landmarks: NDArray[np.floating],
    matrix: NDArray[np.float64],
    side: int,
    scale: float,
) -> tuple[Pixels, NDArray[np.float64]]:
    """Only the part that the chip shows, shrunk to about the chip's scale by averaging areas."""
    height, width = picture.shape[:2]
    there = np.array([[0, 0], [side, 0], [0, side], [side, side]], np.float64)
    corners = (there - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T
    left, top = np.maximum(np.floor(corners.min(axis=0)).astype(int) - _MARGIN, 0)
    right, bottom = np.ceil(corners.max(axis=0)).astype(int) + _MARGIN
    right, bottom = min(int(right), width), min(int(bottom), height)
    if right - left < 2 or bottom - top < 2:
        return picture, np.asarray(landmarks, np.float64)
    part = picture[top:bottom, left:right]
    size = (max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale)))
    small = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
    factor = np.array([size[0] / (right - left), size[1] / (bottom - top)])
    # Pixels are areas: their centres lie half a pixel in, before and after.
    moved = (np.asarray(landmarks, np.float64) - (left, top) + 0.5) * factor - 0.5
    return np.asarray(small), moved
