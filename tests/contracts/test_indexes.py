"""The contract of an index, run on every member of the family against a brute-force oracle."""

import threading

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline import plugins
from pipeline.domain.signal import Metric, Space
from pipeline.errors import Invalid, Misconfigured

HAMMING = Space("test", "1", Metric.HAMMING, 256)
POPCOUNT = np.array([bin(byte).count("1") for byte in range(256)], dtype=np.int64)


def hamming_members():
    """The members that hold 256-bit codes: whoever does not refuse the space."""
    found = []
    for name in plugins.names("indexes"):
        try:
            plugins.build("indexes", name, HAMMING)
        except Misconfigured:
            continue
        found.append(name)
    return found


WAYS = {
    "hamming": {
        "as it comes": {},
        "ring at once": {"ring_from": 1, "compact_after": 3, "permutation_seed": bytes(16)},
        "faiss": {"method": "faiss"},
    },
}
"""Further ways in which a member may do its work, each of which keeps the contract."""


def members_and_ways():
    for name in hamming_members():
        for way, options in WAYS.get(name, {"as it comes": {}}).items():
            yield pytest.param((name, options), id=f"{name}, {way}")


@pytest.fixture(params=members_and_ways())
def make_index(request):
    """A factory of empty Hamming indexes; what it made is closed afterwards."""
    (name, settings), made = request.param, []

    def make(**options):
        made.append(plugins.build("indexes", name, HAMMING, **(settings | options)))
        return made[-1]

    yield make
    for index in made:
        getattr(index, "close", lambda: None)()


def random_codes(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 32), dtype=np.uint8)


def flipped(code, bits):
    """The code with the given bits (0 to 255) turned over."""
    turned = np.unpackbits(code)
    turned[list(bits)] ^= 1
    return np.packbits(turned)


def oracle(stored, queries, within):
    """What a search must say, computed bit by bit: (query, label, distance) in the order due."""
    found = []
    for row, code in enumerate(queries):
        near = []
        for label, other in stored.items():
            distance = int(POPCOUNT[code ^ other].sum())
            if distance <= within:
                near.append((distance, label))
        found += [(row, label, distance) for distance, label in sorted(near)]
    return found


def said(hits):
    return list(zip(hits.query.tolist(), hits.label.tolist(), hits.distance.tolist(), strict=True))


def int64(*values):
    return np.array(values, dtype=np.int64)


def test_there_is_at_least_one_member_for_hamming_spaces():
    assert "hamming" in hamming_members()


def test_an_empty_index_finds_nothing_and_says_so(make_index):
    index = make_index()
    hits = index.search(random_codes(3), 256)
    assert len(hits) == 0
    assert not hits.truncated
    assert (hits.query.dtype, hits.label.dtype, hits.distance.dtype) == (np.int64,) * 3
    assert len(index) == 0
    assert index.state().codes == 0
    assert index.remove(int64(1, 2)) == 0


def test_no_queries_get_no_hits(make_index):
    index = make_index()
    index.add(int64(1), random_codes(1))
    assert len(index.search(random_codes(0), 31)) == 0


def test_adding_nothing_is_allowed(make_index):
    index = make_index()
    index.add(int64(), random_codes(0))
    assert len(index) == 0


@pytest.mark.parametrize("within", [0, 1, 31, 32, 84, 127, 128, 255, 256])
def test_answers_are_the_oracles_at_any_radius(make_index, within):
    index, codes = make_index(), random_codes(60, seed=within)
    codes[30:40] = codes[0]
    for row in range(40, 60):
        bits = np.random.default_rng(row).choice(256, size=row * 4, replace=False)
        codes[row] = flipped(codes[1], bits)
    labels = np.random.default_rng(1).permutation(10_000)[:60].astype(np.int64)
    index.add(labels, codes)
    queries = np.concatenate([codes[:3], random_codes(2, seed=9), ~codes[:1]])
    stored = dict(zip(labels.tolist(), codes, strict=True))
    hits = index.search(queries, within)
    assert said(hits) == oracle(stored, queries, within)
    assert not hits.truncated


def test_the_edge_of_the_radius_is_inside(make_index):
    index, code = make_index(), random_codes(1)[0]
    index.add(int64(1, 2), np.stack([flipped(code, range(31)), flipped(code, range(32))]))
    assert said(index.search(code[None], 31)) == [(0, 1, 31)]
    assert said(index.search(code[None], 30.9)) == []


def test_hits_are_ordered_by_query_then_distance_then_label(make_index):
    index, code = make_index(), random_codes(1)[0]
    index.add(
        int64(9, 5, 7), np.stack([flipped(code, [3]), flipped(code, [200]), flipped(code, [])])
    )
    assert said(index.search(np.stack([code, code]), 4)) == [
        (0, 7, 0), (0, 5, 1), (0, 9, 1), (1, 7, 0), (1, 5, 1), (1, 9, 1),
    ]  # fmt: skip


def test_never_returns_what_was_removed(make_index):
    index, codes = make_index(), random_codes(20)
    codes[10] = codes[3]
    index.add(np.arange(20, dtype=np.int64), codes)
    assert index.remove(int64(3, 4, 99)) == 2
    assert index.remove(int64(3)) == 0
    assert len(index) == 18
    assert said(index.search(codes[3:5], 0)) == [(0, 10, 0)]


def test_a_label_given_twice_in_one_removal_counts_once(make_index):
    index = make_index()
    index.add(int64(1), random_codes(1))
    assert index.remove(int64(1, 1)) == 1
    assert len(index) == 0


def test_a_label_that_was_removed_may_come_back_with_another_code(make_index):
    index, codes = make_index(), random_codes(2)
    index.add(int64(1), codes[:1])
    index.remove(int64(1))
    index.add(int64(1), codes[1:])
    assert said(index.search(codes, 0)) == [(1, 1, 0)]


def test_a_label_that_is_there_already_is_refused_and_nothing_changes(make_index):
    index, codes = make_index(), random_codes(3)
    index.add(int64(1), codes[:1])
    with pytest.raises(Invalid):
        index.add(int64(2, 1), codes[1:])
    assert len(index) == 1
    assert said(index.search(codes, 0)) == [(0, 1, 0)]


def test_a_label_twice_in_one_addition_is_refused(make_index):
    index = make_index()
    with pytest.raises(Invalid):
        index.add(int64(1, 1), random_codes(2))
    assert len(index) == 0


@pytest.mark.parametrize(
    ("labels", "codes"),
    [
        (np.zeros(1, np.int64), np.zeros((1, 31), np.uint8)),
        (np.zeros(1, np.int64), np.zeros(32, np.uint8)),
        (np.zeros(1, np.int64), np.zeros((1, 32), np.float32)),
        (np.zeros(2, np.int64), np.zeros((1, 32), np.uint8)),
        (np.zeros((1, 1), np.int64), np.zeros((1, 32), np.uint8)),
        (np.zeros(1, np.float64), np.zeros((1, 32), np.uint8)),
    ],
)
def test_shapes_that_do_not_fit_are_refused(make_index, labels, codes):
    index = make_index()
    with pytest.raises(Invalid):
        index.add(labels, codes)
    assert len(index) == 0


@pytest.mark.parametrize("within", [-1, 257, float("nan"), float("inf")])
def test_a_radius_that_makes_no_sense_is_refused(make_index, within):
    with pytest.raises(Invalid):
        make_index().search(random_codes(1), within)


@pytest.mark.parametrize("shape", [(1, 31), (32,), (1, 33), (1, 1, 32)])
def test_queries_of_the_wrong_shape_are_refused(make_index, shape):
    with pytest.raises(Invalid):
        make_index().search(np.zeros(shape, np.uint8), 31)


def test_hits_beyond_the_cap_are_cut_to_the_nearest_and_the_answer_says_truncated(make_index):
    index, code = make_index(max_hits=5), random_codes(1)[0]
    codes = np.stack([flipped(code, range(row)) for row in range(12)])
    index.add(np.arange(12, dtype=np.int64)[::-1].copy(), codes)
    hits = index.search(np.stack([code, ~code]), 20)
    assert hits.truncated
    assert said(hits) == [(0, 11 - row, row) for row in range(5)]
    assert not index.search(code[None], 4).truncated


def test_what_the_caller_does_to_its_arrays_afterwards_changes_nothing(make_index):
    index, codes, labels = make_index(), random_codes(4), np.arange(4, dtype=np.int64)
    kept = codes.copy()
    index.add(labels, codes)
    codes[:] = 0
    labels[:] = 77
    assert said(index.search(kept, 0)) == [(row, row, 0) for row in range(4)]


def test_codes_that_are_not_contiguous_are_understood(make_index):
    index, codes = make_index(), random_codes(8)
    index.add(np.arange(8, dtype=np.int64)[::2], codes[::2])
    assert said(index.search(codes[::4], 0)) == [(0, 0, 0), (1, 4, 0)]


def test_the_state_counts_codes_and_names_the_method(make_index):
    index = make_index()
    index.add(np.arange(50, dtype=np.int64), random_codes(50))
    index.remove(int64(7))
    state = index.state()
    assert state.codes == 49
    assert state.bytes >= 49 * 32
    assert state.method
    assert index.space == HAMMING


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_order_of_additions_removals_and_searches_gives_the_oracles_answers(make_index, data):
    index, stored, centre = make_index(), {}, random_codes(1, seed=5)[0]
    for step in range(data.draw(st.integers(1, 12))):
        what = data.draw(st.sampled_from(["add", "add", "remove", "search"]))
        if what == "add":
            new = [
                label
                for label in data.draw(st.lists(st.integers(0, 60), max_size=8, unique=True))
                if label not in stored
            ]
            codes = [
                flipped(centre, data.draw(st.sets(st.integers(0, 255), max_size=12))) for _ in new
            ]
            if new:
                index.add(np.array(new, np.int64), np.stack(codes))
            stored |= dict(zip(new, codes, strict=True))
        elif what == "remove":
            gone = data.draw(st.lists(st.integers(0, 60), max_size=8))
            there = {label for label in gone if stored.pop(label, None) is not None}
            assert index.remove(np.array(gone, np.int64)) == len(there)
        else:
            queries = np.stack([centre, flipped(centre, range(step * 3))])
            within = data.draw(st.integers(0, 40))
            assert said(index.search(queries, within)) == oracle(stored, queries, within)
        assert len(index) == len(stored)


def test_threads_never_see_what_was_removed_nor_miss_what_is_there(make_index):
    index, codes = make_index(), random_codes(400)
    index.add(np.arange(200, dtype=np.int64), codes[:200])
    failures, stop = [], threading.Event()
    gone = 0

    def look():
        random = np.random.default_rng(threading.get_ident())
        while not stop.is_set():
            removed_before = gone
            rows = random.integers(0, 400, 4)
            hits = index.search(codes[rows], 0)
            found = set(hits.label.tolist())
            for query, label, distance in said(hits):
                if label != rows[query] or distance != 0:
                    failures.append(("wrong", label))
            for row in rows.tolist():
                if row < removed_before and row in found:
                    failures.append(("removed", row))
                if 100 <= row < 200 and row not in found:
                    failures.append(("lost", row))

    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    for row in range(100):
        index.add(int64(200 + row), codes[200 + row][None])
        index.remove(int64(row))
        gone = row + 1
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(index) == 200
