"""Uploads by address, and many at once."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from pipeline.errors import Invalid, NotFound
from services.accounts import allow_host, forget_host
from services.api import create_app
from services.api.auth import Caller, Pace
from services.api.door import BATCHED
from services.api.problems import Declined
from tests.integration.api import Program, make_program, program  # noqa: F401
from tests.partners import Asked, Partner
from tests.serving import served
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


@pytest.mark.parametrize("prefer", ["respond-async", "wait=0", "handling=lenient, respond-async"])
def test_a_platform_that_does_not_want_to_wait_is_answered_at_once(
    allowed: Program, host: Partner, prefer: str
) -> None:
    asked = reference(host, "/1.jpg")
    answer = allowed.client.post(
        "/v1/screenings/references", json=asked, headers={"prefer": prefer}
    )
    assert (answer.status_code, answer.json()["verdict"]) == (202, "pending")
    assert answer.headers["preference-applied"] in prefer
    there = allowed.client.get(answer.headers["location"]).json()
    assert there["screening"] == answer.json()["screening"]
    assert there["progress"] == {"done": 0, "expected": None, "share": 0.0}
    assert host.asked == []
    nobodys = allowed.client.post(
        "/v1/screenings/references",
        json=asked | {"media_url": "https://elsewhere.example/x"},
        headers={"prefer": prefer},
    )
    assert code_of(nobodys) == "unreachable", "nothing is promised that cannot be kept"


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


def test_one_platforms_batches_leave_others_room_in_the_line(
    make_program: Any,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app = create_app((town := make_program("first").town).world, town.live)
    door, most = app.state.door, [0]
    many = door.lookups._many

    def counted(asked: Any) -> Any:
        most[0] = max(most[0], door.quick.inside)
        return many(asked)

    monkeypatch.setattr(door.lookups, "_many", counted)
    with served(app) as url:
        board = make_program("board", url=url)
        asked = [hashed(code, f"post-{number}") for number, code in enumerate(strangers(100))]

        def send(_: int) -> int:
            answer = board.client.post("/v1/screenings:batch", json={"hashes": asked})
            return sum(one["screening"] is not None for one in answer.json()["results"])

        with ThreadPoolExecutor(8) as threads:
            assert list(threads.map(send, range(8))) == [100] * 8
    assert 1 < most[0] <= BATCHED


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
