"""The console over HTTP and a real database: who gets in, what they see, what they may do."""

from __future__ import annotations

import io
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from html import unescape
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from pipeline.domain.ids import CaseId
from pipeline.journeys import review
from pipeline.journeys.withdraw import ask, finish
from pipeline.storage.migrate import migrate
from services.accounts import add_reviewer
from services.console import create_app
from services.wiring import alive, now
from tests.pictures import encode, textured
from tests.world import Town, jpeg, picture

PASSWORD = "a long enough password"
HTML = {"accept": "text/html,application/xhtml+xml"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)


def field(page: str, name: str) -> str:
    """The first value that a page's forms give a field."""
    found = re.search(rf'name="{name}" value="([^"]*)"', page)
    assert found, f"the page has no field {name}"
    return unescape(found[1])


@dataclass
class Desk:
    """A reviewer with a browser that has no scripts."""

    town: Town
    browser: TestClient

    def get(self, path: str) -> httpx.Response:
        return self.browser.get(path, headers=HTML)

    def post(self, path: str, data: dict[str, str] | None = None, **headers: str) -> httpx.Response:
        return self.browser.post(path, data=data or {}, headers={**HTML, **headers})

    def log_in(self, login: str = "ada", password: str = PASSWORD) -> httpx.Response:
        token = field(self.get("/login").text, "csrf")
        return self.post("/login", {"csrf": token, "login": login, "password": password})

    def csrf(self) -> str:
        return field(self.get("/me").text, "csrf")

    @property
    def pseudonym(self) -> str:
        """What colleagues call whoever sits here."""
        found = re.search(r"call you <strong>(\w+)<", self.get("/me").text)
        assert found
        return found[1]

    def send(self, path: str, **data: str) -> httpx.Response:
        return self.post(path, {"csrf": self.csrf(), **data})

    def claim(self, case: CaseId | None) -> str:
        """Claim a case; the lease's token as the page carries it."""
        assert self.send(f"/cases/{case}/claim").status_code == 303
        return self.token(case)

    def token(self, case: CaseId | None) -> str:
        return field(self.get(f"/cases/{case}").text, "token")

    def decide(self, case: CaseId | None, token: str, outcome: str, reason: str = "Seen.",
               **more: str) -> httpx.Response:  # fmt: skip
        return self.send(
            f"/cases/{case}/decision", token=token, outcome=outcome, reason=reason, **more
        )


MakeDesk = Callable[..., Desk]


@pytest.fixture
def make_desk(town: Town) -> MakeDesk:
    """Make reviewers, each in front of a browser, signed in unless told otherwise."""
    app = create_app(town.world)
    town.rules(undo_seconds=0)  # what can be undone is tested on its own

    def make(login: str = "ada", *, role: str = "reviewer", signed_in: bool = True) -> Desk:
        add_reviewer(town.world, login, PASSWORD, role=role)
        desk = Desk(town, TestClient(app, follow_redirects=False, raise_server_exceptions=False))
        if signed_in:
            assert desk.log_in(login).status_code == 303
        return desk

    return make


@pytest.fixture
def make_case(town: Town) -> Callable[..., CaseId]:
    """Make cases, each of another registered picture."""
    boards = {}

    def make(seed: int = 1, platform: str = "board", content_id: str = "post-1") -> CaseId:
        if platform not in boards:
            boards[platform] = town.platform(platform)
        town.register(jpeg(picture(seed)))
        case = town.screen(boards[platform], jpeg(picture(seed), 60), content_id).case
        assert case is not None
        town.clock.forward(seconds=1)
        return case

    return make


def media_of(town: Town, case: CaseId) -> str:
    return str(town.query("SELECT id FROM media WHERE case_id = %s", case)[0][0])


def audited(town: Town, action: str) -> int:
    return int(town.query("SELECT count(*) FROM audit_log WHERE action = %s", action)[0][0])


# --- who gets in -------------------------------------------------------------------------------


def test_the_right_password_opens_a_session_in_a_cookie_that_scripts_and_other_sites_lack(
    make_desk: MakeDesk,
) -> None:
    desk = make_desk(signed_in=False)
    entered = desk.log_in()
    assert (entered.status_code, entered.headers["location"]) == (303, "/")
    cookie = next(
        one for one in entered.headers.get_list("set-cookie")
        if one.startswith("consentry-console=")
    )  # fmt: skip
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))
    assert desk.get("/queue").status_code == 200
    token = desk.browser.cookies["consentry-console"]
    stored = bytes(desk.town.query("SELECT digest FROM sessions")[0][0])
    assert len(token) >= 43
    assert token.encode() not in stored, "the database cannot be used to sign in"


def test_behind_tls_cookies_are_secure_and_bound_to_the_host(town: Town) -> None:
    add_reviewer(town.world, "ada", PASSWORD)
    settings = town.world.settings.model_copy(update={"secure_cookies": True})
    app = create_app(replace(town.world, settings=settings))
    browser = TestClient(app, base_url="https://testserver", follow_redirects=False)
    entered = Desk(town, browser).log_in()
    cookies = [one for one in entered.headers.get_list("set-cookie") if "Max-Age=0" not in one]
    assert len(cookies) == 1
    assert cookies[0].startswith("__Host-consentry-console=")
    assert "Secure" in cookies[0].split("; ")


def test_an_unknown_login_and_a_wrong_password_get_the_same_answer(make_desk: MakeDesk) -> None:
    desk = make_desk(signed_in=False)
    wrong, unknown = desk.log_in("ada", "wrong"), desk.log_in("eve", "wrong")
    assert wrong.status_code == unknown.status_code == 401
    assert wrong.text.replace("ada", "eve") == unknown.text
    assert "do not go together" in wrong.text
    assert desk.get("/queue").headers["location"] == "/login"


def test_an_unknown_login_costs_as_much_work_as_a_wrong_password(town: Town) -> None:
    checked: list[str | None] = []

    class Recording:
        def digest(self, secret: str) -> str:
            return town.world.pins.digest(secret)

        def matches(self, digest: str | None, secret: str) -> bool:
            checked.append(digest)
            return town.world.pins.matches(digest, secret)

    add_reviewer(town.world, "ada", PASSWORD)
    app = create_app(replace(town.world, pins=Recording()))
    desk = Desk(town, TestClient(app, follow_redirects=False))
    for login in ("ada", "eve"):
        assert desk.log_in(login, "wrong").status_code == 401
    assert [digest is None for digest in checked] == [False, True]


def test_guessing_makes_a_login_wait_even_for_the_right_password_and_the_wait_ends(
    make_desk: MakeDesk,
) -> None:
    desk = make_desk(signed_in=False)
    answers = [desk.log_in("ada", f"guess {n}").status_code for n in range(5)]
    assert answers == [401, 401, 401, 401, 429]
    refused = desk.log_in()
    assert refused.status_code == 429
    wait = int(refused.headers["retry-after"])
    assert wait >= 1
    assert "Try again in" in refused.text
    desk.town.clock.forward(seconds=wait)
    assert desk.log_in().status_code == 303


def test_the_session_token_is_a_new_one_at_every_login_and_the_old_one_ends(
    make_desk: MakeDesk,
) -> None:
    desk = make_desk()
    first = desk.browser.cookies["consentry-console"]
    desk.log_in()
    assert desk.browser.cookies["consentry-console"] != first
    desk.browser.cookies.set("consentry-console", first)
    assert desk.get("/queue").status_code == 303


@pytest.mark.parametrize("path", ["/", "/queue", "/cases/01900000-0000-7000-8000-000000000000"])
def test_no_page_is_shown_without_a_session(make_desk: MakeDesk, path: str) -> None:
    answer = make_desk(signed_in=False).get(path)
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")


def test_nothing_is_done_and_no_picture_shown_without_a_session(
    make_desk: MakeDesk, make_case: Callable[..., CaseId]
) -> None:
    case, desk = make_case(), make_desk(signed_in=False)
    media = f"/cases/{case}/media/{media_of(desk.town, case)}"
    assert desk.browser.get(f"{media}/preview").status_code == 401
    for path in ("/queue/next", "/logout", f"{media}/reveal", *(
        f"/cases/{case}/{verb}" for verb in ("claim", "renew", "release", "decision")
    )):  # fmt: skip
        assert desk.post(path, {"token": "x"}).status_code == 401, path


def test_a_session_ends_after_half_an_hour_without_use(make_desk: MakeDesk) -> None:
    desk = make_desk()
    for _ in range(3):
        desk.town.clock.forward(minutes=29)
        assert desk.get("/queue").status_code == 200
    desk.town.clock.forward(minutes=31)
    assert desk.get("/queue").status_code == 303


def test_a_session_ends_after_twelve_hours_however_busy(make_desk: MakeDesk) -> None:
    desk = make_desk()
    for _ in range(24):
        desk.town.clock.forward(minutes=29)
        assert desk.get("/queue").status_code == 200
    desk.town.clock.forward(minutes=25)
    assert desk.get("/queue").status_code == 303


def test_signing_out_destroys_the_session(make_desk: MakeDesk) -> None:
    desk = make_desk()
    token = desk.browser.cookies["consentry-console"]
    assert desk.send("/logout").headers["location"] == "/login"
    desk.browser.cookies.set("consentry-console", token)
    assert desk.get("/queue").status_code == 303
    assert desk.town.query("SELECT count(*) FROM sessions") == [(0,)]


# --- what every answer carries, and forged requests --------------------------------------------


@pytest.mark.parametrize("path", ["/login", "/queue", "/nowhere", "/static/console.css"])
def test_every_answer_carries_the_security_headers(make_desk: MakeDesk, path: str) -> None:
    headers = make_desk().get(path).headers
    assert headers["content-security-policy"] == POLICY
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "camera=()" in headers["permissions-policy"]
    assert headers["cache-control"] == ("no-cache" if "static" in path else "no-store")


def test_an_error_that_nobody_foresaw_says_nothing_and_carries_the_headers_too(
    town: Town,
) -> None:
    class Broken:
        def transaction(self, *, snapshot: bool = False) -> None:
            raise RuntimeError("a secret")

    app = create_app(replace(town.world, store=Broken()))  # type: ignore[arg-type]
    browser = TestClient(app, raise_server_exceptions=False)
    browser.cookies.set("consentry-console", "x")
    answer = browser.get("/queue", headers=HTML)
    assert answer.status_code == 500
    assert "a secret" not in answer.text
    assert answer.headers["content-security-policy"] == POLICY


def test_pages_hold_no_inline_script_or_style(
    make_desk: MakeDesk, make_case: Callable[..., CaseId]
) -> None:
    case, desk = make_case(), make_desk()
    desk.claim(case)
    for path in ("/queue", f"/cases/{case}"):
        page = desk.get(path).text
        assert not re.search(r"\sstyle=|<style|\son\w+=|javascript:", page), path
        assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", page)), path


@pytest.mark.parametrize("token", ["", "wrong", "\u00e9"])
def test_a_form_without_its_sessions_token_is_refused(
    make_desk: MakeDesk, make_case: Callable[..., CaseId], token: str
) -> None:
    case, desk = make_case(), make_desk()
    for path in ("/queue/next", f"/cases/{case}/claim", "/logout"):
        assert desk.post(path, {"csrf": token}).status_code == 403, path
    assert desk.town.query("SELECT lease_token FROM cases") == [(None,)]


def test_the_token_of_another_session_is_refused(make_desk: MakeDesk) -> None:
    ada, ben = make_desk("ada"), make_desk("ben")
    assert ben.post("/queue/next", {"csrf": ada.csrf()}).status_code == 403


def test_the_login_form_needs_the_cookie_it_was_made_with(make_desk: MakeDesk) -> None:
    desk = make_desk(signed_in=False)
    token = field(desk.get("/login").text, "csrf")
    desk.browser.cookies.clear()
    sent = {"csrf": token, "login": "ada", "password": PASSWORD}
    assert desk.post("/login", sent).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "https://elsewhere.example"},
        {"origin": "https://testserver.elsewhere.example"},
    ],
)
def test_a_form_that_another_site_sent_is_refused_whatever_it_carries(
    make_desk: MakeDesk, headers: dict[str, str]
) -> None:
    desk = make_desk()
    assert desk.post("/queue/next", {"csrf": desk.csrf()}, **headers).status_code == 403


def test_a_form_is_read_with_a_limit_and_only_as_a_form(make_desk: MakeDesk) -> None:
    desk = make_desk()
    assert desk.post("/queue/next", {"reason": "x" * 70_000}).status_code == 413
    as_json = desk.browser.post("/queue/next", json={"csrf": desk.csrf()}, headers=HTML)
    assert as_json.status_code == 415


# --- the queue ---------------------------------------------------------------------------------


def test_a_reviewer_gets_one_button_and_no_list(
    make_desk: MakeDesk, make_case: Callable[..., CaseId]
) -> None:
    case, desk = make_case(), make_desk()
    page = desk.get("/queue").text
    assert "One case waits" in page
    assert "Start reviewing" in page
    assert str(case) not in page
    assert "<img" not in page
    assert desk.get("/cases").status_code == 403


def test_a_lead_sees_all_that_waits_first_what_comes_first_without_any_picture(
    make_desk: MakeDesk, make_case: Callable[..., CaseId], town: Town
) -> None:
    old, new = make_case(1), make_case(2, platform="forum <b>")
    town.clock.forward(hours=3, minutes=20)
    lead = make_desk("lea", role="lead")
    page = lead.get("/cases").text
    assert page.index(str(old)) < page.index(str(new))
    assert re.search(r"3 h \d+ min", page)
    assert "forum &lt;b&gt;" in page
    assert "<img" not in page
    only = lead.get("/cases?platform=forum+%3Cb%3E").text
    assert str(new) in only
    assert str(old) not in only
    assert str(old) not in lead.get("/cases?kind=appeal").text
    facts = lead.get(f"/cases/{old}").text
    assert "What matched" in facts
    assert "<img" not in facts


def test_the_leads_table_is_paged_by_a_cursor(
    make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch, make_case: Callable[..., CaseId]
) -> None:
    monkeypatch.setattr("services.console.list_page.PAGE", 2)
    cases = [make_case(seed, content_id=f"post-{seed}") for seed in range(1, 6)]
    desk, path, seen = make_desk("lea", role="lead"), "/cases", []
    for _ in range(3):
        page = desk.get(path).text
        seen.append([case for case in cases if f'"/cases/{case}"' in page])
        onward = re.search(r'href="(/cases\?after=[^"]+)"', page)
        path = onward[1] if onward else ""
    assert seen == [cases[:2], cases[2:4], cases[4:]]
    assert not path


def test_an_empty_queue_says_so(make_desk: MakeDesk) -> None:
    desk = make_desk()
    assert "Nothing waits" in desk.get("/queue").text
    assert desk.send("/queue/next").headers["location"] == "/queue?empty=1"


# --- a case ------------------------------------------------------------------------------------


def test_a_case_is_taken_looked_at_and_upheld(
    make_desk: MakeDesk, make_case: Callable[..., CaseId]
) -> None:
    case, desk = make_case(), make_desk()
    started = desk.send("/queue/next")
    assert started.headers["location"] == f"/cases/{case}"
    page = desk.get(f"/cases/{case}").text
    assert "PDQ" in page
    assert "the whole picture" in page
    assert "post-1" in page
    media = f"/cases/{case}/media/{media_of(desk.town, case)}"
    preview = desk.browser.get(f"{media}/preview")
    assert preview.headers["content-type"] == "image/jpeg"
    assert Image.open(io.BytesIO(preview.content)).mode == "L"
    looked = desk.send(f"{media}/reveal", token=desk.token(case))
    assert Image.open(io.BytesIO(looked.content)).size == (320, 240)
    assert looked.headers["cache-control"] == "no-store"
    assert (audited(desk.town, "media.derivative"), audited(desk.town, "media.revealed")) == (1, 1)
    decided = desk.decide(case, desk.token(case), "upheld:match", "It is hers.")
    assert decided.headers["location"] == f"/queue?decided={case}"
    assert "upheld" in desk.get(decided.headers["location"]).text
    shown = desk.get(f"/cases/{case}").text
    assert "It is hers." in shown
    assert f"by {desk.pseudonym}" in shown
    assert desk.town.query("SELECT count(*) FROM takedowns") == [(1,)]


def test_decide_and_next_leads_to_the_next_case_or_says_that_there_is_none(
    make_desk: MakeDesk, make_case: Callable[..., CaseId]
) -> None:
    first, second = make_case(1), make_case(2, content_id="post-2")
    desk = make_desk()
    went = desk.decide(first, desk.claim(first), "dismissed:not_intimate", then="next")
    assert went.headers["location"] == f"/cases/{second}?decided={first}"
    went = desk.decide(second, desk.token(second), "dismissed:consented", then="next")
    assert went.headers["location"] == f"/queue?empty=1&decided={second}"
    assert desk.get(went.headers["location"]).status_code == 200


def test_two_reviewers_never_hold_one_case(
    make_desk: MakeDesk, make_case: Callable[..., CaseId]
) -> None:
    case, ada, ben = make_case(), make_desk("ada"), make_desk("ben")
    ada.claim(case)
    refused = ben.send(f"/cases/{case}/claim")
    assert refused.status_code == 409
    assert "another reviewer is working on this case" in refused.text
    page = ben.get(f"/cases/{case}").text
    assert f"Held by {ada.pseudonym}" in page
    assert 'name="token"' not in page
    assert "<img" not in page
    assert ben.send("/queue/next").headers["location"] == "/queue?empty=1"
    ben.town.clock.forward(minutes=11)
    ben.claim(case)


def test_nothing_is_revealed_without_the_lease(
    make_desk: MakeDesk, make_case: Callable[..., CaseId]
) -> None:
    case, ada, ben = make_case(), make_desk("ada"), make_desk("ben")
    media = f"/cases/{case}/media/{media_of(ada.town, case)}"
    nobodys = "01900000-0000-4000-8000-000000000000"
    assert ada.send(f"{media}/reveal", token=nobodys).status_code == 409
    assert ada.get(f"{media}/preview").status_code == 409
    token = ada.claim(case)
    assert ben.get(f"{media}/preview").status_code == 409
    assert ben.send(f"{media}/reveal", token=nobodys).status_code == 409
    assert ada.send(f"{media}/reveal", token="").status_code == 422
    ada.town.clock.forward(minutes=11)
    assert ada.send(f"{media}/reveal", token=token).status_code == 409
    assert ada.get(f"{media}/preview").status_code == 409
    assert audited(ada.town, "media.revealed") == audited(ada.town, "media.derivative") == 0


def test_a_picture_of_one_case_is_not_shown_through_another(
    make_desk: MakeDesk, make_case: Callable[..., CaseId]
) -> None:
    first, second = make_case(1), make_case(2, content_id="post-2")
    desk = make_desk()
    token = desk.claim(first)
    other = f"/cases/{first}/media/{media_of(desk.town, second)}"
    assert desk.get(f"{other}/preview").status_code == 404
    assert desk.send(f"{other}/reveal", token=token).status_code == 404


@pytest.mark.parametrize("format", ["TIFF", "HEIF", "PNG", "GIF"])
def test_whatever_was_uploaded_is_shown_made_anew_without_its_metadata(
    make_desk: MakeDesk, town: Town, format: str
) -> None:
    body = encode(textured(2100, 1050, seed=4), format)
    town.register(body)
    case = town.screen(town.platform(), body).case
    assert case is not None
    desk = make_desk()
    token = desk.claim(case)
    shown = desk.send(f"/cases/{case}/media/{media_of(town, case)}/reveal", token=token)
    picture = Image.open(io.BytesIO(shown.content))
    assert (picture.format, picture.size) == ("JPEG", (2048, 1024))
    assert not {"exif", "icc_profile", "comment", "xmp"} & set(picture.info)


def test_a_decision_after_the_lease_was_lost_keeps_what_was_typed(
    make_desk: MakeDesk, make_case: Callable[..., CaseId]
) -> None:
    case, desk = make_case(), make_desk()
    token = desk.claim(case)
    desk.town.clock.forward(minutes=11)
    refused = desk.decide(case, token, "dismissed:consented", "She <said> so.")
    assert refused.status_code == 409
    assert "claim it again" in refused.text
    assert "She &lt;said&gt; so." in refused.text
    again = desk.send(
        f"/cases/{case}/claim", reason="She <said> so.", outcome="dismissed:consented"
    )
    assert again.status_code == 200
    assert "She &lt;said&gt; so." in again.text
    assert re.search(r'value="dismissed:consented" required checked', again.text)
    done = desk.decide(case, field(again.text, "token"), "dismissed:consented", "She said so.")
    assert done.status_code == 303


def test_a_case_that_closed_meanwhile_says_so_and_gives_the_text_back(
    make_desk: MakeDesk, town: Town
) -> None:
    person = town.register(jpeg(picture(1)))
    case = town.screen(town.platform(), jpeg(picture(1), 60)).case
    desk = make_desk()
    token = desk.claim(case)
    receipt = ask(town.world.store, town.world.pins, town.clock, person.case_number, person.pin)
    finish(town.world.store, town.world.blobs, now, alive, receipt, timedelta(0))
    refused = desk.decide(case, token, "upheld:match", "It is hers.")
    assert refused.status_code == 409
    assert "withdrawn" in refused.text
    assert "It is hers." in refused.text
    assert town.query("SELECT count(*) FROM takedowns") == [(0,)]


@pytest.mark.parametrize(
    ("outcome", "reason", "said"),
    [
        ("", "Seen.", "choose a decision"),
        ("escalated:unsure", "  ", "needs a reason"),
        ("upheld:consented", "Seen.", "the grounds are: match"),
        ("withdrawn:match", "Seen.", "choose one of the decisions"),
        ("nonsense", "Seen.", "choose one of the decisions"),
        ("upheld:match", "x" * 4001, "shorten the reason"),
    ],
)
def test_a_decision_that_lacks_something_says_what_and_decides_nothing(
    make_desk: MakeDesk,
    make_case: Callable[..., CaseId],
    outcome: str,
    reason: str,
    said: str,
) -> None:
    case, desk = make_case(), make_desk()
    refused = desk.decide(case, desk.claim(case), outcome, reason)
    assert refused.status_code == 422
    assert said in refused.text
    assert desk.town.query("SELECT state FROM cases") == [("open",)]


def test_the_claim_is_renewed_while_it_holds_and_not_after(
    make_desk: MakeDesk, make_case: Callable[..., CaseId]
) -> None:
    case, desk = make_case(), make_desk()
    token = desk.claim(case)
    for _ in range(3):
        desk.town.clock.forward(minutes=8)
        assert desk.send(f"/cases/{case}/renew", token=token).json() == {"seconds": 600}
    desk.town.clock.forward(minutes=11)
    refused = desk.browser.post(
        f"/cases/{case}/renew", data={"token": token}, headers={"x-csrf-token": desk.csrf()}
    )
    assert (refused.status_code, refused.json()["code"]) == (409, "lease_lost")
    assert refused.headers["content-type"] == "application/problem+json"


def test_a_case_that_was_given_back_is_anyones(
    make_desk: MakeDesk, make_case: Callable[..., CaseId]
) -> None:
    case, ada, ben = make_case(), make_desk("ada"), make_desk("ben")
    given = ada.send(f"/cases/{case}/release", token=ada.claim(case))
    assert given.headers["location"] == "/queue"
    ben.claim(case)


def test_an_escalated_case_is_for_seniors_alone(
    make_desk: MakeDesk, make_case: Callable[..., CaseId]
) -> None:
    case, ada, sen = make_case(), make_desk("ada"), make_desk("sen", role="senior")
    ada.decide(case, ada.claim(case), "escalated:unsure", "I cannot tell.")
    assert "Nothing waits" in ada.get("/queue").text
    assert ada.get(f"/cases/{case}").status_code == 403
    assert ada.send(f"/cases/{case}/claim").status_code == 403
    assert ada.get(f"/cases/{case}/media/{media_of(ada.town, case)}/preview").status_code == 403
    assert "One case waits" in sen.get("/queue").text
    assert sen.send("/queue/next").headers["location"] == f"/cases/{case}"
    page = sen.get(f"/cases/{case}").text
    assert "I cannot tell." in page
    assert 'value="escalated:unsure"' not in page
    assert sen.decide(case, sen.token(case), "upheld:match").status_code == 303


def test_whoever_escalated_is_told_so_without_seeing_the_case_again(
    make_desk: MakeDesk, make_case: Callable[..., CaseId]
) -> None:
    case, desk = make_case(), make_desk()
    went = desk.decide(case, desk.claim(case), "escalated:threat")
    page = desk.get(went.headers["location"])
    assert page.status_code == 200
    assert ": escalated. Your decision is recorded" in page.text
    assert f'href="/cases/{case}"' not in page.text


def test_nobody_is_told_that_another_reviewers_decision_is_theirs(
    make_desk: MakeDesk, make_case: Callable[..., CaseId]
) -> None:
    case, ada, ben = make_case(), make_desk("ada"), make_desk("ben")
    went = ada.decide(case, ada.claim(case), "dismissed:consented").headers["location"]
    assert "Your decision is recorded" in ada.get(went).text
    assert "Your decision is recorded" not in ben.get(went).text


def test_the_text_of_a_decision_survives_a_session_that_ended(
    make_desk: MakeDesk, make_case: Callable[..., CaseId]
) -> None:
    case, desk = make_case(), make_desk()
    csrf, token = desk.csrf(), desk.claim(case)
    desk.town.clock.forward(minutes=31)
    refused = desk.post(
        f"/cases/{case}/decision",
        {"csrf": csrf, "token": token, "outcome": "upheld:match", "reason": "Long <thought>."},
    )
    assert refused.status_code == 401
    assert "Long &lt;thought&gt;." in refused.text
    assert desk.town.query("SELECT state FROM cases") == [("open",)]


def test_an_upload_that_came_as_hashes_has_no_picture_and_can_be_decided(
    make_desk: MakeDesk, make_case: Callable[..., CaseId]
) -> None:
    case, desk = make_case(), make_desk()
    desk.town.query("UPDATE media SET blob = false")
    page_token = desk.claim(case)
    page = desk.get(f"/cases/{case}").text
    assert "the platform sent hashes only" in page
    assert "<img" not in page
    assert desk.decide(case, page_token, "dismissed:wrong_match").status_code == 303


def test_a_case_that_does_not_exist_is_a_page_that_leads_back(make_desk: MakeDesk) -> None:
    desk = make_desk()
    for path in ("/cases/01900000-0000-7000-8000-000000000000", "/cases/nonsense"):
        missing = desk.get(path)
        assert missing.status_code == 404, path
        assert 'href="/queue"' in missing.text


def test_no_answer_of_the_console_names_the_person(
    make_desk: MakeDesk, make_case: Callable[..., CaseId], town: Town
) -> None:
    case, desk = make_case(), make_desk()
    desk.claim(case)
    number, person = town.query("SELECT case_number, id FROM persons")[0]
    for path in ("/queue", f"/cases/{case}"):
        page = desk.get(path).text
        assert number not in page
        assert str(person) not in page


def test_review_rules_hold_beneath_the_pages(
    make_desk: MakeDesk, make_case: Callable[..., CaseId], town: Town
) -> None:
    """A lease taken by another process of the deployment is honoured here."""
    case, desk = make_case(), make_desk()
    review.claim(town.world.desk, case, town.reviewer("elsewhere"))
    assert desk.send(f"/cases/{case}/claim").status_code == 409


def test_a_console_that_is_told_to_end_does_so_in_good_order(
    database_url: str, tmp_path: Path
) -> None:
    migrate(database_url)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "DATABASE_URL": database_url,
        "CONSENTRY_HOME": str(tmp_path),
        "CONSENTRY_CONSOLE_PORT": str(port),
    }
    command = [sys.executable, "-m", "services.cli", "serve", "console"]
    with subprocess.Popen(command, env=environment, cwd=Path(__file__).parents[2]) as process:
        deadline = time.monotonic() + 60
        while not _answers(f"http://127.0.0.1:{port}/healthz"):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        process.terminate()
        assert process.wait(30) == 0


def _answers(url: str) -> bool:
    try:
        return httpx.get(url).is_success
    except httpx.HTTPError:
        return False
