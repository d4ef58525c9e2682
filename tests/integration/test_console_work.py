"""What the desk's other people do over HTTP: verifiers, appeals, the protected role, operators."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient

from pipeline.domain.case import Ground, State
from pipeline.domain.ids import CaseId
from pipeline.errors import Invalid
from pipeline.journeys import appeal, enrol_face, review, verify_face, withdraw
from pipeline.journeys.deliver import deliver_due
from pipeline.journeys.enrol_face import Submitted
from pipeline.journeys.retire_media import retire_due
from pipeline.journeys.set_language import set_language
from services.accounts import add_reviewer
from services.console import create_app
from services.wiring import alive
from tests.faces import ask, drawn, drawn_town, make_drawn_town, person_of, three
from tests.integration.test_console import (
    PASSWORD,
    Desk,
    MakeDesk,
    field,
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


def case_of(town: Town, asked: Submitted) -> CaseId:
    """The open case that asks about an enrolment."""
    ((case,),) = town.query(
        "SELECT c.id FROM enrolments n JOIN cases c ON c.id = n.case_id"
        " WHERE n.id = %s AND c.state IN ('open', 'escalated')",
        asked.enrolment,
    )
    return CaseId(case)


def test_enrolments_come_to_a_verifier_as_the_next_case_and_count_once_undoing_has_passed(
    drawn_town: Town,
) -> None:
    town = drawn_town
    hers = ask(town, *three(HER))
    town.clock.forward(seconds=1)  # whoever waits longest is next; at one moment either may be
    his = ask(town, *three(HIM))
    vera, lead = desk_in(town, "vera", "verifier"), desk_in(town, "lead", "lead")
    table = vera.get("/cases").text
    assert table.count('<th scope="row">') == 2
    assert "Enrolments that wait" in table
    assert lead.get("/cases?kind=enrolment").text.count('<th scope="row">') == 2
    assert "2 cases wait" in vera.get(vera.get("/").headers["location"]).text
    assert vera.send("/queue/next").headers["location"] == f"/cases/{case_of(town, hers)}"
    case = case_of(town, hers)
    page = vera.get(f"/cases/{case}").text
    assert "it has waited for" in page
    assert "Whose face is it?" in page
    assert "The upload" not in page
    assert 'value="upheld:own_face"' in page
    assert 'value="frozen:possible_minor"' not in page
    token = field(page, "token")
    wrong = vera.decide(case, token, "upheld:match", "Certainly.")
    assert wrong.status_code == 422, "it is no match"
    done = vera.decide(case, token, "upheld:own_face", "We spoke by video.")
    assert states(town) == ["pending", "pending"], "it can still be undone"
    assert "Undo" in vera.get(done.headers["location"]).text
    assert vera.send("/queue/undo", case=str(case)).status_code == 303
    token = field(vera.get(f"/cases/{case}").text, "token")
    vera.decide(case, token, "upheld:own_face", "We spoke by video.")
    second = case_of(town, his)
    assert vera.send("/queue/next").headers["location"] == f"/cases/{second}"
    token = field(vera.get(f"/cases/{second}").text, "token")
    assert vera.decide(second, token, "dismissed:unproven", " ").status_code == 422, "say how"
    vera.decide(second, token, "dismissed:unproven", "Nobody answered the call.")
    town.clock.forward(seconds=11)
    assert review.settle_due(town.world.desk) == 2
    assert states(town) == ["approved", "refused"]
    town.live.catch_up()
    board = town.platform()
    assert town.screen(board, drawn(HER, 9)).verdict == "review"
    assert town.screen(board, drawn(HIM, 9)).verdict == "clear"
    assert "the face counts from now on" in vera.get(f"/queue?decided={case}").text
    assert "Closed" not in vera.get(f"/cases/{second}").text
    actions = [row[0] for row in town.query("SELECT action FROM audit_log WHERE actor ~ '^rev'")]
    assert {"enrolment.approved", "enrolment.refused", "case.upheld"} <= set(actions)
    assert town.query("SELECT count(*) FROM events WHERE kind IN ('case.upheld')") == [(0,)]


def test_two_people_with_one_face_come_first_and_are_decided_one_by_one(drawn_town: Town) -> None:
    town = drawn_town
    town.rules(undo_seconds=0)
    ask(town, *three(HIM))
    first = ask(town, *three(HER))
    vera, ben = desk_in(town, "vera", "verifier"), desk_in(town, "ben", "verifier")
    token = vera.claim(case_of(town, first))
    second = ask(town, drawn(HER, 4), drawn(HER, 5), drawn(HER, 6))
    hers, theirs = case_of(town, first), case_of(town, second)
    page = vera.get(f"/cases/{hers}").text
    assert "Another person has enrolled what looks like the same face" in page
    assert f"/cases/{theirs}" in page
    assert "two people have enrolled one face" in page
    assert ben.send("/queue/next").headers["location"] == f"/cases/{theirs}", "before what is older"
    token_of_ben = field(ben.get(f"/cases/{theirs}").text, "token")
    ben.decide(theirs, token_of_ben, "escalated:unsure", "I know one of them.")
    assert ben.get(f"/cases/{theirs}").status_code == 403, "whoever handed it on is out of it"
    vera.decide(hers, token, "upheld:own_face", "The helpline knows her.")
    vera.decide(theirs, vera.claim(theirs), "dismissed:not_own_face", "A former partner.")
    assert states(town) == ["approved", "pending", "refused"]


def test_a_decision_about_a_face_is_void_when_somebody_else_asks_for_it_before_it_takes_effect(
    drawn_town: Town,
) -> None:
    town = drawn_town
    first = ask(town, *three(HER))
    vera, case = desk_in(town, "vera", "verifier"), case_of(town, first)
    vera.decide(case, vera.claim(case), "upheld:own_face", "We spoke by video.")
    second = ask(town, drawn(HER, 4), drawn(HER, 5), drawn(HER, 6))
    town.clock.forward(seconds=11)
    assert review.settle_due(town.world.desk) == 0
    assert states(town) == ["frozen", "frozen"]
    assert case_of(town, first) == case
    # Who leaves, or takes her face back, leaves nothing to decide.
    enrol_face.take_back(
        town.world.store, town.world.blobs, town.clock, person_of(town, second.case_number)
    )
    assert town.query("SELECT state FROM cases ORDER BY state") == [("open",), ("withdrawn",)]
    withdraw.leave(town.world.store, town.clock, person_of(town, first.case_number))
    for receipt in town.query("SELECT id FROM withdrawals"):
        withdraw.finish(town.world.store, town.world.blobs, town.clock, alive, receipt[0])
    assert town.query("SELECT DISTINCT state FROM cases") == [("withdrawn",)]
    assert "is gone" in vera.get(f"/cases/{case}").text


def test_an_enrolment_without_a_case_is_given_one(drawn_town: Town) -> None:
    town = drawn_town
    asked = ask(town, *three(HER))
    town.query("UPDATE enrolments SET case_id = NULL")
    assert verify_face.ask_about_all(town.world.store, town.clock) == 1
    assert verify_face.ask_about_all(town.world.store, town.clock) == 0
    assert case_of(town, asked)


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


def test_where_a_face_lay_in_an_upload_is_destroyed_with_the_upload(town: Town) -> None:
    town.register(jpeg(picture(1)))
    case = town.screen(town.platform(), jpeg(picture(1), 60)).case
    stretch = {"upload": [0, 1], "entry": None, "matched": 2, "sampled": 2, "distance": 0.7}
    told = json.dumps([stretch, {**stretch, "path": [[0.0, 0.1, 0.2, 0.3, 0.4]]}])
    town.query("UPDATE case_hits SET stretches = %s WHERE case_id = %s", told, case)
    town.query("UPDATE media SET destroy_at = now() - interval '1 hour'")
    assert retire_due(town.world.store, town.world.blobs, town.clock) == 1
    for (left,) in town.query("SELECT stretches FROM case_hits WHERE case_id = %s", case):
        assert left == [stretch, stretch]
