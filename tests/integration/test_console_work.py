"""What the desk's other people do over HTTP: verifiers, appeals, the protected role, operators."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient

from pipeline.domain.case import Ground, State
from pipeline.domain.ids import CaseId
from pipeline.errors import Invalid
from pipeline.journeys import appeal, review
from pipeline.journeys.deliver import deliver_due
from pipeline.journeys.set_language import set_language
from services.accounts import add_reviewer
from services.console import create_app
from tests.faces import ask, drawn, drawn_town, make_drawn_town, three
from tests.integration.test_console import (
    PASSWORD,
    Desk,
    MakeDesk,
    make_case,
    make_desk,
    media_of,
)
from tests.world import Town, jpeg, picture

__all__ = ["drawn_town", "make_case", "make_desk", "make_drawn_town"]

HER, HIM = 7, 90


def desk_in(town: Town, login: str, role: str) -> Desk:
    add_reviewer(town.world, login, PASSWORD, role=role)
    desk = Desk(town, TestClient(create_app(town.world), follow_redirects=False))
    assert desk.log_in(login).status_code == 303
    return desk


def states(town: Town) -> list[str]:
    return sorted(row[0] for row in town.query("SELECT state FROM enrolments"))


def test_a_verifier_approves_and_refuses_enrolments_by_the_forms_of_the_page(
    drawn_town: Town,
) -> None:
    town = drawn_town
    hers, his = ask(town, *three(HER)), ask(town, *three(HIM))
    vera = desk_in(town, "vera", "verifier")
    page = vera.get("/enrolments").text
    assert page.count("It is her own face") == 2
    where = f"/enrolments/{hers.enrolment}"
    assert vera.send(where, answer="perhaps").status_code == 422
    done = vera.send(where, answer="approve")
    assert done.headers["location"] == "/enrolments?done=approved"
    assert "Approved: the face counts" in vera.get(done.headers["location"]).text
    refused = vera.send(f"/enrolments/{his.enrolment}", answer="refuse")
    assert refused.status_code == 422
    assert "why" in refused.text.lower() or "reason" in refused.text.lower()
    done = vera.send(f"/enrolments/{his.enrolment}", answer="refuse", reason="Not on the call.")
    assert "its templates are destroyed" in vera.get(done.headers["location"]).text
    assert states(town) == ["approved", "refused"]
    town.live.catch_up()
    board = town.platform()
    assert town.screen(board, drawn(HER, 9)).verdict == "review"
    assert town.screen(board, drawn(HIM, 9)).verdict == "clear"
    again = vera.send(where, answer="refuse", reason="Too late.")
    assert again.status_code in (409, 303)
    actions = [row[0] for row in town.query("SELECT action FROM audit_log WHERE actor ~ '^rev'")]
    assert sum(action.startswith("enrolment") or "face" in action for action in actions) >= 2


def test_two_people_with_one_face_are_shown_as_frozen_and_decided_one_by_one(
    drawn_town: Town,
) -> None:
    town = drawn_town
    first = ask(town, *three(HER))
    second = ask(town, drawn(HER, 4), drawn(HER, 5), drawn(HER, 6))
    vera = desk_in(town, "vera", "verifier")
    page = vera.get("/enrolments").text
    assert page.count("looks like the same face") >= 1
    assert "Neither counts until you have decided about both" in page
    vera.send(f"/enrolments/{second.enrolment}", answer="refuse", reason="Somebody else.")
    done = vera.send(f"/enrolments/{first.enrolment}", answer="approve")
    assert done.headers["location"] == "/enrolments?done=approved"
    assert states(town) == ["approved", "refused"]


def test_an_appeal_is_won_at_the_desk_reaches_the_platform_and_ends_known(
    make_desk: MakeDesk,
    town: Town,
) -> None:
    ada, ben, lead = make_desk("ada"), make_desk("ben"), make_desk("lead", role="lead")
    town.register(jpeg(picture(1)))
    board, body = town.platform(), jpeg(picture(1), 60)
    case = town.screen(board, body, "post-1").case
    ada.decide(case, ada.claim(case), "upheld:match")
    town.live.catch_up()
    assert town.screen(board, body, "post-2").verdict == "known"
    assert case is not None
    asked = appeal.by_uploader(town.world.desk, board, case, "It is my own cat.")
    assert ada.send(f"/cases/{asked}/claim").status_code == 403, "not whoever decided it"
    token = ben.claim(asked)
    page = ben.get(f"/cases/{asked}").text
    assert "The uploader disagrees" in page
    assert "It is my own cat." in page
    assert "This content was <strong>upheld</strong>" in page
    assert 'value="upheld:match"' not in page, "an appeal has answers of its own"
    done = ben.decide(asked, token, "overturned:decision_wrong", "The cat is not in the picture.")
    assert done.status_code == 303
    town.live.catch_up()
    assert town.screen(board, body, "post-3").verdict == "review", "a repeat is known no more"

    told: list[str] = []

    class Listening:
        def deliver(self, event: object, endpoint: object) -> int:
            told.append(event.kind)  # type: ignore[attr-defined]
            return 204

    deliver_due(town.world.store, Listening(), town.clock, lambda _: 0.0)  # type: ignore[arg-type]
    assert told == ["case.upheld", "case.overturned"]
    for desk in (ada, lead):
        shown = desk.get(f"/cases/{case}").text
        assert "turned round on appeal" in shown
        assert "a repeat is looked at anew" in shown
    won = lead.get(f"/cases/{asked}").text
    assert 'class="state overturned">Overturned' in won
    export = lead.get("/lead/cases.csv").text
    assert str(asked) in export


def test_a_reported_case_is_shown_to_the_protected_role_alone_as_what_it_is(
    make_desk: MakeDesk,
    make_case: Callable[..., CaseId],
    town: Town,
) -> None:
    case = make_case()
    ada, eve = make_desk("ada"), make_desk("eve", role="protected")
    lead = make_desk("lead", role="lead")
    ada.decide(case, ada.claim(case), "frozen:possible_minor", "Looks fifteen.")
    assert ada.get(f"/cases/{case}").status_code == 403
    token = eve.claim(case)
    done = eve.decide(case, token, "reported:apparent_minor", "Yes.")
    assert done.status_code == 303
    page = eve.get(f"/cases/{case}").text
    assert 'class="state reported">Reported' in page
    assert "kept here for a year" in page
    start = eve.get("/queue").text
    assert f'href="/cases/{case}/report"' in start
    report = eve.get(f"/cases/{case}/report")
    assert report.status_code == 200
    assert "&lt;incidentSummary&gt;" in report.text
    assert "Prepared, not sent" in report.text
    for desk in (ada, lead):
        assert desk.get(f"/cases/{case}").status_code == 403
        assert desk.get(f"/cases/{case}/report").status_code == 403
    assert str(case) not in lead.get("/cases").text + lead.get("/lead/cases.csv").text
    assert f"/cases/{case}/report" not in ada.get("/queue").text


def test_a_platforms_language_sends_its_cases_to_their_queue_and_can_be_set_later(
    make_desk: MakeDesk,
    town: Town,
) -> None:
    town.rules(queues=[{"name": "deutsch", "languages": ["de"]}], undo_seconds=0)
    board, forum = town.platform("board"), town.platform("forum")
    cases = {}
    for seed, platform in enumerate((board, forum)):
        town.register(jpeg(picture(seed)))
        cases[platform] = town.screen(platform, jpeg(picture(seed), 60)).case

    def queue(case: CaseId | None) -> str:
        return str(town.query("SELECT queue FROM cases WHERE id = %s", case)[0][0])

    assert queue(cases[board]) == "main"
    assert set_language(town.world.store, board, "de", "test") == 1
    assert (queue(cases[board]), queue(cases[forum])) == ("deutsch", "main")
    town.register(jpeg(picture(8)))
    later = town.screen(board, jpeg(picture(8), 60)).case
    assert queue(later) == "deutsch"
    ada = make_desk("ada")
    town.query("UPDATE reviewers SET queues = '{deutsch}' WHERE login = 'ada'")
    taken = ada.send("/queue/next").headers["location"]
    assert taken == f"/cases/{cases[board]}"
    assert set_language(town.world.store, board, "en", "test") == 2
    assert queue(later) == "main"
    with pytest.raises(Invalid, match="such as de"):
        set_language(town.world.store, board, "German", "test")


def test_somebody_who_is_kept_from_a_platform_gets_and_sees_none_of_its_cases(
    make_desk: MakeDesk,
    make_case: Callable[..., CaseId],
    town: Town,
) -> None:
    ours, others = make_case(1, "rival"), make_case(2, "board")
    ada, ben = make_desk("ada"), make_desk("ben")
    with town.world.store.transaction() as unit:
        rival = unit.platforms.by_name("rival")
        people = {row["login"]: row["id"] for row in unit.reviewers.all()}
        assert rival is not None
        unit.reviewers.exclude_platform(people["ada"], rival)
    assert ada.get(f"/cases/{ours}").status_code == 403
    assert ada.send(f"/cases/{ours}/claim").status_code == 403
    assert ada.send("/queue/next").headers["location"] == f"/cases/{others}"
    ada.decide(others, ada.token(others), "dismissed:not_intimate")
    assert "empty=1" in ada.send("/queue/next").headers["location"]
    assert ben.send("/queue/next").headers["location"] == f"/cases/{ours}"


def test_a_look_at_a_second_opinion_counts_as_viewed_by_a_reviewer(
    make_desk: MakeDesk,
    make_case: Callable[..., CaseId],
    town: Town,
) -> None:
    case = make_case()
    ada, ben = make_desk("ada"), make_desk("ben")
    ada.decide(case, ada.claim(case), "dismissed:not_intimate")
    look = review.fresh_case(town.clock())
    with town.world.store.transaction() as unit:
        from pipeline.domain.case import Purpose

        unit.cases.open(look, town.clock(), about=case, purpose=Purpose.SECOND_LOOK)
        assert not unit.cases.was_viewed(case)
    token = ben.claim(look)
    where = f"/cases/{look}/media/{media_of(town, case)}/reveal"
    assert ben.send(where, token=token).status_code == 200
    with town.world.store.transaction() as unit:
        assert unit.cases.was_viewed(case)
        assert unit.cases.was_viewed(look)


def test_a_case_that_rests_on_a_frozen_face_says_so_when_somebody_would_uphold_it(
    drawn_town: Town,
) -> None:
    from tests.faces import enrol

    town = drawn_town
    town.rules(undo_seconds=0, second_person_for_faces=False)
    enrol(town, *three(HIM))
    case = town.screen(town.platform(), drawn(HIM, 9)).case
    assert case is not None
    claim = review.claim(town.world.desk, case, town.reviewer())
    ask(town, drawn(HIM, 4), drawn(HIM, 5), drawn(HIM, 6))  # somebody else asks for his face
    with pytest.raises(Exception, match="until a verifier has said whose"):
        review.decide(
            town.world.desk, case, claim.token, State.UPHELD, Ground.MATCH, "It is him, I think."
        )
