"""A request that is sent twice is answered once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from pipeline.errors import Unavailable
from pipeline.journeys.screen_upload import Screener
from pipeline.storage.idempotency import Claim, Earlier, Idempotency, Taken
from tests.integration.api import Program, make_program, program
from tests.world import Town, jpeg, picture

__all__ = ["make_program", "program"]

HERS = jpeg(picture(1))
KEY = {"idempotency-key": "attempt-1"}


def screenings(program: Program) -> int:
    return int(program.town.query("SELECT count(*) FROM screenings")[0][0])


def test_the_same_request_gets_the_same_answer_and_is_screened_once(program: Program) -> None:
    program.town.register(HERS)
    first, second = program.screen(HERS, headers=KEY), program.screen(HERS, headers=KEY)
    assert first.json()["verdict"] == "review"
    assert second.text == first.text
    assert "idempotency-replayed" not in first.headers
    assert second.headers["idempotency-replayed"] == "true"
    assert screenings(program) == 1
    assert program.metric('consentry_screenings_total{verdict="review"}') == 1


def test_hashes_are_answered_once_too(program: Program) -> None:
    first = program.hashes(b"\x5e" * 32, headers=KEY)
    second = program.hashes(b"\x5e" * 32, headers=KEY)
    assert second.json() == first.json()
    assert second.headers["idempotency-replayed"] == "true"
    other = program.hashes(b"\x5f" * 32, headers=KEY)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")


@pytest.mark.parametrize(
    "change",
    [{"content_id": "post-2"}, {"uploader": "someone"}, {"rating": "unknown"}, {"body": b"other"}],
)
def test_a_key_with_another_request_is_refused(program: Program, change: dict[str, Any]) -> None:
    assert program.screen(HERS, headers=KEY).status_code == 200
    answer = program.screen(**({"body": HERS, "headers": KEY} | change))
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_mismatch")
    assert screenings(program) == 1


def test_each_platform_has_keys_of_its_own(
    program: Program, make_program: Callable[..., Program]
) -> None:
    other = make_program("other", url=str(program.client.base_url))
    assert program.screen(HERS, headers=KEY).status_code == 200
    answer = other.screen(b"something else", headers=KEY)
    assert answer.status_code == 200
    assert "idempotency-replayed" not in answer.headers


def test_a_request_that_is_being_answered_is_not_begun_again(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, began = threading.Event(), threading.Event()
    really = Screener.screen_file

    def slowly(*what: Any) -> Any:
        began.set()
        assert go.wait(20)
        return really(*what)

    monkeypatch.setattr(Screener, "screen_file", slowly)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(program.screen, HERS, headers=KEY)
        assert began.wait(20)
        second = program.screen(HERS, headers=KEY)
        assert (second.status_code, second.json()["code"]) == (409, "in_progress")
        assert "retry-after" in second.headers
        go.set()
        assert first.result().status_code == 200
    third = program.screen(HERS, headers=KEY)
    assert third.json() == first.result().json()
    assert screenings(program) == 1


def test_of_many_at_once_one_is_screened(program: Program) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: program.screen(HERS, headers=KEY), range(8)))
    assert {answer.status_code for answer in answers} <= {200, 409}
    given = {answer.text for answer in answers if answer.status_code == 200}
    assert len(given) == 1
    assert screenings(program) == 1


@pytest.mark.parametrize("error", [Unavailable("away"), ZeroDivisionError()])
def test_a_request_that_failed_here_may_be_sent_again_at_once(
    program: Program, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def failing(*_: object) -> None:
        raise error

    with monkeypatch.context() as broken:
        broken.setattr(Screener, "screen_file", failing)
        answer = program.screen(HERS, headers=KEY)
        assert answer.status_code in {500, 503}
        assert ("retry-after" in answer.headers) == (answer.status_code == 503)
    again = program.screen(HERS, headers=KEY)
    assert again.status_code == 200
    assert "idempotency-replayed" not in again.headers


def test_a_wrong_request_does_not_use_its_key_up(program: Program) -> None:
    wrong = [{"signal": "md5", "hash": "00" * 32}]
    assert program.hashes(hashes=wrong, headers=KEY).status_code == 422
    assert program.hashes(b"\x5e" * 32, headers=KEY).status_code == 200


def test_neither_key_nor_body_can_be_read_from_the_table(program: Program) -> None:
    program.hashes(b"\x5e" * 32, headers=KEY)
    [row] = program.town.query("SELECT i::text FROM idempotency i")
    assert "5e5e" not in row[0]
    assert "attempt-1" not in row[0]
    assert b"attempt-1".hex() not in row[0]


@pytest.mark.parametrize("key", ["", "x" * 256, "with space"])
def test_a_key_has_a_form(program: Program, key: str) -> None:
    answer = program.screen(HERS, headers={"idempotency-key": key})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["where"] == "header.Idempotency-Key"


@pytest.fixture
def claims(town: Town) -> tuple[Town, Idempotency, Callable[[bytes], Any]]:
    """Claims of one platform's key."""
    platform, kept = town.platform(), Idempotency(town.world.database)
    return town, kept, lambda request: kept.claim(platform, "key", request)


def test_the_claim_of_a_process_that_died_is_taken_over_and_it_cannot_answer_any_more(
    claims: tuple[Town, Idempotency, Callable[[bytes], Any]],
) -> None:
    town, kept, claim = claims
    lost = claim(b"request")
    assert isinstance(lost, Claim)
    assert claim(b"request") is Taken.IN_PROGRESS
    town.query("UPDATE idempotency SET created_at = created_at - interval '61 seconds'")
    lost = Claim(lost.platform, lost.key, town.query("SELECT created_at FROM idempotency")[0][0])
    assert claim(b"another") is Taken.OTHER_REQUEST
    taken = claim(b"request")
    assert isinstance(taken, Claim)
    assert not kept.answer(lost, 200, {"from": "the dead"})
    kept.release(lost)
    assert kept.answer(taken, 200, {"from": "the living"})
    assert claim(b"request") == Earlier(200, {"from": "the living"})


def test_an_answer_is_forgotten_after_a_day(
    claims: tuple[Town, Idempotency, Callable[[bytes], Any]],
) -> None:
    town, kept, claim = claims
    kept.answer(claim(b"request"), 200, {})
    town.query("UPDATE idempotency SET created_at = created_at - interval '23 hours'")
    assert kept.purge() == 0
    assert claim(b"another") is Taken.OTHER_REQUEST
    town.query("UPDATE idempotency SET created_at = created_at - interval '61 minutes'")
    assert isinstance(claim(b"another"), Claim), "the key may be used anew"
    town.query("UPDATE idempotency SET created_at = created_at - interval '25 hours'")
    assert kept.purge() == 1
