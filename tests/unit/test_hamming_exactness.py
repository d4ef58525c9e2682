"""The compiled Hamming index says what counting bits says, at every radius and by every method."""

import numpy as np
import pytest

from pipeline.domain.signal import Metric, Space
from pipeline.indexes import hamming
from pipeline.indexes._permutation import fingerprint, permutation
from pipeline.indexes._ring import REACH, probes, reach

SPACE = Space("test", "1", Metric.HAMMING, 256)
SEED = bytes(range(32))


def make_index(**options):
    """A compiled index that uses the ring from the first code on and compacts when told."""
    settings = {
        "method": "native", "ring_from": 1, "compact_after": 1 << 30, "background": False,
        "max_hits": 100_000,
    }  # fmt: skip
    return hamming.build(SPACE, **(settings | options))


def resting(labels, codes, **options):
    index = make_index(compact_after=1, **options)
    index.add(np.asarray(labels, np.int64), codes)
    return index


def distances(queries, codes):
    return np.bitwise_count(queries[:, None, :] ^ codes[None, :, :]).sum(axis=2).astype(np.int64)


def oracle(labels, codes, queries, within):
    far = distances(queries, codes)
    query, row = np.nonzero(far <= within)
    found = zip(
        query.tolist(), far[query, row].tolist(), np.asarray(labels)[row].tolist(), strict=True
    )
    return sorted(found)


def said(hits):
    return list(zip(hits.query.tolist(), hits.distance.tolist(), hits.label.tolist(), strict=True))


def random_codes(rng, count):
    return rng.integers(0, 256, (count, 32), dtype=np.uint8)


def spreads(rng, bits, count):
    """Ways to put ``bits`` into 16 substrings of 16 bits, from even to crowded, at any rotation."""
    ways = []
    for way in range(count):
        kind = way % 5
        if kind == 0:  # as even as it gets: every start is at its limit
            share = np.full(16, bits // 16)
            share[rng.choice(16, bits % 16, replace=False)] += 1
        elif kind == 1:  # the rest in a row: most starts fail on their second substring
            share = np.full(16, bits // 16)
            share[: bits % 16] += 1
        elif kind == 2:  # crowded into as few substrings as possible
            share = np.zeros(16, int)
            share[: bits // 16] = 16
            share[(bits // 16) % 16] += bits % 16
        elif kind == 3:  # every other substring
            share = np.zeros(16, int)
            share[::2] = rng.multinomial(bits, np.full(8, 1 / 8))
        else:
            share = rng.multinomial(bits, rng.dirichlet(np.full(16, rng.choice([0.2, 1, 20]))))
        excess = int(np.maximum(share - 16, 0).sum())
        share = np.minimum(share, 16)
        while excess:
            place = rng.choice(np.flatnonzero(share < 16))
            share[place] += 1
            excess -= 1
        ways.append(np.roll(share, rng.integers(16)))
    return ways


def turned(rng, code, share):
    """The code with ``share[t]`` bits turned in its ``t``-th pair of bytes."""
    bits = np.unpackbits(code).reshape(16, 16)
    for substring, count in enumerate(share):
        bits[substring, rng.choice(16, count, replace=False)] ^= 1
    return np.packbits(bits)


@pytest.mark.parametrize("bits", range(64))
def test_what_is_exactly_at_the_radius_is_found_and_one_bit_further_is_not(bits):
    rng = np.random.default_rng(bits)
    code = random_codes(rng, 1)[0]
    planted = [turned(rng, code, share) for share in spreads(rng, bits, 60)]
    beyond = [turned(rng, code, share) for share in spreads(rng, bits + 1, 60)]
    codes = np.stack(planted + beyond + list(random_codes(rng, 200)))
    index = resting(np.arange(320), codes, ring_reach=63)
    hits = index.search(code[None], bits)
    assert said(hits) == oracle(np.arange(320), codes, code[None], bits)
    assert set(hits.label.tolist()) == set(range(60))


@pytest.mark.parametrize("bits", [*range(64)])
def test_any_spread_of_the_radius_over_the_ring_has_a_start_that_the_tables_see(bits):
    single, pair = bits // 16, bits // 8
    rng = np.random.default_rng(bits)
    for share in spreads(rng, bits, 400):
        starts = (share <= single) & (share + np.roll(share, -1) <= pair)
        assert starts.any(), share


@pytest.mark.parametrize("bits", [15, 31, 47, 63])
def test_one_bit_beyond_a_multiple_of_sixteen_no_start_need_exist(bits):
    assert (np.full(16, (bits + 1) // 16) > bits // 16).all()
    flips, left = probes(bits)
    assert np.bitwise_count(flips).max() == bits // 16
    assert (left + np.bitwise_count(flips) == bits // 8).all()


def test_the_number_of_buckets_read_grows_with_the_radius_as_documented():
    assert [len(probes(bits)[0]) for bits in (0, 15, 16, 31, 32, 47, 63)] == [
        1, 1, 17, 17, 137, 137, 697,
    ]  # fmt: skip
    assert [reach(rows) for rows, _ in REACH] == [bits for _, bits in REACH]
    assert reach(0) == 31


@pytest.mark.parametrize("seed", [None, SEED], ids=["plain", "permuted"])
@pytest.mark.parametrize("ring_from", [1, 1 << 30], ids=["ring", "scan"])
@pytest.mark.parametrize("within", [0, 7, 15, 16, 31, 32, 44, 45, 64, 128, 256])
def test_ring_and_scan_and_delta_agree_with_the_oracle(seed, ring_from, within):
    rng = np.random.default_rng(within)
    centre = random_codes(rng, 1)[0]
    near = [turned(rng, centre, share) for bits in range(64) for share in spreads(rng, bits, 4)]
    codes = np.concatenate([np.stack(near), random_codes(rng, 300)])
    codes[400:410] = codes[0]
    labels = rng.permutation(5000)[: len(codes)]
    half = len(codes) // 2
    index = resting(labels[:half], codes[:half], permutation_seed=seed, ring_from=ring_from)
    index.add(labels[half:], codes[half:])
    queries = np.concatenate([centre[None], codes[100:103], random_codes(rng, 2)])
    expected = oracle(labels, codes, queries, within)
    assert said(index.search(queries, within)) == expected
    index.compact()
    assert said(index.search(queries, within)) == expected


@pytest.mark.parametrize("count", [1, 7, 8, 9, 31, 32, 33, 255, 256, 257])
def test_sizes_around_tiles_and_blocks_and_batches_lose_nothing(count):
    rng = np.random.default_rng(count)
    codes = random_codes(rng, count)
    index = resting(np.arange(count), codes, ring_from=1 << 30)
    ring = resting(np.arange(count), codes)
    for queries in (codes, np.concatenate([codes, codes, codes])):
        expected = oracle(np.arange(count), codes, queries, 31)
        assert said(index.search(queries, 31)) == expected
        assert said(ring.search(queries, 31)) == expected


def test_a_flood_of_one_code_is_one_row_and_keeps_every_label():
    rng = np.random.default_rng(3)
    codes = np.repeat(random_codes(rng, 3), [2000, 1, 500], axis=0)
    labels = rng.permutation(2501)
    index = resting(labels, codes)
    assert index._base.layout.rows == 3
    hits = index.search(codes[:1], 31)
    assert hits.label.tolist() == sorted(labels[:2000].tolist())
    gone = labels[:1999]
    assert index.remove(gone) == 1999
    assert said(index.search(codes[:1], 31)) == [(0, 0, int(labels[1999]))]
    assert index.remove(labels[1999:2000]) == 1
    assert len(index.search(codes[:1], 31)) == 0
    index.compact()
    assert len(index) == 501
    assert said(index.search(codes[2000:2001], 0)) == [(0, 0, int(labels[2000]))]


def crowded(rng, count):
    """Codes around one centre, too many for the ring's budget, and the centre."""
    centre = random_codes(rng, 1)[0]
    codes = np.repeat(centre[None], count, axis=0)
    for row in range(count):
        bits = rng.choice(256, rng.integers(0, 50), replace=False)
        unpacked = np.unpackbits(codes[row])
        unpacked[bits] ^= 1
        codes[row] = np.packbits(unpacked)
    return centre, codes


@pytest.mark.parametrize("seed", [None, SEED], ids=["plain", "permuted"])
def test_a_crowd_around_one_code_is_answered_whole_when_it_may_be_told(seed):
    rng = np.random.default_rng(4)
    centre, codes = crowded(rng, 6000)
    index = resting(np.arange(6000), codes, permutation_seed=seed)
    queries = np.stack([centre, codes[17], random_codes(rng, 1)[0]])
    hits = index.search(queries, 31)
    assert said(hits) == oracle(np.arange(6000), codes, queries, 31)
    assert not hits.truncated


@pytest.mark.parametrize("ring_from", [1, 1 << 30], ids=["ring", "scan"])
@pytest.mark.parametrize("cap", [1, 10, 1000])
def test_a_crowd_beyond_the_cap_leaves_the_nearest_and_says_truncated(ring_from, cap):
    rng = np.random.default_rng(5)
    centre, codes = crowded(rng, 4000)
    index = resting(np.arange(2000), codes[:2000], max_hits=cap, ring_from=ring_from)
    index.add(np.arange(2000, 4000), codes[2000:])
    quiet = random_codes(rng, 1)[0]
    index.add(np.array([9999]), quiet[None])
    index.remove(np.arange(0, 4000, 3))
    codes = codes.copy()
    kept = np.setdiff1d(np.arange(4000), np.arange(0, 4000, 3))
    hits = index.search(np.stack([quiet, centre, quiet]), 31)
    assert hits.truncated
    assert (hits.query == 1).sum() == cap
    expected = [far for _, far, _ in oracle(kept, codes[kept], centre[None], 31)][:cap]
    assert hits.distance[hits.query == 1].tolist() == expected
    exact = distances(centre[None], codes)[0]
    told = hits.label[hits.query == 1]
    assert exact[told].tolist() == expected
    assert set(told.tolist()) <= set(kept.tolist())
    assert hits.label[hits.query != 1].tolist() == [9999, 9999]


def test_exactly_as_many_hits_as_the_cap_are_not_truncated():
    rng = np.random.default_rng(6)
    codes = np.repeat(random_codes(rng, 1), 50, axis=0)
    index = resting(np.arange(50), codes, max_hits=50)
    assert not index.search(codes[:1], 31).truncated
    index.add(np.array([77]), codes[:1])
    hits = index.search(codes[:1], 31)
    assert hits.truncated
    assert len(hits) == 50


def test_more_hits_than_the_first_buffer_holds_are_all_told():
    rng = np.random.default_rng(7)
    codes = np.repeat(random_codes(rng, 1), 9000, axis=0)
    index = resting(np.arange(9000), codes)
    hits = index.search(codes[:3], 0)
    assert len(hits) == 27_000
    assert hits.label.tolist() == list(range(9000)) * 3


def test_the_permutation_moves_every_bit_somewhere_else_and_depends_on_the_seed():
    order = permutation(SEED)
    assert sorted(order.tolist()) == list(range(256))
    assert not np.array_equal(order, permutation(SEED[::-1]))
    assert np.array_equal(order, permutation(SEED))
    assert len({fingerprint(None), fingerprint(SEED), fingerprint(SEED[::-1])}) == 3


def test_stored_words_are_the_permuted_bits_of_the_code():
    code = random_codes(np.random.default_rng(8), 1)
    index = resting([1], code, permutation_seed=SEED)
    words = index._base.tiles.reshape(-1, 4, 8)[0, :, 0]
    moved = np.zeros(256, np.uint8)
    moved[permutation(SEED)] = np.unpackbits(code[0], bitorder="little")
    assert np.array_equal(np.packbits(moved, bitorder="little").view(np.uint64), words)


def test_faiss_gives_the_same_answers():
    rng = np.random.default_rng(9)
    centre, codes = crowded(rng, 1000)
    mine, peer = (
        resting(np.arange(1000), codes),
        hamming.build(SPACE, method="faiss", max_hits=100_000),
    )
    peer.add(np.arange(1000), codes)
    for index in (mine, peer):
        index.remove(np.arange(100, 300))
    for within in (0, 20, 31, 60, 256):
        queries = np.stack([centre, codes[5], codes[150]])
        assert said(mine.search(queries, within)) == said(peer.search(queries, within))
    assert peer.state().method == "faiss-flat"
    assert peer.state().codes == 800


def test_arrays_of_any_make_are_understood_without_compiling_anew():
    from pipeline.indexes._search import find

    codes = random_codes(np.random.default_rng(10), 8)
    index = resting(np.arange(8), codes)
    index.search(codes, 31)
    compiled = len(find.signatures)
    frozen = codes.copy()
    frozen.flags.writeable = False
    unaligned = np.frombuffer(b"x" + np.arange(8).tobytes(), np.int64, 8, 1)
    for queries in (frozen, np.asfortranarray(codes), codes[::2], codes.view(np.memmap)):
        assert said(index.search(queries, 0)) == oracle(np.arange(8), codes, queries, 0)
    assert index.remove(unaligned[:2]) == 2
    assert index.remove(np.array([1, 2, 3], ">i8")) == 2
    assert len(find.signatures) == compiled
