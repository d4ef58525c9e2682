"""What a reviewer reads: spans, views, grounds, and the drawn scale of a match."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import combinations
from uuid import UUID

import pytest

from pipeline.domain.case import GROUNDS, Case, CaseKind, Ground, State
from pipeline.domain.ids import CaseId
from pipeline.domain.signal import Metric, Space
from services.console import words
from services.console.scale import WIDTH, scale
from services.console.words import lasting

PDQ = Space("pdq", "1", Metric.HAMMING, 256)
FACE = Space("face", "1", Metric.INNER_PRODUCT, 512)


@pytest.mark.parametrize(
    ("span", "said"),
    [
        (timedelta(0), "less than a minute"),
        (timedelta(seconds=-5), "less than a minute"),
        (timedelta(minutes=59, seconds=59), "59 min"),
        (timedelta(hours=3, minutes=12), "3 h 12 min"),
        (timedelta(days=2, hours=4, minutes=50), "2 d 4 h"),
    ],
)
def test_a_span_is_said_in_its_two_largest_units(span: timedelta, said: str) -> None:
    assert lasting(span) == said


def test_the_form_offers_exactly_the_grounds_that_the_domain_allows() -> None:
    offered = {state: set[Ground]() for state in GROUNDS}
    for kind in CaseKind:
        case = Case(CaseId(UUID(int=1)), datetime.now(UTC), kind=kind)
        for state, _, _, grounds in words.decisions(kind):
            assert set(grounds) == case.grounds(state)
            offered[state] |= set(grounds)
    assert offered == GROUNDS


def test_one_key_serves_two_decisions_only_where_no_page_shows_both() -> None:
    for one, other in combinations(words.KEYS, 2):
        if words.KEYS[one] == words.KEYS[other]:
            assert not words.together(one, other)
            assert words.outcome(one) != words.outcome(other)


def test_every_state_and_ground_has_words() -> None:
    assert len({words.state(state) for state in State}) == len(State)
    assert len({words.ground(ground) for ground in Ground}) == len(Ground)


def test_a_view_is_said_as_part_and_turn() -> None:
    assert words.view({"name": "whole", "turn": "as it is"}) == "the whole picture"
    assert words.view({"name": "whole", "turn": "mirrored"}) == "the whole picture, mirrored"
    assert words.view({"name": "without its border", "turn": "as it is"}) == "without its border"
    assert words.view({}) == "the whole picture"


def test_a_match_is_drawn_between_the_same_and_half_the_bits() -> None:
    near, far = scale(PDQ, Metric.HAMMING, 0, 31), scale(PDQ, Metric.HAMMING, 128, 31)
    assert (near.marker, far.marker) == (near.left, near.right)
    assert near.edge == far.edge == round(near.left + (near.right - near.left) * 31 / 128)
    assert scale(PDQ, Metric.HAMMING, 200, 31).marker == far.marker, "nothing is drawn outside"
    assert (near.anchor, far.anchor) == ("start", "end")
    assert 0 < near.left < near.right < WIDTH


def test_a_match_is_inside_its_zone_exactly_when_it_is_within_the_threshold() -> None:
    for distance in range(0, 129):
        drawn = scale(PDQ, Metric.HAMMING, distance, 31)
        assert (drawn.marker <= drawn.edge) == (distance <= 31)


def test_a_similarity_is_drawn_with_the_same_on_the_left_too() -> None:
    drawn = scale(FACE, Metric.INNER_PRODUCT, 0.75, 0.5)
    assert drawn.left < drawn.marker < drawn.edge < drawn.right
    assert "at least 0.500" in drawn.words


def test_a_signal_that_is_no_longer_computed_is_still_drawn() -> None:
    drawn = scale(None, Metric.HAMMING, 5, 10)
    assert drawn.left < drawn.marker < drawn.edge < drawn.right
