"""Codes of 256 bits compared by the number of bits in which they differ, exactly.

How a search is done depends on size, radius and CPU, and ``state().method`` says which it is:
``ring/avx2`` the ring multi-index (``_ring``) once there are 50,000 different codes, ``flat/avx2``
the scan of all (``_flat``) below that and for radii beyond the ring's reach, ``faiss-flat`` where
nothing can be compiled. The answers are the same.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np

from pipeline.domain.signal import Metric, Space
from pipeline.errors import Misconfigured
from pipeline.indexes import Index
from pipeline.indexes._faiss import FaissIndex

WIDTH = 256
RING_FROM = 50_000
"""Different codes from which the ring is faster than the scan."""
COMPACT_AFTER = 8192
"""Changes that start a compaction (or one in 128 of the codes, when that is more)."""

Method = Literal["auto", "native", "faiss"]


def build(
    space: Space,
    *,
    max_hits: int = 1000,
    permutation_seed: bytes | None = None,
    method: Method = "auto",
    ring_from: int = RING_FROM,
    ring_reach: int | None = None,
    compact_after: int = COMPACT_AFTER,
    background: bool = True,
) -> Index:
    """An empty index for a Hamming space of 256 bits.

    ``max_hits`` caps the hits of one code: beyond it the nearest are kept and the answer says
    ``truncated``. ``permutation_seed`` is a secret of the deployment (see ``_permutation``).
    ``ring_from`` and ``ring_reach`` (at most 63 bits) set from how many codes and up to which
    radius the ring is used, instead of what was measured to be best. A compaction starts after
    ``compact_after`` changes; ``background=False`` leaves it to whoever calls ``compact()``.
    Raises ``Misconfigured`` for any other space and for settings that make no sense.
    """
    if space.metric is not Metric.HAMMING or space.width != WIDTH:
        raise Misconfigured(f"the index 'hamming' holds {WIDTH}-bit codes; {space.key} has others")
    if max_hits < 1 or ring_from < 1 or compact_after < 1:
        raise Misconfigured("max_hits, ring_from and compact_after must be at least 1")
    if ring_reach is not None and not 0 <= ring_reach <= 63:
        raise Misconfigured("ring_reach must be 0 to 63 bits")
    if permutation_seed is not None and len(permutation_seed) < 16:
        raise Misconfigured("permutation_seed must have at least 16 random bytes")
    if method == "faiss" or (method == "auto" and not compiles()):
        return FaissIndex(space, max_hits=max_hits)
    from pipeline.indexes._native import NativeIndex

    return NativeIndex(
        space,
        max_hits=max_hits,
        permutation_seed=permutation_seed,
        ring_from=ring_from,
        ring_reach=ring_reach,
        compact_after=compact_after,
        background=background,
    )


@lru_cache(maxsize=1)
def compiles() -> bool:
    """Whether the kernels compile here and find, among a few codes, what they must.

    The first process on a machine compiles for some seconds; later ones load what it kept.
    """
    try:
        from pipeline.indexes._native import NativeIndex
    except Exception:  # numba or LLVM missing or broken in whatever way: FAISS answers instead
        return False
    codes = np.random.default_rng(1).integers(0, 256, (64, 32), dtype=np.uint8)
    codes[40:50] = codes[10:20]
    space = Space("self-test", "1", Metric.HAMMING, WIDTH)
    try:
        index = NativeIndex(
            space,
            max_hits=100,
            permutation_seed=None,
            ring_from=16,
            ring_reach=None,
            compact_after=16,
            background=False,
        )
        index.add(np.arange(32), codes[:32])
        index.add(np.arange(32, 64), codes[32:])
        index.remove(np.array([3, 40]))
        peer = FaissIndex(space, max_hits=100)
        kept = np.delete(np.arange(64), [3, 40])
        peer.add(kept, codes[kept])
        for within in (31, 128):
            mine, its = index.search(codes, within), peer.search(codes, within)
            if not (
                np.array_equal(mine.query, its.query)
                and np.array_equal(mine.label, its.label)
                and np.array_equal(mine.distance, its.distance)
            ):
                return False
    except Exception:  # as above
        return False
    return True
