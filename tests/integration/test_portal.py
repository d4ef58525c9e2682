"""The portal over HTTP: what a person meets, what it asks for, what it never tells."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from pipeline.domain.case import Ground, State
from pipeline.domain.consent import HASHES_TEXT
from pipeline.domain.screening import Verdict
from pipeline.domain.suppression import SMALLEST
from pipeline.errors import TooManyAttempts
from pipeline.journeys import review
from pipeline.journeys.public_numbers import last_quarter
from services.portal import create_app
from services.portal.languages import LANGUAGES, wanted
from services.web.pace import Pace
from tests.integration.test_following import still
from tests.world import Town, jpeg, picture

YES = {"adult": True, "mine": True, "intimate": True}
PAGE = {"accept": "text/html", "sec-fetch-site": "same-origin"}
ELSEWHERE = {
    "www.wikipedia.org", "takeitdown.ncmec.org", "www.inhope.org",
    "childhelplineinternational.org",
}  # fmt: skip
PUBLIC = (
    "/", "/begin", "/begin/young", "/begin/2", "/begin/someone", "/begin/3", "/begin/ordinary",
    "/begin/4", f"/begin/5?agree={HASHES_TEXT}", "/in", "/lost", "/check", "/how", "/kept",
    "/process", "/access", "/numbers", "/tell", "/told", "/photo",
)  # fmt: skip


def item(town: Town, seed: int) -> dict[str, Any]:
    codes = still(town, jpeg(picture(seed))).codes
    return {
        "kind": "image",
        "codes": [[slot, code.hex(), quality] for slot, code, quality in codes],
    }


def message(town: Town, *seeds: int, **changes: Any) -> dict[str, Any]:
    items = [item(town, seed) for seed in seeds]
    return {"key": new_key(), "consent": HASHES_TEXT, "answers": YES, "items": items, **changes}


def new_key() -> str:
    """Random bytes, as a device sends them."""
    return secrets.token_urlsafe(32)


@pytest.fixture
def browser(town: Town) -> Callable[[], TestClient]:
    app = create_app(town.world)
    return lambda: TestClient(app, headers=PAGE, follow_redirects=False)


def signed_in(client: TestClient, given: dict[str, str]) -> TestClient:
    answer = client.post("/en/in", data={"case": given["case"].lower(), "pin": f" {given['pin']} "})
    assert answer.status_code == 303, answer.text
    return client


def token(page: str) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', page)
    assert found
    return found[1]


def test_no_page_sets_a_cookie_tells_in_its_address_or_may_load_from_elsewhere(browser) -> None:
    client = browser()
    for code in LANGUAGES:
        for path in PUBLIC:
            answer = client.get(f"/{code}{path}")
            assert answer.status_code == 200, path
            assert "set-cookie" not in answer.headers
            assert answer.headers["cache-control"] == "no-store"
            assert answer.headers["content-security-policy"].startswith("default-src 'none'")
            assert f'<html lang="{code}" dir="{LANGUAGES[code].direction}">' in answer.text
            away = set(re.findall(r'(?:src|href|action)="(?:https?:)?//([^/"]+)', answer.text))
            assert away <= ELSEWHERE, "only where she is told that she would go"
    worker = client.get("/device/worker.js")
    assert "connect-src" not in worker.headers["content-security-policy"]
    assert worker.headers["content-security-policy"].startswith("default-src 'none'")
    assert "camera=(self)" in client.get("/en/photo").headers["permissions-policy"]
    assert "camera=()" in client.get("/en/").headers["permissions-policy"]
    assert (
        client.get("/", headers={"accept-language": "fr, ar;q=0.8"}).headers["location"] == "/ar/"
    )
    assert client.get("/xx/").status_code == 404
    assert client.get("/healthz").text == "ok"
    assert client.get("/readyz").json() == {"ready": True}


def test_a_person_registers_follows_takes_back_and_leaves_with_a_receipt_that_checks(
    town: Town, browser
) -> None:
    client = browser()
    answer = client.post("/en/items", json=message(town, 1, 2))
    assert answer.status_code == 201
    given = answer.json()
    assert [one["fate"] for one in given["fates"]] == ["protected", "protected"]
    town.live.catch_up()
    board, ada = town.platform("Board"), town.reviewer()
    found = town.screen(board, jpeg(picture(1), 50))
    signed_in(client, given)
    page = client.get("/en/case").text
    assert "may be a copy" in page
    assert "Board" not in page, "not before a person has decided"
    town.uphold(found.case, ada)
    page = client.get("/en/case").text
    assert "We told Board to take it down." in page
    second = re.findall(r'name="item" value="([^"]+)"', page)[1]
    assert client.post("/en/case/take", data={"item": second}).status_code == 403, "no token"
    csrf = token(page)
    page = client.post("/en/case/take", data={"item": second, "csrf": csrf}).text
    receipt = re.search(r"<pre[^>]*>(.*?)</pre>", page, re.S)
    assert receipt
    assert "This receipt is real" in _checked(client, _unescaped(receipt[1]))
    more = client.post(
        "/en/case/items", json=message(town, 3), headers={"x-csrf-token": csrf, **PAGE}
    )
    assert more.status_code == 201
    town.live.catch_up()
    assert town.screen(board, jpeg(picture(3), 50)).verdict is Verdict.REVIEW
    ended = client.post("/en/case/end", data={"csrf": csrf})
    assert ended.status_code == 303
    where = ended.headers["location"]
    town.live.catch_up()
    client.post(where)
    page = client.get(where).text
    assert "Everything is deleted" in page
    file = client.get(f"{where}/file")
    assert "receipt.json" in file.headers["content-disposition"]
    assert "This receipt is real" in _checked(client, file.text)
    forged = {**file.json(), "entries_destroyed": 7}
    assert "somebody changed it" in _checked(client, json.dumps(forged))
    assert "cannot read" in _checked(client, "receipt")
    assert client.get("/en/case").status_code == 401
    assert town.screen(board, jpeg(picture(1), 50), "after").verdict is Verdict.CLEAR
    for table in ("persons", "visits", "entries"):
        assert town.query(f"SELECT count(*) FROM {table}") == [(0,)]


def _checked(client: TestClient, text: str) -> str:
    return client.post("/en/check", data={"receipt": text}).text


def _unescaped(text: str) -> str:
    return text.replace("&#34;", '"').replace("&amp;", "&")


def test_what_a_device_sends_is_refused_when_it_is_not_what_our_page_sends(
    town: Town, browser
) -> None:
    client, good = browser(), message(town, 1)
    wrong = [
        {**good, "answers": {**YES, "adult": False}},
        {**good, "consent": "another text"},
        {**good, "items": []},
        {**good, "name": "Maria"},
        {**good, "items": [{"kind": "image", "codes": [[0, "XY" * 32, 90]]}]},
        {**good, "items": [{"kind": "image", "codes": [[1, "ab" * 32, 90]]}]},
    ]
    for body in wrong:
        answer = client.post("/en/items", json=body)
        assert answer.status_code == 422
        assert "ab" * 32 not in answer.text
        assert "Maria" not in answer.text
    assert client.post("/en/items", data={"a": "b"}).status_code == 415
    assert client.post("/en/items", content=b"0" * (9 << 20),
                       headers={"content-type": "application/json"}).status_code == 413  # fmt: skip
    elsewhere = {"sec-fetch-site": "cross-site"}
    assert client.post("/en/items", json=good, headers=elsewhere).status_code == 403
    old = TestClient(client.app, headers={"origin": "null"})
    assert old.post("/en/items", json=good).status_code == 403
    assert town.query("SELECT count(*) FROM persons") == [(0,)]
    plain = {"kind": "image", "codes": [[0, "ab" * 32, 20]]}
    mixed = client.post("/en/items", json={**good, "items": [plain, *good["items"]]})
    assert [one["fate"] for one in mixed.json()["fates"]] == ["too_plain", "protected"]


def test_an_answer_that_was_lost_is_given_again_to_whoever_sends_the_same_again(
    town: Town, browser
) -> None:
    client, sent = browser(), message(town, 1)
    first = client.post("/en/items", json=sent)
    again = client.post("/en/items", json=sent)
    assert first.status_code == again.status_code == 201
    assert again.json() == first.json()
    assert town.query("SELECT count(*) FROM persons") == [(1,)]
    another = client.post("/en/items", json={**sent, "key": new_key()})
    assert another.json()["pin"] != first.json()["pin"], "another message is another case"
    given = first.json()
    ((kept,),) = town.query("SELECT sealed FROM answers ORDER BY until, message LIMIT 1")
    for secret in (given["pin"], given["recovery"], given["case"], sent["key"]):
        assert secret.encode() not in bytes(kept)
    signed_in(client, given)
    assert town.query("SELECT count(*) FROM answers") == [(1,)], "gone when she has her numbers"
    csrf = token(client.get("/en/case").text)
    more = message(town, 2)
    for _ in range(2):
        headers = {"x-csrf-token": csrf, **PAGE}
        assert client.post("/en/case/items", json=more, headers=headers).status_code == 201
    assert len(re.findall(r'name="item"', client.get("/en/case").text)) == 2, "added once"
    assert client.post("/en/items", json=more).json()["pin"], "asked for something else"
    her = "SELECT count(*) FROM answers WHERE sealed = %s"
    ((kept,),) = town.query("SELECT sealed FROM answers ORDER BY until, message LIMIT 1")
    town.clock.forward(minutes=16)
    late = client.post("/en/items", json=sent)
    assert late.json()["case"] != given["case"], "too late: a new case"
    with town.world.store.transaction() as unit:
        unit.answers.purge(town.clock())
    assert town.query(her, kept) == [(0,)]
    client.post("/en/case/items", json=message(town, 3), headers=headers)
    before = town.query("SELECT count(*) FROM answers")[0][0]
    assert client.post("/en/case/end", data={"csrf": csrf}).status_code == 303
    assert town.query("SELECT count(*) FROM answers") == [(before - 1,)], "leaving destroys it"


def test_two_sendings_at_once_are_one_case(town: Town, browser) -> None:
    sent = message(town, 1)
    with ThreadPoolExecutor(3) as threads:
        answers = list(threads.map(lambda _: browser().post("/en/items", json=sent), range(3)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["pin"] for answer in answers}) == 1
    assert town.query("SELECT count(*) FROM persons") == [(1,)]


def test_wrong_pins_are_slowed_and_the_recovery_code_opens_the_door(town: Town, browser) -> None:
    client = browser()
    given = client.post("/en/items", json=message(town, 1)).json()
    for _ in range(4):
        wrong = client.post("/en/in", data={"case": given["case"], "pin": "12345678"})
        assert wrong.status_code == 401
        assert given["case"] in wrong.text
        assert "12345678" not in wrong.text
    slowed = client.post("/en/in", data={"case": given["case"], "pin": given["pin"]})
    assert slowed.status_code == 429
    assert int(slowed.headers["retry-after"]) <= 900
    assert client.post("/en/lost", data={"code": "0" * 24}).status_code == 401
    found = client.post("/en/lost", data={"code": given["recovery"].lower()}).text
    numbers = re.findall(r"<bdi[^>]*>([^<]+)</bdi>", found)
    assert numbers[0] == given["case"]
    fresh = {"case": numbers[0], "pin": numbers[1]}
    page = signed_in(client, fresh).get("/en/case").text
    assert client.get("/en/in").headers["location"] == "/en/case"
    cookie = client.cookies["visit"]
    assert client.post("/en/out", data={"csrf": token(page)}).status_code == 303
    client.cookies.set("visit", cookie)
    assert client.get("/en/case").status_code == 401, "the token is dead, not only forgotten"


def test_a_visit_ends_by_itself(town: Town, browser) -> None:
    client = browser()
    given = client.post("/en/items", json=message(town, 1)).json()
    signed_in(client, given)
    for _ in range(3):
        town.clock.forward(minutes=19)
        assert client.get("/en/case").status_code == 200
    town.clock.forward(minutes=21)
    assert client.get("/en/case").status_code == 401


def test_a_report_is_taken_in_when_complete_and_followed_by_its_code(town: Town, browser) -> None:
    client = browser()
    assert "No site works with us yet" in client.get("/en/tell").text
    town.platform("Board")
    form = {
        "site": "Board", "where": "https://board.example/17\n", "what": "A picture of me",
        "who": "me", "not_consented": "yes", "accurate": "yes", "name": "Maria Somebody",
        "contact": "maria@mail.example",
    }  # fmt: skip
    lacking = client.post("/en/tell", data={**form, "contact": "", "site": "Elsewhere"})
    assert lacking.status_code == 422
    assert "An e-mail address or a phone number" in lacking.text
    assert "A picture of me" in lacking.text, "what was typed comes back"
    taken = client.post("/en/tell", data=form)
    found = re.search(r"<bdi>([0-9A-Z-]+)</bdi>", taken.text)
    assert found
    page = client.post("/en/told", data={"code": found[1]}).text
    assert "A person will decide at the latest by" in page
    ((case,),) = town.query("SELECT id FROM cases WHERE kind = 'notice'")
    town.dismiss(case, town.reviewer(), Ground.NOT_INTIMATE)
    page = client.post("/en/told", data={"code": found[1]}).text
    assert "A person decided: it stays. It was not intimate." in page
    page = client.post("/en/told", data={"code": found[1], "then": "delete"}).text
    assert "Your name and contact are destroyed." in page
    assert "Take my report back" not in page
    assert client.post("/en/told", data={"code": "nothing"}).status_code == 401


def test_she_objects_to_a_dismissal_and_somebody_else_decides_again(town: Town, browser) -> None:
    town.rules(undo_seconds=0)
    client = browser()
    given = client.post("/en/items", json=message(town, 1)).json()
    town.live.catch_up()
    ada, ben = town.reviewer("ada"), town.reviewer("ben")
    found = town.screen(town.platform("Board"), jpeg(picture(1), 50))
    town.dismiss(found.case, ada)
    page = signed_in(client, given).get("/en/case").text
    assert "you can object" in page
    (where,) = re.findall(r'href="(/en/case/say/[^"]+)"', page)
    for code in LANGUAGES:
        form = client.get(where.replace("/en/", f"/{code}/", 1))
        assert form.status_code == 200
        assert 'maxlength="4000"' in form.text
    csrf = token(form.text)
    assert client.post(where, data={"why": "It is me."}).status_code == 403, "no token"
    lacking = client.post(where, data={"why": "  ", "csrf": csrf})
    assert lacking.status_code == 422
    assert 'aria-invalid="true"' in lacking.text
    long = client.post(where, data={"why": "x" * 4001, "csrf": csrf})
    assert "x" * 4001 in long.text, "what was typed comes back"
    assert client.post(where, data={"why": "It is me.\r\n" * 400, "csrf": csrf}).status_code == 303
    assert "You objected." in client.get("/en/case").text
    assert client.get(where).status_code == 404, "once"
    assert client.post(where, data={"why": "Again.", "csrf": csrf}).status_code == 409
    sealed = bytes(town.query("SELECT sealed FROM appeals")[0][0])
    assert b"It is me" not in sealed
    other = signed_in(browser(), browser().post("/en/items", json=message(town, 2)).json())
    assert other.get(where).status_code == 404, "nobody else's"
    assert review.claim_next(town.world.desk, ada) is None, "not whoever decided it"
    claim = review.claim_next(town.world.desk, ben)
    assert claim is not None
    review.decide(
        town.world.desk, claim.case, claim.token, State.OVERTURNED, Ground.DECISION_WRONG, "It is."
    )
    page = client.get("/en/case").text
    assert "it is a copy, and it must go" in page
    assert "We told Board to take it down." in page


def test_published_numbers_are_the_report_of_a_quarter_and_point_at_nobody(
    town: Town, browser: Callable[[], TestClient]
) -> None:
    client = browser()
    assert last_quarter(date(2026, 11, 25)) == (date(2026, 7, 1), date(2026, 10, 1))
    assert last_quarter(date(2027, 1, 1)) == (date(2026, 10, 1), date(2027, 1, 1))
    today, board = town.clock().date(), town.platform("board")
    town.register(jpeg(picture(1)))
    for number in range(SMALLEST):
        town.screen(board, jpeg(picture(50)), f"post-{number}")
    while last_quarter(town.clock().date())[1] <= today:
        town.clock.forward(days=1)
    page = client.get("/en/numbers").text
    told = dict(re.findall(r"<dt>([^<]+)</dt><dd>([^<]+)</dd>", page))
    assert told["Nothing found"] == str(SMALLEST)
    assert told["Came to protect pictures"] == "–", "one person is no number to publish"
    assert "Nichts gefunden" in client.get("/de/numbers").text


def test_the_language_is_the_readers() -> None:
    assert wanted("de-AT,de;q=0.9,en;q=0.8") == "de"
    assert wanted("fr,en;q=0.5,es;q=0.9") == "es"
    assert wanted("") == wanted("zz;q=x, ,;") == "en"


def test_a_network_may_ask_so_often_and_again_later() -> None:
    time = [0.0]
    pace = Pace(number=2, seconds=100, monotonic=lambda: time[0])
    pace.spend("a")
    pace.spend("a")
    pace.spend("b")
    with pytest.raises(TooManyAttempts) as waiting:
        pace.spend("a")
    assert waiting.value.retry_after == pytest.approx(50)
    time[0] += 51
    pace.spend("a")


def test_codes_do_not_print(town: Town) -> None:
    sent = still(town, jpeg(picture(1)))
    assert np.frombuffer(sent.codes[0][1], np.uint8).tobytes().hex() not in repr(sent)
    assert str(sent.codes[0][1]) not in repr(sent)
