"""The sketch misses as often as it says, and the index with it says what multiplying says."""

from __future__ import annotations

import math
import os
import platform
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llvmlite import binding
from numpy.typing import NDArray

from pipeline.domain.signal import Metric, Space
from pipeline.indexes import _sketch, vectors
from services.bench.index import CODE_PATHS

ROOT = Path(__file__).parents[2]
Floats = NDArray[np.float32]


def unit(rows: NDArray[Any]) -> Floats:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def directions(rng: np.random.Generator, count: int, width: int) -> Floats:
    return unit(rng.standard_normal((count, width)))


def turned(rng: np.random.Generator, rows: Floats, cosine: float) -> Floats:
    """For each row another one at this cosine, but for rounding."""
    exact = rows.astype(np.float64)
    aside = rng.standard_normal(rows.shape)
    aside -= (aside * exact).sum(axis=1, keepdims=True) * exact
    aside /= np.linalg.norm(aside, axis=1, keepdims=True)
    return unit(cosine * exact + math.sqrt(1 - cosine**2) * aside)


def index_of(width: int) -> Any:
    space = Space("test", "1", Metric.INNER_PRODUCT, width)
    return vectors.build(space, scan_from=0)


def oracle(stored: dict[int, Floats], asked: Floats, within: float) -> set[tuple[int, int]]:
    labels = np.array(list(stored), np.int64)
    rows = np.array(list(stored.values()), np.float64).reshape(len(stored), asked.shape[1])
    products = (asked.astype(np.float64) @ rows.T).astype(np.float32)
    query, at = np.nonzero(products >= np.float32(within))
    return set(zip(query.tolist(), labels[at].tolist(), strict=True))


def found(index: Any, asked: Floats, within: float) -> set[tuple[int, int]]:
    hits = index.search(asked, within)
    return set(zip(hits.query.tolist(), hits.label.tolist(), strict=True))


def beyond(limit: int, chance: Fraction) -> Fraction:
    """The chance that more than ``limit`` of 512 bits differ."""
    some, other, whole = chance.numerator, chance.denominator - chance.numerator, 0
    for bits in range(limit + 1, 513):
        whole += math.comb(512, bits) * some**bits * other ** (512 - bits)
    return Fraction(whole, chance.denominator**512)


def within_limit(width: int, within: float) -> int:
    return _sketch.limit((within - vectors.ROUNDING) / (1 + vectors.UNIT) ** 2, width)


@pytest.fixture
def draws(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Draws hyperplanes anew, and what depends on the constants, before and after the test."""

    def anew() -> None:
        _sketch.drawn.cache_clear()
        _sketch.limit.cache_clear()

    anew()
    yield anew
    monkeypatch.undo()
    anew()


@pytest.mark.parametrize("cosine", [0.3, 0.5, 0.6, 0.65, 0.7, 0.8, 0.9, 0.95, 0.999])
@pytest.mark.parametrize("width", [8, 128, 512, 2048])
def test_the_limit_is_the_lowest_that_misses_no_more_often_than_stated(
    cosine: float, width: int
) -> None:
    limit = _sketch.limit(cosine, width)
    chance = Fraction(_sketch.parted(cosine, width))
    assert beyond(limit, chance) <= Fraction(_sketch.MISSED) < beyond(limit - 1, chance)
    exact = math.acos(cosine) / math.pi
    assert exact < _sketch.parted(cosine, width) < exact + 0.01


def test_a_bit_can_be_wrong_only_as_often_as_it_is_said_to_be() -> None:
    rng = np.random.default_rng(1)
    rows = directions(rng, 2000, 256)
    wrong = (rows.astype(np.float64) @ _sketch.hyperplanes(256) > 0) != (
        np.unpackbits(_sketch.sketched(rows).view(np.uint8), axis=1).astype(bool)
    )
    assert wrong.mean() < _sketch.parted(1.0, 256) / 2


def test_it_is_used_where_strangers_stay_outside() -> None:
    def pays(within: float, width: int) -> list[bool]:
        limit = within_limit(width, within)
        return [_sketch.pays(limit, queries, width) for queries in (1, 2, 64)]

    assert pays(0.35, 512) == pays(0.5, 512) == pays(0.55, 512) == [False, False, False]
    assert pays(0.6, 512) == [True, True, False]
    assert pays(0.65, 512) == pays(0.9, 512) == [True, True, True]
    assert pays(0.7, 128) == pays(0.9, 256) == [True, True, False]


def test_a_pair_is_missed_as_often_as_the_binomial_says(draws: Any) -> None:
    """Each trial draws its own hyperplanes: the chance is one of the draw, not of the vectors."""
    rng = np.random.default_rng(2)
    cosine, trials = 0.6, 3000
    one = directions(rng, 1, 8)
    pair = np.concatenate([one, turned(rng, one, cosine)])
    chance = math.acos(float(pair[0].astype(np.float64) @ pair[1])) / math.pi
    differ = np.empty(trials, np.int64)
    for trial in range(trials):
        draws()
        sketches = _sketch.sketched(pair)
        differ[trial] = np.bitwise_count(sketches[0] ^ sketches[1]).sum(dtype=np.int64)
    spread = math.sqrt(chance * (1 - chance) * 512)
    assert abs(differ.mean() - 512 * chance) < 5 * spread / math.sqrt(trials)
    for deviations in (-1, 0, 1, 2):
        limit = int(512 * chance + deviations * spread)
        expected = float(beyond(limit, Fraction(chance)))
        missed = float((differ > limit).mean())
        assert abs(missed - expected) < 5 * math.sqrt(expected * (1 - expected) / trials)


def test_the_index_misses_whom_the_sketch_misses_and_nobody_else(
    draws: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_sketch, "MISSED", 0.1)
    rng = np.random.default_rng(3)
    width, trials, missed = 64, 500, 0
    stored = directions(rng, 1, width)
    asked = turned(rng, stored, 0.7)
    exact = stored[0].astype(np.float64) @ asked[0].astype(np.float64)
    within = float(np.float32(exact))
    for _ in range(trials):
        draws()
        index = index_of(width)
        index.add(np.arange(1), stored)
        one, other = _sketch.sketched(np.concatenate([stored, asked]))
        near = np.bitwise_count(one ^ other).sum(dtype=np.int64) <= within_limit(width, within)
        assert len(index.search(asked, within)) == int(near)
        missed += not near
    chance = Fraction(math.acos(float(exact)) / math.pi)
    expected = float(beyond(within_limit(width, within), chance))
    assert 0.05 < expected <= 0.1
    assert abs(missed / trials - expected) < 5 * math.sqrt(expected * (1 - expected) / trials)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    within=st.floats(0.5, 0.95),
    width=st.sampled_from([128, 256, 512]),
    queries=st.sampled_from([1, 2, 40]),
)
def test_planted_vectors_are_found_exactly_up_to_the_threshold(
    seed: int, within: float, width: int, queries: int
) -> None:
    rng = np.random.default_rng(seed)
    asked = directions(rng, queries, width)
    rows = np.concatenate(
        [
            *(turned(rng, asked, within + more) for more in (-1e-3, -1e-6, 0, 1e-6, 1e-3, 0.04)),
            directions(rng, 100, width),
        ]
    )
    rows *= rng.uniform(1 - vectors.UNIT / 2, 1 + vectors.UNIT / 2, (len(rows), 1)).astype("f4")
    index = index_of(width)
    index.add(np.arange(len(rows)), rows)
    exact = np.einsum("ij,ij->i", rows[: 6 * queries], np.tile(asked, (6, 1)), dtype=np.float64)
    stored = dict(enumerate(rows))
    for threshold in (within, *exact.astype(np.float32)[:: 6 * queries // 3].tolist()):
        assert found(index, asked, threshold) == oracle(stored, asked, threshold)


def test_vectors_that_crowd_together_are_scanned_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    retreats = []
    scan = vectors.Scan

    def spy(queries: Floats, within: float) -> Any:
        retreats.append(len(queries))
        return scan(queries, within)

    monkeypatch.setattr(vectors, "Scan", spy)
    monkeypatch.setattr(vectors, "CHUNK", 1024)
    rng = np.random.default_rng(4)
    # As templates of faces with 128 numbers: strangers have a cosine of 0.8.
    middle = directions(rng, 1, 128)
    rows = turned(rng, np.repeat(middle, 3000, axis=0), math.sqrt(0.8))
    asked = np.concatenate([turned(rng, rows[:2], 0.93), rows[2:4]])
    index = index_of(128)
    index.add(np.arange(3000), rows)
    hits = found(index, asked, 0.927)
    assert {(i, i) for i in range(4)} <= hits == oracle(dict(enumerate(rows)), asked, 0.927)
    assert retreats == [4]
    apart = index_of(128)
    apart.add(np.arange(3000), directions(rng, 3000, 128))
    apart.search(asked, 0.927)
    assert retreats == [4]


def test_nothing_of_a_removed_vector_is_left_and_free_rows_are_not_found() -> None:
    rng = np.random.default_rng(5)
    rows = directions(rng, 40, 64)
    index = index_of(64)
    index.add(np.arange(40), rows)
    tiles = index._chunks[0].tiles
    before = tiles.copy()
    assert tiles[7 // _sketch.ROWS, :, 7 % _sketch.ROWS].any()
    index.remove(np.array([7]))
    assert not tiles[7 // _sketch.ROWS, :, 7 % _sketch.ROWS].any()
    assert (tiles != before).any(axis=1).sum() == 1
    assert found(index, rows, 0.8) == {(i, i) for i in range(40) if i != 7}


def test_additions_removals_and_searches_in_any_order_give_what_is_stored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(vectors, "CHUNK", 64)
    rng = np.random.default_rng(6)
    pool = directions(rng, 600, 96)
    index, stored = index_of(96), {}
    for label in range(len(pool)):
        index.add(np.array([label]), pool[label : label + 1])
        stored[label] = pool[label]
        if rng.random() < 0.6:
            gone = int(rng.choice(list(stored)))
            assert index.remove(np.array([gone])) == 1
            del stored[gone]
        if label % 20 == 0:
            asked = turned(rng, pool[rng.integers(0, label + 1, 3)], 0.82)
            assert found(index, asked, 0.8) == oracle(stored, asked, 0.8)
    assert len(index._chunks) > 2


def test_searches_beside_changes_find_what_stays_and_nothing_that_was_removed() -> None:
    rng = np.random.default_rng(7)
    rows = directions(rng, 400, 96)
    index = index_of(96)
    index.add(np.arange(200), rows[:200])
    gone: set[int] = set()
    wrong: list[object] = []
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            before = set(gone)
            labels = set(index.search(rows[190:194], 0.9).label.tolist())
            wrong.extend(before & labels or {190, 191, 192, 193} - labels)

    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    for step in range(190):
        index.remove(np.array([step]))
        gone.add(step)
        # The same vectors come back, under other labels, in the places that were freed.
        index.add(np.array([1000 + step]), rows[190 + step % 4 : 191 + step % 4])
        index.remove(np.array([1000 + step]))
        gone.add(1000 + step)
        index.add(np.array([2000 + step]), rows[200 + step : 201 + step])
    done.set()
    for thread in threads:
        thread.join()
    assert not wrong


def test_without_trust_in_the_kernel_bytes_are_scanned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors, "_may_sketch", lambda: False)
    rows = directions(np.random.default_rng(8), 20, 64)
    index = index_of(64)
    index.add(np.arange(20), rows)
    assert index.state().method == "int8-scan"
    assert found(index, rows, 0.9) == {(i, i) for i in range(20)}


def test_sketches_are_counted_in_the_memory_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    used = {}
    for trusted in (True, False):
        monkeypatch.setattr(vectors, "_may_sketch", lambda trusted=trusted: trusted)
        index = index_of(64)
        index.add(np.arange(1), directions(np.random.default_rng(9), 1, 64))
        used[trusted] = index.state().bytes
    assert used[True] - used[False] == 64 * vectors.CHUNK


def test_a_process_draws_its_own_hyperplanes_and_keeps_them(draws: Any) -> None:
    with ThreadPoolExecutor(4) as pool:
        first, *others = pool.map(_sketch.hyperplanes, [32] * 8)
    assert all(other is first for other in others)
    draws()
    assert not np.array_equal(_sketch.hyperplanes(32), first)


@pytest.mark.slow
@pytest.mark.parametrize("path", CODE_PATHS)
def test_the_kernels_hold_on_every_code_path(path: str) -> None:
    named = CODE_PATHS[path]
    wanted = [one[1:] for one in named.get("NUMBA_CPU_FEATURES", "").split(",") if one]
    here = binding.get_host_cpu_features()
    if named and platform.machine().lower() not in ("x86_64", "amd64"):
        pytest.skip("these are paths of x86")
    if not all(here.get(one) for one in wanted):
        pytest.skip("this CPU lacks the path's instructions")
    program = "from pipeline.indexes import _dots, _sketch; print(_dots.holds(), _sketch.holds())"
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | named, cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.stdout.split() == ["True", "True"], ran.stderr
