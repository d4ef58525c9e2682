"""Platforms tell what they did and pass on notices: once, of their own only, none in clear."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest

from pipeline.domain.action import MOST_ACTIONS, ActionKind
from pipeline.domain.ids import NoticeId
from pipeline.journeys.follow_case import follow_case
from pipeline.journeys.notice import follow, read
from pipeline.journeys.withdraw import finish, leave
from tests.integration.api import Program, make_program, program
from tests.integration.test_following import enter, join
from tests.world import jpeg, picture

__all__ = ["make_program", "program"]

NOTICE = {
    "reference": "ticket-7",
    "locations": ["https://board.example/p/1", "https://board.example/p/2"],
    "explanation": "A picture of me that I never allowed",
    "not_consented": True,
    "accurate": True,
    "signature": "Maria Example",
    "contact": "maria@example.org",
}


def held(program: Program) -> tuple[str, str]:
    """A screening that hit, and its case."""
    program.town.register(jpeg(picture(1)))
    answer = program.screen(jpeg(picture(1), 50)).json()
    assert answer["verdict"] == "review"
    return answer["screening"], answer["case"]


def removed(at: datetime, **more: object) -> dict[str, object]:
    return {"action": "removed", "at": at.isoformat(), **more}


def test_an_action_is_kept_once_with_its_note_sealed_and_audited(program: Program) -> None:
    screening, _ = held(program)
    where, at = f"/v1/screenings/{screening}/actions", program.town.clock()
    first = program.client.post(where, json=removed(at, note="account of Jo Doe"))
    assert first.status_code == 201
    again = program.client.post(where, json=removed(at, note="account of Jo Doe"))
    assert (again.status_code, again.json()) == (201, first.json())
    assert program.client.post(where, json=removed(at)).json() == first.json()
    other = program.client.post(where, json=removed(at, note="other words"))
    assert (other.status_code, other.json()["code"]) == (409, "conflict")
    later = removed(at + timedelta(minutes=2)) | {"action": "restored"}
    assert program.client.post(where, json=later).status_code == 201
    told = program.client.get(where).json()["actions"]
    assert [one["action"] for one in told] == ["removed", "restored"]
    assert told[0]["note"] == "account of Jo Doe"
    kept = program.town.query("SELECT note FROM screening_actions WHERE note IS NOT NULL")
    assert len(kept) == 1
    assert b"Jo Doe" not in bytes(kept[0][0])
    trail = program.town.query("SELECT body FROM audit_log WHERE action = 'screening.acted'")
    assert len(trail) == 2
    assert not any("Doe" in body for (body,) in trail)


def test_an_idempotency_key_remembers_neither_a_note_nor_a_code(program: Program) -> None:
    screening, _ = held(program)
    headers = {"idempotency-key": "same"}
    where, body = f"/v1/screenings/{screening}/actions", removed(program.town.clock(), note="Jo")
    first = program.client.post(where, json=body, headers=headers)
    again = program.client.post(where, json=body, headers=headers)
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json() == first.json()
    assert again.json()["note"] == "Jo"
    headers = {"idempotency-key": "another"}
    told = program.client.post("/v1/notices", json=NOTICE, headers=headers).json()
    again = program.client.post("/v1/notices", json=NOTICE, headers=headers)
    assert again.json() == told | {"code": None}
    kept = str(program.town.query("SELECT answer FROM idempotency"))
    assert told["case"] in kept
    assert told["code"] not in kept
    assert "'note'" not in kept


def test_only_the_platform_that_owns_a_screening_acts_on_it_and_reads_it(
    make_program, program: Program
) -> None:
    screening, _ = held(program)
    where, at = f"/v1/screenings/{screening}/actions", program.town.clock()
    stranger = make_program("stranger", url=str(program.client.base_url))
    assert stranger.client.post(where, json=removed(at)).status_code == 404
    assert stranger.client.get(where).status_code == 404
    assert program.town.query("SELECT count(*) FROM screening_actions") == [(0,)]


def test_what_lies_ahead_is_of_no_known_kind_or_has_no_zone_is_refused(program: Program) -> None:
    screening, _ = held(program)
    where, now = f"/v1/screenings/{screening}/actions", program.town.clock()
    wrong = [
        removed(now + timedelta(hours=1)),
        removed(now) | {"action": "burnt"},
        {"action": "removed", "at": "2026-11-25T10:00:00"},
        removed(now, note="x" * 1001),
        removed(now, who="nobody"),
        {"action": "removed"},
    ]
    for body in wrong:
        assert program.client.post(where, json=body).status_code == 422
    for second in range(MOST_ACTIONS):
        at = now - timedelta(seconds=second)
        assert program.client.post(where, json=removed(at)).status_code == 201
    full = program.client.post(where, json=removed(now - timedelta(hours=1)))
    assert (full.status_code, full.json()["code"]) == (409, "conflict")


def test_the_same_action_told_at_once_from_many_sides_is_kept_once(program: Program) -> None:
    screening, _ = held(program)
    where, body = f"/v1/screenings/{screening}/actions", removed(program.town.clock())
    got: list[int] = []

    def tell() -> None:
        got.append(program.client.post(where, json=body).status_code)

    threads = [threading.Thread(target=tell) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == [201] * 6
    assert len(program.client.get(where).json()["actions"]) == 1


def test_a_person_may_learn_what_a_platform_did_once_her_case_is_upheld(program: Program) -> None:
    town = program.town
    given = join(town, 1)
    answer = program.screen(jpeg(picture(1), 50)).json()
    person, at = enter(town, given), town.clock()
    program.client.post(f"/v1/screenings/{answer['screening']}/actions", json=removed(at))
    assert follow_case(town.world.desk, person), "she can follow it all along"
    with town.world.store.transaction() as unit:
        (acted,) = unit.following.acted([answer["case"]])
    assert (acted.platform, acted.kind) == ("board", ActionKind.REMOVED)
    assert acted.at == at


def test_a_platforms_words_go_with_the_person_they_may_be_about(program: Program) -> None:
    town = program.town
    given = join(town, 1)
    screening = program.screen(jpeg(picture(1), 50)).json()["screening"]
    where = f"/v1/screenings/{screening}/actions"
    program.client.post(where, json=removed(town.clock(), note="she is Jane Roe"))
    receipt = leave(town.world.store, town.clock, enter(town, given))
    town.live.catch_up()
    done = finish(town.world.store, town.world.blobs, town.clock, lambda _: False, receipt)
    assert done.signature
    assert town.query("SELECT count(*) FROM screening_actions WHERE note IS NOT NULL") == [(0,)]
    (left,) = program.client.get(where).json()["actions"]
    assert (left["action"], left["note"]) == ("removed", None)


def test_a_forwarded_notice_opens_a_case_whose_clock_began_with_the_platform(
    program: Program,
) -> None:
    town = program.town
    received = town.clock() - timedelta(hours=20)
    sent = NOTICE | {"received_at": received.isoformat()}
    told = program.client.post("/v1/notices", json=sent)
    assert told.status_code == 201
    said = told.json()
    deadline = datetime.fromisoformat(said["deadline"])
    assert deadline == received + timedelta(hours=48)
    again = program.client.post("/v1/notices", json=sent)
    assert again.json() == said | {"code": None}
    case = program.client.get(f"/v1/cases/{said['case']}").json()
    assert {one["content_id"] for one in case["uploads"]} == set(NOTICE["locations"])
    assert follow(town.world.store, said["code"]).deadline == deadline
    with town.world.store.transaction() as unit:
        notice = read(unit, said["case"])
    assert notice is not None
    assert notice.contact == "maria@example.org"
    ((sealed, identifier),) = town.query("SELECT sealed, id FROM notices")
    assert b"aria" not in bytes(sealed)
    assert NoticeId(identifier)
    ((actor,),) = town.query("SELECT actor FROM audit_log WHERE action = 'notice.forwarded'")
    assert actor == f"platform:{program.platform}"
    town.uphold(said["case"], town.reviewer())
    assert program.client.get(f"/v1/cases/{said['case']}").json()["decision"] == "upheld"


@pytest.mark.parametrize(
    ("lacking", "field"),
    [
        ({"contact": "nowhere"}, "body.contact"),
        ({"signature": " "}, "body.signature"),
        ({"accurate": False}, "body.accurate"),
        ({"not_consented": False}, "body.not_consented"),
        ({"explanation": "bad"}, "body.explanation"),
        ({"locations": []}, "body.locations"),
        ({"locations": ["ftp://board.example/x"]}, "body.locations"),
    ],
)
def test_a_notice_that_lacks_an_element_is_refused_by_its_name_and_not_kept(
    program: Program, lacking: dict[str, object], field: str
) -> None:
    refused = program.client.post("/v1/notices", json=NOTICE | lacking)
    assert refused.status_code == 422
    problem = refused.json()
    assert problem["code"] == "incomplete_notice"
    assert [one["where"] for one in problem["errors"]] == [field]
    assert "Maria" not in refused.text
    assert program.town.query("SELECT count(*) FROM notices") == [(0,)]


def test_a_notice_from_long_ago_or_from_tomorrow_is_refused(program: Program) -> None:
    now = program.town.clock()
    for received in (now - timedelta(days=31), now + timedelta(hours=1)):
        sent = NOTICE | {"received_at": received.astimezone(UTC).isoformat()}
        refused = program.client.post("/v1/notices", json=sent)
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid")


def test_two_platforms_may_call_their_notices_alike(make_program, program: Program) -> None:
    other = make_program("other", url=str(program.client.base_url))
    first = program.client.post("/v1/notices", json=NOTICE).json()
    second = other.client.post("/v1/notices", json=NOTICE)
    assert second.status_code == 201
    assert second.json()["case"] != first["case"]
