"""Uploads by address, and many at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from pipeline.errors import Invalid, NotFound
from services.accounts import allow_host, forget_host
from services.api.auth import Caller, Pace
from services.api.problems import Declined
from tests.integration.api import Program, make_program, program  # noqa: F401
from tests.partners import Asked, Partner
from tests.world import jpeg, picture


@pytest.fixture
def host() -> Iterator[Partner]:
    """A platform's own file server, inside the operator's network."""
    files = {f"/{number}.jpg": jpeg(picture(number)) for number in range(1, 4)}

    def answer(asked: Asked) -> tuple[int, dict[str, str], bytes]:
        if asked.path == "/moved.jpg":
            return 302, {"location": "/1.jpg"}, b""
        found = files.get(asked.path)
        return (200, {}, found) if found else (404, {}, b"")

    with Partner(answer).running() as running:
        yield running


def reference(host: Partner, path: str, content_id: str = "post-1", **more: Any) -> dict[str, Any]:
    return {
        "content_id": content_id,
        "rating": "intimate",
        "media_url": host.address + path,
        **more,
    }


@pytest.fixture
def allowed(program: Program, host: Partner) -> Program:  # noqa: F811
    allow_host(program.town.world, "board", "127.0.0.1", private=True)
    program.town.register(jpeg(picture(1)))
    return program


def code_of(answer: Any) -> str:
    return str(answer.json()["code"])


# --- by address -------------------------------------------------------------------------------


def test_an_upload_at_an_address_is_screened_as_if_it_had_been_sent(
    allowed: Program, host: Partner
) -> None:
    hit = allowed.client.post("/v1/screenings/references", json=reference(host, "/1.jpg"))
    clear = allowed.client.post("/v1/screenings/references", json=reference(host, "/2.jpg", "b"))
    assert (hit.status_code, hit.json()["verdict"]) == (200, "review")
    assert clear.json()["verdict"] == "clear"


def test_a_host_that_nobody_entered_is_not_gone_to(program: Program, host: Partner) -> None:  # noqa: F811
    answer = program.client.post("/v1/screenings/references", json=reference(host, "/1.jpg"))
    assert (answer.status_code, code_of(answer)) == (422, "unreachable")
    assert host.asked == []


def test_a_host_that_was_entered_as_public_leads_to_no_private_address(
    program: Program,  # noqa: F811
    host: Partner,
) -> None:
    allow_host(program.town.world, "board", "localhost", private=False)
    for scheme in ("http", "https"):
        url = host.address.replace("http://127.0.0.1", f"{scheme}://localhost") + "/1.jpg"
        asked = reference(host, "/1.jpg") | {"media_url": url}
        answer = program.client.post("/v1/screenings/references", json=asked)
        assert (answer.status_code, code_of(answer)) == (422, "unreachable")
    assert host.asked == []


def test_another_platforms_host_is_not_ones_own(
    allowed: Program,
    host: Partner,
    make_program: Any,  # noqa: F811
) -> None:
    other = make_program("other", url=str(allowed.client.base_url))
    answer = other.client.post("/v1/screenings/references", json=reference(host, "/1.jpg"))
    assert code_of(answer) == "unreachable"


@pytest.mark.parametrize("path", ["/none.jpg", "/moved.jpg"])
def test_an_address_that_gives_no_file_is_a_problem_and_no_screening(
    allowed: Program, host: Partner, path: str
) -> None:
    answer = allowed.client.post("/v1/screenings/references", json=reference(host, path))
    assert (answer.status_code, code_of(answer)) == (422, "unreachable")
    assert allowed.town.query("SELECT count(*) FROM screenings") == [(0,)]


def test_the_same_address_with_the_same_key_is_fetched_once(
    allowed: Program, host: Partner
) -> None:
    first, again = (
        allowed.client.post(
            "/v1/screenings/references",
            json=reference(host, "/1.jpg"),
            headers={"Idempotency-Key": "k-1"},
        )
        for _ in range(2)
    )
    assert first.json() == again.json()
    assert again.headers["idempotency-replayed"] == "true"
    assert len(host.asked) == 1
    other = allowed.client.post(
        "/v1/screenings/references",
        json=reference(host, "/2.jpg"),
        headers={"Idempotency-Key": "k-1"},
    )
    assert code_of(other) == "idempotency_mismatch"


def test_hosts_are_named_alone_and_can_be_taken_back(allowed: Program, host: Partner) -> None:
    world = allowed.town.world
    assert allow_host(world, "board", " CDN.Example.COM. ", private=False) == "cdn.example.com"
    for wrong in ("https://cdn.example.com", "cdn.example.com/x", "a b", "", "-x"):
        with pytest.raises(Invalid, match="a host alone"):
            allow_host(world, "board", wrong, private=False)
    forget_host(world, "board", "127.0.0.1")
    answer = allowed.client.post("/v1/screenings/references", json=reference(host, "/1.jpg"))
    assert code_of(answer) == "unreachable"
    with pytest.raises(NotFound, match="no such host"):
        forget_host(world, "board", "127.0.0.1")


# --- many at once -----------------------------------------------------------------------------


def hashed(code: bytes, content_id: str) -> dict[str, Any]:
    return {"content_id": content_id, "hashes": [{"signal": "pdq", "hash": code.hex()}]}


def strangers(count: int) -> list[bytes]:
    rows = np.random.default_rng(5).integers(0, 256, (count, 32), np.uint8)
    return [row.tobytes() for row in rows]


def test_a_batch_of_a_thousand_hashes_is_answered_in_order(program: Program) -> None:  # noqa: F811
    asked = [hashed(code, f"post-{number}") for number, code in enumerate(strangers(1000))]
    answer = program.client.post("/v1/screenings:batch", json={"hashes": asked})
    results = answer.json()["results"]
    assert [one["content_id"] for one in results] == [one["content_id"] for one in asked]
    assert {one["screening"]["verdict"] for one in results} == {"clear"}
    assert program.town.query("SELECT count(*) FROM screenings") == [(1000,)]


def test_one_bad_upload_of_a_batch_is_named_and_stops_no_other(
    allowed: Program, host: Partner
) -> None:
    asked = [
        reference(host, "/1.jpg", "first"),
        reference(host, "/none.jpg", "second"),
        reference(host, "/2.jpg", "third"),
    ]
    results = allowed.client.post("/v1/screenings:batch", json={"references": asked}).json()[
        "results"
    ]
    assert [one["content_id"] for one in results] == ["first", "second", "third"]
    assert [(one["screening"] or {}).get("verdict") for one in results] == [
        "review",
        None,
        "clear",
    ]
    assert results[1]["problem"]["code"] == "unreachable"
    assert [one["problem"] is None for one in results] == [True, False, True]


def test_a_batch_sent_again_keeps_its_answers_and_tries_anew_what_failed(
    allowed: Program, host: Partner
) -> None:
    asked = {"references": [reference(host, "/1.jpg", "a"), reference(host, "/none.jpg", "b")]}
    headers = {"Idempotency-Key": "batch-1"}
    first = allowed.client.post("/v1/screenings:batch", json=asked, headers=headers).json()
    again = allowed.client.post("/v1/screenings:batch", json=asked, headers=headers).json()
    assert first["results"][0] == again["results"][0]
    assert [one.path for one in host.asked] == ["/1.jpg", "/none.jpg", "/none.jpg"]


def test_another_batch_with_a_key_is_refused_whole(program: Program) -> None:  # noqa: F811
    one, two, three = (hashed(code, f"post-{n}") for n, code in enumerate(strangers(3)))
    headers = {"Idempotency-Key": "batch-1"}
    batch = "/v1/screenings:batch"
    assert program.client.post(batch, json={"hashes": [one, two]}, headers=headers).is_success
    for other in ([one, two, three], [one], [two, one]):
        refused = program.client.post(batch, json={"hashes": other}, headers=headers)
        assert (refused.status_code, code_of(refused)) == (422, "idempotency_mismatch")
    single = program.client.post("/v1/screenings/hashes", json=one, headers=headers)
    assert (single.status_code, code_of(single)) == (422, "idempotency_mismatch")
    assert program.client.post(batch, json={"hashes": [one, two]}, headers=headers).is_success
    assert program.town.query("SELECT count(*) FROM screenings") == [(2,)]


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"hashes": []},
        {"references": []},
        {"hashes": [hashed(b"\1" * 32, "a")], "references": []},
        {"hashes": [hashed(b"\1" * 32, "a")] * 1001},
        {"hashes": [{"content_id": "a", "hashes": []}]},
        [],
    ],
    ids=["nothing", "no hashes", "no references", "both", "too many", "empty upload", "a list"],
)
def test_a_batch_that_is_none_is_refused_whole(program: Program, asked: Any) -> None:  # noqa: F811
    answer = program.client.post("/v1/screenings:batch", json=asked)
    assert (answer.status_code, code_of(answer)) == (422, "invalid")
    assert program.town.query("SELECT count(*) FROM screenings") == [(0,)]


def test_each_upload_of_a_batch_counts_as_a_request() -> None:
    moment = [0.0]
    pace, caller = Pace(lambda: moment[0]), Caller(*([None] * 2), per_minute=60)  # type: ignore[arg-type]
    pace.spend(caller)
    pace.spend(caller, 50)
    with pytest.raises(Declined) as refused:
        pace.spend(caller, 20)
    assert refused.value.headers["retry-after"] == "11"
    moment[0] = 60.0
    pace.spend(caller, 1000)  # more than a minute's worth is let in once the bucket is full
    with pytest.raises(Declined):
        pace.spend(caller)
