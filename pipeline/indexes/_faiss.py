"""The portable Hamming index: FAISS's exhaustive scan behind one lock.

It is slow beside the compiled kernels (12 ms a code among ten million, where the ring takes tens of
microseconds) but runs wherever FAISS does, has next to no code of ours, and therefore is also what
the kernels are tested against.
"""

from __future__ import annotations

import threading
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from pipeline.domain.signal import Space
from pipeline.errors import Invalid
from pipeline.indexes import Hits, IndexState
from pipeline.indexes._columns import checked_bits, checked_codes, checked_entries, ranked


class FaissIndex:
    """Codes in a FAISS ``IndexBinaryFlat`` under their labels; one caller at a time."""

    def __init__(self, space: Space, *, max_hits: int) -> None:
        self._space = space
        self._max_hits = max_hits
        self._lock = threading.Lock()
        self._labels: set[int] = set()
        self._index: Any = faiss.IndexBinaryIDMap2(faiss.IndexBinaryFlat(space.width))

    @property
    def space(self) -> Space:
        """Where the codes live."""
        return self._space

    def __len__(self) -> int:
        return len(self._labels)

    def add(self, labels: NDArray[np.int64], codes: NDArray[Any]) -> None:
        """Make codes findable at once; see the contract."""
        labels, codes = checked_entries(self._space, labels, codes)
        with self._lock:
            new = set(labels.tolist())
            if not new.isdisjoint(self._labels):
                raise Invalid("a label is in the index already; remove it before adding it anew")
            if len(labels):
                self._index.add_with_ids(codes, labels)
            self._labels |= new

    def remove(self, labels: NDArray[np.int64]) -> int:
        """Make codes unfindable at once; FAISS moves the last codes over the ones removed."""
        with self._lock:
            there = self._labels.intersection(np.asarray(labels, dtype=np.int64).tolist())
            if there:
                self._index.remove_ids(np.fromiter(there, dtype=np.int64, count=len(there)))
                self._labels -= there
        return len(there)

    def search(self, codes: NDArray[Any], within: float) -> Hits:
        """All stored codes within a number of bits; see the contract."""
        codes = checked_codes(self._space, codes)
        bits = checked_bits(self._space, within)
        with self._lock:
            # FAISS keeps distances strictly below the radius; "within" includes the edge.
            limits, distances, labels = self._index.range_search(codes, bits + 1)
        counts = np.diff(limits.astype(np.int64))
        query = np.repeat(np.arange(len(codes), dtype=np.int64), counts)
        return ranked(query, labels.astype(np.int64), distances.astype(np.int64), self._max_hits)

    def compact(self) -> None:
        """Nothing to do: FAISS removes in place."""

    def close(self) -> None:
        """Nothing to stop."""

    def state(self) -> IndexState:
        """Size, memory and the method in use."""
        codes = len(self._labels)
        return IndexState(codes, codes * (self._space.width // 8 + 8), "faiss-flat")
