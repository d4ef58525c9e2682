"""Rectangles bounded by long straight edges: a picture in a picture, a screen in a screenshot."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.media._trims import Rect

_STEP = 9
_MOST_LINES = 14
_LEAST_SIDE = 0.15
_SUPPORT = 0.75
"""Each side must be an edge over this share of its length."""
_RIM = 0.8
"""What a side is worth that is only the picture's own rim: every rectangle that reaches it has it.
"""


@dataclass(frozen=True, slots=True)
class _Line:
    """A straight edge at ``at``, from ``start`` to ``stop``."""

    at: int
    start: int
    stop: int


def rectangles(grey: NDArray[np.uint8], most: int = 4) -> list[Rect]:
    """The best-supported rectangles, each overlapping the others by less than three quarters."""
    height, width = grey.shape
    jumps_across = np.zeros((height, width), np.uint8)
    jumps_down = np.zeros((height, width), np.uint8)
    jumps_across[:, 1:] = np.greater(cv2.absdiff(grey[:, 1:], grey[:, :-1]), _STEP)
    jumps_down[1:] = np.greater(cv2.absdiff(grey[1:], grey[:-1]), _STEP)
    level = _lines(jumps_down, max(24, int(width * 0.16)))
    upright = _lines(np.ascontiguousarray(jumps_across.T), max(24, int(height * 0.16)))
    # The picture's own rim closes rectangles that reach it.
    level += [_Line(0, 0, width), _Line(height, 0, width)]
    upright += [_Line(0, 0, height), _Line(width, 0, height)]
    candidates = _supported(level, upright, width, height)
    kept: list[Rect] = []
    for _, rect in candidates:
        if all(overlap(rect, other) < 0.75 for other in kept):
            kept.append(rect)
        if len(kept) == most:
            break
    return kept


def _supported(
    level: list[_Line], upright: list[_Line], width: int, height: int
) -> list[tuple[float, Rect]]:
    """Rectangles with all four sides supported, best first. Large ones are preferred a little."""
    if len(level) < 2 or len(upright) < 2:
        return []
    rows = np.array([(line.at, line.start, line.stop) for line in level], dtype=np.float64)
    columns = np.array([(line.at, line.start, line.stop) for line in upright], dtype=np.float64)
    top, bottom = _pairs(rows, height * _LEAST_SIDE)
    left, right = _pairs(columns, width * _LEAST_SIDE)
    if not len(top) or not len(left):
        return []
    # (row pairs, column pairs)
    tall = (bottom[:, 0] - top[:, 0])[:, None]
    wide = (right[:, 0] - left[:, 0])[None]
    support = np.minimum.reduce(
        [
            _covered(left[None], top[:, None, 0], bottom[:, None, 0]) / tall,
            _covered(right[None], top[:, None, 0], bottom[:, None, 0]) / tall,
            _covered(top[:, None], left[None, :, 0], right[None, :, 0]) / wide,
            _covered(bottom[:, None], left[None, :, 0], right[None, :, 0]) / wide,
        ]
    )
    share = tall * wide / (width * height)
    rim = _at_rim(top, bottom, height)[:, None] + _at_rim(left, right, width)[None]
    worth = support * share**0.25 * _RIM**rim
    score = np.where((support > _SUPPORT) & (share < 0.97), worth, 0.0)
    best = np.argsort(-score, axis=None, kind="stable")[:24]
    found: list[tuple[float, Rect]] = []
    for down, across in zip(*np.unravel_index(best, score.shape), strict=True):
        if score[down, across] <= 0:
            break
        rect = (
            int(left[across, 0]),
            int(top[down, 0]),
            int(right[across, 0]),
            int(bottom[down, 0]),
        )
        found.append((float(score[down, across]), rect))
    return found


def _at_rim(low: NDArray[np.float64], high: NDArray[np.float64], size: int) -> NDArray[np.int64]:
    """How many of two lines are the picture's own rim."""
    return np.asarray((low[:, 0] == 0).astype(np.int64) + (high[:, 0] == size), np.int64)


def _pairs(
    lines: NDArray[np.float64], least: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """All pairs of lines that lie at least ``least`` apart, the lower coordinate first."""
    first, second = np.nonzero(lines[None, :, 0] - lines[:, None, 0] >= least)
    return lines[first], lines[second]


def _covered(
    lines: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]
) -> NDArray[np.float64]:
    """How much of the span from low to high each line runs along."""
    shared = np.minimum(lines[..., 2], high) - np.maximum(lines[..., 1], low)
    return np.asarray(np.maximum(0.0, shared))


def _lines(jumps: NDArray[np.uint8], least: int) -> list[_Line]:
    """Long level edges, longest first, one of several neighbours."""
    whole = cv2.morphologyEx(jumps, cv2.MORPH_CLOSE, np.ones((1, 7), np.uint8))
    whole = cv2.morphologyEx(whole, cv2.MORPH_OPEN, np.ones((1, least), np.uint8))
    rows = np.flatnonzero(np.asarray(whole).max(1))
    padded = np.zeros((len(rows), whole.shape[1] + 2), np.int8)
    padded[:, 1:-1] = whole[rows]
    steps = np.diff(padded, axis=1)
    row, start = np.nonzero(steps == 1)
    _, stop = np.nonzero(steps == -1)
    at = rows[row]
    order = np.argsort(start - stop, kind="stable")[:200]
    lines = np.stack([at[order], start[order], stop[order]], axis=1).astype(np.int64)
    kept: list[_Line] = []
    while len(lines) and len(kept) < _MOST_LINES:
        first, lines = lines[0], lines[1:]
        kept.append(_Line(*(int(value) for value in first)))
        lines = lines[~_same(lines, first)]
    return kept


def _same(lines: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which lines are within three pixels of another and run along it for half their length."""
    shared = np.minimum(lines[:, 2], other[2]) - np.maximum(lines[:, 1], other[1])
    close = np.abs(lines[:, 0] - other[0]) <= 3
    return np.asarray(close & (2 * shared >= lines[:, 2] - lines[:, 1]), np.bool_)


def overlap(first: Rect, second: Rect) -> float:
    """Intersection over union of two rectangles, 0 to 1."""
    across = max(0, min(first[2], second[2]) - max(first[0], second[0]))
    down = max(0, min(first[3], second[3]) - max(first[1], second[1]))
    shared = across * down
    areas = sum((rect[2] - rect[0]) * (rect[3] - rect[1]) for rect in (first, second))
    return shared / max(1, areas - shared)
