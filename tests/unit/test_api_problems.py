"""Problems: one form, stable codes, nothing of the request or of the trouble behind it."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest
import structlog
from pydantic import ValidationError
from starlette.types import Message, Receive, Scope, Send

from pipeline import errors
from pipeline.errors import ConsentryError
from services.api.edge import Edge
from services.api.problems import (
    MEDIA_TYPE,
    TITLES,
    Declined,
    answer,
    field_errors,
    of_error,
)
from services.api.schemas import HashesAsked, Problem


@pytest.mark.parametrize("code", sorted(TITLES))
def test_every_code_makes_a_whole_problem(code: str) -> None:
    response = answer("id-1", Declined(418, code, "what to do"))
    said = Problem.model_validate_json(response.body)
    assert said.type == f"urn:consentry:problem:{code}"
    assert (said.code, said.status, said.detail) == (code, 418, "what to do")
    assert said.instance == "urn:consentry:request:id-1"
    assert response.headers["content-type"] == MEDIA_TYPE
    assert "errors" not in json.loads(response.body)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (errors.Unavailable("later"), 503, "unavailable"),
        (errors.IndexNotReady("later"), 503, "index_not_ready"),
        (errors.NotFound("nothing"), 404, "not_found"),
        (errors.Invalid("wrong"), 422, "invalid"),
        (errors.IdempotencyMismatch("other"), 422, "idempotency_mismatch"),
        (errors.Conflict("moved on"), 409, "conflict"),
        (errors.IllegalTransition("moved on"), 409, "conflict"),
        (errors.Misconfigured("the operator's path"), 500, "internal"),
        (errors.Tampered("something sealed"), 500, "internal"),
    ],
)
def test_what_the_pipeline_refuses_has_a_status_and_a_code(
    error: ConsentryError, status: int, code: str
) -> None:
    declined = of_error(error)
    assert (declined.status, declined.code) == (status, code)
    assert (declined.detail == str(error)) == (status != 500), "our own trouble is not told"
    assert ("retry-after" in declined.headers) == (status == 503)


def test_fields_are_named_and_values_and_strange_keys_are_not() -> None:
    asked = {"content_id": 5, "5e5e": 1, "hashes": [{"signal": "pdq", "hash": "5e5e", "x5e5e": 2}]}
    with pytest.raises(ValidationError) as found:
        HashesAsked.model_validate_json(json.dumps(asked))
    told = field_errors(found.value.errors(include_input=False), "body")
    assert {error.where for error in told} == {
        "body.content_id",
        "body.hashes.0.hash",
        "body.hashes.0.(unknown field)",
        "body.(unknown field)",
    }
    assert "5e5e" not in str(told)


@pytest.mark.parametrize(
    ("quality", "fits"),
    [("17", True), ("17.0", True), ("17.5", False), ('"17"', False), ("true", False)],
)
def test_a_quality_is_a_whole_number_as_json_has_it(quality: str, fits: bool) -> None:
    asked = (
        f'{{"content_id": "x", "hashes": [{{"signal": "pdq", "hash": "{"0" * 64}",'
        f' "quality": {quality}}}]}}'
    )
    if fits:
        assert HashesAsked.model_validate_json(asked).hashes[0].quality == 17
    else:
        with pytest.raises(ValidationError):
            HashesAsked.model_validate_json(asked)


class Counted:
    """Metrics that remember what they were told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, int]] = []

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        assert seconds >= 0
        self.told.append((route, method, status))


def pass_through(app: Any) -> tuple[list[Message], Counted, list[Any]]:
    """What is sent, counted and logged when a request goes through the edge."""
    sent: list[Message] = []
    counted: Any = Counted()

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/5e5e", "headers": [], "query_string": b""}
    with structlog.testing.capture_logs() as written:
        anyio.run(Edge(app, counted), scope, receive, send)
    return sent, counted, list(written)


def test_a_defect_is_answered_and_only_its_kind_is_written() -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise ZeroDivisionError("5e5e")

    sent, counted, written = pass_through(broken)
    assert sent[0]["status"] == 500
    assert json.loads(sent[1]["body"])["code"] == "internal"
    assert counted.told == [("unmatched", "GET", 500)]
    assert "ZeroDivisionError" in str(written)
    assert "5e5e" not in str(written)


def test_a_defect_after_the_answer_began_is_not_answered_twice() -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        pass_through(broken)


def test_headers_that_a_route_set_are_left_as_they_are() -> None:
    async def own(scope: Scope, receive: Receive, send: Send) -> None:
        start = {"type": "http.response.start", "status": 200}
        await send({**start, "headers": [(b"cache-control", b"max-age=5")]})

    sent, _, _ = pass_through(own)
    headers = dict(sent[0]["headers"])
    assert headers[b"cache-control"] == b"max-age=5"
    assert headers[b"x-content-type-options"] == b"nosniff"
    assert len(headers[b"x-request-id"]) == 32


def test_what_is_no_request_passes_untouched() -> None:
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    counted: Any = Counted()
    anyio.run(Edge(app, counted), {"type": "lifespan"}, None, None)
    assert seen == ["lifespan"]
    assert counted.told == []
