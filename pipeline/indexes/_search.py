"""One call from Python a search: permute, ring or scan the base, scan the delta, put in order.

A search of one code takes some twenty microseconds, and handing an array to compiled code a seventh
of one. The columns of base and delta therefore come as addresses (``Base.place``).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.np.numpy_support import carray

from pipeline.indexes._bits import pointer
from pipeline.indexes._flat import FULL, OVER_BUDGET, permuted, scan
from pipeline.indexes._ring import ring
from pipeline.kernels import compiled

ORDERED_UP_TO = 64
"""Hits that are put in order here; more are left to numpy."""


@compiled
def find(
    resting: Any, moving: Any, new_rows: Any, codes: Any, table: Any, within: Any,
    by_ring: Any, flips: Any, left: Any, most_hits: Any, room: Any, quotas: Any, found: Any,
) -> Any:  # fmt: skip
    """All hits of ``codes`` (m, 32), written to ``found``; ``room`` (>= m, 4) gets their words.

    ``resting`` and ``moving`` are the places of a base and a delta that the caller keeps alive.
    ``quotas`` (>= m,) is -1 afterwards for a code that has more than ``most_hits``; its hits are
    then not all there. Returns the number of hits, or ``FULL``, and how many codes have more.
    """
    tiles = carray(pointer(resting[0]), resting[1], np.uint64)
    labels = carray(pointer(resting[2]), resting[3], np.int64)
    gone = carray(pointer(resting[4]), resting[5], np.uint8)
    extra_rows = carray(pointer(resting[6]), resting[7], np.uint32)
    extra_starts = carray(pointer(resting[8]), resting[9], np.int64)
    extra_labels = carray(pointer(resting[10]), resting[11], np.int64)
    extra_gone = carray(pointer(resting[12]), resting[13], np.uint8)
    rows = resting[20]

    radius = np.uint64(within)
    count = codes.shape[0]
    queries, quota = room[:count], quotas[:count]
    permuted(codes, table, queries)
    quota[:] = most_hits
    everyone = np.arange(count)
    least = np.zeros(count, np.int64)
    most = np.full(count, radius)
    k = 0
    if by_ring:
        offsets = carray(pointer(resting[14]), resting[15], np.uint32)
        follow = carray(pointer(resting[16]), resting[17], np.uint16)
        ids = carray(pointer(resting[18]), resting[19], np.uint8)
        verdicts = np.zeros(count, np.uint8)
        k = ring(
            tiles, rows, labels, gone, extra_rows, extra_starts, extra_labels, extra_gone,
            offsets, follow, ids, resting[21], queries, radius, flips, left,
            2 * rows, max(rows // 50, 1024), quota, verdicts, found, k,
        )  # fmt: skip
        if k == FULL:
            return FULL, 0
        costly = everyone[verdicts == OVER_BUDGET]
        if costly.shape[0] > 0:
            quota[costly] = most_hits
            k = scan(
                tiles, rows, labels, gone, extra_rows, extra_starts, extra_labels, extra_gone,
                queries, costly, least, most, quota, found, k,
            )  # fmt: skip
    elif rows > 0:
        k = scan(
            tiles, rows, labels, gone, extra_rows, extra_starts, extra_labels, extra_gone,
            queries, everyone, least, most, quota, found, k,
        )  # fmt: skip
    if k != FULL and new_rows > 0:
        new_tiles = carray(pointer(moving[0]), moving[1], np.uint64)
        new_labels = carray(pointer(moving[2]), moving[3], np.int64)
        new_gone = carray(pointer(moving[4]), moving[5], np.uint8)
        k = scan(
            new_tiles, new_rows, new_labels, new_gone,
            extra_rows[:0], extra_starts[:0], extra_labels[:0], extra_gone[:0],
            queries, everyone, least, most, quota, found, k,
        )  # fmt: skip
    if 1 < k <= ORDERED_UP_TO:
        put_in_order(found, k)
    return k, (quota < 0).sum()


@compiled
def put_in_order(found: Any, count: Any) -> None:
    """The first columns by query, then distance, then label."""
    for i in range(1, count):
        query, label, distance = found[0, i], found[1, i], found[2, i]
        j = i
        while j > 0 and (
            found[0, j - 1] > query
            or (
                found[0, j - 1] == query
                and (
                    found[2, j - 1] > distance
                    or (found[2, j - 1] == distance and found[1, j - 1] > label)
                )
            )
        ):
            for row in range(3):
                found[row, j] = found[row, j - 1]
            j -= 1
        found[0, j], found[1, j], found[2, j] = query, label, distance
