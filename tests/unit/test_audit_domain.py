"""The hash chain: whatever is changed, left out, added or swapped is told, and where."""

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pipeline.domain.audit import GENESIS, Head, Record, canonical_json, stamp, verify
from pipeline.errors import Tampered

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
LENGTHS = st.integers(1, 8)


def make_chain(length=5, chain="main"):
    records, previous = [], GENESIS
    for seq in range(1, length + 1):
        body = canonical_json({"count": seq})
        at = NOON + timedelta(seconds=seq)
        record = Record(chain, seq, at, "reviewer", "case.upheld", f"case-{seq}", body, b"")
        records.append(replace(record, hash=record.computed(previous)))
        previous = records[-1].hash
    return records, Head(chain, length, previous)


@given(st.integers(0, 20))
def test_a_chain_as_it_was_written_holds(length):
    records, head = make_chain(length)
    assert verify(iter(records), head) is None


def test_an_empty_chain_holds_only_under_an_empty_head():
    assert verify([], Head("main", 0, GENESIS)) is None
    assert verify([], Head("main", 0, bytes(31) + b"\1")) is not None
    assert verify([], Head("main", 1, GENESIS)) is not None


CHANGES = {
    "chain": "other",
    "at": NOON,
    "actor": "somebody else",
    "action": "case.dismissed",
    "subject": "another case",
    "body": "{}",
    "hash": bytes(32),
}


@settings(deadline=None)
@given(LENGTHS, st.sampled_from(sorted(CHANGES)), st.data())
def test_a_changed_field_is_found_where_it_was_changed(length, field, data):
    records, head = make_chain(length)
    at = data.draw(st.integers(0, length - 1))
    records[at] = replace(records[at], **{field: CHANGES[field]})
    found = verify(records, head)
    assert found is not None
    assert (found.seq, found.what) == (at + 1, "a record was changed")


@given(LENGTHS, st.data())
def test_a_record_left_out_is_missed_where_it_was(length, data):
    records, head = make_chain(length)
    at = data.draw(st.integers(0, length - 1))
    del records[at]
    found = verify(records, head)
    assert found is not None
    assert found.seq == at + 1
    last = at == length - 1
    assert found.what == (
        "the chain is shorter than its head says" if last else "a record is missing"
    )


@given(st.integers(2, 8), st.data())
def test_two_records_that_changed_places_are_found(length, data):
    records, head = make_chain(length)
    one, other = sorted(data.draw(st.sets(st.integers(0, length - 1), min_size=2, max_size=2)))
    records[one], records[other] = records[other], records[one]
    found = verify(records, head)
    assert found is not None
    assert found.seq == one + 1


def test_a_rewritten_end_is_given_away_by_a_head_that_was_published_before():
    _, published = make_chain(5)
    records, _ = make_chain(4)
    forged = replace(records[-1], seq=5, subject="forged", hash=b"")
    records.append(replace(forged, hash=forged.computed(records[-1].hash)))
    found = verify(records, published)
    assert found is not None
    assert found.what == "the head does not belong to the chain"


def test_records_behind_the_head_are_told():
    records, _ = make_chain(5)
    _, shorter = make_chain(4)
    assert verify(records, shorter) is not None


def test_a_whole_chain_of_another_name_does_not_pass_for_this_one():
    records, head = make_chain(3, chain="other")
    assert verify(records, replace(head, chain="main")) is not None


@pytest.mark.parametrize("field", ["actor", "action", "subject"])
def test_words_cannot_be_moved_across_the_border_of_two_fields(field):
    (record, *_), head = make_chain(1)
    moved = replace(record, **{field: "a\nb"})
    with pytest.raises(Tampered):
        moved.computed(GENESIS)
    broken = verify([moved], head)
    assert broken is not None
    assert broken.what == "a record was changed"


def test_the_hash_is_sha256_of_the_previous_hash_and_the_seven_lines():
    (record, *_), _ = make_chain(1)
    lines = "main\n1\n2026-11-24T12:00:01.000000Z\nreviewer\ncase.upheld\ncase-1\n" + record.body
    assert record.canonical() == lines.encode()
    assert record.hash == hashlib.sha256(bytes(32) + lines.encode()).digest()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(st.dictionaries(st.text(), JSON, max_size=5))
def test_canonical_json_says_the_same_in_the_same_bytes_whatever_the_order(body):
    written = canonical_json(body)
    assert json.loads(written) == body
    assert canonical_json(dict(reversed(body.items()))) == written
    assert "\n" not in written


def test_canonical_json_keeps_letters_as_they_are():
    assert (
        canonical_json({"b": "é", "a": [1, {"d": 1, "c": 2}]}) == '{"a":[1,{"c":2,"d":1}],"b":"é"}'
    )


@given(
    st.datetimes(
        datetime.fromisoformat("1970-01-02"),
        datetime.fromisoformat("9999-01-01"),
        timezones=st.just(UTC),
    ),
    st.integers(-14, 14),
)
def test_a_time_is_written_in_utc_wherever_it_was_read(moment, hours):
    elsewhere = moment.astimezone(timezone(timedelta(hours=hours)))
    assert stamp(elsewhere) == stamp(moment)
    assert datetime.fromisoformat(stamp(moment)) == moment


@given(st.datetimes(), st.datetimes())
def test_two_times_are_written_alike_only_when_they_are_the_same(one, other):
    assume(one != other)
    assert stamp(one.replace(tzinfo=UTC)) != stamp(other.replace(tzinfo=UTC))
