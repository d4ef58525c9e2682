"""Accounts that a person allows: looked at later, with the grant shown, and never cleared."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pipeline.domain.grant import UNDER_GRANT
from pipeline.domain.ids import PlatformId
from pipeline.domain.screening import Screening, Verdict
from pipeline.errors import Invalid, NotFound
from pipeline.journeys.allow import allow, allowed, revoke
from tests.faces import (
    drawn,
    drawn_town,  # noqa: F401
    enrol,
    make_drawn_town,  # noqa: F401
    person_of,
    three,
)
from tests.world import Town, jpeg, picture


def test_an_allowed_account_waits_behind_the_others_with_the_grant_shown(
    drawn_town: Town,  # noqa: F811
) -> None:
    town, board, other = drawn_town, drawn_town.platform(), drawn_town.platform("other", None)
    store, clock = town.world.store, town.clock
    her = person_of(town, enrol(town, *three(7)).case_number)
    grant = allow(store, clock, her, board, "@Studio")
    assert [one.account for one in allowed(store, her)] == ["@Studio"]

    shown = _case(town, _screen(town, board, 8, "studio"))
    assert shown[:2] == (UNDER_GRANT, "face")
    assert "has allowed this account to post her" in (shown[2] or "")
    assert _case(town, _screen(town, board, 9, "somebody"))[0] == 0
    assert _case(town, _screen(town, other, 10, "studio"))[0] == 0, "another platform's studio"

    revoke(store, clock, her, grant.id)
    assert _case(town, _screen(town, board, 11, "studio"))[0] == 0
    with pytest.raises(NotFound):
        revoke(store, clock, her, grant.id)
    assert [one.grant.holds(clock()) for one in allowed(store, her)] == [False]


def test_a_grant_runs_out(drawn_town: Town) -> None:  # noqa: F811
    town, board = drawn_town, drawn_town.platform()
    her = person_of(town, enrol(town, *three(7)).case_number)
    until = town.clock() + timedelta(days=30)
    allow(town.world.store, town.clock, her, board, "studio", until)
    assert _case(town, _screen(town, board, 8, "studio"))[0] == UNDER_GRANT
    # Screening has the process's own clock; the grant's is moved instead.
    town.query("UPDATE grants SET expires_at = now() - interval '1 second'")
    assert _case(town, _screen(town, board, 9, "studio"))[0] == 0
    for wrong in (town.clock(), town.clock() + timedelta(days=5 * 365)):
        with pytest.raises(Invalid, match="ends in the future"):
            allow(town.world.store, town.clock, her, board, "studio", wrong)


def test_a_case_becomes_ordinary_when_somebody_without_a_grant_joins_it(
    drawn_town: Town,  # noqa: F811
) -> None:
    town, board = drawn_town, drawn_town.platform()
    her = person_of(town, enrol(town, *three(7)).case_number)
    allow(town.world.store, town.clock, her, board, "studio")
    first = _screen(town, board, 8, "studio")
    again = _screen(town, board, 8, "thief")
    assert again.case == first.case
    assert _case(town, first)[0] == 0


def test_a_grant_holds_for_copies_of_registered_pictures_too(drawn_town: Town) -> None:  # noqa: F811
    town, board = drawn_town, drawn_town.platform()
    her = person_of(town, town.register(jpeg(picture(1))).case_number)
    allow(town.world.store, town.clock, her, board, "herself")
    answer = town.screen(board, jpeg(picture(1), 50), uploader="herself")
    assert answer.verdict is Verdict.REVIEW
    assert _case(town, answer)[:2] == (UNDER_GRANT, "hash")


def _screen(town: Town, board: PlatformId, photo: int, account: str) -> Screening:
    answer = town.screen(board, drawn(7, photo), uploader=account)
    assert answer.verdict is Verdict.REVIEW, "never cleared"
    return answer


def _case(town: Town, answer: Screening) -> tuple[int, str, str | None]:
    assert answer.case is not None
    with town.world.store.transaction() as unit:
        case, hits = unit.cases.get(answer.case), unit.cases.hits(answer.case)
    assert case is not None
    return case.priority, case.kind.value, hits[0].grant
