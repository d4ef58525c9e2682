"""The index of unit vectors against a plain multiplication of everything with everything."""

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import plugins
from pipeline.domain.signal import Metric, Space
from pipeline.errors import Invalid, Misconfigured
from pipeline.indexes import _dots

WIDTH = 96
FACES = Space("test", "1", Metric.INNER_PRODUCT, WIDTH)
METHODS = {"faiss-flat": 10**9, "int8-scan+sketch": 0}


def unit(rows):
    rows = np.asarray(rows, np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def vectors(count, seed=0, width=WIDTH):
    return unit(np.random.default_rng(seed).standard_normal((count, width)))


def near(rows, cosine, seed=1):
    """For each row another one at exactly this cosine, but for rounding."""
    aside = vectors(len(rows), seed, rows.shape[1])
    aside = unit(aside - (aside * rows).sum(axis=1, keepdims=True) * rows)
    return unit(cosine * rows + np.sqrt(1 - cosine**2) * aside)


def int64(*values):
    return np.array(values, dtype=np.int64)


def said(hits):
    return list(zip(hits.query.tolist(), hits.label.tolist(), hits.distance.tolist(), strict=True))


def oracle(stored, queries, within):
    found = []
    for row, query in enumerate(queries):
        for label, other in stored.items():
            cosine = np.float32(np.dot(query.astype(np.float64), other.astype(np.float64)))
            if cosine >= np.float32(within):
                found.append((row, label, float(cosine)))
    return sorted(found, key=lambda hit: (hit[0], -hit[2], hit[1]))


@pytest.fixture(params=METHODS)
def make_index(request):
    """A factory of empty indexes, with either method."""

    def make(space=FACES, **options):
        options = {"scan_from": METHODS[request.param]} | options
        return plugins.build("indexes", "vectors", space, **options)

    make.method = request.param
    return make


def test_a_hamming_space_is_refused():
    with pytest.raises(Misconfigured, match="unit vectors"):
        plugins.build("indexes", "vectors", Space("pdq", "1", Metric.HAMMING, 256))


def test_the_method_is_the_one_asked_for(make_index):
    index = make_index()
    index.add(np.arange(10), vectors(10))
    assert index.state().method == make_index.method
    assert index.state().codes == len(index) == 10
    assert index.state().bytes > 10 * WIDTH * 4


def test_the_method_changes_when_there_are_many_and_nothing_is_lost():
    index = plugins.build("indexes", "vectors", FACES, scan_from=100)
    rows = vectors(150)
    index.add(np.arange(60), rows[:60])
    before = said(index.search(rows[:5], 0.2))
    assert index.state().method == "faiss-flat"
    index.add(np.arange(60, 150), rows[60:])
    assert index.state().method == "int8-scan+sketch"
    after = said(index.search(rows[:5], 0.2))
    assert set(before) <= set(after)
    assert after == oracle(dict(enumerate(rows)), rows[:5], 0.2)


@pytest.mark.parametrize("width", [8, 64, 128, 200, 512])
@pytest.mark.parametrize("queries", [0, 1, 2, 5, 64])
@pytest.mark.parametrize("within", [-1.0, 0.0, 0.3, 0.999])
def test_what_it_says_is_what_multiplying_everything_says(make_index, width, queries, within):
    index = make_index(Space("test", "1", Metric.INNER_PRODUCT, width))
    rows = vectors(130, width, width)
    labels = np.random.default_rng(5).permutation(10_000)[: len(rows)]
    index.add(labels, rows)
    asked = near(rows, 0.5)[:queries]
    stored = dict(zip(labels.tolist(), rows, strict=True))
    found = index.search(asked, within)
    assert said(found) == oracle(stored, asked, within)
    assert found.distance.dtype == np.float32


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), cosine=st.floats(0.05, 0.95))
def test_a_pair_exactly_at_the_threshold_is_found_by_both_methods(seed, cosine):
    rows = vectors(40, seed)
    asked = near(rows, cosine, seed ^ 1)
    exact = np.einsum("ij,ij->i", rows, asked, dtype=np.float64).astype(np.float32)
    for scan_from in METHODS.values():
        index = plugins.build("indexes", "vectors", FACES, scan_from=scan_from)
        index.add(np.arange(40), rows)
        for row in range(0, 40, 7):
            found = index.search(asked[row : row + 1], float(exact[row]))
            assert row in found.label.tolist()
            above = index.search(asked[row : row + 1], float(np.nextafter(exact[row], 2)))
            assert row not in above.label.tolist()


def test_the_bound_holds_for_vectors_that_round_badly():
    spiky = np.zeros((200, WIDTH), np.float32)
    spiky[:, 0] = 1
    spiky[:, 1:] = np.random.default_rng(3).standard_normal((200, WIDTH - 1)) * 0.004
    rows = unit(spiky)
    index = plugins.build("indexes", "vectors", FACES, scan_from=0)
    index.add(np.arange(200), rows)
    products = rows.astype(np.float64) @ rows.T.astype(np.float64)
    for within in np.quantile(products, [0.2, 0.5, 0.9]):
        found = index.search(rows, float(within))
        assert said(found) == oracle(dict(enumerate(rows)), rows, within)


def test_rounding_never_loses_more_than_it_says():
    rows = vectors(500, 9)
    whole, scales, lost = _dots.quantised(rows)
    kept = whole[:, :WIDTH].astype(np.float64) * scales.astype(np.float64)[:, None]
    assert (np.linalg.norm(rows - kept, axis=1) <= lost).all()
    assert np.abs(whole).max() == 127


def test_what_is_left_of_a_row_is_never_longer_than_it_says():
    whole, scales, _ = _dots.quantised(vectors(300, 11, 200))
    kept = whole * scales.astype(np.float64)[:, None]
    tails = _dots.tails(whole, scales)
    size = whole.shape[1] // _dots.PARTS
    for part in range(_dots.PARTS):
        left = np.linalg.norm(kept[:, (part + 1) * size :], axis=1)
        assert (left <= tails[:, part]).all()
        assert left == pytest.approx(tails[:, part], abs=1e-6)


def test_a_scan_stops_where_the_threshold_leaves_strangers_no_room():
    assert _dots.stop_at(512, 0.5) == 6
    assert _dots.stop_at(256, 0.434) == 7
    assert _dots.stop_at(128, 0.927) < 4
    assert _dots.stop_at(512, 0.0) == _dots.PARTS


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    within=st.floats(0.3, 0.95),
    width=st.sampled_from([96, 256]),
    beyond=st.floats(0, 6),
)
def test_nothing_is_lost_where_a_scan_stops_early(seed, within, width, beyond):
    rng = np.random.default_rng(seed)
    # All of a pair's likeness may lie in its last numbers, which a scan that stops has not seen.
    heavy = np.ones(width)
    heavy[width // 2 :] = 10 ** (beyond - 3)
    rows = unit(rng.standard_normal((200, width)) * heavy)
    asked = near(rows[:40], within, seed ^ 1)
    exact = np.einsum("ij,ij->i", rows[:40], asked, dtype=np.float64)
    within = float(np.float32(np.sort(exact)[20]))
    index = plugins.build(
        "indexes", "vectors", Space("t", "1", Metric.INNER_PRODUCT, width), scan_from=0
    )
    index.add(np.arange(200), rows)
    stored = dict(enumerate(rows))
    assert said(index.search(asked, within)) == oracle(stored, asked, within)
    assert said(index.search(asked[:1], within)) == oracle(stored, asked[:1], within)


def test_the_kernels_hold_on_this_machine():
    assert _dots.holds()


def test_without_trust_in_the_kernels_everything_is_multiplied(monkeypatch):
    from pipeline.indexes import vectors as module

    monkeypatch.setattr(module, "_may_scan", lambda: False)
    index = module.build(FACES, scan_from=0)
    index.add(np.arange(3), vectors(3))
    assert index.state().method == "faiss-flat"


def test_what_was_removed_is_never_found_again(make_index):
    index = make_index()
    rows = vectors(50)
    index.add(np.arange(50), rows)
    assert index.remove(int64(3, 7, 99)) == 2
    assert index.remove(int64(3)) == 0
    assert len(index) == 48
    labels = index.search(rows, -1.0).label
    assert 3 not in labels
    assert 7 not in labels


def test_the_numbers_of_a_removed_vector_are_gone_from_memory(make_index):
    index = make_index()
    rows = vectors(5)
    index.add(np.arange(5), rows)
    index.remove(int64(2))
    chunk = index._chunks[0]
    assert not chunk.rows[2].any()
    if chunk.whole is not None:
        assert (chunk.whole[0, :, 2] == _dots.SHIFT).all()


def test_a_freed_place_is_used_again_under_the_new_label(make_index):
    index = make_index()
    rows = vectors(6)
    index.add(np.arange(5), rows[:5])
    index.remove(int64(2))
    index.add(int64(77), rows[5:])
    assert said(index.search(rows[5:], 0.99)) == [(0, 77, pytest.approx(1))]
    assert 2 not in index.search(rows[2:3], -1.0).label
    assert index._chunks[0].used == 5


def test_more_vectors_than_a_chunk_holds_are_all_found(make_index, monkeypatch):
    from pipeline.indexes import vectors as module

    monkeypatch.setattr(module, "CHUNK", 64)
    index = make_index()
    rows = vectors(300)
    for at in range(0, 300, 70):
        index.add(np.arange(at, min(at + 70, 300)), rows[at : at + 70])
    assert len(index._chunks) == 5
    found = index.search(rows, 0.9999)
    assert found.query.tolist() == found.label.tolist() == list(range(300))
    index.remove(np.arange(0, 300, 2))
    assert index.search(rows, 0.9999).label.tolist() == list(range(1, 300, 2))


def test_hits_beyond_the_cap_are_the_nearest_and_it_says_so(make_index):
    index = make_index(max_hits=3)
    rows = vectors(20)
    index.add(np.arange(20), rows)
    found = index.search(rows[:2], -1.0)
    assert found.truncated
    every = oracle(dict(enumerate(rows)), rows[:2], -1.0)
    assert said(found) == every[:3] + every[20:23]


def test_equally_near_hits_come_in_the_order_of_their_labels(make_index):
    index = make_index()
    same = np.repeat(vectors(1), 3, axis=0)
    index.add(int64(30, 10, 20), same)
    assert index.search(same[:1], 0.9).label.tolist() == [10, 20, 30]


@pytest.mark.parametrize(
    ("labels", "rows", "message"),
    [
        (int64(1, 1), vectors(2), "twice"),
        (int64(1), vectors(2), "one a vector"),
        (int64(-4), vectors(1), "negative"),
        (int64(1), vectors(1, width=95), "shape"),
        (int64(1), vectors(1).astype(np.float64), "float32"),
        (int64(1), vectors(1) * 2, "length 1"),
        (int64(1), vectors(1) * np.nan, "length 1"),
        (int64(0), vectors(1), "already"),
    ],
)
def test_what_does_not_fit_is_refused_and_leaves_nothing(make_index, labels, rows, message):
    index = make_index()
    index.add(int64(0), vectors(1, 8))
    with pytest.raises(Invalid, match=message):
        index.add(labels, rows)
    assert len(index) == 1


@pytest.mark.parametrize("within", [-1.1, 1.1, float("nan")])
def test_a_threshold_that_is_no_cosine_is_refused(make_index, within):
    with pytest.raises(Invalid, match="cosine"):
        make_index().search(vectors(1), within)


def test_searches_beside_changes_never_report_what_was_removed_before_they_began(make_index):
    index = make_index()
    rows = vectors(400)
    index.add(np.arange(200), rows[:200])
    gone: set[int] = set()
    wrong: list[int] = []
    done = threading.Event()

    def look():
        while not done.is_set():
            before = set(gone)
            found = index.search(rows[:8], -1.0).label.tolist()
            wrong.extend(before.intersection(found))

    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    for step in range(200):
        index.remove(int64(step))
        gone.add(step)
        index.add(int64(1000 + step), rows[200 + step : 201 + step])
    done.set()
    for thread in threads:
        thread.join()
    assert not wrong
    assert sorted(index.search(rows[:1], -1.0).label.tolist()) == list(range(1000, 1200))
