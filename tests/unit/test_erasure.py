"""A receipt says how far a withdrawal has come, and nothing about whose it was."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.domain.erasure import ORDER, Confirmation, Holder, Receipt, Step
from pipeline.domain.ids import ProcessId, ReceiptId

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def make_receipt(done=(), holders=(), **changes):
    receipt = Receipt(
        id=ReceiptId(UUID(int=1)),
        asked_at=NOON,
        sequence=42,
        entries=3,
        done=tuple((step, NOON + timedelta(seconds=at)) for at, step in enumerate(done)),
        holders=tuple(holders),
    )
    return replace(receipt, **changes)


def make_holder(number=1, confirmed=None):
    return Holder(ProcessId(UUID(int=number)), "api", confirmed)


def test_matches_stop_before_anything_else_and_the_key_goes_before_the_rows():
    assert ORDER == (
        Step.MATCHES_STOPPED,
        Step.CASES_CLOSED,
        Step.INDEXES_CLEAR,
        Step.KEY_SHREDDED,
        Step.DATA_DESTROYED,
    )


@given(st.sets(st.sampled_from(ORDER)), st.randoms(use_true_random=False))
def test_the_next_step_is_the_first_that_is_not_done_whatever_the_order_of_the_others(done, rng):
    shuffled = sorted(done)
    rng.shuffle(shuffled)
    receipt = make_receipt(shuffled)
    left = [step for step in ORDER if step not in done]
    assert receipt.next_step == (left[0] if left else None)
    assert receipt.complete == (not left)


def test_a_step_done_twice_does_not_stand_for_another():
    receipt = make_receipt((*ORDER[:-1], ORDER[0]))
    assert not receipt.complete
    assert receipt.next_step is ORDER[-1]


@pytest.mark.parametrize("unconfirmed", [True, False])
def test_a_process_that_cannot_be_reached_shows_in_the_document_without_a_confirmation(unconfirmed):
    holder = make_holder(5, None if unconfirmed else Confirmation.ENDED)
    told = make_receipt(holders=[holder]).document()["processes"]
    assert told == [
        {
            "process": str(UUID(int=5)),
            "role": "api",
            "confirmed": None if unconfirmed else "ended",
        }
    ]


def test_the_document_says_when_each_step_was_done():
    document = make_receipt(ORDER[:2]).document()
    assert document["steps"] == [
        {"step": "matches_stopped", "at": "2026-11-24T12:00:00.000Z"},
        {"step": "cases_closed", "at": "2026-11-24T12:00:01.000Z"},
    ]
    assert document["complete"] is False
    assert make_receipt(ORDER).document()["complete"] is True


def test_a_receipt_names_the_withdrawal_and_never_the_person_or_her_entries():
    document = make_receipt(ORDER, [make_holder()]).document()
    assert set(document) == {
        "receipt",
        "asked_at",
        "complete",
        "entries_destroyed",
        "cases_closed",
        "media_destroyed",
        "change_sequence",
        "processes",
        "steps",
    }
    assert document["entries_destroyed"] == 3


def test_the_signed_statement_is_the_document_in_one_form_only():
    receipt = make_receipt(ORDER, [make_holder()])
    statement = receipt.statement()
    assert json.loads(statement) == receipt.document()
    assert b" " not in statement
    again = json.dumps(json.loads(statement), sort_keys=True, separators=(",", ":")).encode()
    assert again == statement


def test_the_signature_does_not_cover_itself():
    receipt = make_receipt(ORDER)
    assert replace(receipt, signature="c2lnbmVk").statement() == receipt.statement()


@pytest.mark.parametrize(
    "change",
    [
        {"entries": 4},
        {"cases_closed": 1},
        {"media_destroyed": 1},
        {"sequence": 43},
        {"id": ReceiptId(UUID(int=2))},
        {"asked_at": NOON + timedelta(milliseconds=1)},
        {"holders": (make_holder(),)},
        {"done": ()},
    ],
    ids=lambda change: next(iter(change)),
)
def test_whatever_the_receipt_says_is_under_the_signature(change):
    receipt = make_receipt(ORDER)
    assert replace(receipt, **change).statement() != receipt.statement()
