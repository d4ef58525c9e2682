"""Borders and bars taken off a picture's four sides: frames, letterboxes, captions."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Rect = tuple[int, int, int, int]
"""Left, top, right, bottom in whole pixels."""

_LEAST = 24
_SIDES = ("top", "bottom", "left", "right")


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


def trims(rgb: NDArray[np.uint8], strictness: Strictness = PLAIN, rounds: int = 3) -> list[Rect]:
    """What is left after each round of trimming all four sides; empty where nothing is plain."""
    height, width = rgb.shape[:2]
    rect: Rect = (0, 0, width, height)
    found: list[Rect] = []
    for _ in range(rounds):
        before = rect
        for side in _SIDES:
            rect = _trimmed(rgb, rect, side, strictness)
        if rect == before:
            break
        found.append(rect)
    return found


def _trimmed(rgb: NDArray[np.uint8], rect: Rect, side: str, strictness: Strictness) -> Rect:
    left, top, right, bottom = rect
    if right - left < _LEAST or bottom - top < _LEAST:
        return rect
    part = rgb[top:bottom, left:right]
    depth = _border_depth(part, side, strictness)
    lines = part.shape[0] if side in ("top", "bottom") else part.shape[1]
    if depth <= 1 or lines - depth < _LEAST:
        return rect
    # The last line of a border is blended with the picture wherever the upload was resized.
    depth += 1 if lines - depth > 40 else 0
    match side:
        case "top":
            return (left, top + depth, right, bottom)
        case "bottom":
            return (left, top, right, bottom - depth)
        case "left":
            return (left + depth, top, right, bottom)
        case _:
            return (left, top, right - depth, bottom)


def _border_depth(part: NDArray[np.uint8], side: str, strictness: Strictness) -> int:
    """How many lines from a side on are plain, in the colour of its outermost two lines."""
    edge = {
        "top": part[:2],
        "bottom": part[-2:],
        "left": part[:, :2],
        "right": part[:, -2:],
    }[side]
    pixels = edge.reshape(-1, 3)
    # The lower median, at a fifth of the price of NumPy's.
    colour = np.partition(pixels, len(pixels) // 2, axis=0)[len(pixels) // 2].astype(np.float64)
    if cv2.mean(near_colour(edge, colour, strictness.tolerance))[0] < strictness.share * 255:
        return 0
    mask = near_colour(part, colour, strictness.tolerance)
    lines = line_means(mask, 1 if side in ("top", "bottom") else 0) >= strictness.share * 255
    if side in ("bottom", "right"):
        lines = lines[::-1]
    depth = _leading(lines)
    return _bridged(lines, depth, strictness.bridge) if depth and strictness.bridge else depth


def _leading(lines: NDArray[np.bool_]) -> int:
    """How many leading lines are true; 0 when all are, for then there is no picture inside."""
    return 0 if lines.all() else int(np.argmin(lines))


def _bridged(lines: NDArray[np.bool_], depth: int, bridge: float) -> int:
    """The depth, going on past short interruptions as long as it stays under 45% of the side."""
    gap = max(2, int(len(lines) * bridge))
    at = depth
    while at < len(lines) * 0.45:
        ahead = lines[at : at + gap + 1]
        if not ahead.any():
            break
        at += int(np.argmax(ahead)) + 1
        depth = at
    return depth


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
