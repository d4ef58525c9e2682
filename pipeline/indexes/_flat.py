"""Scanning every code: exact at any radius, with many queries sharing one pass over memory.

Codes lie in tiles (see ``_bits``), each row with one label; further labels of the same code lie in
the *extra* columns, so that a flood of one code costs one row. ``gone`` is one byte a row: bit 0
says that the first label was removed, bit 1 that there are extra labels. Hits are written as
columns into ``found`` (3, capacity): query, label, distance.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.indexes._bits import (
    LANES,
    TILE,
    half_tile_within,
    lowest_bit,
    popcount,
    tile_within,
)
from pipeline.kernels import compiled

REMOVED = 1
HAS_EXTRAS = 2

FINE, OVER_BUDGET, OVER_CAP = 0, 1, 2
"""Verdicts on one query: answered; the scan is cheaper; more hits than may be told."""

FULL = -1
"""What a kernel returns when ``found`` is too small; the caller comes back with a larger one."""

TILES_AT_A_TIME = (
    32  # 8 KiB: a quarter of the smallest first-level cache, read once for all queries
)
HALF_IS_ENOUGH = np.uint64(44)
# Random codes differ by 64 bits in 128, spread 5.7: up to here a half rejects 99.98% of them.


@compiled
def permuted(codes: Any, table: Any, words: Any) -> None:
    """Codes (n, 32) uint8 as words (n, 4) uint64, their bits moved as ``table`` (64, 16, 4) says.

    An empty table leaves every bit where it is.
    """
    plain = table.shape[0] == 0
    for row in range(codes.shape[0]):
        w0 = w1 = w2 = w3 = np.uint64(0)
        if plain:
            for byte in range(8):
                shift = np.uint64(8 * byte)
                w0 |= np.uint64(codes[row, byte]) << shift
                w1 |= np.uint64(codes[row, byte + 8]) << shift
                w2 |= np.uint64(codes[row, byte + 16]) << shift
                w3 |= np.uint64(codes[row, byte + 24]) << shift
        else:
            for byte in range(32):
                value = codes[row, byte]
                high, low = table[2 * byte, value >> 4], table[2 * byte + 1, value & 15]
                w0 |= high[0] | low[0]
                w1 |= high[1] | low[1]
                w2 |= high[2] | low[2]
                w3 |= high[3] | low[3]
        words[row, 0], words[row, 1], words[row, 2], words[row, 3] = w0, w1, w2, w3


@compiled
def write_rows(tiles: Any, start: Any, words: Any) -> None:
    """Put words (n, 4) into the tiles as rows ``start`` and up."""
    for i in range(words.shape[0]):
        row = start + i
        at = (row // LANES) * TILE + row % LANES
        for w in range(4):
            tiles[at + w * LANES] = words[i, w]


@compiled
def wipe_row(tiles: Any, row: Any) -> None:
    """Overwrite one code with zeros."""
    at = (row // LANES) * TILE + row % LANES
    for w in range(4):
        tiles[at + w * LANES] = np.uint64(0)


@compiled
def distance_at(tiles: Any, at: Any, w0: Any, w1: Any, w2: Any, w3: Any) -> Any:
    """Bits in which the code whose first word is ``tiles[at]`` differs from the words asked."""
    return (
        popcount(tiles[at] ^ w0)
        + popcount(tiles[at + LANES] ^ w1)
        + popcount(tiles[at + 2 * LANES] ^ w2)
        + popcount(tiles[at + 3 * LANES] ^ w3)
    )


@compiled
def group_of(extra_rows: Any, row: Any) -> Any:
    """Where a row with extra labels stands in ``extra_rows`` (sorted)."""
    low, high = 0, extra_rows.shape[0]
    while low < high:
        middle = (low + high) // 2
        if np.int64(extra_rows[middle]) < row:
            low = middle + 1
        else:
            high = middle
    return low


@compiled
def tell(
    row: Any, query: Any, distance: Any,
    labels: Any, gone: Any, extra_rows: Any, extra_starts: Any, extra_labels: Any, extra_gone: Any,
    quota: Any, found: Any, k: Any,
) -> Any:  # fmt: skip
    """Write the labels of a row that are still there as hits from column ``k`` on.

    ``quota[query]`` falls with each and stops at zero, leaving -1 when there was more to tell.
    Returns the next free column, or ``FULL``.
    """
    state = gone[row]
    if not state & REMOVED:
        if quota[query] <= 0:
            quota[query] = -1
            return k
        if k >= found.shape[1]:
            return FULL
        found[0, k], found[1, k], found[2, k] = query, labels[row], distance
        quota[query] -= 1
        k += 1
    if state & HAS_EXTRAS:
        group = group_of(extra_rows, row)
        for i in range(extra_starts[group], extra_starts[group + 1]):
            if extra_gone[i]:
                continue
            if quota[query] <= 0:
                quota[query] = -1
                return k
            if k >= found.shape[1]:
                return FULL
            found[0, k], found[1, k], found[2, k] = query, extra_labels[i], distance
            quota[query] -= 1
            k += 1
    return k


@compiled
def scan(
    tiles: Any, rows: Any, labels: Any, gone: Any,
    extra_rows: Any, extra_starts: Any, extra_labels: Any, extra_gone: Any,
    queries: Any, asking: Any, least: Any, most: Any, quota: Any, found: Any, k: Any,
) -> Any:  # fmt: skip
    """Hits of ``queries[asking]`` among the first ``rows`` rows, ``least`` to ``most`` bits away.

    ``least`` (int64), ``most`` (uint64) and ``quota`` (int64) have one value a query.

    Returns the next free column of ``found``, or ``FULL``.
    """
    tile_count = (rows + LANES - 1) // LANES
    for first in range(0, tile_count, TILES_AT_A_TIME):
        last = min(tile_count, first + TILES_AT_A_TIME)
        for j in range(asking.shape[0]):
            query = asking[j]
            if quota[query] < 0:
                continue
            w0, w1 = queries[query, 0], queries[query, 1]
            w2, w3 = queries[query, 2], queries[query, 3]
            radius = most[query]
            narrow = radius <= HALF_IS_ENOUGH
            for tile in range(first, last):
                at = tile * TILE
                if narrow and half_tile_within(tiles, at, w0, w1, radius) == np.uint32(0):
                    continue
                mask = tile_within(tiles, at, w0, w1, w2, w3, radius)
                while mask != np.uint32(0):
                    lane = lowest_bit(mask)
                    mask = np.uint32(mask & (mask - np.uint32(1)))
                    row = tile * LANES + lane
                    if row >= rows:
                        break
                    distance = np.int64(distance_at(tiles, at + lane, w0, w1, w2, w3))
                    if distance < least[query]:
                        continue
                    k = tell(
                        row, query, distance, labels, gone,
                        extra_rows, extra_starts, extra_labels, extra_gone, quota, found, k,
                    )  # fmt: skip
                    if k == FULL:
                        return FULL
    return k


@compiled
def tally(
    tiles: Any, rows: Any, _labels: Any, gone: Any,
    extra_rows: Any, extra_starts: Any, _extra_labels: Any, extra_gone: Any,
    queries: Any, asking: Any, radius: Any, counts: Any,
) -> None:  # fmt: skip
    """Add to ``counts`` (queries, 257) how many labels are at which distance up to ``radius``."""
    tile_count = (rows + LANES - 1) // LANES
    for first in range(0, tile_count, TILES_AT_A_TIME):
        last = min(tile_count, first + TILES_AT_A_TIME)
        for j in range(asking.shape[0]):
            query = asking[j]
            w0, w1 = queries[query, 0], queries[query, 1]
            w2, w3 = queries[query, 2], queries[query, 3]
            for tile in range(first, last):
                at = tile * TILE
                mask = tile_within(tiles, at, w0, w1, w2, w3, radius)
                while mask != np.uint32(0):
                    lane = lowest_bit(mask)
                    mask = np.uint32(mask & (mask - np.uint32(1)))
                    row = tile * LANES + lane
                    if row >= rows:
                        break
                    there = 0 if gone[row] & REMOVED else 1
                    if gone[row] & HAS_EXTRAS:
                        group = group_of(extra_rows, row)
                        for i in range(extra_starts[group], extra_starts[group + 1]):
                            if not extra_gone[i]:
                                there += 1
                    distance = np.int64(distance_at(tiles, at + lane, w0, w1, w2, w3))
                    counts[query, distance] += there
