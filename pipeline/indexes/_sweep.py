"""Old codes against new ones: a segment is read once, and compared with all that is asked.

The other way round from an index: there, one upload is looked for among many entries; here, many
uploads are looked at for a few entries. ``scan_chunk`` is a pure function of a segment's codes and
a file of questions, so that any process on any host can run it. Eight KiB of the segment at a time
stay in the first-level cache while all questions are compared with them: the segment comes from
memory once, whatever is asked.

Questions are codes of registered people in the clear. Their file lies in memory alone, belongs to
the process that made it and goes with it; what is removed is overwritten in place.
"""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import Invalid, Misconfigured
from pipeline.indexes._bits import LANES, TILE
from pipeline.indexes._flat import FULL, permuted, scan, write_rows

MAGIC = 0x314B5341_54534E43
"""The first word of a file of questions: ``CNSTASK1``."""
QUOTA = 4096
"""Rows of a chunk that one question may hit; one that hits more is no likeness but a defect."""
_HEAD = 4
_ROW = 6
"""Words of a question: four of its code, the radius, the label."""

_NO_TABLE = np.zeros((0, 0, 4), np.uint64)
_NO_ROWS = np.empty(0, np.uint32)
_NO_STARTS = np.zeros(1, np.int64)
_NO_LABELS = np.empty(0, np.int64)
_NO_MARKS = np.empty(0, np.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class Scanned:
    """Rows of a chunk that are near to a question, by row; ``distance`` in bits."""

    row: NDArray[np.int64] = field(repr=False)
    label: NDArray[np.int64] = field(repr=False)
    distance: NDArray[np.int64] = field(repr=False)
    compared: int
    """Pairs of codes that were compared."""
    truncated: bool = False
    """Whether a question had more to tell than it may."""


class QuestionFile:
    """What a sweep asks, in memory that has a path for this process and its children alone."""

    def __init__(
        self, labels: NDArray[np.int64], codes: NDArray[np.uint8], within: NDArray[np.int64]
    ) -> None:
        """``codes`` (n, 32), each within its own number of bits, a label each."""
        if not hasattr(os, "memfd_create"):
            raise Misconfigured("searching earlier uploads needs Linux (memfd_create)")
        self._handle = os.memfd_create("questions", os.MFD_CLOEXEC)
        self.path = Path(f"/proc/self/fd/{self._handle}")
        write_questions(self.path, labels, codes, within)
        self._rows = np.memmap(self.path, np.uint64, "r+").ravel()[_HEAD:].reshape(-1, _ROW)

    def __len__(self) -> int:
        return len(self._rows)

    def remove(self, labels: NDArray[np.int64]) -> None:
        """Overwrite questions: nothing is near to them any more."""
        gone = np.isin(self._rows[:, 5].view(np.int64), labels)
        self._rows[gone, :5] = 0
        self._rows[gone, 5] = np.uint64(2**64 - 1)

    def close(self) -> None:
        """Overwrite and let go of all questions."""
        if self._handle >= 0:
            self._rows[:] = 0
            os.close(self._handle)
            self._handle = -1


def write_questions(
    path: Path,
    labels: NDArray[np.int64],
    codes: NDArray[np.uint8],
    within: NDArray[np.int64],
) -> None:
    """A file of questions, written into what is at ``path``."""
    if codes.ndim != 2 or codes.shape[1] != 32 or not len(labels) == len(codes) == len(within):
        raise Invalid("questions are codes of 256 bits, each with a radius and a label")
    table = np.zeros(_HEAD + len(codes) * _ROW, np.uint64)
    table[0], table[1] = MAGIC, len(codes)
    rows = table[_HEAD:].reshape(-1, _ROW)
    words = np.zeros((len(codes), 4), np.uint64)
    permuted(np.ascontiguousarray(codes), _NO_TABLE, words)
    rows[:, :4] = words
    # One more than the radius, so that zero, which is what removal writes, is near to nothing.
    rows[:, 4] = within.astype(np.uint64) + 1
    rows[:, 5] = labels.view(np.uint64)
    with path.open("r+b" if path.exists() else "wb") as file:
        file.write(table.tobytes())


def scan_chunk(chunk: bytes | NDArray[np.uint8], index_file: Path) -> Scanned:
    """Which codes of a chunk (32 bytes each, one after another) are near to a question.

    Raises ``Invalid`` for a chunk that is no whole number of codes, ``Misconfigured`` for a file
    that holds no questions.
    """
    codes = np.frombuffer(chunk, np.uint8) if isinstance(chunk, bytes) else chunk.ravel()
    if len(codes) % 32:
        raise Invalid("a chunk is codes of 32 bytes, one after another")
    tiles, rows = laid_out(codes.reshape(-1, 32))
    words, most, labels = _read(index_file)
    return compare(tiles, rows, words, most, labels)


def laid_out(codes: NDArray[np.uint8]) -> tuple[NDArray[np.uint64], int]:
    """Codes (n, 32) in tiles, as the kernels read them; and how many there are."""
    words = np.zeros((len(codes), 4), np.uint64)
    permuted(np.ascontiguousarray(codes), _NO_TABLE, words)
    tiles = np.zeros(max(1, -(-len(codes) // LANES)) * TILE, np.uint64)
    write_rows(tiles, 0, words)
    return tiles, len(codes)


def compare(
    tiles: NDArray[np.uint64],
    rows: int,
    words: NDArray[np.uint64],
    most: NDArray[np.uint64],
    labels: NDArray[np.int64],
) -> Scanned:
    """The comparison itself: all rows with all questions."""
    if rows == 0 or len(words) == 0:
        return Scanned(_NO_LABELS, _NO_LABELS, _NO_LABELS, 0)
    row_numbers, gone = _numbered(rows)
    asking = np.arange(len(words), dtype=np.int64)
    least = np.zeros(len(words), np.int64)
    capacity = 1024
    while True:
        quota = np.full(len(words), QUOTA, np.int64)
        found = np.empty((3, capacity), np.int64)
        ended: Any = scan(
            tiles, rows, row_numbers, gone, _NO_ROWS, _NO_STARTS, _NO_LABELS, _NO_MARKS,
            words, asking, least, most, quota, found, 0,
        )  # fmt: skip
        if ended != FULL:
            break
        capacity *= 8
    order = np.argsort(found[1, :ended], kind="stable")
    query, row, distance = found[:, :ended][:, order]
    return Scanned(row, labels[query], distance, rows * len(words), bool((quota < 0).any()))


@functools.lru_cache(maxsize=2)
def _numbered(rows: int) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """What the kernels ask of rows that have no labels but their numbers; nobody writes to it."""
    return np.arange(rows, dtype=np.int64), np.zeros(rows, np.uint8)


def _read(path: Path) -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.int64]]:
    table = np.memmap(path, np.uint64, "r").ravel()
    if len(table) < _HEAD or int(table[0]) != MAGIC:
        raise Misconfigured(f"{path} holds no questions; write it anew")
    rows = table[_HEAD:].reshape(-1, _ROW)
    asked = rows[:, 4] > 0
    words = np.ascontiguousarray(rows[asked, :4])
    return words, rows[asked, 4] - np.uint64(1), rows[asked, 5].view(np.int64).copy()
