"""The ring multi-index: exact search within a radius that reads a few thousandths of the codes.

A code is 16 substrings of 16 bits in a ring. Let ``d[t]`` be the bits in which substring ``t`` of a
stored code differs from that of the query, ``r >= d[0] + ... + d[15]`` the radius, and ``most[t]``
whole numbers such that ``(most[0] + 1) + ... + (most[15] + 1) = r + 1``. By the pigeonring
principle (Qin and Xiao, VLDB 2018) there is a start ``t`` such that *every* run of substrings from
``t`` on differs in fewer bits than its ``most[t] + 1`` add up to. (Suppose not: then from every
start some run reaches its share; laying such runs one after another around the ring until they
close gives whole turns that differ by more than ``r`` each.) Of these conditions two are used:

    d[t]           <= most[t]
    d[t] + d[t+1]  <= most[t] + most[t+1] + 1

For ``r = 31`` every ``most[t]`` is 1; for ``r <= 15`` it is 0 in ``r + 1`` tables and -1 in the
others, which are not read; for ``r = 37`` it is 2 in six tables and 1 in ten, which halves the
buckets that 2 in all of them would read.

Each of the 16 tables keeps its codes in the order of their substring (CSR: ``offsets``), and beside
each posting's row number (``ids``) its *next* substring (``follow``). A bucket is then read in
sequence, 32 postings an instruction, and of random codes 99.7% are rejected before anything else is
touched. A code that is near has several such starts: it is told at the first one only, which is
found out from the code itself, so that no memory of what was told is needed.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.indexes._bits import (
    LANES,
    TILE,
    halfwords_within,
    load_uint32,
    lowest_bit,
    popcount,
    prefetch,
)
from pipeline.indexes._flat import FULL, OVER_BUDGET, tell
from pipeline.kernels import compiled

TABLES = 16
BUCKETS = 65537
"""Offsets of one table: 65,536 buckets and the end."""
SLACK = 32
"""Postings that a vector may read beyond the end of a table."""
REACH = ((0, 31), (100_000, 37), (200_000, 47), (400_000, 51), (1_000_000, 55))
"""From how many rows on the ring beats the scan up to which radius: more flips, more buckets."""

AHEAD = 384
"""Lines of memory that are asked for before they are read, or one table's when those are more: the
first-level cache holds twice as many."""
PENDING = 2048
"""Postings kept until they are looked up: those of a query or of several at once, as far as there
is room, so that codes come from memory beside each other instead of one after another."""


def reach(rows: int) -> int:
    """The widest radius for which the ring is the better way among so many rows."""
    return max(radius for least, radius in REACH if rows >= least)


@cache
def shares(radius: int) -> NDArray[np.int64]:
    """``most`` of each table for a radius (17,), the first once more at the end; see above.

    The larger ones lie apart, since a table's limit bears on the one before it as well.
    """
    ends = np.arange(TABLES + 1) * (radius + 1 - TABLES) // TABLES
    most = np.diff(ends)
    return np.append(most, most[0])


@cache
def probes(radius: int) -> tuple[NDArray[np.uint16], NDArray[np.int64]]:
    """The buckets to read for a radius.

    Returns what to flip in the query's substring (p,), in order of weight, and for each table
    (2, 17) its share and how many of the flips are within it.
    """
    most = shares(radius)
    every = np.arange(1 << 16, dtype=np.uint16)
    weight = np.bitwise_count(every)
    flips = every[weight <= most.max()]
    flips = flips[np.argsort(np.bitwise_count(flips), kind="stable")]
    widths = (np.bitwise_count(flips)[None, :] <= most[:, None]).sum(axis=1)
    return flips, np.stack([most, widths])


@compiled
def fill_tables(
    tiles: Any, rows: Any, offsets: Any, follow: Any, ids: Any, id_bytes: Any, sentinel: Any
) -> None:
    """Sort all codes into the 16 tables, in row order within a bucket."""
    free = np.empty(BUCKETS, np.uint32)
    stride = rows + SLACK
    tile_count = (rows + LANES - 1) // LANES
    for t in range(TABLES):
        o = offsets[t * BUCKETS : (t + 1) * BUCKETS]
        o[:] = np.uint32(0)
        shift, plane = np.uint64(16 * (t % 4)), (t // 4) * LANES
        following = (t + 1) % TABLES
        next_shift, next_plane = np.uint64(16 * (following % 4)), (following // 4) * LANES
        for tile in range(tile_count):
            at = tile * TILE + plane
            for lane in range(min(LANES, rows - tile * LANES)):
                o[np.int64((tiles[at + lane] >> shift) & np.uint64(0xFFFF)) + 1] += np.uint32(1)
        for b in range(BUCKETS - 1):
            o[b + 1] += o[b]
        free[:] = o
        for tile in range(tile_count):
            at = tile * TILE
            for lane in range(min(LANES, rows - tile * LANES)):
                word = tiles[at + plane + lane]
                bucket = np.int64((word >> shift) & np.uint64(0xFFFF))
                p: Any = np.int64(free[bucket])
                free[bucket] += np.uint32(1)
                follow[t * stride + p] = np.uint16(
                    (tiles[at + next_plane + lane] >> next_shift) & np.uint64(0xFFFF)
                )
                byte, row = (t * stride + p) * id_bytes, tile * LANES + lane
                for b in range(id_bytes):
                    ids[byte + b] = np.uint8((row >> (8 * b)) & 255)
        for p in range(rows, stride):
            follow[t * stride + p] = np.uint16(0)
            for b in range(id_bytes):
                ids[(t * stride + p) * id_bytes + b] = np.uint8((sentinel >> (8 * b)) & 255)


@compiled
def wipe_postings(
    tiles: Any, row: Any, rows: Any, offsets: Any, follow: Any, ids: Any, id_bytes: Any
) -> None:
    """Blank the 16 postings of a row, which together spell its code, and point them at no row."""
    stride = rows + SLACK
    keep = np.uint32(0xFFFFFF) if id_bytes == 3 else np.uint32(0xFFFFFFFF)
    at = (row // LANES) * TILE + row % LANES
    for t in range(TABLES):
        word = tiles[at + (t // 4) * LANES]
        bucket = np.int64((word >> np.uint64(16 * (t % 4))) & np.uint64(0xFFFF))
        start, end = offsets[t * BUCKETS + bucket], offsets[t * BUCKETS + bucket + 1]
        for p in range(np.int64(start), np.int64(end)):
            byte = (t * stride + p) * id_bytes
            if np.int64(load_uint32(ids, byte) & keep) == row:
                follow[t * stride + p] = np.uint16(0)
                for b in range(id_bytes):
                    ids[byte + b] = np.uint8((rows >> (8 * b)) & 255)
                break


@compiled
def told_before(x0: Any, x1: Any, x2: Any, x3: Any, table: Any, most: Any) -> Any:
    """Whether a start before ``table`` meets both conditions, given the differing bits."""
    word, first = x0, np.int64(popcount(x0 & np.uint64(0xFFFF)))
    for t in range(table):
        following = t + 1
        if following == 4:
            word = x1
        elif following == 8:
            word = x2
        elif following == 12:
            word = x3
        shift = np.uint64(16 * (following % 4))
        second = np.int64(popcount((word >> shift) & np.uint64(0xFFFF)))
        if first <= most[t] and first + second <= most[t] + most[t + 1] + 1:
            return True
        first = second
    return False


@compiled
def settle(
    pending: Any, owners: Any, count: Any, stride: Any, queries: Any, radius: Any,
    tiles: Any, labels: Any, gone: Any,
    extra_rows: Any, extra_starts: Any, extra_labels: Any, extra_gone: Any,
    ids: Any, id_bytes: Any, most: Any, looked_up: Any, quota: Any, found: Any, k: Any,
) -> Any:  # fmt: skip
    """Look up the codes of ``pending`` postings and tell those within the radius.

    ``owners`` are the queries that they are of, ``stride`` how many postings a table has;
    ``looked_up`` is scratch as long as ``pending``, which is overwritten as ``owners`` is. Another
    process may be blanking a posting of a shared segment, byte by byte: what it reads as then is at
    most taken for the sentinel, which is the last row.
    """
    keep = np.uint32(0xFFFFFF) if id_bytes == 3 else np.uint32(0xFFFFFFFF)
    for a in range(count):
        row = min(np.int64(load_uint32(ids, pending[a] * id_bytes) & keep), stride - SLACK)
        at = (row // LANES) * TILE + row % LANES
        looked_up[a] = row
        prefetch(tiles, at)
        prefetch(tiles, at + LANES)
    near = 0
    for a in range(count):
        row, asked = looked_up[a], queries[owners[a]]
        at = (row // LANES) * TILE + row % LANES
        x0, x1 = tiles[at] ^ asked[0], tiles[at + LANES] ^ asked[1]
        half = popcount(x0) + popcount(x1)
        if half > radius:
            continue
        x2, x3 = tiles[at + 2 * LANES] ^ asked[2], tiles[at + 3 * LANES] ^ asked[3]
        distance = half + popcount(x2) + popcount(x3)
        if distance > radius or told_before(x0, x1, x2, x3, pending[a] // stride, most):
            continue
        prefetch(gone, row)
        prefetch(labels, row)
        looked_up[near], owners[near], pending[near] = row, owners[a], np.int64(distance)
        near += 1
    for a in range(near):
        if quota[owners[a]] < 0:
            continue
        k = tell(
            looked_up[a], owners[a], pending[a], labels, gone,
            extra_rows, extra_starts, extra_labels, extra_gone, quota, found, k,
        )  # fmt: skip
        if k == FULL:
            return FULL
    return k


@compiled
def without(found: Any, first: Any, k: Any, verdicts: Any) -> Any:
    """Drop hits of queries over budget from column ``first`` on; the next free column."""
    kept = first
    for a in range(first, k):
        if verdicts[found[0, a]] != OVER_BUDGET:
            for row in range(3):
                found[row, kept] = found[row, a]
            kept += 1
    return kept


@compiled
def ring(
    tiles: Any, rows: Any, labels: Any, gone: Any,
    extra_rows: Any, extra_starts: Any, extra_labels: Any, extra_gone: Any,
    offsets: Any, follow: Any, ids: Any, id_bytes: Any,
    queries: Any, radius: Any, flips: Any, shared: Any,
    most_candidates: Any, most_verified: Any,
    quota: Any, verdicts: Any, found: Any, k: Any,
) -> Any:  # fmt: skip
    """Hits of every query within ``radius`` (uint64), with the ``probes`` of that radius.

    A query that would read more than ``most_candidates`` postings or look up more than
    ``most_verified`` codes gets the verdict ``OVER_BUDGET`` and has no hits; one with more hits
    than its quota has a quota of -1 afterwards and not all of them. Returns the next free column of
    ``found``, or ``FULL``.

    Memory is what a search waits for. All queries ask one table before any asks the next, so that
    what they read lies within few pages; and what one asks of a table is brought while others are
    answered.
    """
    stride = rows + SLACK
    count, width = queries.shape[0], flips.shape[0]
    most, widths = shared[0], shared[1]
    left = np.empty((TABLES, width), np.uint16)
    for t in range(TABLES):
        for p in range(widths[t]):
            left[t, p] = most[t] + most[t + 1] + 1 - np.int64(popcount(flips[p]))
    ahead = max(1, AHEAD // (width * (1 + rows // (32 * BUCKETS))))
    starts, ends = np.empty((ahead + 1, width), np.uint32), np.empty((ahead + 1, width), np.uint32)
    substrings = np.empty((count, TABLES + 1), np.uint16)
    candidates, verified = np.zeros(count, np.int64), np.zeros(count, np.int64)
    pending, owners = np.empty(PENDING + SLACK, np.int64), np.empty(PENDING + SLACK, np.int64)
    looked_up = np.empty(PENDING + SLACK, np.int64)
    for query in range(count):
        for t in range(TABLES):
            substrings[query, t] = np.uint16(
                (queries[query, t // 4] >> np.uint64(16 * (t % 4))) & np.uint64(0xFFFF)
            )
        substrings[query, TABLES] = substrings[query, 0]
    first, waiting, over = k, 0, False
    turns = TABLES * count
    for turn in range(-2 * ahead, turns):
        later, coming = turn + 2 * ahead, turn + ahead
        if later < turns:
            t, query = later // count, later % count
            own = np.int64(substrings[query, t])
            for p in range(widths[t]):
                prefetch(offsets, t * BUCKETS + (own ^ np.int64(flips[p])))
        if coming >= 0 and coming < turns:
            t, query = coming // count, coming % count
            own, slot = np.int64(substrings[query, t]), coming % (ahead + 1)
            total: Any = 0
            for p in range(widths[t]):
                bucket = t * BUCKETS + (own ^ np.int64(flips[p]))
                start, end = np.int64(offsets[bucket]), np.int64(offsets[bucket + 1])
                starts[slot, p], ends[slot, p] = start, end
                total += end - start
                line, stop = t * stride + start, t * stride + min(end, start + 1024)
                prefetch(follow, line)
                prefetch(follow, stop - 1)
                while line + 32 < stop:
                    line += 32
                    prefetch(follow, line)
            candidates[query] += total
            if candidates[query] > most_candidates:
                verdicts[query] = OVER_BUDGET
                over = True
        if turn < 0:
            continue
        t, query, slot = turn // count, turn % count, turn % (ahead + 1)
        if verdicts[query] == OVER_BUDGET or quota[query] < 0:
            continue
        following = substrings[query, t + 1]
        for p in range(widths[t]):
            limit = left[t, p]
            i, end = t * stride + np.int64(starts[slot, p]), t * stride + np.int64(ends[slot, p])
            while i < end:
                mask = halfwords_within(follow, i, following, limit)
                if end - i < 32:
                    mask = np.uint32(mask & np.uint32((1 << (end - i)) - 1))
                while mask != np.uint32(0):
                    posting = i + lowest_bit(mask)
                    mask = np.uint32(mask & (mask - np.uint32(1)))
                    prefetch(ids, posting * id_bytes)
                    pending[waiting], owners[waiting] = posting, query
                    waiting += 1
                    verified[query] += 1
                i += 32
                if waiting >= PENDING:
                    k = settle(
                        pending, owners, waiting, stride, queries, radius, tiles, labels, gone,
                        extra_rows, extra_starts, extra_labels, extra_gone,
                        ids, id_bytes, most, looked_up, quota, found, k,
                    )  # fmt: skip
                    waiting = 0
                    if k == FULL:
                        return FULL
                    if quota[query] < 0 or verified[query] > most_verified:
                        break
            if quota[query] < 0 or verified[query] > most_verified:
                break
        if quota[query] >= 0 and verified[query] > most_verified:
            verdicts[query] = OVER_BUDGET
            over = True
    k = settle(
        pending, owners, waiting, stride, queries, radius, tiles, labels, gone,
        extra_rows, extra_starts, extra_labels, extra_gone,
        ids, id_bytes, most, looked_up, quota, found, k,
    )  # fmt: skip
    if over and k != FULL:
        k = without(found, first, k, verdicts)
    return k
