"""Compiled loops around the detector's networks, each one call where OpenCV needs hundreds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pipeline.kernels import compiled

WINDOW, STEP = 12, 2
"""The first network looks at squares of so many pixels, so many apart."""


def _sampled(picture: Any, edges: Any, rows: Any, crops: Any) -> None:
    """Parts of a picture (uint8, rows, columns, 3) into float32 (n, 3, side, side), bilinear.

    Part i has the edges (left, top, right, bottom) and becomes crop ``rows[i]``. Pixels are areas,
    and a part's edge goes on outside of it.
    """
    side, across = crops.shape[2], 3 * picture.shape[1]
    pixels = picture.reshape(-1)
    # Unsigned, so that the machine need not ask whether they count from the end.
    first = np.empty((3, side), np.uint32)
    second = np.empty((3, side), np.uint32)
    share = np.empty(side, np.float32)
    line = np.empty(across, np.float32)
    for at in range(len(rows)):
        left, top, right, bottom = edges[at]
        width, height = right - left, bottom - top
        crop = crops[rows[at]]
        for x in range(side):
            place = min(max((x + 0.5) * (width / side) - 0.5, 0.0), width - 1.0)
            whole = int(place)
            share[x] = place - whole
            for channel in range(3):
                first[channel, x] = 3 * whole + channel
                second[channel, x] = 3 * min(whole + 1, width - 1) + channel
        for y in range(side):
            place = min(max((y + 0.5) * (height / side) - 0.5, 0.0), height - 1.0)
            whole = int(place)
            down = np.float32(place - whole)
            above = np.uint64((top + whole) * across + 3 * left)
            below = np.uint64((top + min(whole + 1, height - 1)) * across + 3 * left)
            for x in range(np.uint64(3 * width)):
                up = np.float32(pixels[above + x])
                line[x] = up + down * (np.float32(pixels[below + x]) - up)
            for channel in range(3):
                for x in range(side):
                    one = line[first[channel, x]]
                    crop[channel, y, x] = one + share[x] * (line[second[channel, x]] - one)


def _averaged(picture: Any, edges: Any, crops: Any) -> None:
    """Parts of a picture (uint8, rows, columns, 3) into float32 (n, 3, side, side), by area.

    Part i has the edges (left, top, right, bottom) and becomes crop i. Each pixel of a crop is the
    mean of what it covers; a part smaller than the crop is enlarged without interpolation.
    """
    side, across = crops.shape[2], 3 * picture.shape[1]
    pixels = picture.reshape(-1)
    line = np.empty(across, np.float32)
    for at in range(len(edges)):
        left, top, right, bottom = edges[at]
        width, height = right - left, bottom - top
        crop = crops[at]
        wide, tall = width / side, height / side
        each = np.float32(1 / (wide * tall))
        values = np.uint64(3 * width)
        for y in range(side):
            start = y * tall
            stop = min(start + tall, np.float64(height))
            begin = int(start)
            end = min(int(np.ceil(stop)), height)
            weight = np.float32(min(stop, begin + 1.0) - start)
            place = np.uint64((top + begin) * across + 3 * left)
            for x in range(values):
                line[x] = weight * np.float32(pixels[place + x])
            for row in range(begin + 1, end):
                weight = np.float32(min(stop, row + 1.0) - row)
                place = np.uint64((top + row) * across + 3 * left)
                for x in range(values):
                    line[x] += weight * np.float32(pixels[place + x])
            for x in range(side):
                start = x * wide
                stop = min(start + wide, np.float64(width))
                begin = int(start)
                end = min(int(np.ceil(stop)), width)
                weight = np.float32(min(stop, begin + 1.0) - start)
                red, green, blue = (
                    weight * line[3 * begin],
                    weight * line[3 * begin + 1],
                    weight * line[3 * begin + 2],
                )
                for column in range(begin + 1, end):
                    weight = np.float32(min(stop, column + 1.0) - column)
                    red += weight * line[3 * column]
                    green += weight * line[3 * column + 1]
                    blue += weight * line[3 * column + 2]
                crop[0, y, x] = red * each
                crop[1, y, x] = green * each
                crop[2, y, x] = blue * each


def _planes(picture: Any, planes: Any) -> None:
    """A picture (uint8, rows, columns, 3) into float32 (3, rows, columns)."""
    for y in range(picture.shape[0]):
        for x in range(picture.shape[1]):
            planes[0, y, x] = picture[y, x, 0]
            planes[1, y, x] = picture[y, x, 1]
            planes[2, y, x] = picture[y, x, 2]


def _suspected(face: Any, moves: Any, least: Any, scale: Any) -> Any:
    """Where ``face`` (rows, columns) is at least so much: boxes (n, 4), scores, and moves (n, 4).

    The boxes are whole pixels of the picture of which this was seen at ``scale``; corners count
    from one. ``moves`` (4, rows, columns) is what the network says of each box.
    """
    each = np.zeros(face.shape[0], np.int64)
    for row in range(face.shape[0]):
        here = 0
        for column in range(face.shape[1]):
            here += face[row, column] >= least
        each[row] = here
    count = each.sum()
    boxes = np.empty((count, 4), np.float32)
    scores = np.empty(count, np.float32)
    moved = np.empty((count, 4), np.float32)
    at = 0
    for row in range(face.shape[0]):
        if not each[row]:
            continue
        for column in range(face.shape[1]):
            if face[row, column] >= least:
                left, top = STEP * column + 1, STEP * row + 1
                boxes[at, 0] = np.floor(left / scale)
                boxes[at, 1] = np.floor(top / scale)
                boxes[at, 2] = np.floor((left + WINDOW - 1) / scale)
                boxes[at, 3] = np.floor((top + WINDOW - 1) / scale)
                scores[at] = face[row, column]
                for edge in range(4):
                    moved[at, edge] = moves[edge, row, column]
                at += 1
    return boxes, scores, moved


def _best(boxes: Any, order: Any, overlap: Any, groups: Any) -> Any:
    """Rows in ``order`` that overlap no earlier one kept of their group by more than ``overlap``.

    ``boxes`` is float64 (n, 4). What is kept lies side by side, and sixteen at a time are compared.
    """
    room = (len(order) + 15) // 16 * 16
    left, top = np.empty(room, np.float64), np.empty(room, np.float64)
    right, bottom = np.empty(room, np.float64), np.empty(room, np.float64)
    areas, owners = np.zeros(room, np.float64), np.full(room, -1, np.int32)
    kept = np.empty(len(order), np.int64)
    count = 0
    for row in order:
        a, b, c, d = boxes[row, 0], boxes[row, 1], boxes[row, 2], boxes[row, 3]
        area, group = (c - a) * (d - b), groups[row]
        alike = False
        for block in range(0, count, 16):
            met = 0
            for at in range(block, block + 16):
                wide = min(c, right[at]) - max(a, left[at])
                tall = min(d, bottom[at]) - max(b, top[at])
                shared = max(wide, 0.0) * max(tall, 0.0)
                met += (shared > overlap * (area + areas[at] - shared)) & (owners[at] == group)
            if met:
                alike = True
                break
        if alike:
            continue
        left[count], top[count], right[count], bottom[count] = a, b, c, d
        areas[count], owners[count] = area, group
        kept[count] = row
        count += 1
    return kept[:count]


def _proposed(boxes: Any, scores: Any, moves: Any, levels: Any, overlaps: Any, most: Any) -> Any:
    """The best ``most`` of many boxes, moved as they say of themselves: squares (n, 4), best first.

    They are unlike each other by ``overlaps``: within each of the ``levels``, then all together.
    """
    exact = boxes.astype(np.float64)
    order = np.argsort(-scores, kind="mergesort")
    kept = best(exact, order, overlaps[0], levels)
    kept = best(exact, kept, overlaps[1], np.zeros(len(levels), np.int32))[:most]
    squares = np.empty((len(kept), 4), np.float32)
    for at in range(len(kept)):
        row = kept[at]
        wide, tall = boxes[row, 2] - boxes[row, 0], boxes[row, 3] - boxes[row, 1]
        left = boxes[row, 0] + moves[row, 0] * wide
        top = boxes[row, 1] + moves[row, 1] * tall
        across = boxes[row, 2] + moves[row, 2] * wide - left
        down = boxes[row, 3] + moves[row, 3] * tall - top
        side = max(across, down)
        squares[at, 0] = left + (across - side) / 2
        squares[at, 1] = top + (down - side) / 2
        squares[at, 2] = squares[at, 0] + side
        squares[at, 3] = squares[at, 1] + side
    return squares


sampled: Callable[..., None] = compiled(_sampled)
averaged: Callable[..., None] = compiled(_averaged)
planes: Callable[..., None] = compiled(_planes)
suspected: Callable[..., Any] = compiled(_suspected)
best: Callable[..., Any] = compiled(_best)
proposed: Callable[..., Any] = compiled(_proposed)
