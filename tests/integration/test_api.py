"""The HTTP API as a platform meets it: what is answered, to whom, and what is never said."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import httpx
import pytest

from pipeline.domain.ids import CaseId
from services.accounts import new_platform_key
from services.api import auth
from tests.integration.api import Program, make_program, program
from tests.world import jpeg, picture

__all__ = ["make_program", "program"]

HERS = jpeg(picture(1))
ANOTHER = jpeg(picture(2))


def pdq(town: Any, body: bytes) -> bytes:
    media = town.world.decode(body)
    signal = next(one for one in town.world.signals if one.space.name == "pdq")
    from pipeline.domain.media import Side

    computed = signal.compute(list(media.frames), Side.REGISTERED)
    return bytes(computed.codes[0])


def test_an_upload_of_nothing_registered_is_clear_and_keeps_nothing(program: Program) -> None:
    answer = program.screen(ANOTHER, "post-7", uploader="someone")
    assert answer.status_code == 200
    said = answer.json()
    assert said["verdict"] == "clear"
    assert said["content_id"] == "post-7"
    assert said["matches"] == []
    assert said["case"] is None
    assert program.town.query("SELECT uploader FROM screenings") == [(None,)]
    assert program.town.query("SELECT count(*) FROM media") == [(0,)]


def test_a_copy_is_held_for_review_and_the_answer_never_says_whose_it_is(program: Program) -> None:
    registered = program.town.register(HERS)
    answer = program.screen(jpeg(picture(1), 40))
    said = answer.json()
    assert said["verdict"] == "review"
    [match, *_] = said["matches"]
    assert match["signal"] in {"pdq", "phash"}
    assert match["distance"] <= match["threshold"]
    assert match["view"] == "whole"
    assert match["case"] == said["case"]
    person = str(program.town.query("SELECT id FROM persons")[0][0])
    assert person not in answer.text
    assert registered.case_number not in answer.text


def test_the_same_content_is_known_after_a_person_upheld_it(program: Program) -> None:
    program.town.register(HERS)
    first = program.screen(HERS).json()
    program.town.uphold(CaseId(first["case"]), program.town.reviewer())
    again = program.screen(HERS, "post-2").json()
    assert again["verdict"] == "known"
    assert again["case"] == first["case"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [(b"", "empty"), (b"<svg/>", "unsupported_type"), (HERS[:3000], "truncated")],
)
def test_a_file_that_cannot_be_screened_is_refused_by_name(
    program: Program, body: bytes, reason: str
) -> None:
    answer = program.screen(body)
    assert answer.status_code == 200
    said = answer.json()
    assert (said["verdict"], said["refused"]) == ("refused", reason)
    assert said["message"]
    assert program.client.get(f"/v1/screenings/{said['screening']}").json()["refused"] == reason


def test_a_form_is_read_like_a_body(program: Program) -> None:
    program.town.register(HERS)
    answer = program.client.post(
        "/v1/screenings",
        data={"content_id": "post-ü", "uploader": "someone", "rating": "intimate"},
        files={"file": ("x.jpg", HERS, "image/jpeg")},
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["verdict"] == "review"
    assert answer.json()["content_id"] == "post-ü"
    kept = program.town.query("SELECT content_id, uploader, rating, bytes FROM screenings")
    assert kept == [("post-ü", "someone", "intimate", len(HERS))]


def test_hashes_are_screened_like_a_file(program: Program) -> None:
    program.town.register(HERS)
    code = pdq(program.town, HERS)
    found = program.hashes(code).json()
    assert found["verdict"] == "review"
    assert found["matches"][0] == {
        "signal": "pdq",
        "distance": 0.0,
        "threshold": found["matches"][0]["threshold"],
        "view": "whole",
        "case": found["case"],
        "witness": "near enough alone",
        "stretches": [],
        "query_matched": None,
        "entry_matched": None,
    }
    other = bytes(byte ^ 0x55 for byte in code)
    assert program.hashes(other).json()["verdict"] == "clear"


def test_a_hash_of_low_quality_is_named_and_not_compared(program: Program) -> None:
    program.town.register(HERS)
    code = pdq(program.town, HERS).hex()
    said = program.hashes(hashes=[{"signal": "pdq", "hash": code, "quality": 10}]).json()
    assert said["verdict"] == "clear"
    assert said["notes"] == ["low_quality:pdq"]


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"content_id": ""}, "body.content_id"),
        ({"content_id": "a\nb"}, "body.content_id"),
        ({"content_id": "x" * 513}, "body.content_id"),
        ({"rating": "lewd"}, "body.rating"),
        ({"hashes": []}, "body.hashes"),
        ({"hashes": [{"signal": "pdq", "hash": "5e" * 31}]}, "body.hashes.0.hash"),
        (
            {"hashes": [{"signal": "pdq", "hash": "5e" * 32, "quality": 101}]},
            "body.hashes.0.quality",
        ),
        ({"5e5e5e": 1}, "body.(unknown field)"),
    ],
)
def test_a_wrong_field_is_named_and_its_value_is_not_repeated(
    program: Program, change: dict[str, Any], where: str
) -> None:
    answer = program.hashes(b"\x5e" * 32, **change)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    said = answer.json()
    assert said["code"] == "invalid"
    assert [error["where"] for error in said["errors"]] == [where]
    assert "5e5e" not in answer.text
    assert "lewd" not in answer.text


def test_a_hash_of_an_unknown_kind_is_told_which_there_are(program: Program) -> None:
    answer = program.hashes(hashes=[{"signal": "md5", "hash": "00" * 32}])
    assert answer.status_code == 422
    assert "pdq" in answer.json()["detail"]


def test_an_image_without_a_content_id_is_asked_for_one(program: Program) -> None:
    answer = program.client.post(
        "/v1/screenings", content=HERS, headers={"content-type": "image/jpeg"}
    )
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["where"] == "query.content_id"


@pytest.mark.parametrize(
    ("query", "where"),
    [
        ("content_id=a&content_id=b", "query.content_id"),
        ("content_id=a&ratings=intimate", "query.(unknown field)"),
        ("content_id=a&rating=lewd", "query.rating"),
        ("content_id=a%00", "query.content_id"),
        ("content_id=a&uploader=", "query.uploader"),
    ],
)
def test_a_query_that_could_be_misread_is_refused(program: Program, query: str, where: str) -> None:
    headers = {"content-type": "image/jpeg"}
    answer = program.client.post(f"/v1/screenings?{query}", content=HERS, headers=headers)
    assert answer.status_code == 422
    assert [error["where"] for error in answer.json()["errors"]] == [where]


def test_a_body_of_another_kind_is_not_read(program: Program) -> None:
    answer = program.screen(HERS, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")
    squeezed = program.screen(HERS, headers={"content-encoding": "gzip"})
    assert squeezed.status_code == 415


def test_a_screening_is_read_again_by_its_platform_alone(
    program: Program, make_program: Callable[..., Program]
) -> None:
    program.town.register(HERS)
    said = program.screen(HERS).json()
    again = program.client.get(f"/v1/screenings/{said['screening']}").json()
    assert again == said | {"milliseconds": again["milliseconds"]}
    other = make_program("other", url=str(program.client.base_url))
    for path in (f"/v1/screenings/{said['screening']}", f"/v1/cases/{said['case']}"):
        assert program.client.get(path).status_code == 200
        answer = other.client.get(path)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_what_is_not_there_is_not_found(program: Program) -> None:
    for path in (f"/v1/screenings/{uuid4()}", f"/v1/cases/{uuid4()}", "/v1/nothing", "/"):
        answer = program.client.get(path)
        assert answer.status_code == 404
        assert answer.json()["code"] == "not_found"
    wrong = program.client.delete("/v1/screenings")
    assert (wrong.status_code, wrong.json()["code"]) == (405, "method_not_allowed")
    assert wrong.headers["allow"] == "POST"


def test_a_case_tells_a_platform_its_own_part_and_no_other(
    program: Program, make_program: Callable[..., Program]
) -> None:
    town, other = program.town, make_program("other", url=str(program.client.base_url))
    town.register(HERS)
    mine = program.screen(HERS, "mine").json()
    theirs = other.screen(HERS, "theirs").json()
    assert theirs["case"] == mine["case"], "the same bytes are one case"
    path = f"/v1/cases/{mine['case']}"

    waiting = program.client.get(path).json()
    assert waiting["state"] == "open"
    assert waiting["decision"] is waiting["ground"] is waiting["decided_at"] is None
    assert waiting["uploads"] == [{"screening": mine["screening"], "content_id": "mine"}]
    assert waiting["events"] == []

    town.uphold(CaseId(mine["case"]), town.reviewer("ada-the-reviewer"), "Said in private.")
    answer = program.client.get(path)
    decided = answer.json()
    assert (decided["state"], decided["decision"], decided["ground"]) == (
        "upheld",
        "upheld",
        "match",
    )
    [event] = decided["events"]
    assert event["kind"] == "case.upheld"
    assert event["delivered_at"] is None
    people = [
        str(row[0])
        for row in town.query("SELECT id FROM persons UNION ALL SELECT id FROM reviewers")
    ]
    for private in ("theirs", "ada-the-reviewer", "Said in private.", *people):
        assert private not in answer.text
    assert other.client.get(path).json()["uploads"][0]["content_id"] == "theirs"


def test_the_ground_of_an_escalation_stays_between_reviewers(program: Program) -> None:
    from pipeline.domain.case import Ground
    from pipeline.journeys import review

    town = program.town
    town.register(HERS)
    case = CaseId(program.screen(HERS).json()["case"])
    claim = review.claim(town.world.desk, case, town.reviewer())
    review.escalate(town.world.desk, case, claim.token, Ground.POSSIBLE_MINOR, "Look at this.")
    said = program.client.get(f"/v1/cases/{case}").json()
    assert said["state"] == "escalated"
    assert said["decision"] is said["ground"] is said["decided_at"] is None


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer csk_wrong"},
        {"authorization": "Basic YTpi"},
        {"authorization": "Bearer csk_wrong csk_wrong"},
    ],
)
def test_nobody_comes_in_without_a_good_key(program: Program, headers: dict[str, str]) -> None:
    with httpx.Client(base_url=program.client.base_url, headers=headers) as stranger:
        answers = [
            stranger.post("/v1/screenings", content=HERS),
            stranger.post("/v1/screenings/hashes", content=b"not json"),
            stranger.get(f"/v1/screenings/{uuid4()}"),
            stranger.get(f"/v1/cases/{uuid4()}"),
        ]
    for answer in answers:
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
        assert answer.headers["www-authenticate"] == "Bearer"


def test_a_key_that_was_ended_opens_nothing(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auth, "REMEMBERED", 0.0)
    assert program.screen(ANOTHER).status_code == 200
    fresh = new_platform_key(program.town.world, "board", revoke=True)
    assert program.screen(ANOTHER).status_code == 401
    program.client.headers["authorization"] = f"Bearer {fresh}"
    assert program.screen(ANOTHER).status_code == 200


def test_a_key_that_asks_too_often_waits(make_program: Callable[..., Program]) -> None:
    slow = make_program("slow", per_minute=3)
    answers = [slow.client.get(f"/v1/cases/{uuid4()}") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [404, 404, 404, 429]
    assert answers[0].headers["ratelimit-policy"] == '"key";q=3;w=60'
    assert answers[0].headers["ratelimit"].startswith('"key";r=2;t=')
    assert answers[3].json()["code"] == "rate_limited"
    assert 1 <= int(answers[3].headers["retry-after"]) <= 20
    quick = make_program("quick", url=str(slow.client.base_url))
    assert quick.client.get(f"/v1/cases/{uuid4()}").status_code == 404, "each key has its own pace"


def test_no_part_of_an_upload_is_written_to_the_temporary_folder(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("an upload was about to be written in clear")

    for name in ("TemporaryFile", "NamedTemporaryFile", "SpooledTemporaryFile", "mkstemp"):
        monkeypatch.setattr(tempfile, name, refuse)
    program.town.register(HERS)
    form = {"content_id": "post-1", "rating": "intimate"}
    big = HERS + bytes(3 << 20)  # beyond what the framework's parser would keep in memory
    answers = [
        program.screen(big),
        program.client.post("/v1/screenings", data=form, files={"file": ("x", big)}),
    ]
    assert [answer.json()["verdict"] for answer in answers] == ["review", "review"]


def test_a_caller_finds_its_own_request_id_again(program: Program) -> None:
    answer = program.client.get("/healthz", headers={"x-request-id": "job-12.a_b"})
    assert answer.headers["x-request-id"] == "job-12.a_b"
    missing = program.client.get("/nowhere", headers={"x-request-id": "bad id"})
    assert len(missing.headers["x-request-id"]) == 32
    assert missing.json()["instance"].endswith(missing.headers["x-request-id"])


def test_answers_say_nothing_of_the_server_and_are_kept_by_nobody(program: Program) -> None:
    answer = program.screen(ANOTHER)
    assert "server" not in answer.headers
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_a_defect_of_ours_is_a_500_that_tells_nothing(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("hash 5e5e5e of somebody")

    door: Any = program.client
    monkeypatch.setattr("services.api.replay.Replay.once", broken)
    answer = program.screen(ANOTHER)
    assert answer.status_code == 500
    assert answer.json()["code"] == "internal"
    assert "5e5e" not in answer.text
    assert door.get("/healthz").status_code == 200
