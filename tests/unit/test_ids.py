"""Ids sort by when they were made; labels carry an entry and a slot and give both back."""

import random
from datetime import UTC, datetime, timedelta
from uuid import RFC_4122

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.domain.ids import SLOTS, EntryId, entry_of, label_of, slot_of, uuid7

ENTRIES = st.integers(0, 2**62 // SLOTS)
SLOT = st.integers(0, SLOTS - 1)
MOMENTS = st.datetimes(
    datetime.fromisoformat("1970-01-01"),
    datetime.fromisoformat("9999-12-31"),
    timezones=st.just(UTC),
)
NOISE = st.binary(min_size=10, max_size=10)
MILLISECOND = timedelta(milliseconds=1)


@given(ENTRIES, SLOT)
def test_a_label_gives_back_its_entry_and_its_slot(entry, slot):
    label = label_of(EntryId(entry), slot)
    assert (entry_of(label), slot_of(label)) == (entry, slot)


@given(ENTRIES, SLOT, ENTRIES, SLOT)
def test_two_labels_are_equal_only_for_the_same_entry_and_slot(entry, slot, other, other_slot):
    same = label_of(EntryId(entry), slot) == label_of(EntryId(other), other_slot)
    assert same == ((entry, slot) == (other, other_slot))


@pytest.mark.parametrize("slot", [-1, SLOTS, SLOTS + 1, -SLOTS])
def test_a_slot_that_would_reach_into_another_entry_is_refused(slot):
    with pytest.raises(ValueError, match="slots 0 to 255"):
        label_of(EntryId(7), slot)


def test_the_largest_entry_the_database_could_hand_out_still_fits_an_index_label():
    assert label_of(EntryId(2**55 - 1), SLOTS - 1) == 2**63 - 1


@given(MOMENTS, NOISE)
def test_an_id_has_the_version_and_variant_bits_of_rfc_9562(moment, noise):
    made = uuid7(moment, noise)
    assert made.version == 7
    assert made.variant == RFC_4122


@given(MOMENTS, NOISE)
def test_everything_but_six_bits_of_the_noise_is_in_the_id(moment, noise):
    free = (1 << 80) - 1 & ~(0xF << 76) & ~(0b11 << 62)
    assert uuid7(moment, noise).int & free == int.from_bytes(noise, "big") & free


@settings(max_examples=300)
@given(MOMENTS, MOMENTS, NOISE, NOISE)
def test_of_two_ids_a_millisecond_or_more_apart_the_later_sorts_later(one, other, noise, more):
    earlier, later = sorted((one, other))
    if later - earlier > MILLISECOND:
        assert uuid7(earlier, noise) < uuid7(later, more)
        assert str(uuid7(earlier, noise)) < str(uuid7(later, more))


@given(st.integers(0, 2**32 * 1000), NOISE)
def test_the_time_can_be_read_back_to_the_millisecond(milliseconds, noise):
    moment = datetime(1970, 1, 1, tzinfo=UTC) + milliseconds * MILLISECOND
    read = uuid7(moment, noise).int >> 80
    assert abs(read - milliseconds) <= 1  # a float of seconds may fall just short


def test_ids_made_in_the_same_millisecond_differ_by_their_noise():
    rng, moment = random.Random(7), datetime(2026, 11, 24, tzinfo=UTC)
    assert len({uuid7(moment, rng.randbytes(10)) for _ in range(1000)}) == 1000
