"""What the Hamming indexes take in and give out, checked and ordered in one place."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.domain.signal import Space
from pipeline.errors import Invalid
from pipeline.indexes import Hits

_BYTES = np.dtype(np.uint8)


def checked_codes(space: Space, codes: NDArray[Any]) -> NDArray[np.uint8]:
    """Codes as a C-contiguous uint8 array (n, width / 8); raises ``Invalid`` for other shapes."""
    row = space.width // 8
    if (
        type(codes) is np.ndarray
        and codes.dtype is _BYTES
        and codes.ndim == 2
        and codes.shape[1] == row
        and codes.flags.carray
    ):
        return codes  # a search takes microseconds: what is right is found right in one
    if not isinstance(codes, np.ndarray) or codes.dtype != np.uint8:
        raise Invalid(f"codes of {space.key} must be a numpy array of uint8")
    if codes.ndim != 2 or codes.shape[1] != row:
        raise Invalid(f"codes of {space.key} must have the shape (n, {row}), not {codes.shape}")
    return _plain(codes)


def checked_labels(labels: NDArray[Any]) -> NDArray[np.int64]:
    """Labels as a C-contiguous int64 array (n,); raises ``Invalid`` for anything else."""
    found = np.asarray(labels)
    if found.ndim != 1 or not (found.size == 0 or np.issubdtype(found.dtype, np.integer)):
        raise Invalid("labels must be one column of integers")
    if found.dtype == np.uint64 and found.size and int(found.max()) > np.iinfo(np.int64).max:
        raise Invalid("labels must fit in 63 bits")
    return _plain(found.astype(np.int64, copy=False))


def _plain(array: NDArray[Any]) -> NDArray[Any]:
    """The array as every kernel was compiled for it: contiguous, aligned, writable, no subclass.

    Anything else would be another type to the compiler, and its first search would wait seconds.
    """
    plain = np.asarray(array)
    if plain.flags.carray:
        return plain
    return np.array(plain, order="C")


def checked_entries(
    space: Space, labels: NDArray[Any], codes: NDArray[Any]
) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Labels and codes of equal length, no label twice; raises ``Invalid`` otherwise."""
    column, rows = checked_labels(labels), checked_codes(space, codes)
    if len(column) != len(rows):
        raise Invalid(f"{len(column)} labels came with {len(rows)} codes; send one label a code")
    if not (column[1:] > column[:-1]).all():
        ordered = np.sort(column)
        if (ordered[1:] == ordered[:-1]).any():
            raise Invalid("a label comes twice in one addition; labels are unique")
    return column, rows


def checked_bits(space: Space, within: float) -> int:
    """A radius in whole bits; raises ``Invalid`` outside 0 to the width of the space."""
    if not math.isfinite(within) or not 0 <= within <= space.farthest:
        raise Invalid(f"within must be 0 to {space.farthest} bits in {space.key}, not {within}")
    return int(within)


def ranked(
    query: NDArray[np.int64],
    label: NDArray[np.int64],
    distance: NDArray[np.int64],
    max_hits: int,
    *,
    truncated: bool = False,
) -> Hits:
    """Hits ordered by query, distance, label, and cut to ``max_hits`` a query."""
    if len(query) <= 1:
        return Hits(query, label, distance, truncated)
    order = np.lexsort((label, distance, query))
    query, label, distance = query[order], label[order], distance[order]
    if len(query) > max_hits:
        first = np.searchsorted(query, query)
        kept = np.arange(len(query)) - first < max_hits
        if not kept.all():
            query, label, distance, truncated = query[kept], label[kept], distance[kept], True
    return Hits(query, label, distance, truncated)
