"""The part of ``consentry bench index`` about faces: unit vectors beside FAISS's flat index.

As everywhere in this bench: CPU time of one thread, peers by turns in one process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from pipeline.domain.signal import Metric, Space
from pipeline.indexes import vectors
from services.bench.index import BATCH, clocked, resources

WIDTH = 512
WITHIN = 0.5
SKETCHED = 0.65
"""A threshold at which sketches are compared, of one query and of many."""
ONE_BY_ONE, BY_MATRIX = 2**31 - 1, 1
MADE_AT_ONCE = 50_000

Floats = NDArray[np.float32]


def unit_vectors(rng: np.random.Generator, count: int) -> Floats:
    """Random directions."""
    drawn = rng.standard_normal((count, WIDTH), np.float32)
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True), np.float32)


def turned_to(rng: np.random.Generator, stored: Floats, cosines: Floats) -> Floats:
    """Vectors whose cosine with each stored one is as given."""
    aside = unit_vectors(rng, len(stored))
    aside -= (aside * stored).sum(axis=1, keepdims=True) * stored
    aside /= np.linalg.norm(aside, axis=1, keepdims=True)
    share = cosines[:, None]
    turned = share * stored + np.sqrt(1 - share**2) * aside
    return np.asarray(turned / np.linalg.norm(turned, axis=1, keepdims=True), np.float32)


def measure_vectors(size: int, *, seed: int, progress: Callable[[str], None]) -> dict[str, Any]:
    """Rows and targets for so many vectors of 512 numbers, asked within 0.5 and 0.65."""
    rng = np.random.default_rng([seed, size])
    space = Space("bench-faces", "1", Metric.INNER_PRODUCT, WIDTH)
    mine: Any = vectors.build(space, max_hits=10_000)
    peer: Any = faiss.IndexFlatIP(WIDTH)
    asked_near = {at: np.empty((4 * BATCH, WIDTH), np.float32) for at in (WITHIN, SKETCHED)}
    with resources() as used:
        for first in range(0, size, MADE_AT_ONCE):
            some = unit_vectors(rng, min(MADE_AT_ONCE, size - first))
            mine.add(np.arange(first, first + len(some)), some)
            peer.add(some)
            if first == 0:  # from barely within to nearly the same
                for within, near in asked_near.items():
                    cosines = np.linspace(within + 1e-4, 0.99, len(near), dtype=np.float32)
                    near[:] = turned_to(rng, some[: len(near)], cosines)
            progress(f"{first + len(some):,} of {size:,} vectors")
    threads, before = faiss.omp_get_max_threads(), faiss.cvar.distance_compute_blas_threshold
    faiss.omp_set_num_threads(1)
    strangers = unit_vectors(rng, 4 * BATCH)
    asked = [
        np.concatenate([asked_near[WITHIN][at::4], strangers[at::4]])[:BATCH] for at in range(4)
    ]
    times: dict[str, list[float]] = {}

    def ours(queries: Floats) -> Any:
        return mine.search(queries, WITHIN)

    def sketches(queries: Floats) -> Any:
        return mine.search(queries, SKETCHED)

    def bytes_alone(queries: Floats) -> Any:
        mine.scanner = vectors.Scan
        found = mine.search(queries, SKETCHED)
        mine.scanner = vectors.scanner
        return found

    def its(queries: Floats, threshold: int) -> Any:
        faiss.cvar.distance_compute_blas_threshold = threshold
        return peer.range_search(queries, WITHIN)

    try:
        for compiles in (ours, sketches, bytes_alone):
            compiles(asked[0]), compiles(asked[0][:1])
        for turn, batch in enumerate(asked):
            progress(f"turn {turn + 1} of {len(asked)}")
            rounds: tuple[tuple[str, int, Callable[[Any], Any]], ...] = (
                ("ours, one", 6, ours),
                ("ours, 64", 0, ours),
                (f"sketch at {SKETCHED}, one", 6, sketches),
                (f"sketch at {SKETCHED}, 64", 0, sketches),
                (f"int8 scan at {SKETCHED}, one", 6, bytes_alone),
                (f"int8 scan at {SKETCHED}, 64", 0, bytes_alone),
                ("flat, one", 3, lambda one: its(one, ONE_BY_ONE)),
                ("flat, 64", 0, lambda one: its(one, ONE_BY_ONE)),
                ("flat, 64, BLAS", 0, lambda one: its(one, BY_MATRIX)),
            )
            for name, singles, ask in rounds:
                spent = times.setdefault(name, [])
                if singles:
                    spent += [clocked(ask, batch[i : i + 1]) for i in range(singles)]
                else:
                    spent.append(clocked(ask, batch) / len(batch))
        lost = _lost(ours, asked_near[WITHIN]) + _lost(sketches, asked_near[SKETCHED])
    finally:
        faiss.omp_set_num_threads(threads)
        faiss.cvar.distance_compute_blas_threshold = before
    typical = {name: float(np.median(spent)) * 1e3 for name, spent in times.items()}
    state = mine.state()
    found = {
        "vectors": size,
        "method": state.method,
        "bytes_per_vector": state.bytes / size,
        "build_s": used[0],
        "ms": typical,
        "lost": lost,
        "planted": sum(map(len, asked_near.values())),
    }
    wanted = [
        ("a batch of 64, times flat one by one", typical["flat, one"] / typical["ours, 64"], 20.0),
        ("a batch of 64, times its BLAS batch", typical["flat, 64, BLAS"] / typical["ours, 64"], 4),
    ] + [
        (
            f"the sketch at {SKETCHED}, {how}, times the int8 scan",
            typical[f"int8 scan at {SKETCHED}, {how}"] / typical[f"sketch at {SKETCHED}, {how}"],
            1.0,
        )
        for how in ("one", "64")
    ]
    name = f"{size:,} vectors"
    found["targets"] = [
        {"name": f"{name}: {what}", "value": value, "goal": goal, "met": value >= goal}
        for what, value, goal in wanted
    ] + [{"name": f"{name}: planted matches lost", "value": lost, "goal": 0, "met": lost == 0}]
    return found


def _lost(ours: Callable[[Floats], Any], near: Floats) -> int:
    """How many planted matches (query i to label i) are not found."""
    lost = 0
    for first in range(0, len(near), BATCH):
        hits = ours(near[first : first + BATCH])
        there = set(zip(hits.query.tolist(), hits.label.tolist(), strict=True))
        lost += sum((i, first + i) not in there for i in range(len(near[first : first + BATCH])))
    return lost
