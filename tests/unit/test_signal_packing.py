"""Codes packed to be sealed come back bit for bit, or not at all."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pipeline.domain.media import WHOLE, View
from pipeline.domain.signal import (
    Metric,
    Signals,
    Space,
    pack,
    pack_all,
    rows_of,
    split_all,
    unpack,
)
from pipeline.errors import Tampered

PDQ = Space("pdq", "1", Metric.HAMMING, 256)
PHASH = Space("phash", "1", Metric.HAMMING, 64)
FACE = Space("omz0095", "2", Metric.INNER_PRODUCT, 256)
SPACES = st.sampled_from((PDQ, PHASH, FACE))


def make_signals(space=PDQ, rows=3, seed=0):
    rng = np.random.default_rng(seed)
    if space.metric is Metric.INNER_PRODUCT:
        codes = rng.standard_normal((rows, space.width)).astype(np.float32)
        codes /= np.linalg.norm(codes, axis=1, keepdims=True)
    else:
        codes = rng.integers(0, 256, (rows, space.width // 8), np.uint8)
    quality = rng.integers(0, 101, rows).astype(np.uint8)
    return Signals(space, codes, quality, (WHOLE,) * rows)


@settings(deadline=None)
@given(SPACES, st.integers(1, 256), st.integers(0, 2**32))
def test_slots_quality_and_codes_come_back_exactly(space, rows, seed):
    signals = make_signals(space, rows, seed)
    packed = pack(signals)
    slots, quality, codes = unpack(space, packed)
    assert slots.tolist() == list(range(rows))
    assert slots.dtype == np.int64
    np.testing.assert_array_equal(quality, signals.quality)
    np.testing.assert_array_equal(codes, signals.codes)
    assert codes.dtype == signals.codes.dtype
    assert rows_of(packed) == rows


def test_codes_that_are_a_slice_of_a_larger_table_are_packed_as_they_look():
    signals = make_signals(PDQ, rows=8)
    every_other = Signals(PDQ, signals.codes[::2], signals.quality[::2], (WHOLE,) * 4)
    _, quality, codes = unpack(PDQ, pack(every_other))
    np.testing.assert_array_equal(codes, signals.codes[::2])
    np.testing.assert_array_equal(quality, signals.quality[::2])


def test_what_was_unpacked_belongs_to_the_caller_and_can_be_written_over():
    slots, quality, codes = unpack(PDQ, pack(make_signals()))
    for array in (slots, quality, codes):
        array[...] = 0
        assert not array.any()


@settings(deadline=None)
@given(SPACES, st.integers(1, 5), st.data())
def test_a_string_of_bytes_that_was_cut_short_is_called_tampered(space, rows, data):
    packed = pack(make_signals(space, rows))
    kept = data.draw(st.integers(5, len(packed) - 1))
    with pytest.raises(Tampered, match="shape they were sealed with"):
        unpack(space, packed[:kept])


@pytest.mark.parametrize("kept", range(5))
def test_a_header_that_was_cut_short_is_called_tampered_too(kept):
    with pytest.raises(Tampered):
        unpack(PDQ, pack(make_signals())[:kept])


@given(st.binary(min_size=1, max_size=64))
def test_bytes_behind_the_last_row_are_called_tampered(more):
    with pytest.raises(Tampered):
        unpack(PDQ, pack(make_signals()) + more)


@given(st.integers(0, 255))
def test_another_version_of_the_format_is_called_tampered(version):
    assume(version != 1)
    with pytest.raises(Tampered):
        unpack(PDQ, bytes((version,)) + pack(make_signals())[1:])


def test_codes_of_one_space_do_not_unpack_as_those_of_another():
    with pytest.raises(Tampered):
        unpack(PHASH, pack(make_signals(PDQ)))


def test_more_rows_than_an_entry_has_slots_are_refused():
    with pytest.raises(ValueError, match="256"):
        pack(make_signals(PHASH, rows=257))


def test_the_error_names_the_space_and_shows_nothing_of_the_codes():
    packed = pack(make_signals())
    with pytest.raises(Tampered) as caught:
        unpack(PDQ, packed[:-1])
    assert "pdq/1" in str(caught.value)
    assert packed[5:13].hex() not in str(caught.value)


@settings(deadline=None)
@given(st.lists(st.tuples(SPACES, st.integers(1, 5), st.integers(0, 2**32)), max_size=4))
def test_batches_of_several_spaces_travel_as_one_and_come_apart_again(drawn):
    batches = [make_signals(*one) for one in drawn]
    apart = split_all(pack_all(batches))
    assert apart == [(batch.space.key, pack(batch)) for batch in batches]


def test_columns_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="one row a view"):
        Signals(PDQ, np.zeros((2, 32), np.uint8), np.zeros(1, np.uint8), (WHOLE, View()))


def test_codes_do_not_print():
    assert repr(make_signals(rows=1)) == f"Signals(space={PDQ!r})"


def test_a_space_is_written_as_its_name_and_revision():
    assert (PDQ.key, FACE.key) == ("pdq/1", "omz0095/2")
    assert PDQ.farthest == 256
