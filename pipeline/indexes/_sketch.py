"""Which unit vectors are near, from 64 bytes each, but for a chance that is stated.

A sketch says on which side of 512 hyperplanes through zero a vector lies. Their normals are
independent and Gaussian, so each parts two vectors at the angle a with the chance a / pi, whichever
vectors they are, and the bits in which two sketches differ are the successes of 512 such draws. The
draw comes from the system's secure randomness, once a process, and is told to nobody: nobody can
make a vector that it misses. ``limit`` allows so many bits that a pair exactly at the threshold
differs in more with a chance of at most ``MISSED``, 1 in 2**40; nearer pairs have a smaller one.

Whoever is within the limit is multiplied with the query, which costs more than scanning bytes: the
sketch pays where the threshold is high and strangers stay outside (``pays``). Among vectors of 512
numbers and at a cosine of 0.65, one query takes a quarter to a third of the int8 scan's time, each
of two a seventh, each of 64 four fifths (at 0.7, half). At 0.6 only the few gain, at 0.55 nobody.
Sketches of a million such vectors take 64 MB and some 3 seconds to make.
"""

from __future__ import annotations

import functools
import math
import secrets
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.indexes._bits import SKETCHES, lowest_bit, sketches_within
from pipeline.kernels import compiled

BITS = 512
WORDS = BITS // 64
ROWS = SKETCHES
"""Sketches in a tile."""
TILES = 16
"""Tiles (16 KiB) that are read once for all queries."""
MISSED = 2.0**-40
CROWD_OF_FEW, CROWD_OF_MANY = 0.02, 0.002
"""Up to which share of strangers within the limit the sketch takes less time than the int8 scan: of
up to ``FEW`` queries, and of more where the vectors are ``WIDE``. That scan has eight queries share
what it reads, and does for two what it does for eight."""
FEW, WIDE = 4, 512
FULL = -1
_DRAWING = threading.Lock()
Floats = NDArray[np.float32]
Words = NDArray[np.uint64]


def gaussians(count: int) -> NDArray[np.float64]:
    """Independent numbers from the system's secure randomness, by Box and Muller."""
    drawn = np.frombuffer(secrets.token_bytes(16 * count), np.uint64).reshape(2, count)
    length, angle = ((drawn >> np.uint64(11)) + 0.5) * 2.0**-53
    return np.asarray(np.sqrt(-2 * np.log(length)) * np.cos(2 * np.pi * angle))


def hyperplanes(width: int) -> Floats:
    """This process's normals (width, BITS)."""
    with _DRAWING:  # a cache alone would let two threads draw, and each keep its own
        return drawn(width)


@functools.cache
def drawn(width: int) -> Floats:
    """See ``hyperplanes``."""
    return gaussians(width * BITS).reshape(width, BITS).astype(np.float32)


def sketched(rows: Floats) -> Words:
    """The sketches (n, WORDS) of vectors; that of zeros is zeros."""
    return np.packbits(rows @ hyperplanes(rows.shape[1]) > 0, axis=1).view(np.uint64)


def lost(width: int) -> float:
    """No less than float32 loses in a product of vectors of length 1, in whatever order it adds."""
    return 1.01 * (width + 1) * 2.0**-24


def parted(cosine: float, width: int) -> float:
    """No less than the chance that two vectors differ in one bit, as float32 computes bits.

    A bit can be wrong only where a vector lies within ``lost`` of the hyperplane. The cosine of a
    vector and a random direction nowhere has a density above the root of width / 2 pi.
    """
    wrong = 2 * lost(width) * math.sqrt(width / (2 * math.pi))
    return min(1.0, math.acos(cosine) / math.pi + 2 * wrong)


@functools.lru_cache(1024)
def limit(cosine: float, width: int) -> int:
    """So many bits that a pair with this cosine differs in more with a chance up to ``MISSED``."""
    chance, beyond = parted(cosine, width), 0.0
    for bits in range(BITS, -1, -1):
        beyond += math.comb(BITS, bits) * chance**bits * (1 - chance) ** (BITS - bits)
        if beyond > MISSED:
            return bits
    raise AssertionError("the chances of all numbers of bits are 1 together")


def crowd(queries: int, width: int) -> float:
    """Up to which share of strangers within the limit the sketch takes less time."""
    return CROWD_OF_FEW if queries <= FEW else CROWD_OF_MANY if width >= WIDE else 0.0


def pays(limit: int, queries: int, width: int) -> bool:
    """Whether fewer than ``crowd`` of the strangers are expected within the limit.

    Strangers lie in random directions: their cosine spreads by 1 / root of width, which turns
    BITS / pi as many bits, beside what the draw itself spreads.
    """
    spread = math.sqrt(BITS / 4 + (BITS / math.pi) ** 2 / width)
    share = math.erfc((BITS / 2 - limit - 0.5) / spread / math.sqrt(2)) / 2
    return share < crowd(queries, width)


def _near(
    tiles: Any, rows: Any, used: Any, sketches: Any, queries: Any, limit: Any, least: Any,
    near: Any, who: Any,
) -> Any:  # fmt: skip
    """Fill ``near`` and ``who`` with rows and the queries whose product is at least ``least``.

    ``tiles`` (n, WORDS, ROWS) are the sketches of ``rows``, of which the first ``used`` count.
    Answers how many there are, or ``FULL`` when more pairs than there is room for are within the
    limit.
    """
    count, last = 0, (used + ROWS - 1) // ROWS
    flat = tiles.reshape(-1)
    for first in range(0, last, TILES):
        for query in range(sketches.shape[0]):
            w0, w1, w2, w3, w4, w5, w6, w7 = sketches[query]
            for tile in range(first, min(last, first + TILES)):
                at = tile * ROWS * WORDS
                mask = sketches_within(flat, at, w0, w1, w2, w3, w4, w5, w6, w7, limit)
                while mask:
                    if count == near.shape[0]:
                        return FULL
                    near[count] = tile * ROWS + lowest_bit(mask)
                    who[count] = query
                    count += 1
                    mask &= mask - np.uint32(1)
    kept = 0
    for at in range(count):
        row, query = near[at], who[at]
        product = np.float32(0)
        for i in range(rows.shape[1]):
            product += rows[row, i] * queries[query, i]
        if product >= least and row < used:
            near[kept], who[kept] = row, query
            kept += 1
    return kept


near = compiled(_near, fastmath={"reassoc", "contract"})


def holds() -> bool:
    """Whether the kernel finds whom it should: asked once, on the CPU it will run on."""
    rng = np.random.default_rng(0)
    used, width = 3 * ROWS - 5, 40
    words = rng.integers(0, 2**64, (3 * ROWS, WORDS), np.uint64)
    tiles = np.ascontiguousarray(words.reshape(-1, ROWS, WORDS).transpose(0, 2, 1))
    # Products of small whole numbers are exact.
    rows = rng.integers(-9, 10, (3 * ROWS, width)).astype(np.float32)
    queries = rng.integers(-9, 10, (5, width)).astype(np.float32)
    sketches = rng.integers(0, 2**64, (5, WORDS), np.uint64)
    sketches[0] = words[0]
    bits = np.bitwise_count(sketches[:, None] ^ words[None, :used]).sum(axis=2, dtype=np.int64)
    products = queries @ rows[:used].T
    found, who = np.empty((2, len(sketches) * len(words)), np.int64)
    for query, row in np.ndindex(*bits.shape):
        most, least = bits[query, row], products[query, row]
        for limit, reach in ((most, least), (most - 1, least), (most, least + 1)):
            if limit < 0:
                continue
            wanted = set(zip(*np.nonzero((bits <= limit) & (products >= reach)), strict=True))
            count = near(
                tiles,
                rows,
                used,
                sketches,
                queries,
                np.uint64(limit),
                np.float32(reach),
                found,
                who,
            )
            if set(zip(who[:count], found[:count], strict=True)) != wanted:
                return False
    return True
