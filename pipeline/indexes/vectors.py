"""Unit vectors compared by their inner product, exactly.

Rows lie in chunks that never move, so that a search reads them without a lock. Up to
``scan_from`` vectors FAISS multiplies everything. Beyond that, a scan over one byte a dimension
names the few rows that may be near enough, with a bound that holds (``_dots``). Where the threshold
is so high that it pays, a scan over 64 bytes a vector does so instead, which misses a pair at the
threshold with a chance of at most 1 in 2**40 (``_sketch``). Either way every row named is read
again under the lock: the similarity reported is the product of the vectors themselves, and what was
removed, its numbers overwritten with zeros, is not reported.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from pipeline.domain.signal import Metric, Space
from pipeline.errors import Invalid, Misconfigured
from pipeline.indexes import Hits, Index, IndexState, _dots, _sketch
from pipeline.indexes._columns import checked_labels, ranked

CHUNK = 16_384
NO_LABEL = -1
SCAN_FROM = 100_000
UNIT = 1e-3
"""How far from 1 a vector's length may be: half precision, not a different kind of vector."""
ROUNDING = 1e-5
"""More than float32 arithmetic loses in the product of two unit vectors."""
MATRIX_FROM = 4
"""From so many queries on, multiplying matrices beats comparing one by one."""
_BY_MATRIX, _ONE_BY_ONE = 1, 2**31 - 1

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]


def build(space: Space, *, max_hits: int = 10_000, scan_from: int = SCAN_FROM) -> Index:
    """An empty index for an inner-product space.

    ``max_hits`` caps the hits of one vector; beyond it the nearest are kept and the answer says
    ``truncated``. Raises ``Misconfigured`` for any other space.
    """
    if space.metric is not Metric.INNER_PRODUCT:
        raise Misconfigured(f"the index 'vectors' holds unit vectors; {space.key} has other codes")
    if max_hits < 1 or scan_from < 0:
        raise Misconfigured("max_hits must be at least 1, scan_from at least 0")
    return VectorIndex(space, max_hits=max_hits, scan_from=scan_from)


@functools.cache
def _may_scan() -> bool:
    """The kernels are machine code for a CPU we may never have met: trusted once they have held."""
    return _dots.holds()


@functools.cache
def _may_sketch() -> bool:
    return _sketch.holds()


@dataclass(slots=True, eq=False)
class _Chunk:
    """Some rows with their labels; a free row is all zeros and has no label.

    ``whole`` (blocks, groups, LANES, GROUP), ``scales``, ``lost`` and ``left`` (PARTS, rows) are
    the same rows as ``_dots`` scans them, once the index is large enough; ``tiles`` (n, WORDS,
    ROWS) are their sketches.
    """

    rows: Floats = field(repr=False)
    labels: Rows = field(repr=False)
    used: int = 0
    whole: NDArray[np.uint8] | None = field(default=None, repr=False)
    scales: Floats | None = field(default=None, repr=False)
    lost: Floats | None = field(default=None, repr=False)
    left: Floats | None = field(default=None, repr=False)
    tiles: NDArray[np.uint64] | None = field(default=None, repr=False)

    def prepare(self) -> None:
        """Make the chunk ready to be scanned."""
        if self.whole is None:
            groups = _dots.padded(self.rows.shape[1]) // _dots.GROUP
            shape = (CHUNK // _dots.LANES, groups, _dots.LANES, _dots.GROUP)
            whole = np.full(shape, _dots.SHIFT, np.uint8)
            self.scales = np.zeros(CHUNK, np.float32)
            self.lost = np.zeros(CHUNK, np.float32)
            self.left = np.zeros((_dots.PARTS, CHUNK), np.float32)
            if _may_sketch():
                self.tiles = np.zeros(
                    (-(-CHUNK // _sketch.ROWS), _sketch.WORDS, _sketch.ROWS), np.uint64
                )
            self.whole = whole
            self.update(np.arange(self.used))

    def update(self, at: Rows) -> None:
        """Bring rows up to date in their scannable form."""
        if self.whole is None:
            return
        assert self.scales is not None
        assert self.lost is not None
        assert self.left is not None
        whole, self.scales[at], self.lost[at] = _dots.quantised(self.rows[at])
        self.left[:, at] = _dots.tails(whole, self.scales[at]).T
        self.whole[at // _dots.LANES, :, at % _dots.LANES] = _dots.arranged(whole)
        if self.tiles is not None:
            sketches = _sketch.sketched(self.rows[at])
            self.tiles[at // _sketch.ROWS, :, at % _sketch.ROWS] = sketches

    @property
    def bytes(self) -> int:
        """Memory in use."""
        parts = (self.rows, self.labels, self.whole, self.scales, self.lost, self.left, self.tiles)
        return sum(part.nbytes for part in parts if part is not None)


class VectorIndex:
    """Unit vectors under labels; any number of threads may search while one changes it."""

    def __init__(self, space: Space, *, max_hits: int, scan_from: int) -> None:
        self._space = space
        self._max_hits = max_hits
        self._scan_from = scan_from
        self._lock = threading.Lock()
        self._places: dict[int, int] = {}
        self._free: list[int] = []
        self._chunks: list[_Chunk] = []
        self._scanning = False
        self.scanner: Callable[[Floats, float], Sketches | Scan] = scanner
        """How chunks are scanned; the bench sets another to compare."""

    @property
    def space(self) -> Space:
        """Where the vectors live."""
        return self._space

    def __len__(self) -> int:
        return len(self._places)

    def add(self, labels: NDArray[np.int64], codes: NDArray[Any]) -> None:
        """Make vectors findable at once; see the contract."""
        column, rows = checked_labels(labels), self._checked(codes)
        if len(column) != len(rows):
            raise Invalid(f"{len(column)} labels came with {len(rows)} vectors; send one a vector")
        if len(column) and column.min() < 0:
            raise Invalid("labels must not be negative")
        wanted = column.tolist()
        if len(set(wanted)) != len(wanted):
            raise Invalid("a label comes twice in one addition; labels are unique")
        with self._lock:
            if not self._places.keys().isdisjoint(wanted):
                raise Invalid("a label is in the index already; remove it before adding it anew")
            places = self._taken(len(wanted))
            for number in np.unique(places // CHUNK).tolist():
                of_chunk = np.flatnonzero(places // CHUNK == number)
                self._write(self._chunks[number], places[of_chunk] % CHUNK, rows[of_chunk])
                self._chunks[number].labels[places[of_chunk] % CHUNK] = column[of_chunk]
            self._places.update(zip(wanted, places.tolist(), strict=True))
            if not self._scanning and len(self._places) >= self._scan_from and _may_scan():
                self._start_scanning()

    def remove(self, labels: NDArray[np.int64]) -> int:
        """Make vectors unfindable at once: their numbers are overwritten before this returns."""
        wanted = set(checked_labels(labels).tolist())
        with self._lock:
            there = [label for label in wanted if label in self._places]
            places = np.array([self._places.pop(label) for label in there], np.int64)
            for number in np.unique(places // CHUNK).tolist():
                at = places[places // CHUNK == number] % CHUNK
                chunk = self._chunks[number]
                chunk.labels[at] = NO_LABEL
                self._write(chunk, at, np.zeros((len(at), self._space.width), np.float32))
            self._free += places.tolist()
        return len(there)

    def search(self, codes: NDArray[Any], within: float) -> Hits:
        """All stored vectors with at least this cosine; see the contract."""
        queries = self._checked(codes)
        if not -1 <= within <= 1:
            raise Invalid(f"within must be a cosine from -1 to 1 in {self._space.key}")
        with self._lock:
            chunks = [(number, chunk, chunk.used) for number, chunk in enumerate(self._chunks)]
            scan = self._scanning
        find = self.scanner(queries, within) if scan else _Multiplication(queries, within)
        parts = []
        for number, chunk, used in chunks:
            rows, who = find.near(chunk, used)
            if len(rows):
                parts.append((rows + number * CHUNK, who))
        if not parts:
            empty = np.zeros(0, np.int64)
            return Hits(empty, empty, np.zeros(0, np.float32))
        places = np.concatenate([part[0] for part in parts])
        return self._read_again(queries, places, np.concatenate([p[1] for p in parts]), within)

    def compact(self) -> None:
        """Nothing to do: rows that were freed are used again."""

    def close(self) -> None:
        """Nothing to stop."""

    def state(self) -> IndexState:
        """Size, memory and the method in use."""
        with self._lock:
            used = sum(chunk.bytes for chunk in self._chunks) + 100 * len(self._places)
            scan = "int8-scan+sketch" if self._scanning and _may_sketch() else "int8-scan"
            method = scan if self._scanning else "faiss-flat"
            return IndexState(len(self._places), used, method)

    def _read_again(self, queries: Floats, places: Rows, who: Rows, within: float) -> Hits:
        """The hits among the candidates, by what is stored now."""
        labels = np.empty(len(places), np.int64)
        similar = np.empty(len(places), np.float32)
        with self._lock:
            for number in np.unique(places // CHUNK).tolist():
                of_chunk = np.flatnonzero(places // CHUNK == number)
                chunk, at = self._chunks[number], places[of_chunk] % CHUNK
                labels[of_chunk] = chunk.labels[at]
                # Products in float64: a pair's similarity must not depend on who else is asked.
                similar[of_chunk] = np.einsum(
                    "ij,ij->i", chunk.rows[at], queries[who[of_chunk]], dtype=np.float64
                )
        kept = (labels != NO_LABEL) & (similar >= np.float32(within))
        hits = ranked(who[kept], labels[kept], -similar[kept], self._max_hits)
        return Hits(hits.query, hits.label, -hits.distance, hits.truncated)

    def _taken(self, count: int) -> Rows:
        """Places for new rows: freed ones first, then new chunks."""
        places = [self._free.pop() for _ in range(min(count, len(self._free)))]
        while len(places) < count:
            if not self._chunks or self._chunks[-1].used == CHUNK:
                rows = np.zeros((CHUNK, self._space.width), np.float32)
                chunk = _Chunk(rows, np.full(CHUNK, NO_LABEL, np.int64))
                if self._scanning:
                    chunk.prepare()
                self._chunks.append(chunk)
            last = self._chunks[-1]
            taken = min(CHUNK - last.used, count - len(places))
            first = (len(self._chunks) - 1) * CHUNK + last.used
            places += range(first, first + taken)
            last.used += taken
        return np.array(places, np.int64)

    @staticmethod
    def _write(chunk: _Chunk, at: Rows, rows: Floats) -> None:
        chunk.rows[at] = rows
        chunk.update(at)

    def _start_scanning(self) -> None:
        for chunk in self._chunks:
            chunk.prepare()
        self._scanning = True

    def _checked(self, codes: NDArray[Any]) -> Floats:
        """Vectors as C-contiguous float32 (n, width); raises ``Invalid`` for anything else."""
        width = self._space.width
        if not isinstance(codes, np.ndarray) or codes.dtype != np.float32:
            raise Invalid(f"vectors of {self._space.key} must be a numpy array of float32")
        if codes.ndim != 2 or codes.shape[1] != width:
            raise Invalid(
                f"vectors of {self._space.key} must have the shape (n, {width}), not {codes.shape}"
            )
        lengths = np.linalg.norm(codes, axis=1)
        if not (np.abs(lengths - 1) <= UNIT).all():
            raise Invalid(f"vectors of {self._space.key} must have the length 1")
        return np.ascontiguousarray(codes)


class _Multiplication:
    """FAISS's exhaustive search of one chunk after the other."""

    def __init__(self, queries: Floats, within: float) -> None:
        self._queries = queries
        self._least = within - ROUNDING

    def near(self, chunk: _Chunk, used: int) -> tuple[Rows, Rows]:
        """Rows, and the queries that may be within reach of them."""
        queries = len(self._queries)
        if not queries or not used:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        # The setting is the process's; another thread may change it in between, which costs time.
        many = queries >= MATRIX_FROM
        faiss.cvar.distance_compute_blas_threshold = _BY_MATRIX if many else _ONE_BY_ONE
        found = faiss.RangeSearchResult(queries)
        faiss.range_search_inner_product(
            faiss.swig_ptr(self._queries),
            faiss.swig_ptr(chunk.rows),
            chunk.rows.shape[1],
            queries,
            used,
            self._least,
            found,
        )
        limits = faiss.rev_swig_ptr(found.lims, queries + 1).astype(np.int64)
        rows = faiss.rev_swig_ptr(found.labels, int(limits[-1])).astype(np.int64)
        return rows, np.repeat(np.arange(queries, dtype=np.int64), np.diff(limits))


class Scan:
    """The compiled scan of one chunk after the other."""

    def __init__(self, queries: Floats, within: float) -> None:
        missing = -len(queries) % _dots.QUERIES if len(queries) > 1 else 0
        self._asked = len(queries)
        padding = np.zeros((missing, queries.shape[1]), np.float32)
        self._whole, scales, lost = _dots.quantised(np.concatenate([queries, padding]))
        self._tails = _dots.tails(self._whole, scales)
        lengths = np.linalg.norm(self._whole * scales.astype(np.float64)[:, None], axis=1)
        # Stored vectors are at most 1 + UNIT long.
        least = within - lost.astype(np.float64) * (1 + UNIT) - ROUNDING
        # Padding is asked too, and must not keep a scan from stopping.
        least[self._asked :] = np.inf
        self._margins = np.stack([scales, lengths, lengths, least], axis=1).astype(np.float32)
        self._stop_after(_dots.stop_at(queries.shape[1], within))
        self._room = 4096

    def _stop_after(self, part: int) -> None:
        self._part = part
        groups = self._whole.shape[1] // _dots.GROUP
        self._stop = part * groups // _dots.PARTS
        self._margins[:, 2] = self._tails[:, part - 1]
        at = self._stop * _dots.GROUP
        sums = [half.sum(axis=1, dtype=np.int32) for half in np.split(self._whole, [at], axis=1)]
        self._shifted = _dots.SHIFT * np.stack(sums)

    def near(self, chunk: _Chunk, used: int) -> tuple[Rows, Rows]:
        """Rows, and the queries that may be within reach of them."""
        assert chunk.whole is not None
        assert chunk.left is not None
        if not self._asked or not used:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        while True:
            rows, who = np.empty(self._room, np.int64), np.zeros(self._room, np.int64)
            left = chunk.left[self._part - 1]
            stored = (chunk.whole, chunk.scales, chunk.lost, left, used, self._stop)
            asked = (self._whole.view(np.int32), self._shifted, self._margins)
            if self._asked == 1:
                count, further = _dots.scan_for_one(*stored, *asked, rows)
                looked = used / (_dots.FOUR * _dots.LANES)
            else:
                count, further = _dots.scan_for_many(*stored, *asked, rows, who)
                looked = used / (_dots.TWO * _dots.LANES) * len(self._whole) / _dots.QUERIES
            if count <= self._room:
                break
            self._room = count
        if further > looked / 2 and self._part < _dots.PARTS:
            # These vectors crowd together more than random ones: stopping costs more than it saves.
            self._stop_after(_dots.PARTS)
        return rows[:count], who[:count]


class Sketches:
    """The sketches of one chunk after the other, as long as they tell strangers apart."""

    def __init__(self, queries: Floats, within: float, limit: int) -> None:
        self._queries, self._within = queries, within
        self._sketches, self._limit = _sketch.sketched(queries), np.uint64(limit)
        width = queries.shape[1]
        self._least = np.float32(within - ROUNDING - _sketch.lost(width) * (1 + UNIT) ** 2)
        self._share = 2 * _sketch.crowd(len(queries), width)
        self._scan: Scan | None = None

    def near(self, chunk: _Chunk, used: int) -> tuple[Rows, Rows]:
        """Rows, and the queries that are within reach of them."""
        if self._scan is None:
            room = 256 + int(self._share * used * len(self._queries))
            rows, who = np.empty(room, np.int64), np.empty(room, np.int64)
            count = _sketch.near(
                chunk.tiles, chunk.rows, used, self._sketches, self._queries, self._limit,
                self._least, rows, who,
            )  # fmt: skip
            if count != _sketch.FULL:
                return rows[:count], who[:count]
            # These vectors crowd together more than random ones: the scan takes less time.
            self._scan = Scan(self._queries, self._within)
        return self._scan.near(chunk, used)


def scanner(queries: Floats, within: float) -> Sketches | Scan:
    """Sketches where they are expected to take less time than the scan."""
    if within > 0 and _may_sketch():
        # The product reaches ``within``; the vectors may be longer than 1.
        limit = _sketch.limit((within - ROUNDING) / (1 + UNIT) ** 2, queries.shape[1])
        if _sketch.pays(limit, len(queries), queries.shape[1]):
            return Sketches(queries, within, limit)
    return Scan(queries, within)
