"""The moving part of a Hamming index: codes added lately, scanned whole by every search."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.indexes._base import gather_alive
from pipeline.indexes._bits import LANES, TILE
from pipeline.indexes._flat import REMOVED, wipe_row, write_rows

SMALLEST = 1024

NO_ROWS = np.empty(0, np.uint32)
NO_STARTS = np.zeros(1, np.int64)
NO_LABELS = np.empty(0, np.int64)
NO_MARKS = np.empty(0, np.uint8)


@dataclass(slots=True, eq=False, repr=False)
class Delta:
    """A growing column of codes. Rows below ``count`` never move and change only by removal.

    A search takes ``count`` under the owner's lock and reads no further, so that rows may be
    written behind it. ``readers``, ``unwiped`` and ``place`` as in ``Base``.
    """

    capacity: int
    count: int = 0
    readers: int = 0
    unwiped: list[int] = field(default_factory=list)
    row_of: dict[int, int] = field(default_factory=dict)
    tiles: NDArray[np.uint64] = field(init=False)
    labels: NDArray[np.int64] = field(init=False)
    gone: NDArray[np.uint8] = field(init=False)
    place: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self.tiles = np.zeros((self.capacity // LANES + 1) * TILE, np.uint64)
        self.labels = np.zeros(self.capacity, np.int64)
        self.gone = np.zeros(self.capacity, np.uint8)
        arrays = (self.tiles, self.labels, self.gone)
        parts = [part for array in arrays for part in (array.ctypes.data, len(array))]
        self.place = np.array(parts, np.int64)

    def columns(self, rows: int) -> tuple[Any, ...]:
        """What the scans read of the first ``rows`` rows, in the order in which they take it."""
        return self.tiles, rows, self.labels, self.gone, NO_ROWS, NO_STARTS, NO_LABELS, NO_MARKS

    @property
    def nbytes(self) -> int:
        """Bytes of the columns."""
        return self.tiles.nbytes + self.labels.nbytes + self.gone.nbytes

    def append(self, words: NDArray[np.uint64], labels: NDArray[np.int64]) -> None:
        """Write rows behind the last one; there must be room."""
        start, end = self.count, self.count + len(labels)
        write_rows(self.tiles, start, words)
        self.labels[start:end] = labels
        self.row_of.update(zip(labels.tolist(), range(start, end), strict=True))
        self.count = end

    def enlarged(self, more: int) -> Delta:
        """A copy with room for ``more`` rows, at the same places; nothing blanked comes along."""
        grown = Delta(1 << (self.count + more - 1).bit_length())
        grown.tiles[: len(self.tiles)] = self.tiles
        grown.labels[: self.count] = self.labels[: self.count]
        grown.gone[: self.count] = self.gone[: self.count]
        grown.row_of, grown.count = self.row_of, self.count
        grown.wipe_rows(self.unwiped)
        return grown

    def holds(self, labels: NDArray[np.int64]) -> bool:
        """Whether any of the labels is here and not removed."""
        return bool(self.row_of) and not self.row_of.keys().isdisjoint(labels.tolist())

    def remove(self, labels: NDArray[np.int64]) -> tuple[NDArray[np.bool_], list[int]]:
        """Mark labels as removed; returns which were here, and their rows."""
        taken, rows = np.zeros(len(labels), np.bool_), []
        for i, label in enumerate(labels.tolist()):
            row = self.row_of.pop(label, None)
            if row is not None:
                self.gone[row] = REMOVED
                taken[i] = True
                rows.append(row)
        return taken, rows

    def wipe_rows(self, rows: list[int]) -> None:
        """Blank codes. Nobody may be reading."""
        for row in rows:
            wipe_row(self.tiles, row)

    def survivors(self, start: int, end: int) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """Words (n, 4) and labels (n,) of rows ``start`` to ``end`` that were not removed."""
        words = np.empty((end, 4), np.uint64)
        labels = np.empty(end, np.int64)
        marks = self.gone[:end].copy()
        marks[:start] = REMOVED
        count = gather_alive(
            self.tiles, end, self.labels, marks, NO_ROWS, NO_STARTS, NO_LABELS, NO_MARKS,
            words, labels,
        )  # fmt: skip
        return words[:count], labels[:count]

    def wipe(self) -> None:
        """Overwrite all codes."""
        self.tiles.fill(0)

    def __del__(self) -> None:
        """As for a base."""
        if hasattr(self, "place"):
            self.wipe()


def delta_of(words: NDArray[np.uint64], labels: NDArray[np.int64], room: int = 0) -> Delta:
    """A delta holding the given rows, with room for ``room`` more."""
    needed = max(SMALLEST, len(labels) + room)
    delta = Delta(1 << (needed - 1).bit_length())
    delta.append(words, labels)
    return delta
