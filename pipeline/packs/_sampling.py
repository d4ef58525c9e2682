"""Compiled loops around the detector's networks, each one call where OpenCV needs hundreds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pipeline.kernels import compiled


def _sampled(picture: Any, edges: Any, rows: Any, crops: Any) -> None:
    """Parts of a picture (uint8, rows, columns, 3) into float32 (n, 3, side, side), bilinear.

    Part i has the edges (left, top, right, bottom) and becomes crop ``rows[i]``. Pixels are areas,
    and a part's edge goes on outside of it.
    """
    side = crops.shape[2]
    first = np.empty(side, np.int64)
    second = np.empty(side, np.int64)
    share = np.empty(side, np.float32)
    line = np.empty(3 * picture.shape[1], np.float32)
    for at in range(len(rows)):
        left, top, right, bottom = edges[at]
        width, height = right - left, bottom - top
        crop = crops[rows[at]]
        for x in range(side):
            place = min(max((x + 0.5) * (width / side) - 0.5, 0.0), width - 1.0)
            whole = int(place)
            first[x] = 3 * whole
            second[x] = 3 * min(whole + 1, width - 1)
            share[x] = place - whole
        for y in range(side):
            place = min(max((y + 0.5) * (height / side) - 0.5, 0.0), height - 1.0)
            whole = int(place)
            down = np.float32(place - whole)
            above = picture[top + whole].reshape(-1)[3 * left : 3 * right]
            below = picture[top + min(whole + 1, height - 1)].reshape(-1)[3 * left : 3 * right]
            for x in range(3 * width):
                up = np.float32(above[x])
                line[x] = up + down * (np.float32(below[x]) - up)
            for channel in range(3):
                for x in range(side):
                    one = line[first[x] + channel]
                    crop[channel, y, x] = one + share[x] * (line[second[x] + channel] - one)


def _likely(face: Any, least: Any) -> Any:
    """Rows and columns (n, 2) where ``face`` (rows, columns) is at least so much, in order."""
    count = np.int64(0)
    for row in range(face.shape[0]):
        for column in range(face.shape[1]):
            count += np.int64(face[row, column] >= least)
    found = np.empty((count, 2), np.int64)
    if not count:
        return found
    at = 0
    for row in range(face.shape[0]):
        for column in range(face.shape[1]):
            if face[row, column] >= least:
                found[at, 0], found[at, 1] = row, column
                at += 1
    return found


sampled: Callable[..., None] = compiled(_sampled)
likely: Callable[..., Any] = compiled(_likely)
