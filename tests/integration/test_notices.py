"""Somebody tells of something online: complete or named, decided by a person, then forgotten."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from pipeline.domain.case import CaseKind, Ground, State
from pipeline.domain.ids import CaseId
from pipeline.domain.notice import Element, Notice, is_contact, is_location
from pipeline.domain.roles import Role
from pipeline.errors import Conflict, Denied, Invalid, NotFound
from pipeline.journeys import review
from pipeline.journeys.notice import follow, give, read, retire_notices, take_back
from tests.world import Platform, Town

NOTICE = Notice(
    locations=("https://board.example/post/17", "https://board.example/post/18"),
    explanation="A picture of me that I never agreed to",
    not_consented=True,
    accurate=True,
    signature="Maria Somebody",
    contact="maria@mail.example",
)


def told(town: Town) -> tuple[str, CaseId]:
    town.platform("Board")
    receipt = give(town.world.store, town.clock, "Board", NOTICE)
    ((case,),) = town.query("SELECT id FROM cases WHERE kind = 'notice'")
    return receipt.code, CaseId(case)


@pytest.mark.parametrize(
    ("change", "missing"),
    [
        ({"locations": ()}, Element.LOCATION),
        ({"locations": ("board",)}, Element.LOCATION),
        ({"explanation": "bad"}, Element.EXPLANATION),
        ({"not_consented": False}, Element.NOT_CONSENTED),
        ({"accurate": False}, Element.ACCURATE),
        ({"signature": " "}, Element.SIGNATURE),
        ({"contact": "somewhere"}, Element.CONTACT),
    ],
)
def test_a_notice_that_lacks_an_element_is_not_valid(change, missing) -> None:
    assert not NOTICE.missing
    assert replace(NOTICE, **change).missing == (missing,)
    assert Notice.unpacked(NOTICE.packed()) == NOTICE
    assert "Maria" not in repr(NOTICE)


def test_addresses_and_contacts_are_what_they_say() -> None:
    assert is_location("https://board.example/post?id=1")
    assert not is_location("javascript://board.example")
    assert not is_location("https://[broken")
    assert is_contact("+49 30 123456")
    assert not is_contact("@mail.example")


def test_the_clock_starts_at_receipt_and_a_decision_reaches_the_platform(town: Town) -> None:
    code, case = told(town)
    with town.world.store.transaction() as unit:
        opened = unit.cases.get(case)
        assert read(unit, case) == NOTICE
    assert opened is not None
    assert opened.kind is CaseKind.NOTICE
    assert opened.deadline == town.clock() + timedelta(hours=48)
    assert [one.content_id for one in opened.uploads] == list(NOTICE.locations)
    assert follow(town.world.store, code.lower()).decided_at is None
    town.uphold(case, town.reviewer())
    found = follow(town.world.store, code)
    assert found.state is State.UPHELD
    assert found.told_at == town.clock()
    assert found.confirmed_at is None
    from pipeline.journeys.deliver import deliver_due

    board = Platform()
    deliver_due(town.world.store, board, town.clock, lambda _: timedelta(0))
    ((event, _),) = board.told
    assert [one["content_id"] for one in event.body["data"]["uploads"]] == list(NOTICE.locations)
    assert follow(town.world.store, code).confirmed_at is not None


def test_a_reported_notice_is_kept_for_the_laws_year_and_then_destroyed(town: Town) -> None:
    town.rules(undo_seconds=0)
    _, case = told(town)
    claim = review.claim(town.world.desk, case, town.reviewer())
    review.escalate(town.world.desk, case, claim.token, Ground.POSSIBLE_MINOR, "She looks young.")
    keeper = town.reviewer("kim", "protected")
    claim = review.claim(town.world.desk, case, keeper, role=Role.PROTECTED)
    ground = Ground.APPARENT_MINOR
    review.decide(town.world.desk, case, claim.token, State.REPORTED, ground, "She is a child.")
    window = timedelta(days=14)
    town.clock.forward(days=364)
    assert retire_notices(town.world.store, town.clock, window) == 0, "preserved, as the law asks"
    town.clock.forward(days=2)
    assert retire_notices(town.world.store, town.clock, window) == 1
    with town.world.store.transaction() as unit:
        assert read(unit, case) is None


def test_who_wrote_it_is_sealed_and_destroyed_some_time_after_the_decision(town: Town) -> None:
    code, case = told(town)
    kept = town.query("SELECT sealed FROM notices")[0][0]
    assert b"Maria" not in bytes(kept)
    window = timedelta(days=14)
    town.clock.forward(days=30)
    assert retire_notices(town.world.store, town.clock, window) == 0, "undecided: still needed"
    town.dismiss(case, town.reviewer(), Ground.NOT_INTIMATE)
    town.clock.forward(days=15)
    assert retire_notices(town.world.store, town.clock, window) == 1
    assert retire_notices(town.world.store, town.clock, window) == 0
    with town.world.store.transaction() as unit:
        assert read(unit, case) is None
    assert town.query("SELECT count(*) FROM vault_keys WHERE kind = 'notice'") == [(0,)]
    found = follow(town.world.store, code)
    assert found.ground is Ground.NOT_INTIMATE
    assert not found.held


def test_a_notice_can_be_taken_back_at_once_and_nobody_has_to_decide_any_more(town: Town) -> None:
    code, case = told(town)
    take_back(town.world.store, town.clock, code)
    assert follow(town.world.store, code).state is State.WITHDRAWN
    assert town.query("SELECT count(*) FROM vault_keys WHERE kind = 'notice'") == [(0,)]
    with pytest.raises(Conflict):
        take_back(town.world.store, town.clock, code)
    with pytest.raises(Conflict):
        review.claim(town.world.desk, case, town.reviewer())


def test_what_cannot_be_taken_in_is_refused(town: Town) -> None:
    town.platform("Board")
    with pytest.raises(NotFound):
        give(town.world.store, town.clock, "Elsewhere", NOTICE)
    with pytest.raises(Invalid, match="contact"):
        give(town.world.store, town.clock, "Board", replace(NOTICE, contact=""))
    with pytest.raises(Invalid, match="at most"):
        give(town.world.store, town.clock, "Board",
             replace(NOTICE, locations=NOTICE.locations[:1] * 21))  # fmt: skip
    with pytest.raises(Denied):
        follow(town.world.store, "0000")
    assert town.query("SELECT count(*) FROM notices") == [(0,)]
