"""House rules are read or refused by name; what comes first, and who may do what, are tables."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pipeline.domain.case import CaseKind, State
from pipeline.domain.cybertip import Reporter, Sighting, document
from pipeline.domain.house import RULES, Breaks, Budget, HouseRules, OrderBy, Standing, parse, rank
from pipeline.domain.house import why_first as why
from pipeline.domain.roles import Power, Role, can, desks, reads, takes
from pipeline.errors import Invalid
from pipeline.journeys.rest import Limit, break_due, over_budget
from pipeline.ports import Exposure, Shift
from services.console import preferences, words

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def make_standing(**changes: Any) -> Standing:
    usual = {"deadline": None, "priority": 0, "severity": 0, "spread": 1, "nearness": 0.0,
             "opened": NOON.timestamp()}  # fmt: skip
    return Standing(**{**usual, **changes})


def test_rules_are_read_back_as_they_were_written_and_what_is_left_out_is_as_usual() -> None:
    assert parse(RULES.document()) == RULES == parse({})
    own = parse({"queues": [{"name": "faces", "kinds": ["face"]}], "undo_seconds": 3})
    assert parse(own.document()) == own
    assert own.queue_names == ("faces", "main")
    assert own.undo == timedelta(seconds=3)


def test_every_order_ends_with_age_so_that_nothing_waits_for_ever() -> None:
    assert parse({"order": ["severity"]}).order == (OrderBy.SEVERITY, OrderBy.AGE)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"speed": 1}, "house rules have"),
        ({"order": []}, "order is a list"),
        ({"order": ["loudness"]}, "order is a list"),
        ({"order": ["age", "age"]}, "twice"),
        ({"queues": {}}, "queues is a list"),
        ({"queues": [{"name": " "}]}, r"queues\[0\].name"),
        ({"queues": [{"name": "x", "kinds": ["song"]}]}, r"queues\[0\].kinds"),
        ({"queues": [{"name": "x", "platforms": [1]}]}, r"queues\[0\].platforms"),
        ({"undo_seconds": 61}, "undo_seconds"),
        ({"undo_seconds": True}, "undo_seconds"),
        ({"reason_below": 1.5}, "reason_below"),
        ({"second_looks": "all"}, "second_looks"),
        ({"second_person_for_faces": 1}, "second_person_for_faces"),
        ({"budget": {"looks": 1}}, "budget has"),
        ({"breaks": {"seconds": -1}}, "breaks.seconds"),
        ({"display": {"blur": 99}}, "display.blur"),
    ],
)
def test_rules_that_cannot_hold_are_refused_by_name(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(Invalid, match=said):
        parse(wrong)


def test_the_laws_deadline_comes_before_everything_and_says_so() -> None:
    late = make_standing(deadline=NOON.timestamp() + 11_520)
    loud = make_standing(severity=3, spread=900, nearness=1.0)
    order = RULES.order
    assert rank(late, order) < rank(loud, order)
    assert rank(loud, order)[0] == math.inf
    assert words.reason(why(late, order), late, NOON) == "deadline in 3 h 12 min"
    assert words.reason(why(loud, order), loud, NOON) == "a threat is named"
    plain = make_standing()
    after = NOON + timedelta(hours=2)
    assert words.reason(why(plain, order), plain, after) == "it has waited for 2 h 0 min"
    assert words.due(NOON - timedelta(minutes=5), NOON) == "5 min late"
    for key in OrderBy:
        assert words.reason(key, loud, NOON)


def test_who_takes_what_is_one_power_a_case_and_nobody_has_all() -> None:
    for kind in CaseKind:
        for state in (State.OPEN, State.ESCALATED, State.FROZEN):
            assert any(takes(role, kind, state) for role in Role)
    assert not any(takes(role, CaseKind.HASH, State.FROZEN) for role in Role if role != "protected")
    assert reads(Role.LEAD, CaseKind.HASH, State.ESCALATED)
    assert not reads(Role.LEAD, CaseKind.HASH, State.REPORTED)
    assert desks(Role.OPERATOR) == desks(Role.AUDITOR) == desks(Role.LEAD) == ()
    assert not any(all(can(role, power) for power in Power) for role in Role)


def make_exposure(**changes: Any) -> Exposure:
    usual = {"looks_this_hour": 0, "looks_today": 0, "seconds_this_hour": 0.0,
             "seconds_today": 0.0, "hour_frees_at": NOON, "day_frees_at": NOON}  # fmt: skip
    return Exposure(**{**usual, **changes})


@pytest.mark.parametrize(
    ("seen", "why"),
    [
        ({}, None),
        ({"looks_this_hour": 60}, Limit.HOUR),
        ({"seconds_this_hour": 1200.0}, Limit.HOUR),
        ({"looks_this_hour": 60, "looks_today": 300}, Limit.DAY),
        ({"seconds_today": 5400.0}, Limit.DAY),
    ],
)
def test_whichever_limit_is_reached_first_stops_new_cases(
    seen: dict[str, Any], why: Limit | None
) -> None:
    found = over_budget(RULES, make_exposure(**seen))
    assert (found.why if found else None) == why
    none = HouseRules(budget=Budget(0, 0, 0, 0))
    assert over_budget(none, make_exposure(**seen)) is None, "zero is no limit"


def test_a_break_is_due_after_its_minutes_and_a_long_pause_was_one() -> None:
    rules = HouseRules(breaks=Breaks(after_minutes=50, seconds=120))
    began = NOON - timedelta(minutes=50)
    assert break_due(rules, None, NOON) is None
    assert break_due(rules, Shift(began, NOON, None), NOON) is not None
    assert break_due(rules, Shift(began, NOON - timedelta(minutes=10), None), NOON) is None
    assert break_due(rules, Shift(NOON, NOON, None), NOON) is None
    resting = break_due(rules, Shift(began, NOON, NOON), NOON)
    assert resting is not None
    assert resting.until == NOON + timedelta(seconds=120)
    assert break_due(HouseRules(breaks=Breaks(0, 0)), Shift(began, NOON, None), NOON) is None


def test_keys_are_ones_own_and_no_key_does_two_things() -> None:
    kept = preferences.chosen({"key:upheld:match": "Ctrl+u", "keys_on": "1", "brightness": "60"})
    assert kept["keys"] == {"upheld:match": "Ctrl+u"}
    mine = preferences.of(RULES, kept)
    assert (mine.keys["upheld:match"], mine.keys["skip"], mine.keys_on) == ("Ctrl+u", "x", True)
    assert (mine.display.brightness, mine.display.greyscale) == (60, False)
    for wrong, said in (
        ({"key:upheld:match": "w"}, "same key"),
        ({"key:upheld:match": "Tab"}, "cannot be a key"),
        ({"key:upheld:match": "abc"}, "cannot be a key"),
        ({"blur": "much"}, "Blur"),
        ({"brightness": "10"}, "brightness"),
    ):
        with pytest.raises(Invalid, match=said):
            preferences.chosen(wrong)


def test_a_report_names_every_upload_and_holds_no_control_characters() -> None:
    seen = [Sighting("board", f"post-{n}\x07<", f"s-{n}", NOON, n == 1) for n in (1, 2)]
    text = document("c-1", NOON, seen, Reporter("A helpline", "Ada", "Lace", "ada@example.org"))
    assert text.count("<webPageIncident>") == 2
    assert "post-1&lt;" in text
    assert "\x07" not in text
    assert "viewed by a reviewer: yes" in text
    assert "viewed by a reviewer: no" in text
    assert "Reported by A helpline." in text
    with pytest.raises(ValueError, match="at least one"):
        document("c-1", NOON, [], Reporter("A helpline"))
