"""The ring multi-index: exact search within a radius that reads a few thousandths of the codes.

A code is 16 substrings of 16 bits in a ring. Let ``d[t]`` be the bits in which substring ``t`` of a
stored code differs from that of the query, and ``r >= d[0] + ... + d[15]`` the radius. By the
pigeonring principle (Qin and Xiao, VLDB 2018) there is a start ``t`` such that *every* run of ``l``
substrings from ``t`` on differs in at most ``l * r / 16`` bits. (Suppose not: then from every start
some run exceeds its share; laying such runs one after another around the ring until they close
gives whole turns that differ by more than ``r`` each.) Of these conditions two are used, with
the fractions dropped because bits are whole:

    d[t]           <= r // 16
    d[t] + d[t+1]  <= r // 8

For ``r = 31`` that is 1 and 3; for ``r <= 15`` the bucket of the query's own substring is enough.

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
from pipeline.indexes._flat import FULL, OVER_BUDGET, OVER_CAP, tell
from pipeline.kernels import compiled

TABLES = 16
BUCKETS = 65537
"""Offsets of one table: 65,536 buckets and the end."""
SLACK = 32
"""Postings that a vector may read beyond the end of a table."""
REACH = ((0, 31), (100_000, 47), (1_000_000, 63))
"""From how many rows on the ring beats the scan up to which radius: more flips, more buckets."""

AHEAD = 12
"""Buckets asked for from memory before they are read."""
PENDING = 2048
"""Postings kept until they are looked up: all of a query's at once, as far as there is room, so
that their codes come from memory beside each other instead of one table's after another's."""


def reach(rows: int) -> int:
    """The widest radius for which the ring is the better way among so many rows."""
    return max(radius for least, radius in REACH if rows >= least)


@cache
def probes(radius: int) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """The buckets to read for a radius: what to flip in the query's substring, and what is left.

    Returns ``flips`` (p,), in order of weight, and ``left`` (p,): how many bits the next substring
    may then differ by.
    """
    single, pair = radius // 16, radius // 8
    every = np.arange(1 << 16, dtype=np.uint16)
    weight = np.bitwise_count(every)
    flips = every[weight <= single]
    flips = flips[np.argsort(np.bitwise_count(flips), kind="stable")]
    return flips, (pair - np.bitwise_count(flips).astype(np.int64)).astype(np.uint16)


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
def told_before(x0: Any, x1: Any, x2: Any, x3: Any, table: Any, single: Any, pair: Any) -> Any:
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
        if first <= single and first + second <= pair:
            return True
        first = second
    return False


@compiled
def settle(
    pending: Any, count: Any, stride: Any, query: Any, asked: Any, radius: Any,
    tiles: Any, labels: Any, gone: Any,
    extra_rows: Any, extra_starts: Any, extra_labels: Any, extra_gone: Any,
    ids: Any, id_bytes: Any, looked_up: Any, quota: Any, found: Any, k: Any,
) -> Any:  # fmt: skip
    """Look up the codes of ``pending`` postings and tell those within the radius.

    ``stride`` is how many postings a table has; ``looked_up`` is scratch as long as ``pending``.
    Another process may be blanking a posting of a shared segment, byte by byte: what it reads as
    then is at most taken for the sentinel, which is the last row.
    """
    keep = np.uint32(0xFFFFFF) if id_bytes == 3 else np.uint32(0xFFFFFFFF)
    single, pair = np.int64(radius) // 16, np.int64(radius) // 8
    w0, w1, w2, w3 = asked[0], asked[1], asked[2], asked[3]
    for a in range(count):
        row = min(np.int64(load_uint32(ids, pending[a] * id_bytes) & keep), stride - SLACK)
        at = (row // LANES) * TILE + row % LANES
        looked_up[a] = row
        prefetch(tiles, at)
        prefetch(tiles, at + LANES)
    for a in range(count):
        row = looked_up[a]
        at = (row // LANES) * TILE + row % LANES
        x0, x1 = tiles[at] ^ w0, tiles[at + LANES] ^ w1
        half = popcount(x0) + popcount(x1)
        if half > radius:
            continue
        x2, x3 = tiles[at + 2 * LANES] ^ w2, tiles[at + 3 * LANES] ^ w3
        distance = half + popcount(x2) + popcount(x3)
        if distance > radius or told_before(x0, x1, x2, x3, pending[a] // stride, single, pair):
            continue
        k = tell(
            row, query, np.int64(distance), labels, gone,
            extra_rows, extra_starts, extra_labels, extra_gone, quota, found, k,
        )  # fmt: skip
        if k == FULL:
            return FULL
    return k


@compiled
def ring(
    tiles: Any, rows: Any, labels: Any, gone: Any,
    extra_rows: Any, extra_starts: Any, extra_labels: Any, extra_gone: Any,
    offsets: Any, follow: Any, ids: Any, id_bytes: Any,
    queries: Any, radius: Any, flips: Any, left: Any,
    most_candidates: Any, most_verified: Any,
    quota: Any, verdicts: Any, found: Any, k: Any,
) -> Any:  # fmt: skip
    """Hits of every query within ``radius`` (uint64), with the ``probes`` of that radius.

    A query that would read more than ``most_candidates`` postings or look up more than
    ``most_verified`` codes gets the verdict ``OVER_BUDGET``, one with more hits than its quota
    ``OVER_CAP``, and neither has hits. Returns the next free column of ``found``, or ``FULL``.
    """
    stride = rows + SLACK
    width = flips.shape[0]
    buckets = TABLES * width
    starts, ends = np.empty(buckets, np.int64), np.empty(buckets, np.int64)
    substrings = np.empty(TABLES + 1, np.int64)
    pending = np.empty(PENDING + SLACK, np.int64)
    looked_up = np.empty(PENDING + SLACK, np.int64)
    for query in range(queries.shape[0]):
        asked = queries[query]
        for t in range(TABLES):
            own = np.int64((asked[t // 4] >> np.uint64(16 * (t % 4))) & np.uint64(0xFFFF))
            substrings[t] = own
            for p in range(width):
                prefetch(offsets, t * BUCKETS + (own ^ np.int64(flips[p])))
        substrings[TABLES] = substrings[0]
        candidates = 0
        z = 0
        for t in range(TABLES):
            for p in range(width):
                bucket = t * BUCKETS + (substrings[t] ^ np.int64(flips[p]))
                starts[z] = t * stride + np.int64(offsets[bucket])
                ends[z] = t * stride + np.int64(offsets[bucket + 1])
                candidates += ends[z] - starts[z]
                z += 1
        if candidates > most_candidates:
            verdicts[query] = OVER_BUDGET
            continue
        before, verified = k, 0
        for z in range(min(AHEAD, buckets)):
            prefetch(follow, starts[z])
            prefetch(follow, ends[z] - 1)
        count = 0
        for t in range(TABLES):
            following = np.uint16(substrings[t + 1])
            for p in range(width):
                z = t * width + p
                if z + AHEAD < buckets:
                    line = starts[z + AHEAD]
                    stop = min(ends[z + AHEAD], line + 1024)
                    while line < stop:
                        prefetch(follow, line)
                        line += 32
                    prefetch(follow, stop - 1)
                limit, i, end = left[p], starts[z], ends[z]
                while i < end:
                    mask = halfwords_within(follow, i, following, limit)
                    if end - i < 32:
                        mask = np.uint32(mask & np.uint32((1 << (end - i)) - 1))
                    while mask != np.uint32(0):
                        posting = i + lowest_bit(mask)
                        mask = np.uint32(mask & (mask - np.uint32(1)))
                        prefetch(ids, posting * id_bytes)
                        pending[count] = posting
                        count += 1
                    i += 32
                    if count >= PENDING:
                        k = settle(
                            pending, count, stride, query, asked, radius, tiles, labels, gone,
                            extra_rows, extra_starts, extra_labels, extra_gone,
                            ids, id_bytes, looked_up, quota, found, k,
                        )  # fmt: skip
                        verified += count
                        count = 0
                        if k == FULL:
                            return FULL
                        if quota[query] < 0 or verified > most_verified:
                            break
                if quota[query] < 0 or verified > most_verified:
                    break
            if quota[query] < 0 or verified > most_verified:
                break
        k = settle(
            pending, count, stride, query, asked, radius, tiles, labels, gone,
            extra_rows, extra_starts, extra_labels, extra_gone,
            ids, id_bytes, looked_up, quota, found, k,
        )  # fmt: skip
        verified += count
        if k == FULL:
            return FULL
        if quota[query] < 0 or verified > most_verified:
            verdicts[query] = OVER_CAP if quota[query] < 0 else OVER_BUDGET
            k = before
    return k
