"""The resting part of a Hamming index: codes laid out once, searched many times.

A base is one block of memory (an *arena*) cut into columns, so that the same bytes serve in private
memory and as a mapped file. Equal codes are one row; the labels beyond a row's first lie in the
*extra* columns. Rows are in the order of their first label. What was removed since is marked in
``gone`` and ``extra_gone``, which are each process's own.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.indexes._bits import LANES, TILE, prefetch
from pipeline.indexes._flat import HAS_EXTRAS, REMOVED, group_of, wipe_row
from pipeline.indexes._ring import BUCKETS, SLACK, TABLES, fill_tables, reach, wipe_postings
from pipeline.kernels import compiled

ALIGNMENT = 64


@dataclass(frozen=True, slots=True)
class Layout:
    """What decides where each column of an arena lies."""

    rows: int
    groups: int
    extras: int
    ringed: bool

    @property
    def id_bytes(self) -> int:
        """Bytes of a row number in the ring's postings: 3 while they suffice."""
        return 3 if self.rows < 1 << 24 else 4

    def columns(self) -> tuple[dict[str, tuple[int, int, type]], int]:
        """Offset, length and type of each column, and the size of the whole in bytes.

        Tiles have room for one row more: the *sentinel*, at which blanked postings point.
        """
        postings = TABLES * (self.rows + SLACK) if self.ringed else 0
        wanted: list[tuple[str, int, type]] = [
            ("tiles", (self.rows // LANES + 1) * TILE, np.uint64),
            ("labels", self.rows, np.int64),
            ("extra_rows", self.groups, np.uint32),
            ("extra_starts", self.groups + 1, np.int64),
            ("extra_labels", self.extras, np.int64),
            ("extra_order", self.extras, np.uint32),
            ("offsets", TABLES * BUCKETS if self.ringed else 0, np.uint32),
            ("follow", postings, np.uint16),
            ("ids", postings * self.id_bytes + 4 if self.ringed else 0, np.uint8),
        ]
        found, at = {}, 0
        for name, length, kind in wanted:
            found[name] = (at, length, kind)
            size = length * np.dtype(kind).itemsize
            at += -(-size // ALIGNMENT) * ALIGNMENT
        return found, max(at, ALIGNMENT)


@dataclass(slots=True, eq=False, repr=False)
class Base:
    """Rows of codes in an arena. Only ``gone``, ``extra_gone`` and blanked codes ever change.

    ``columns`` is what the scans read, in the order in which they take it, ``place`` where all
    columns lie, as ``_search.find`` takes it, ``reach`` up to which radius the ring is used.
    ``readers`` counts the searches under way; ``unwiped`` are rows to blank when it is zero. Both
    are guarded by the owner's lock.
    """

    layout: Layout
    arena: NDArray[np.uint8]
    mapped: Any = None
    readers: int = 0
    unwiped: list[int] = field(default_factory=list)
    dead: int = 0
    tiles: NDArray[np.uint64] = field(init=False)
    labels: NDArray[np.int64] = field(init=False)
    extra_rows: NDArray[np.uint32] = field(init=False)
    extra_starts: NDArray[np.int64] = field(init=False)
    extra_labels: NDArray[np.int64] = field(init=False)
    extra_order: NDArray[np.uint32] = field(init=False)
    offsets: NDArray[np.uint32] = field(init=False)
    follow: NDArray[np.uint16] = field(init=False)
    ids: NDArray[np.uint8] = field(init=False)
    gone: NDArray[np.uint8] = field(init=False)
    extra_gone: NDArray[np.uint8] = field(init=False)
    reach: int = field(init=False)
    columns: tuple[Any, ...] = field(init=False)
    place: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        for name, (at, length, kind) in self.layout.columns()[0].items():
            size = length * np.dtype(kind).itemsize
            setattr(self, name, self.arena[at : at + size].view(kind))
        self.gone = np.zeros(self.layout.rows + 1, np.uint8)
        self.gone[self.layout.rows] = REMOVED
        self.extra_gone = np.zeros(self.layout.extras, np.uint8)
        self.reach = reach(self.layout.rows)
        self.columns = (
            self.tiles, self.layout.rows, self.labels, self.gone,
            self.extra_rows, self.extra_starts, self.extra_labels, self.extra_gone,
        )  # fmt: skip
        arrays = (
            self.tiles, self.labels, self.gone, self.extra_rows, self.extra_starts,
            self.extra_labels, self.extra_gone, self.offsets, self.follow, self.ids,
        )  # fmt: skip
        parts = [part for array in arrays for part in (array.ctypes.data, len(array))]
        self.place = np.array([*parts, self.layout.rows, self.layout.id_bytes], np.int64)

    def mark_extras(self) -> None:
        """Note which rows have extra labels; once, when the columns are filled."""
        self.gone[self.extra_rows] |= HAS_EXTRAS

    @property
    def stored(self) -> int:
        """Labels laid out, removed or not."""
        return self.layout.rows + self.layout.extras

    @property
    def nbytes(self) -> int:
        """Bytes of the arena and of this process's marks."""
        return self.arena.nbytes + self.gone.nbytes + self.extra_gone.nbytes

    def holds(self, wanted: NDArray[np.int64]) -> bool:
        """Whether any of the labels is here and not removed."""
        return bool(
            any_alive(
                self.labels, self.gone, self.extra_labels, self.extra_order, self.extra_gone, wanted
            )
        )

    def remove(self, wanted: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Mark labels as removed; returns which were here, and the rows left without a label."""
        taken = np.zeros(len(wanted), np.bool_)
        emptied = np.empty(len(wanted), np.int64)
        rows = mark_gone(
            self.labels, self.gone, self.extra_rows, self.extra_starts, self.extra_labels,
            self.extra_order, self.extra_gone, wanted, taken, emptied,
        )  # fmt: skip
        self.dead += int(taken.sum())
        return taken, emptied[:rows]

    def wipe_rows(self, rows: list[int]) -> None:
        """Blank codes and their postings. In private memory nobody may be reading.

        The code goes last: who takes over from a process that was killed finds the postings by it.
        """
        for row in rows:
            if self.layout.ringed:
                wipe_postings(
                    self.tiles, row, self.layout.rows,
                    self.offsets, self.follow, self.ids, self.layout.id_bytes,
                )  # fmt: skip
            wipe_row(self.tiles, row)

    def survivors(self) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """Words (n, 4) and labels (n,) of what was not removed."""
        words = np.empty((self.stored, 4), np.uint64)
        labels = np.empty(self.stored, np.int64)
        count = gather_alive(
            self.tiles, self.layout.rows, self.labels, self.gone, self.extra_rows,
            self.extra_starts, self.extra_labels, self.extra_gone, words, labels,
        )  # fmt: skip
        return words[:count], labels[:count]

    def wipe(self) -> None:
        """Overwrite everything in private memory; a shared file is its other users' too."""
        if self.mapped is None:
            self.arena.fill(0)

    def __del__(self) -> None:
        """Whoever lets go of a base last overwrites it: no code outlives it in freed memory."""
        if hasattr(self, "place"):
            self.wipe()


def empty_arena(size: int) -> NDArray[np.uint8]:
    """Zeros on a 64-byte boundary."""
    block = np.zeros(size + ALIGNMENT, np.uint8)
    skip = -block.ctypes.data % ALIGNMENT
    return block[skip : skip + size]


def lay_out(words: NDArray[np.uint64], labels: NDArray[np.int64], ring_from: int) -> Base:
    """A base of words (n, 4) and their unique labels; with ring tables from ``ring_from`` rows."""
    if not ascending(labels):
        order = np.argsort(labels, kind="stable")
        ordered = taken_in_order(words, order)
        try:
            return lay_out(ordered, labels[order], ring_from)
        finally:
            ordered.fill(0)
    row_of = np.empty(len(words), np.uint32)
    size = 1 << max(4, (2 * len(words) - 1).bit_length())
    slots = np.zeros(size, np.uint64)
    # A fresh odd key each time: nobody can prepare codes that collide.
    key = np.array([secrets.randbits(64) | 1 for _ in range(4)], np.uint64)
    rows = group_equal(words, key, slots, row_of)
    del slots
    extras = len(words) - rows
    groups = 0
    if extras:
        first = np.zeros(rows, np.bool_)
        later = rows_seen_before(row_of, first)
        order = np.argsort(row_of[later], kind="stable")
        later = later[order]
        group_rows, counts = np.unique(row_of[later], return_counts=True)
        groups = len(group_rows)
    layout = Layout(rows, groups, extras, ringed=rows >= ring_from)
    base = Base(layout, empty_arena(layout.columns()[1]))
    place_rows(base.tiles, base.labels, words, labels, row_of)
    if extras:
        base.extra_rows[:] = group_rows
        np.cumsum(counts, out=base.extra_starts[1:])
        base.extra_labels[:] = labels[later]
        base.extra_order[:] = np.argsort(base.extra_labels, kind="stable")
        base.mark_extras()
    if layout.ringed:
        fill_tables(base.tiles, rows, base.offsets, base.follow, base.ids, layout.id_bytes, rows)
    return base


@compiled
def ascending(labels: Any) -> Any:
    """Whether each label is larger than the one before."""
    for i in range(1, labels.shape[0]):  # noqa: SIM110  # a generator would not be compiled
        if labels[i] <= labels[i - 1]:
            return False
    return True


@compiled
def taken_in_order(words: Any, order: Any) -> Any:
    """Rows of ``words`` (n, 4) in another order."""
    sorted_words = np.empty_like(words)
    for i in range(order.shape[0]):
        for w in range(4):
            sorted_words[i, w] = words[order[i], w]
    return sorted_words


@compiled
def mixed(words: Any, i: Any, key: Any) -> Any:
    """A 64-bit hash of one code under a secret key."""
    h = np.uint64(0)
    for w in range(4):
        h = (h ^ words[i, w]) * key[w]
        h ^= h >> np.uint64(32)
    return h * key[0]


@compiled
def group_equal(words: Any, key: Any, slots: Any, row_of: Any) -> Any:
    """Number the different codes in order of appearance into ``row_of``; returns how many."""
    n = words.shape[0]
    ahead = 16
    mask = np.uint64(slots.shape[0] - 1)
    top = np.uint64(0xFFFFFFFF00000000)
    low = np.uint64(0xFFFFFFFF)
    hashes = np.empty(ahead, np.uint64)
    first_of = np.empty(n, np.uint32)
    for i in range(min(ahead, n)):
        hashes[i] = mixed(words, i, key)
    rows = 0
    for i in range(n):
        h = hashes[i % ahead]
        if i + ahead < n:
            coming = mixed(words, i + ahead, key)
            hashes[i % ahead] = coming
            prefetch(slots, np.int64((coming >> np.uint64(20)) & mask))
        at = (h >> np.uint64(20)) & mask
        tag = (h << np.uint64(32)) & top
        while True:
            slot = slots[np.int64(at)]
            if slot == np.uint64(0):
                slots[np.int64(at)] = tag | np.uint64(rows + 1)
                first_of[rows] = i
                row_of[i] = rows
                rows += 1
                break
            if slot & top == tag:
                row = np.int64(slot & low) - 1
                j = np.int64(first_of[row])
                if (
                    words[i, 0] == words[j, 0]
                    and words[i, 1] == words[j, 1]
                    and words[i, 2] == words[j, 2]
                    and words[i, 3] == words[j, 3]
                ):
                    row_of[i] = row
                    break
            at = (at + np.uint64(1)) & mask
    return rows


@compiled
def rows_seen_before(row_of: Any, first: Any) -> Any:
    """Positions of entries whose row came up earlier; ``first`` is scratch (rows,) of False."""
    count = 0
    later = np.empty(row_of.shape[0] - first.shape[0], np.int64)
    for i in range(row_of.shape[0]):
        if first[row_of[i]]:
            later[count] = i
            count += 1
        else:
            first[row_of[i]] = True
    return later


@compiled
def place_rows(tiles: Any, row_labels: Any, words: Any, labels: Any, row_of: Any) -> None:
    """Write each different code and its first label."""
    rows = 0
    for i in range(words.shape[0]):
        if np.int64(row_of[i]) == rows:
            at = (rows // LANES) * TILE + rows % LANES
            for w in range(4):
                tiles[at + w * LANES] = words[i, w]
            row_labels[rows] = labels[i]
            rows += 1


@compiled
def position(column: Any, wanted: Any) -> Any:
    """Where ``wanted`` is in a sorted column, or -1."""
    low, high = 0, column.shape[0]
    while low < high:
        middle = (low + high) // 2
        if column[middle] < wanted:
            low = middle + 1
        else:
            high = middle
    if low < column.shape[0] and column[low] == wanted:
        return low
    return -1


@compiled
def extra_position(extra_labels: Any, extra_order: Any, wanted: Any) -> Any:
    """Where ``wanted`` is among the extra labels, through their order, or -1."""
    low, high = 0, extra_order.shape[0]
    while low < high:
        middle = (low + high) // 2
        if extra_labels[extra_order[middle]] < wanted:
            low = middle + 1
        else:
            high = middle
    if low < extra_order.shape[0] and extra_labels[extra_order[low]] == wanted:
        return np.int64(extra_order[low])
    return np.int64(-1)


@compiled
def any_alive(
    labels: Any, gone: Any, extra_labels: Any, extra_order: Any, extra_gone: Any, wanted: Any
) -> Any:
    """Whether one of ``wanted`` is there and not removed."""
    for i in range(wanted.shape[0]):
        row = position(labels, wanted[i])
        if row >= 0 and not gone[row] & REMOVED:
            return True
        extra = extra_position(extra_labels, extra_order, wanted[i])
        if extra >= 0 and not extra_gone[extra]:
            return True
    return False


@compiled
def without_labels(row: Any, gone: Any, extra_rows: Any, extra_starts: Any, extra_gone: Any) -> Any:
    """Whether every label of a row was removed."""
    if not gone[row] & REMOVED:
        return False
    if gone[row] & HAS_EXTRAS:
        group = group_of(extra_rows, row)
        for i in range(extra_starts[group], extra_starts[group + 1]):
            if not extra_gone[i]:
                return False
    return True


@compiled
def mark_gone(
    labels: Any, gone: Any, extra_rows: Any, extra_starts: Any, extra_labels: Any,
    extra_order: Any, extra_gone: Any, wanted: Any, taken: Any, emptied: Any,
) -> Any:  # fmt: skip
    """Mark labels removed; says which were there and which rows are left without any.

    Returns how many rows that are. A label is in a base at most once, as first or as extra.
    """
    count = 0
    for i in range(wanted.shape[0]):
        row = np.int64(position(labels, wanted[i]))
        if row >= 0:
            if gone[row] & REMOVED:
                continue
            gone[row] |= np.uint8(REMOVED)
        else:
            extra = extra_position(extra_labels, extra_order, wanted[i])
            if extra < 0 or extra_gone[extra]:
                continue
            extra_gone[extra] = np.uint8(1)
            low, high = 0, extra_rows.shape[0]
            while high - low > 1:
                middle = (low + high) // 2
                if extra_starts[middle] <= extra:
                    low = middle
                else:
                    high = middle
            row = np.int64(extra_rows[low])
        taken[i] = True
        if without_labels(row, gone, extra_rows, extra_starts, extra_gone):
            emptied[count] = row
            count += 1
    return count


@compiled
def gather_alive(
    tiles: Any, rows: Any, labels: Any, gone: Any,
    extra_rows: Any, extra_starts: Any, extra_labels: Any, extra_gone: Any,
    words: Any, kept: Any,
) -> Any:  # fmt: skip
    """Copy codes and labels that were not removed; returns how many."""
    count = 0
    group = 0
    for row in range(rows):
        at = (row // LANES) * TILE + row % LANES
        if not gone[row] & REMOVED:
            for w in range(4):
                words[count, w] = tiles[at + w * LANES]
            kept[count] = labels[row]
            count += 1
        if gone[row] & HAS_EXTRAS:
            while np.int64(extra_rows[group]) < row:
                group += 1
            for i in range(extra_starts[group], extra_starts[group + 1]):
                if not extra_gone[i]:
                    for w in range(4):
                        words[count, w] = tiles[at + w * LANES]
                    kept[count] = extra_labels[i]
                    count += 1
    return count
