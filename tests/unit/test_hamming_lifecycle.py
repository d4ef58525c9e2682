"""Additions, removals and compactions of the compiled Hamming index, one by one and at once."""

import threading
import time

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pipeline.domain.signal import Metric, Space
from pipeline.errors import Invalid, Misconfigured
from pipeline.indexes import hamming
from pipeline.indexes._faiss import FaissIndex

SPACE = Space("test", "1", Metric.HAMMING, 256)


def make_index(**options):
    settings = {"method": "native", "ring_from": 1, "compact_after": 1 << 30, "background": False}
    return hamming.build(SPACE, **(settings | options))


def random_codes(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 32), dtype=np.uint8)


def labels_of(hits):
    return hits.label.tolist()


def memory_of(index):
    """Everything an index keeps of codes, as bytes."""
    base, delta = index._base, index._delta
    return base.arena.tobytes() + delta.tiles.tobytes()


def words_are_in(memory, code):
    return any(code[at : at + 8].tobytes() in memory for at in range(0, 32, 8))


def postings_of(base, row):
    """How many postings still point at a row."""
    width = base.layout.id_bytes
    ids = base.ids[: len(base.ids) // width * width].reshape(-1, width).astype(np.int64)
    return int((ids @ (256 ** np.arange(width)) == row).sum())


def test_a_removed_code_is_blanked_in_the_delta_at_once():
    index, codes = make_index(), random_codes(10)
    index.add(np.arange(10), codes)
    assert words_are_in(memory_of(index), codes[4])
    index.remove(np.array([4]))
    assert not words_are_in(memory_of(index), codes[4])
    assert words_are_in(memory_of(index), codes[5])


def test_a_removed_code_is_blanked_in_the_base_at_once_with_its_postings():
    index, codes = make_index(), random_codes(300)
    index.add(np.arange(300), codes)
    index.compact()
    assert postings_of(index._base, 7) == 16
    index.remove(np.array([7]))
    assert not words_are_in(memory_of(index), codes[7])
    assert postings_of(index._base, 7) == 0
    assert postings_of(index._base, 8) == 16
    assert labels_of(index.search(codes, 0)) == [n for n in range(300) if n != 7]


def test_a_code_that_another_label_still_needs_is_not_blanked():
    index, codes = make_index(), random_codes(20)
    codes[3] = codes[9]
    index.add(np.arange(20), codes)
    index.compact()
    index.remove(np.array([3]))
    assert labels_of(index.search(codes[9:10], 0)) == [9]
    index.remove(np.array([9]))
    assert labels_of(index.search(codes[9:10], 0)) == []
    assert not words_are_in(memory_of(index), codes[9])


def test_while_somebody_reads_a_removed_code_is_not_blanked_until_they_leave():
    index, codes = make_index(), random_codes(20)
    index.add(np.arange(20), codes)
    index.compact()
    index.add(np.array([100]), random_codes(1, seed=1))
    base, delta = index._base, index._delta
    with index._lock:
        base.readers += 1
        delta.readers += 1
    index.remove(np.array([5, 100]))
    assert labels_of(index.search(codes[5:6], 0)) == []
    assert words_are_in(memory_of(index), codes[5])
    with index._lock:
        index._leave(base)
        index._leave(delta)
    assert not words_are_in(memory_of(index), codes[5])
    assert not words_are_in(memory_of(index), random_codes(1, seed=1)[0])


def test_a_delta_that_was_outgrown_is_overwritten():
    index, codes = make_index(), random_codes(3000)
    index.add(np.arange(10), codes[:10])
    old = index._delta
    index.add(np.arange(10, 3000), codes[10:])
    assert index._delta is not old
    assert not old.tiles.any()
    assert labels_of(index.search(codes, 0)) == list(range(3000))


def test_a_delta_that_was_outgrown_under_a_reader_is_overwritten_when_the_reader_leaves():
    index, codes = make_index(), random_codes(3000)
    index.add(np.arange(10), codes[:10])
    old = index._delta
    with index._lock:
        old.readers += 1
    index.remove(np.array([2]))
    index.add(np.arange(10, 3000), codes[10:])
    assert not words_are_in(memory_of(index), codes[2])
    assert words_are_in(old.tiles.tobytes(), codes[2])
    with index._lock:
        index._leave(old)
    assert not old.tiles.any()


def test_compaction_keeps_what_is_there_and_overwrites_the_old_base():
    index, codes = make_index(), random_codes(400)
    index.add(np.arange(200), codes[:200])
    index.compact()
    old = index._base
    index.add(np.arange(200, 400), codes[200:])
    index.remove(np.arange(0, 400, 4))
    index.compact()
    assert not old.arena.any()
    assert len(index) == 300
    assert index._base.layout.rows == 300
    assert labels_of(index.search(codes, 0)) == [n for n in range(400) if n % 4]


def test_what_changes_during_a_compaction_is_in_force_after_it(monkeypatch):
    index, codes = make_index(), random_codes(60)
    index.add(np.arange(40), codes[:40])
    index.compact()
    index.add(np.arange(40, 50), codes[40:50])
    import pipeline.indexes._native as native

    lay_out = native.lay_out

    def slow(*args):
        index.remove(np.array([3, 45]))
        index.add(np.array([50, 51, 3]), codes[50:53])
        index.remove(np.array([51]))
        return lay_out(*args)

    monkeypatch.setattr(native, "lay_out", slow)
    index.compact()
    monkeypatch.undo()
    hits = index.search(codes, 0)
    expected = {n: n for n in range(51) if n not in (3, 45)} | {52: 3}
    assert dict(zip(hits.query.tolist(), hits.label.tolist(), strict=True)) == expected
    assert len(index) == 50
    for row in (3, 45, 51):
        assert not words_are_in(memory_of(index), codes[row])


def test_a_removal_of_very_many_is_left_to_a_compaction_that_starts_by_itself():
    index, codes = make_index(background=True), random_codes(4000)
    index.add(np.arange(4000), codes)
    index.compact()
    assert index.remove(np.arange(3000)) == 3000
    assert labels_of(index.search(codes[2990:3010], 0)) == list(range(3000, 3010))
    index._worker.join()
    assert index._base.layout.rows == 1000
    assert not words_are_in(memory_of(index), codes[0])
    assert labels_of(index.search(codes[2990:3010], 0)) == list(range(3000, 3010))


def test_enough_additions_start_a_compaction_by_themselves():
    index, codes = make_index(background=True, compact_after=100), random_codes(500)
    for at in range(0, 500, 10):
        index.add(np.arange(at, at + 10), codes[at : at + 10])
    deadline = time.monotonic() + 30
    while index._base.layout.rows < 100 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert index._base.layout.rows >= 100
    assert labels_of(index.search(codes, 0)) == list(range(500))
    index.close()


def test_a_closed_index_has_forgotten_everything():
    index, codes = make_index(), random_codes(200)
    index.add(np.arange(100), codes[:100])
    index.compact()
    index.add(np.arange(100, 200), codes[100:])
    base, delta = index._base, index._delta
    index.close()
    assert len(index) == 0
    assert not base.arena.any()
    assert not delta.tiles.any()
    assert labels_of(index.search(codes, 256)) == []


def test_a_label_in_base_delta_or_group_is_refused():
    index, codes = make_index(), random_codes(10)
    codes[1] = codes[0]
    index.add(np.arange(5), codes[:5])
    index.compact()
    index.add(np.array([5]), codes[5:6])
    for taken in (0, 1, 4, 5):
        with pytest.raises(Invalid):
            index.add(np.array([77, taken]), codes[8:])
    assert len(index) == 6
    assert labels_of(index.search(codes[8:9], 0)) == []


def test_negative_and_huge_labels_are_kept_as_they_are():
    index, codes = make_index(), random_codes(4)
    labels = np.array([-5, 2**62, 0, -(2**62)])
    index.add(labels, codes)
    index.compact()
    assert labels_of(index.search(codes, 0)) == labels.tolist()
    assert index.remove(np.array([-5, 2**62])) == 2
    assert labels_of(index.search(codes, 0)) == [0, -(2**62)]


def test_settings_that_make_no_sense_are_refused():
    for options in (
        {"max_hits": 0},
        {"ring_from": 0},
        {"ring_reach": 64},
        {"permutation_seed": b"short"},
    ):
        with pytest.raises(Misconfigured):
            hamming.build(SPACE, **options)
    with pytest.raises(Misconfigured):
        hamming.build(Space("test", "1", Metric.HAMMING, 64))
    with pytest.raises(Misconfigured):
        hamming.build(Space("test", "1", Metric.INNER_PRODUCT, 256))


def test_where_nothing_compiles_faiss_takes_over(monkeypatch):
    import pipeline.indexes._native as native

    def broken(*_args, **_kwargs):
        raise RuntimeError("no such target")

    monkeypatch.setattr(native, "NativeIndex", broken)
    hamming.compiles.cache_clear()
    try:
        assert isinstance(hamming.build(SPACE), FaissIndex)
    finally:
        hamming.compiles.cache_clear()


def test_a_kernel_that_answers_wrongly_is_not_used(monkeypatch):
    import pipeline.indexes._native as native

    monkeypatch.setattr(native, "find", lambda *arguments: (0, 0))
    hamming.compiles.cache_clear()
    try:
        assert not hamming.compiles()
    finally:
        hamming.compiles.cache_clear()


def test_what_a_search_holds_does_not_print():
    index = make_index()
    index.add(np.array([1]), random_codes(1))
    assert "array" not in repr(index._base) + repr(index._delta) + repr(index)


class Interleaved(RuleBasedStateMachine):
    """Any order of additions, removals, searches and compactions agrees with a dictionary."""

    def __init__(self):
        super().__init__()
        self.index = make_index(permutation_seed=bytes(32), max_hits=1000)
        self.stored = {}
        self.centre = np.unpackbits(random_codes(1, seed=11)[0])

    def near(self, seed, bits):
        rng = np.random.default_rng(seed)
        code = self.centre.copy()
        code[rng.choice(256, bits, replace=False)] ^= 1
        return np.packbits(code)

    @rule(
        labels=st.lists(st.integers(0, 40), min_size=1, max_size=6, unique=True),
        seed=st.integers(0, 30),
        bits=st.integers(0, 40),
    )
    def add(self, labels, seed, bits):
        codes = np.stack([self.near(seed + label % 3, bits) for label in labels])
        if self.stored.keys() & set(labels):
            with pytest.raises(Invalid):
                self.index.add(np.array(labels), codes)
        else:
            self.index.add(np.array(labels), codes)
            self.stored.update(zip(labels, codes, strict=True))

    @rule(labels=st.lists(st.integers(0, 45), max_size=8))
    def remove(self, labels):
        there = self.stored.keys() & set(labels)
        assert self.index.remove(np.array(labels, np.int64)) == len(there)
        for label in there:
            del self.stored[label]

    @precondition(lambda self: self.index._delta.count or self.index._base.dead)
    @rule()
    def compact(self):
        self.index.compact()
        assert self.index._base.stored == len(self.stored)
        assert self.index._delta.count == 0

    @rule(seed=st.integers(0, 30), bits=st.integers(0, 40), within=st.integers(0, 70))
    def search(self, seed, bits, within):
        queries = np.stack([self.near(seed, bits), np.packbits(self.centre)])
        hits = self.index.search(queries, within)
        found = list(
            zip(hits.query.tolist(), hits.distance.tolist(), hits.label.tolist(), strict=True)
        )
        expected = sorted(
            (row, far, label)
            for row, query in enumerate(queries)
            for label, code in self.stored.items()
            if (far := int(np.bitwise_count(query ^ code).sum())) <= within
        )
        assert found == expected

    @invariant()
    def counts_agree(self):
        assert len(self.index) == len(self.stored) == self.index.state().codes


Interleaved.TestCase.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
TestAnyOrderOfChanges = Interleaved.TestCase


def test_hammered_by_threads_nothing_removed_is_seen_and_nothing_there_is_missed():
    index = make_index(background=True, compact_after=64)
    codes = random_codes(1200)
    index.add(np.arange(400), codes[:400])
    removed, added, failures, stop = [0], [400], [], threading.Event()

    def look(seed):
        rng = np.random.default_rng(seed)
        while not stop.is_set():
            rows = rng.integers(0, 1200, 8)
            gone, there = removed[0], added[0]
            hits = index.search(codes[rows], 31)
            if not (hits.distance == 0).all() or not (hits.label == rows[hits.query]).all():
                failures.append("wrong")
            found = set(hits.label.tolist())
            for row in rows.tolist():
                if row < gone and row in found:
                    failures.append("seen after removal")
                if 300 <= row < there and row not in found:
                    failures.append("missed")

    def squeeze():
        while not stop.is_set():
            index.compact()

    threads = [threading.Thread(target=look, args=(seed,)) for seed in range(3)]
    threads.append(threading.Thread(target=squeeze))
    for thread in threads:
        thread.start()
    for step in range(300):
        index.add(np.arange(400 + 2 * step, 402 + 2 * step), codes[400 + 2 * step : 402 + 2 * step])
        added[0] = 402 + 2 * step
        index.remove(np.array([step]))
        removed[0] = step + 1
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(index) == 700
    index.compact()
    assert not any(words_are_in(memory_of(index), code) for code in codes[:300:30])
    index.close()
