"""The compiled Hamming index: a resting base, a moving delta, and removals in force at once.

Searches take the base, the delta and its length under a lock, read without it, and say when they
have finished. Additions write behind what searches read. A removal marks its rows under the lock,
so that every later search passes over them, and then blanks codes and postings at once when nobody
is reading, otherwise when the last reader leaves. Compaction lays out a new base beside the old one
in a background thread, replays what was removed meanwhile, and swaps under the lock.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.domain.signal import Space
from pipeline.errors import Conflict, Invalid
from pipeline.indexes import Hits, IndexState
from pipeline.indexes._base import Base, lay_out
from pipeline.indexes._bits import vector_unit
from pipeline.indexes._columns import (
    checked_bits,
    checked_codes,
    checked_entries,
    checked_labels,
    ranked,
)
from pipeline.indexes._delta import Delta, delta_of
from pipeline.indexes._flat import FULL, permuted, scan, tally
from pipeline.indexes._permutation import permutation_table
from pipeline.indexes._ring import probes
from pipeline.indexes._search import ORDERED_UP_TO, find
from pipeline.indexes._segment import map_segment, save_segment

NO_WORDS = np.empty((0, 4), np.uint64)
NO_LABELS = np.empty(0, np.int64)
NOTHING = Hits(NO_LABELS, NO_LABELS, NO_LABELS)
NO_PROBES = probes(0)
Room = tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.int64]]
BATCH = 256
"""Codes searched in one call: more would only widen the buffers."""
FIRST_ROOM = 4096
WIPED_ONE_BY_ONE = 1000
"""Rows blanked at once under the lock; a larger removal is left to the compaction it starts."""


class PinnedIndex:
    """See ``pipeline.indexes.Pinned``."""

    def __init__(self, index: NativeIndex, base: Base, delta: Delta, rows: int) -> None:
        self._index, self._rows = index, rows
        self._held: tuple[Base, Delta] | None = (base, delta)

    def write(self, path: Path, sequence: int, allow_disk: bool) -> None:
        """Lay out what was held then, without what was removed since, and write it."""
        if self._held is None:
            raise Conflict("this state of the index was released; pin it again")
        base, delta = self._held
        try:
            resting, moving = base.survivors(), delta.survivors(0, self._rows)
        finally:
            self.release()
        words = np.concatenate([resting[0], moving[0]])
        labels = np.concatenate([resting[1], moving[1]])
        resting[0].fill(0)
        moving[0].fill(0)
        self._index.save(path, self._index.lay_out(words, labels), sequence, allow_disk)

    def release(self) -> None:
        """Hold it no longer."""
        if self._held is not None:
            held, self._held = self._held, None
            self._index.unpin(*held)


class NativeIndex:
    """Exact search over 256-bit codes in compiled code. Built by ``pipeline.indexes.hamming``."""

    def __init__(
        self,
        space: Space,
        *,
        max_hits: int,
        permutation_seed: bytes | None,
        ring_from: int,
        ring_reach: int | None,
        compact_after: int,
        background: bool,
    ) -> None:
        self._space = space
        self._max_hits = max_hits
        self._seed = permutation_seed
        self._table = permutation_table(permutation_seed)
        self._ring_from = ring_from
        self._ring_reach = ring_reach
        self._compact_after = compact_after
        self._background = background
        self._lock = threading.Lock()
        self._compacting = threading.Lock()
        self._worker: threading.Thread | None = None
        self._not_before = 0.0
        self._removed_meanwhile: list[NDArray[np.int64]] | None = None
        self._retired: list[Base | Delta] = []
        self._base = lay_out(NO_WORDS, NO_LABELS, ring_from)
        self._delta = delta_of(NO_WORDS, NO_LABELS)
        self._live = 0
        self._scratch = threading.local()

    @property
    def space(self) -> Space:
        """Where the codes live."""
        return self._space

    def __len__(self) -> int:
        return self._live

    def add(self, labels: NDArray[np.int64], codes: NDArray[Any]) -> None:
        """Make codes findable at once; see the contract. A large first addition becomes the base.

        Raises ``Invalid`` when a label is there already or shapes do not fit.
        """
        labels, codes = checked_entries(self._space, labels, codes)
        if not len(labels):
            return
        words = np.empty((len(codes), 4), np.uint64)
        permuted(codes, self._table, words)
        if not (len(labels) >= self._compact_after and self._start_with(words, labels)):
            with self._lock:
                if self._delta.holds(labels) or self._base.holds(labels):
                    raise Invalid(
                        "a label is in the index already; remove it before adding it anew"
                    )
                self._append(words, labels)
            words.fill(0)
        self._compact_when_due()

    def remove(self, labels: NDArray[np.int64]) -> int:
        """Make codes unfindable at once and blank them, in private memory when nobody reads."""
        wanted = np.unique(checked_labels(labels))
        with self._lock:
            taken, rows = self._delta.remove(wanted)
            self._blank(self._delta, rows)
            removed = int(taken.sum())
            taken, emptied = self._base.remove(wanted[~taken])
            removed += int(taken.sum())
            base, shared = self._base, self._base.mapped is not None
            if len(emptied) <= WIPED_ONE_BY_ONE and not shared:
                self._blank(base, emptied.tolist())
            if self._removed_meanwhile is not None and removed:
                self._removed_meanwhile.append(wanted)
            self._live -= removed
        if shared:
            base.wipe_rows(emptied.tolist())
        self._compact_when_due(now=len(emptied) > WIPED_ONE_BY_ONE)
        return removed

    def search(self, codes: NDArray[Any], within: float) -> Hits:
        """All stored codes within a number of bits; see the contract.

        A code with more than ``max_hits`` gets the nearest of them; which of several at the last
        distance is then left open.
        """
        codes = checked_codes(self._space, codes)
        bits = checked_bits(self._space, within)
        with self._lock:
            base, delta = self._base, self._delta
            rows = delta.count
            base.readers += 1
            delta.readers += 1
        try:
            if len(codes) <= BATCH:
                return self._found(base, delta, rows, codes, bits)
            parts = [
                self._found(base, delta, rows, codes[at : at + BATCH], bits)
                for at in range(0, len(codes), BATCH)
            ]
        finally:
            with self._lock:
                self._leave(base)
                self._leave(delta)
        return Hits(
            np.concatenate([part.query + i * BATCH for i, part in enumerate(parts)]),
            np.concatenate([part.label for part in parts]),
            np.concatenate([part.distance for part in parts]),
            any(part.truncated for part in parts),
        )

    def compact(self) -> None:
        """Lay everything out anew without what was removed; searches go on meanwhile."""
        with self._compacting:
            with self._lock:
                base, delta = self._base, self._delta
                rows = delta.count
                base.readers += 1
                delta.readers += 1
                self._removed_meanwhile = []
            try:
                resting, moving = base.survivors(), delta.survivors(0, rows)
            finally:
                with self._lock:
                    self._leave(base)
                    self._leave(delta)
            words = np.concatenate([resting[0], moving[0]])
            labels = np.concatenate([resting[1], moving[1]])
            resting[0].fill(0)
            moving[0].fill(0)
            try:
                fresh = lay_out(words, labels, self._ring_from)
            except MemoryError:
                with self._lock:
                    self._removed_meanwhile = None
                raise
            finally:
                words.fill(0)
            with self._lock:
                for removed in self._removed_meanwhile or ():
                    fresh.wipe_rows(fresh.remove(removed)[1].tolist())
                self._removed_meanwhile = None
                delta = self._delta
                tail = delta.survivors(rows, delta.count)
                self._base, self._delta = fresh, delta_of(*tail)
                tail[0].fill(0)
        self._wipe_when_left(base)
        self._wipe_when_left(delta)

    def close(self) -> None:
        """Wait for a compaction under way, forget everything, and overwrite it."""
        worker = self._worker
        if worker is not None:
            worker.join()
        with self._compacting, self._lock:
            base, delta = self._base, self._delta
            self._base = lay_out(NO_WORDS, NO_LABELS, self._ring_from)
            self._delta = delta_of(NO_WORDS, NO_LABELS)
            self._live = 0
        self._wipe_when_left(base)
        self._wipe_when_left(delta)

    def write_segment(self, path: Path, *, sequence: int, allow_disk: bool = False) -> None:
        """Write everything held as one file that other processes map; see ``_segment``.

        ``sequence`` is the change-log position that the index has applied: call this from the
        thread that applies changes, or it will not be true. Nothing removed is in the file. Raises
        ``Misconfigured`` when the folder is not in memory and ``allow_disk`` is false.
        """
        self.pin().write(Path(path), sequence, allow_disk)

    def pin(self) -> PinnedIndex:
        """Everything that is held now, to be written by any thread; see the contract."""
        with self._lock:
            base, delta = self._base, self._delta
            base.readers += 1
            delta.readers += 1
            return PinnedIndex(self, base, delta, delta.count)

    def unpin(self, base: Base, delta: Delta) -> None:
        """Let go of what was pinned."""
        with self._lock:
            self._leave(base)
            self._leave(delta)

    def lay_out(self, words: NDArray[np.uint64], labels: NDArray[np.int64]) -> Base:
        """A base as this index would make it; the words are overwritten."""
        try:
            return lay_out(words, labels, self._ring_from)
        finally:
            words.fill(0)

    def save(self, path: Path, base: Base, sequence: int, allow_disk: bool) -> None:
        """Write a base as a segment of this index's space and permutation."""
        save_segment(path, base, self._space, self._seed, sequence, allow_disk)

    def open_segment(self, path: Path) -> int:
        """Map a segment file as the base of this index, which must be empty.

        Returns the change-log sequence that the file stands for; later changes are the caller's to
        apply. Raises ``Conflict`` when the index is not empty, ``Misconfigured`` or ``Tampered``
        when the file is not to be trusted or not of this space and permutation.
        """
        base, sequence = map_segment(Path(path), self._space, self._seed)
        with self._compacting, self._lock:
            if self._base.stored or self._delta.count:
                raise Conflict("only an empty index opens a segment; build another one")
            self._base = base
            self._live = base.stored
        return sequence

    @property
    def worn(self) -> bool:
        """Whether enough has changed for a new base."""
        with self._lock:
            return self._is_worn()

    def _is_worn(self) -> bool:
        due = max(self._compact_after, self._base.layout.rows // 128)
        return max(self._delta.count, self._base.dead) >= due

    def state(self) -> IndexState:
        """Size, memory and the method in use, such as ``ring/avx2`` or ``flat/avx2``."""
        with self._lock:
            size = self._base.nbytes + self._delta.nbytes
            method = f"{'ring' if self._base.layout.ringed else 'flat'}/{vector_unit()}"
            if self._base.mapped is not None:
                method += "+mapped"
            return IndexState(self._live, size, method)

    def _start_with(self, words: NDArray[np.uint64], labels: NDArray[np.int64]) -> bool:
        """Lay out the first codes directly; false when there are others already."""
        with self._compacting:
            if self._base.stored or self._delta.count:
                return False
            fresh = lay_out(words, labels, self._ring_from)
            with self._lock:
                alone = self._delta.count == 0
                if alone:
                    self._base = fresh
                    self._live += fresh.stored
        (words if alone else fresh.arena).fill(0)
        return alone

    def _append(self, words: NDArray[np.uint64], labels: NDArray[np.int64]) -> None:
        """Put rows into the delta, moving it to a larger one when it is full. Under the lock."""
        delta = self._delta
        if delta.count + len(labels) > delta.capacity:
            grown = delta.enlarged(len(labels))
            self._delta, old = grown, delta
            if old.readers:
                self._retired.append(old)
            else:
                old.wipe()
        self._delta.append(words, labels)
        self._live += len(labels)

    def _blank(self, part: Base | Delta, rows: list[int]) -> None:
        """Blank rows now, or when the last reader leaves. Under the lock."""
        if part.readers:
            part.unwiped += rows
        else:
            part.wipe_rows(rows)

    def _leave(self, part: Base | Delta) -> None:
        """A reader has finished; the last one tidies up. Under the lock."""
        part.readers -= 1
        if part.readers == 0:
            if part.unwiped:
                part.wipe_rows(part.unwiped)
                part.unwiped = []
            if part in self._retired:
                self._retired.remove(part)
                part.wipe()

    def _wipe_when_left(self, part: Base | Delta) -> None:
        """Wait until nobody reads what has been replaced, then overwrite it."""
        while part.readers:
            time.sleep(0.001)
        part.wipe()

    def _compact_when_due(self, *, now: bool = False) -> None:
        """Start a compaction in the background when enough has changed and none is under way."""
        if not self._background:
            return
        with self._lock:
            if self._base.mapped is not None:
                return  # a new segment serves all processes; see ``restore_index``
            if not now and not self._is_worn():
                return
            if self._worker is not None and self._worker.is_alive():
                return
            if time.monotonic() < self._not_before:
                return
            self._worker = threading.Thread(
                target=self._compact_or_wait, name=f"compact {self._space.key}", daemon=True
            )
            self._worker.start()

    def _compact_or_wait(self) -> None:
        """Compact; where memory does not suffice, leave things as they are for a minute."""
        try:
            self.compact()
        except MemoryError:
            self._not_before = time.monotonic() + 60

    def _found(
        self, base: Base, delta: Delta, rows: int, codes: NDArray[np.uint8], bits: int
    ) -> Hits:
        # A search takes microseconds: this stretch makes few objects on purpose.
        widest = base.reach if self._ring_reach is None else self._ring_reach
        by_ring = base.layout.ringed and bits <= widest
        flips, left = probes(bits) if by_ring else NO_PROBES
        queries, quota, found = self._room()
        while True:
            count, over = find(
                base.place, delta.place, rows, codes, self._table, bits,
                by_ring, flips, left, self._max_hits, queries, quota, found,
            )  # fmt: skip
            if count != FULL:
                break
            found = self._more_room(found, len(codes))
        if not count and not over:
            return NOTHING
        told = found[:, :count].copy()
        if not over:
            if count <= ORDERED_UP_TO:
                return Hits(told[0], told[1], told[2])
            return ranked(told[0], told[1], told[2], self._max_hits)
        queries, quota = queries[: len(codes)], quota[: len(codes)]
        told = told[:, quota[told[0]] >= 0]
        nearest = self._nearest(base, delta, rows, queries, np.flatnonzero(quota < 0), bits)
        query, label, distance = np.concatenate([told, nearest], axis=1)
        return ranked(query, label, distance, self._max_hits, truncated=True)

    def _room(self) -> Room:
        """This thread's buffers for words, quotas and hits."""
        try:
            room: Room = self._scratch.room
        except AttributeError:
            room = self._scratch.room = (
                np.empty((BATCH, 4), np.uint64),
                np.empty(BATCH, np.int64),
                np.empty((3, FIRST_ROOM), np.int64),
            )
        return room

    def _more_room(self, found: NDArray[np.int64], asked: int) -> NDArray[np.int64]:
        """A buffer that certainly suffices: what is never written costs nothing."""
        found = np.empty((3, max(2 * found.shape[1], asked * self._max_hits)), np.int64)
        if found.shape[1] <= 64 * FIRST_ROOM:
            self._scratch.room = (*self._room()[:2], found)
        return found

    def _nearest(
        self, base: Base, delta: Delta, rows: int,
        queries: NDArray[np.uint64], asking: NDArray[np.int64], bits: int,
    ) -> NDArray[np.int64]:  # fmt: skip
        """The nearest ``max_hits`` of each query that has more, in two passes over all codes.

        The first counts labels by distance, which tells the last distance to be told; the second
        takes all that is nearer, and of that distance as many as there is room for.
        """
        counts = np.zeros((len(queries), 257), np.int64)
        parts = (base.columns, delta.columns(rows))
        for columns in parts:
            tally(*columns, queries, asking, np.uint64(bits), counts)
        upto = np.cumsum(counts, axis=1)
        last = np.minimum((upto < self._max_hits).sum(axis=1), bits)
        nearer = np.where(last > 0, upto[np.arange(len(last)), last - 1], 0)
        rounds = (
            (asking[last[asking] > 0], np.zeros_like(last), last - 1, nearer),
            (asking, last, last, self._max_hits - nearer),
        )

        found = self._more_room(self._room()[2], len(asking))
        k = 0
        for asked, least, most, room in rounds:
            for columns in parts:
                k = scan(*columns, queries, asked, least, most.astype(np.uint64), room, found, k)
        return found[:, :k].copy()
