"""Consent is given once, for one purpose, and a withdrawal is final."""

from datetime import UTC, datetime
from itertools import product

import pytest

from pipeline.domain.consent import NEXT, Consent, ConsentState, Purpose
from pipeline.errors import Conflict, IllegalTransition

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
ALLOWED = {
    (ConsentState.ASKED, ConsentState.GIVEN),
    (ConsentState.ASKED, ConsentState.WITHDRAWN),
    (ConsentState.GIVEN, ConsentState.WITHDRAWN),
}
PAIRS = sorted(product(ConsentState, ConsentState))


def make_consent(purpose=Purpose.HASHES, state=ConsentState.ASKED):
    return Consent(purpose, "hashes-2026-11", state)


@pytest.mark.parametrize("purpose", Purpose)
@pytest.mark.parametrize(("before", "after"), PAIRS)
def test_consent_changes_only_as_the_promise_says(purpose, before, after):
    consent = make_consent(purpose, before)
    if (before, after) in ALLOWED:
        changed = consent.to(after, NOON)
        assert changed == Consent(purpose, "hashes-2026-11", after, NOON)
    else:
        with pytest.raises(IllegalTransition, match=f"{before} cannot become {after}"):
            consent.to(after, NOON)


def test_every_state_stands_in_the_table():
    assert set(NEXT) == set(ConsentState)


def test_withdrawal_is_final():
    withdrawn = make_consent(state=ConsentState.GIVEN).to(ConsentState.WITHDRAWN, NOON)
    for state in ConsentState:
        with pytest.raises(Conflict):
            withdrawn.to(state, NOON)


def test_a_change_leaves_the_consent_it_was_made_from_as_it_was():
    asked = make_consent()
    asked.to(ConsentState.GIVEN, NOON)
    assert (asked.state, asked.changed_at) == (ConsentState.ASKED, None)


def test_hashes_faces_and_features_are_asked_for_apart():
    assert {purpose.value for purpose in Purpose} == {"hashes", "face", "features"}
