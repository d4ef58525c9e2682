"""Every route of the API against every key and every role of the console, as one table.

Complete by construction: a route without a row fails, and so does a row without a route. What each
of the console's roles may do there is a table of its own, in ``test_console_roles``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.routing import Route

from pipeline.domain.bank import Bank, BankKind
from pipeline.domain.consent import Consent, ConsentState, Purpose
from pipeline.domain.ids import PlatformId
from pipeline.domain.media import Upload
from pipeline.domain.roles import Role
from pipeline.journeys.screen_reference import begin_batch
from services.accounts import add_platform, new_platform_key
from services.api import create_app
from services.console.sessions import cookie_name, digest
from services.wiring import now
from tests.serving import served
from tests.world import Town, jpeg, picture

HERS = jpeg(picture(1))
NOBODYS = "01900000-0000-7000-8000-000000000000"
HASHED = {"content_id": "c", "hashes": [{"signal": "pdq", "hash": "5a" * 32}]}
NOTICE = {
    "reference": "n-1", "locations": ["https://board.example/post/1"],
    "explanation": "A picture of me that I never agreed to.", "not_consented": True,
    "accurate": True, "signature": "A. B.", "contact": "a.b@mail.example",
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """What a route answers: to its own platform, and to another platform that names its things."""

    own: int
    other: int
    """404 where a path names something: what is not yours is not there."""
    open: bool = False
    """Answers without a key."""
    sent: dict[str, Any] = field(default_factory=dict)
    """Arguments of the request; texts in braces are filled in."""


def document(said: Any, **more: Any) -> dict[str, Any]:
    return {"json": said, **more}


TABLE: dict[str, Row] = {
    "GET /openapi.json": Row(200, 200, open=True),
    "GET /healthz": Row(200, 200, open=True),
    "GET /readyz": Row(200, 200, open=True),
    "GET /metrics": Row(200, 200, open=True),
    "GET /status": Row(200, 200, open=True),
    "GET /m/lookup": Row(200, 200, sent={"params": {"signal_type": "pdq", "signal": "5a" * 32}}),
    "POST /m/lookup": Row(422, 422, sent={"files": {"photo": ("p", b"x")}}),
    "GET /h/hash": Row(422, 422, sent={"params": {"url": "https://elsewhere.example/x"}}),
    "POST /h/hash": Row(422, 422, sent={"files": {"photo": ("p", b"x")}}),
    "POST /v1/screenings": Row(
        200, 200, sent={"params": {"content_id": "c"}, "content": b"x",
                        "headers": {"content-type": "image/jpeg"}},
    ),
    "GET /v1/screenings": Row(200, 200),
    "POST /v1/screenings/hashes": Row(200, 200, sent=document(HASHED)),
    "POST /v1/screenings/references": Row(
        # Not gone to: no operator entered this host.
        422, 422, sent=document({"content_id": "c", "media_url": "https://elsewhere.example/x"}),
    ),
    "POST /v1/screenings:batch": Row(200, 200, sent=document({"hashes": [HASHED]})),
    "GET /v1/batches/{batch}": Row(200, 404),
    "GET /v1/screenings/{screening}": Row(200, 404),
    "POST /v1/screenings/{screening}/actions": Row(
        201, 404, sent=document({"action": "removed", "at": "2026-11-01T00:00:00Z"}),
    ),
    "GET /v1/screenings/{screening}/actions": Row(200, 404),
    "POST /v1/notices": Row(201, 201, sent=document(NOTICE)),
    "GET /v1/cases": Row(200, 200),
    "GET /v1/cases/{case}": Row(200, 404),
    "GET /v1/cases/{case}/uploads": Row(200, 404),
    "GET /v1/cases/{case}/statement": Row(200, 404),
    "POST /v1/cases/{case}/appeals": Row(201, 404, sent=document({"statement": "It is mine."})),
    "GET /v1/policy": Row(200, 200),
    "PUT /v1/policy": Row(200, 200, sent={"json": {}, "headers": {"if-match": '"0"'}}),
    "POST /v1/policy:try": Row(200, 200, sent=document({"policy": {}})),
    "GET /v1/policy/versions": Row(200, 200),
    "GET /v1/banks": Row(200, 200),
    # Everybody's: each platform says for itself whether it only tries it.
    "PUT /v1/banks/{bank}": Row(200, 200, sent=document({"only_tried": True})),
    "GET /v1/banks/{bank}/trials": Row(200, 200),
    "GET /v1/events": Row(200, 200),
    "GET /v1/webhooks": Row(200, 200),
    "POST /v1/webhooks": Row(201, 201, sent=document({"url": "https://board.example/h"})),
    "GET /v1/webhooks/{webhook}": Row(200, 404),
    "PUT /v1/webhooks/{webhook}": Row(200, 404, sent=document({"url": "https://board.example/i"})),
    "POST /v1/webhooks/{webhook}:rotate": Row(200, 404, sent=document({})),
    "POST /v1/webhooks/{webhook}:test": Row(200, 404),
    "POST /v1/webhooks/{webhook}:replay": Row(200, 404, sent=document({"event": "{event}"})),
    "GET /v1/webhooks/{webhook}/deliveries": Row(200, 404),
    "DELETE /v1/webhooks/{webhook}": Row(204, 404),
}  # fmt: skip
"""In an order in which each can be asked for once; what removes something comes last."""


def routes_of(app: FastAPI) -> set[str]:
    """Every method and path that the app answers, in routers that it includes too."""
    found, waiting = set(), list(app.routes)
    for route in waiting:
        included = getattr(route, "original_router", None)
        if included is not None:
            waiting += included.routes
            continue
        assert isinstance(route, Route), f"{route} is mounted, and nothing here sees into it"
        found |= {f"{method} {route.path}" for method in (route.methods or ()) - {"HEAD"}}
    return found


def test_every_route_has_a_row_and_every_row_a_route(town: Town) -> None:
    assert routes_of(create_app(town.world, town.live)) == set(TABLE), (
        "a route without a row in the table, or the reverse"
    )


@pytest.fixture
def things(town: Town) -> tuple[PlatformId, str, dict[str, str]]:
    """A platform, its key, and one of each thing that a path can name, all its own."""
    made = add_platform(town.world, "board", "http://127.0.0.1:9/hook", 100_000)
    town.register(HERS)
    answer = town.screen(made.platform, HERS, "post-1")
    town.uphold(answer.case, town.reviewer())
    with town.world.store.transaction() as unit:
        (webhook,) = unit.webhooks.of(made.platform)
        (event,) = unit.events.page(made.platform, None, 5)
        holder = unit.registry.add_person(
            "A" * 12, "no PIN", Consent(Purpose.HASHES, "list").to(ConsentState.GIVEN, now()), b"x"
        )
        unit.banks.add(Bank("a list", holder, None, kind=BankKind.PARTNER))
    batch = begin_batch(
        town.world.store, now, town.world.screener(town.live), made.platform,
        [(Upload("post-2", None), "https://elsewhere.example/x")], None,
    )  # fmt: skip
    named = {
        "bank": "a list", "batch": str(batch),
        "screening": str(answer.id), "case": str(answer.case), "webhook": str(webhook.id),
        "event": str(event["id"]),
    }  # fmt: skip
    return made.platform, made.api_key, named


def ask(url: str, row: str, named: dict[str, str], headers: dict[str, str]) -> int:
    """The status of a route's answer, with every name in its path and body filled in."""

    def filled(value: Any) -> Any:
        if isinstance(value, str):
            for name, one in named.items():
                value = value.replace(f"{{{name}}}", one)
        elif isinstance(value, dict):
            value = {key: filled(one) for key, one in value.items()}
        return value

    method, path = row.split(" ")
    sent = filled(TABLE[row].sent)
    sent["headers"] = {**sent.get("headers", {}), **headers}
    answer = httpx.request(method, url + filled(path), timeout=30, **sent)
    assert answer.status_code < 500, (row, answer.text)
    return answer.status_code


def test_each_key_and_each_role_may_do_what_the_table_says_and_nothing_else(
    town: Town, things: tuple[PlatformId, str, dict[str, str]]
) -> None:
    _, own, named = things
    other = add_platform(town.world, "blog", None, 100_000).api_key
    ended = add_platform(town.world, "ended", None, 100_000).api_key
    new_platform_key(town.world, "ended", revoke=True)
    shut = add_platform(town.world, "shut", None, 100_000)
    town.query("UPDATE platforms SET disabled_at = now() WHERE id = %s", shut.platform)
    nobody: dict[str, dict[str, str]] = {
        "no key": {},
        "a wrong key": bearer("csk_" + "x" * 43),
        "an empty key": {"authorization": "Bearer"},
        "another scheme": {"authorization": f"Basic {own}"},
        "an ended key": bearer(ended),
        "a key of a platform that was shut out": bearer(shut.api_key),
        **{f"a {role} of the console": console(town, role) for role in Role},
    }
    with served(create_app(town.world, town.live)) as url:
        for who, headers in nobody.items():
            for row, says in TABLE.items():
                wanted = says.own if says.open else 401
                assert ask(url, row, named, headers) == wanted, (who, row)
        for row, says in TABLE.items():
            assert ask(url, row, named, bearer(other)) == says.other, ("another platform", row)
        nothing = {name: NOBODYS for name in named if name != "event"} | {"event": named["event"]}
        for row in TABLE:
            if "{" in row:
                assert ask(url, row, nothing, bearer(own)) == 404, ("its own, not there", row)
        for row, says in TABLE.items():
            assert ask(url, row, named, bearer(own)) == says.own, ("its own", row)


def test_a_key_that_is_ended_is_refused_within_seconds_by_a_running_process(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys are remembered for two seconds by a process: no longer."""
    key = add_platform(town.world, "board", None, 1000).api_key
    app = create_app(town.world, town.live)
    clock = [0.0]
    app.state.door.keys._monotonic = lambda: clock[0]
    with served(app) as url:
        assert ask(url, "GET /v1/cases", {}, bearer(key)) == 200
        new_platform_key(town.world, "board", revoke=True)
        clock[0] += 2.1
        assert ask(url, "GET /v1/cases", {}, bearer(key)) == 401


# --- what makes something twice ----------------------------------------------------------------

TWICE: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "POST /v1/screenings": lambda sent: {**sent, "content": b"y"},
    "POST /v1/screenings/hashes": lambda sent: other_json(sent, content_id="d"),
    "POST /v1/screenings/{screening}/actions": lambda sent: other_json(sent, action="restored"),
    "POST /v1/notices": lambda sent: other_json(sent, reference="n-2"),
    "POST /v1/cases/{case}/appeals": lambda sent: other_json(sent, statement="No."),
    "POST /v1/policy:try": lambda sent: other_json(sent, last=5),
    "POST /v1/webhooks": lambda sent: other_json(sent, url="https://board.example/other"),
    "POST /v1/webhooks/{webhook}:rotate": lambda sent: other_json(sent, overlap_hours=1),
    "POST /v1/webhooks/{webhook}:replay": lambda sent: {"json": {"since": "2026-01-01T00:00:00Z"}},
}
"""Every POST that can be answered here, and the same with another body."""

ELSEWHERE = {
    "POST /v1/screenings/references": "test_api_several has a host to fetch from",
    "POST /v1/screenings:batch": "what failed of it is tried anew: test_api_several",
    "POST /v1/webhooks/{webhook}:test": "has no body that could be another",
    "POST /m/lookup": "test_hma_words sends a picture that can be looked up",
    "POST /h/hash": "makes nothing, and what it answers is kept nowhere",
}


def other_json(sent: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {**sent, "json": {**sent["json"], **changes}}


def test_every_post_honours_an_idempotency_key(
    town: Town, things: tuple[PlatformId, str, dict[str, str]]
) -> None:
    """The same body has the same answer; another body is refused; the document says so."""
    _, own, named = things
    posts = {row for row in TABLE if row.startswith("POST ")}
    assert posts == set(TWICE) | set(ELSEWHERE), "a POST that nobody sends twice"
    app = create_app(town.world, town.live)
    for row in posts - {"POST /h/hash"}:
        operation = app.openapi()["paths"][row.removeprefix("POST ")]["post"]
        names = {one["name"] for one in operation["parameters"]}
        assert "Idempotency-Key" in names, row
    with served(app) as url:
        for number, (row, change) in enumerate(TWICE.items()):
            path = row.removeprefix("POST ")
            for name, one in named.items():
                path = path.replace(f"{{{name}}}", one)
            sent = TABLE[row].sent
            if row.endswith(":replay"):
                sent = document({"event": named["event"]})
            headers = {**sent.get("headers", {}), **bearer(own), "idempotency-key": f"k-{number}"}
            said = [
                httpx.post(url + path, **{**one, "headers": headers}, timeout=30)
                for one in (sent, sent, change(dict(sent)))
            ]
            assert said[0].status_code == TABLE[row].own, (row, said[0].text)
            first, second = (one.json() for one in said[:2])
            if row == "POST /v1/notices":  # its code is told once, and kept nowhere
                assert first.pop("code")
                assert second.pop("code") is None
            assert second == first, row
            assert said[1].status_code == said[0].status_code, row
            assert said[1].headers["idempotency-replayed"] == "true", row
            assert said[2].status_code == 422, row
            assert said[2].json()["code"] == "idempotency_mismatch", row


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def console(town: Town, role: Role) -> dict[str, str]:
    """The headers of somebody who is signed in at the console."""
    token = f"token-of-{role}"
    with town.world.store.transaction() as unit:
        reviewer = unit.reviewers.add(f"some-{role}", "no password", role.value)
        until = now() + timedelta(hours=1)
        unit.reviewers.create_session(reviewer, digest(token), "csrf", now(), until)
    return {"cookie": f"{cookie_name(town.world)}={token}", **bearer(token)}
