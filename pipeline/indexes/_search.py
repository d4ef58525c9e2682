"""One call from Python a search: permute, ring or scan the base, scan the delta."""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.indexes._bits import compiled
from pipeline.indexes._flat import FULL, OVER_BUDGET, permuted, scan
from pipeline.indexes._ring import ring


@compiled
def find(
    tiles: Any, rows: Any, labels: Any, gone: Any,
    extra_rows: Any, extra_starts: Any, extra_labels: Any, extra_gone: Any,
    offsets: Any, follow: Any, ids: Any, id_bytes: Any,
    new_tiles: Any, new_rows: Any, new_labels: Any, new_gone: Any,
    codes: Any, table: Any, within: Any, by_ring: Any, flips: Any, left: Any,
    most_hits: Any, queries: Any, quota: Any, found: Any,
) -> Any:  # fmt: skip
    """All hits of ``codes`` (m, 32), written to ``found``; ``queries`` (m, 4) gets their words.

    ``quota`` (m,) is -1 afterwards for a code that has more than ``most_hits``; its hits are then
    not all there. Returns the number of hits, or ``FULL``, and how many codes have more.
    """
    radius = np.uint64(within)
    count = codes.shape[0]
    permuted(codes, table, queries)
    quota[:] = most_hits
    everyone = np.arange(count)
    least = np.zeros(count, np.int64)
    most = np.full(count, radius)
    k = 0
    if by_ring:
        verdicts = np.zeros(count, np.uint8)
        k = ring(
            tiles, rows, labels, gone, extra_rows, extra_starts, extra_labels, extra_gone,
            offsets, follow, ids, id_bytes, queries, radius, flips, left,
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
        k = scan(
            new_tiles, new_rows, new_labels, new_gone,
            extra_rows[:0], extra_starts[:0], extra_labels[:0], extra_gone[:0],
            queries, everyone, least, most, quota, found, k,
        )  # fmt: skip
    return k, (quota < 0).sum()
