"""Every role against every route of the console, as one table; and signing in through others."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import pyotp
import pytest
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from joserfc import jwt
from joserfc.jwk import RSAKey

from pipeline.domain.case import Ground
from pipeline.domain.roles import Role
from pipeline.journeys import review
from services.accounts import add_reviewer
from services.console import PARTS, create_app
from tests.integration.test_console import PASSWORD, Desk, field
from tests.world import Town, jpeg, picture

ANYBODY = frozenset({"/", "/me", "/me POST"})
OPEN = frozenset(
    {"/login", "/login POST", "/logout POST", "/sso/start", "/sso/done", "/sso/in", "/second",
     "/second/code POST", "/second/key POST", "/second/key/options POST", "/second/add",
     "/second/add/code POST", "/second/add/key POST", "/second/add/key/options POST"}
)  # fmt: skip
"""Signing in: what these let in is tested where signing in is."""

AT_CASES = {Role.REVIEWER, Role.SENIOR, Role.VERIFIER, Role.PROTECTED}
MAY: dict[str, set[Role]] = {
    "/queue": AT_CASES,
    "/queue/next POST": AT_CASES,
    "/queue/undo POST": AT_CASES,
    "/queue/kinds POST": AT_CASES,
    "/rest": AT_CASES,
    "/rest/begin POST": AT_CASES,
    "/rest/end POST": AT_CASES,
    "/cases": {Role.LEAD, Role.VERIFIER},
    "/cases/{case}": AT_CASES | {Role.LEAD},
    "/cases/{case}/claim POST": AT_CASES,
    "/cases/{case}/renew POST": AT_CASES,
    "/cases/{case}/release POST": AT_CASES,
    "/cases/{case}/skip POST": AT_CASES,
    "/cases/{case}/leave POST": AT_CASES,
    "/cases/{case}/media/{medium}/frames": AT_CASES,
    "/cases/{case}/media/{medium}/frames POST": AT_CASES,
    "/cases/{case}/decision POST": AT_CASES,
    "/cases/{case}/media/{medium}/preview": AT_CASES,
    "/cases/{case}/media/{medium}/reveal POST": AT_CASES,
    "/cases/{case}/media/{medium}/looked POST": AT_CASES,
    "/cases/{case}/report": {Role.PROTECTED},
    "/lead": {Role.LEAD},
    "/lead/cases.csv": {Role.LEAD},
    "/lead/banks": {Role.LEAD},
    "/lead/banks/learn POST": {Role.LEAD},
    "/lead/floods": {Role.LEAD},
    "/lead/floods/{item} POST": {Role.LEAD},
    "/house": {Role.OPERATOR},
    "/house POST": {Role.OPERATOR},
    "/people": {Role.OPERATOR},
    "/audit": {Role.AUDITOR},
}
NOBODYS = "01900000-0000-7000-8000-000000000000"
REFUSED = "not for your role"


def test_every_role_meets_every_route_as_the_table_says(town: Town) -> None:
    app = create_app(town.world)
    routes = {
        route.path + (" POST" if "POST" in (route.methods or ()) else "")
        for part in PARTS
        for route in part.router.routes
        if isinstance(route, APIRoute)
    }
    assert routes == set(MAY) | ANYBODY | OPEN, "a route without a line in the table"
    for role in Role:
        add_reviewer(town.world, role.value, PASSWORD, role=role.value)
        desk = Desk(town, TestClient(app, follow_redirects=False, raise_server_exceptions=False))
        assert desk.log_in(role.value).status_code == 303
        for route in sorted(set(MAY) | ANYBODY):
            path, _, post = route.partition(" ")
            for name in ("case", "medium", "item"):
                path = path.replace(f"{{{name}}}", NOBODYS)
            answer = desk.send(path) if post else desk.get(path)
            shut = answer.status_code == 403 and REFUSED in answer.text
            assert shut == (route in MAY and role not in MAY[route]), (role, route)
            assert answer.status_code < 500, (role, route)


def test_what_is_escalated_frozen_or_reported_is_seen_by_its_own_role_alone(town: Town) -> None:
    town.rules(undo_seconds=0)
    app, board = create_app(town.world), town.platform()
    cases = {}
    for seed, (name, ground) in enumerate(
        {"open": None, "escalated": Ground.UNSURE, "frozen": Ground.POSSIBLE_MINOR}.items()
    ):
        town.register(jpeg(picture(seed)))
        case = town.screen(board, jpeg(picture(seed), 60)).case
        assert case is not None
        cases[name] = case
        if ground:
            claim = review.claim(town.world.desk, case, town.reviewer(f"by-{name}"))
            review.escalate(town.world.desk, case, claim.token, ground, "Look.")
    sees = {
        "open": {Role.REVIEWER, Role.SENIOR, Role.LEAD},
        "escalated": {Role.SENIOR, Role.LEAD},
        "frozen": {Role.PROTECTED},
    }
    for role in Role:
        add_reviewer(town.world, role.value, PASSWORD, role=role.value)
        desk = Desk(town, TestClient(app, follow_redirects=False))
        desk.log_in(role.value)
        for name, case in cases.items():
            status = desk.get(f"/cases/{case}").status_code
            assert (status == 200) == (role in sees[name]), (role, name)
            taken = desk.send(f"/cases/{case}/claim").status_code
            assert (taken == 303) == (role in sees[name] - {Role.LEAD}), (role, name)
            town.query(
                "UPDATE cases SET lease_reviewer = NULL, lease_until = NULL, lease_token = NULL"
            )
        if role is Role.LEAD:
            table, export = desk.get("/cases").text, desk.get("/lead/cases.csv").text
            assert str(cases["open"]) in table
            assert str(cases["frozen"]) not in table + export
            assert export.count("\r\n") == 3, "a heading and every case that may be exported"


def test_codes_are_taken_once_and_an_unproven_session_is_good_for_nothing_else(
    make_town: Callable[..., Town],
) -> None:
    town = make_town(second_factor="required")
    app = create_app(town.world)
    add_reviewer(town.world, "ada", PASSWORD)
    desk = Desk(town, TestClient(app, follow_redirects=False))
    desk.log_in()
    for path in ("/queue", "/me", "/"):
        assert desk.get(path).headers["location"] == "/second"
    assert desk.get("/second").headers["location"] == "/second/add"
    page = desk.get("/second/add").text
    secret = page.split('class="long">')[1].split("<")[0].replace(" ", "")
    codes, csrf = pyotp.TOTP(secret), field(page, "csrf")
    wrong = desk.post("/second/add/code", {"csrf": csrf, "code": "000000"})
    assert wrong.status_code == 401
    code = codes.at(town.clock())
    assert desk.post("/second/add/code", {"csrf": csrf, "code": code}).status_code == 303
    assert desk.get("/queue").status_code == 200
    stored = town.query("SELECT sealed FROM second_factors")[0][0]
    assert secret.encode() not in bytes(stored)

    again = Desk(town, TestClient(app, follow_redirects=False))
    again.log_in()
    assert again.get("/second/add").status_code == 403, "a password alone adds no factor"
    csrf = field(again.get("/second").text, "csrf")
    assert again.post("/second/code", {"csrf": csrf, "code": code}).status_code == 401, "a replay"
    town.clock.forward(seconds=30)
    fresh = codes.at(town.clock())
    assert again.post("/second/code", {"csrf": csrf, "code": fresh}).status_code == 303
    assert again.get("/queue").status_code == 200


# --- single sign-on -------------------------------------------------------------------------------


class Provider(BaseHTTPRequestHandler):
    """A small OpenID Connect provider; ``said`` is what it puts into the next token."""

    key = RSAKey.generate_key(2048, {"kid": "one", "use": "sig", "alg": "RS256"})
    said: ClassVar[dict[str, Any]] = {}
    asked: ClassVar[dict[str, str]] = {}
    published: RSAKey | None = None
    url = ""

    def do_GET(self) -> None:
        if self.path == "/.well-known/openid-configuration":
            self._json(
                {
                    "issuer": self.url,
                    "authorization_endpoint": f"{self.url}/authorize",
                    "token_endpoint": f"{self.url}/token",
                    "jwks_uri": f"{self.url}/keys",
                }
            )
        else:
            self._json({"keys": [(self.published or self.key).as_dict(private=False)]})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        form = {name: values[0] for name, values in parse_qs(body).items()}
        if create_s256_code_challenge(form["code_verifier"]) != self.asked["code_challenge"]:
            self._json({"error": "invalid_grant"}, 400)
            return
        token = jwt.encode({"alg": "RS256", "kid": "one"}, self.said, self.key)
        self._json({"access_token": "x", "token_type": "Bearer", "id_token": token})

    def _json(self, document: Any, status: int = 200) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def provider() -> Iterator[type[Provider]]:
    with HTTPServer(("127.0.0.1", 0), Provider) as server:
        Provider.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield Provider
        server.shutdown()
        thread.join()


def test_an_organisations_sign_on_opens_a_session_for_an_account_that_exists(
    town: Town, provider: type[Provider]
) -> None:
    settings = town.world.settings.model_copy(update={"oidc_issuer": provider.url})
    app = create_app(replace(town.world, settings=settings))
    add_reviewer(town.world, "ada@helpline.example", PASSWORD)
    now = int(town.clock().timestamp())

    def come_back(**changes: Any) -> tuple[Desk, Any]:
        desk = Desk(town, TestClient(app, follow_redirects=False))
        assert "Sign in through your organisation" in desk.get("/login").text
        away = desk.get("/sso/start")
        asked = {k: v[0] for k, v in parse_qs(urlsplit(away.headers["location"]).query).items()}
        assert asked["code_challenge_method"] == "S256"
        provider.asked = asked
        provider.said = {
            "iss": provider.url, "aud": "consentry", "exp": now + 600, "iat": now,
            "nonce": asked["nonce"], "email": "ada@helpline.example", **changes,
        }  # fmt: skip
        state = str(changes.get("state", asked["state"]))
        return desk, desk.get(f"/sso/done?code=abc&state={state}")

    desk, answer = come_back()
    assert answer.headers["location"] == "/sso/in"
    assert desk.get("/sso/in").status_code == 200
    assert desk.get("/queue").status_code == 200
    for changes in (
        {"nonce": "another"},
        {"aud": "somebody else"},
        {"iss": "https://elsewhere.example"},
        {"exp": now - 600},
        {"state": "forged"},
        {"email": "stranger@helpline.example"},
    ):
        desk, answer = come_back(**changes)
        assert answer.status_code == 403, changes
        assert desk.get("/queue").status_code == 303, changes
    genuine = provider.key
    with pytest.MonkeyPatch.context() as patch:
        # Signed by somebody else than whose keys are published.
        stranger = RSAKey.generate_key(2048, {"kid": "one", "use": "sig", "alg": "RS256"})
        patch.setattr(provider, "published", genuine)
        patch.setattr(provider, "key", stranger)
        desk, answer = come_back()
        assert answer.status_code == 403
