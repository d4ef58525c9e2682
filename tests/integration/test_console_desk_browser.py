"""The review desk in Debian's Chromium: keys, undo, races, rest, second factors, every page."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_OID, uuid5

import pyotp
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from pipeline.domain.case import CaseKind, Ground, State
from pipeline.domain.ids import CaseId
from pipeline.domain.roles import Role
from pipeline.journeys import review
from pipeline.journeys.banks import Changes, add_bank, set_bank
from pipeline.journeys.sync_exchange import add_exchange
from pipeline.journeys.verify_face import ask_about_all
from services.accounts import add_reviewer
from services.wiring import now
from tests.integration.test_console_browser import (
    NARROW,
    PASSWORD,
    WIDE,
    Site,
    Visit,
    at_work,
    chromium,
    make_case,
    revealed,
    site,
    start,
    visit,
)
from tests.pictures import encode

__all__ = ["chromium", "make_case", "site", "visit"]

pytestmark = pytest.mark.browser


def shot(page: Page, name: str) -> None:
    """Keep a picture of a page for people to look at, where they ask for it."""
    folder = os.environ.get("CONSENTRY_SCREENSHOTS")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def accessible(page: Page) -> None:
    """Raise unless axe finds nothing to say about a page."""
    # The page's own policy forbids axe's script, which comes from the test: ask around it.
    found = Axe().run(page)
    said = [
        (one["id"], [node["html"] for node in one["nodes"]]) for one in found.response["violations"]
    ]
    assert said == [], page.url


def test_letters_select_other_keys_submit_and_a_decision_can_be_undone(
    visit: Callable[..., Visit], make_case: Callable[..., CaseId], site: Site
) -> None:
    site.town.rules(undo_seconds=60)  # the machine may be busy
    case, second = make_case("coffee"), make_case("rocket", "Forum")
    ada = visit()
    page, keyboard = ada.page, ada.page.keyboard
    page.get_by_role("button", name="Start reviewing").click()
    at_work(page)
    keyboard.press("u")
    expect(page.get_by_label("It is what the person registered")).to_be_checked()
    keyboard.press("w")
    expect(page.get_by_label("Wrong match: a different picture")).to_be_checked()
    keyboard.press("e")
    keyboard.type("u and w are letters here")
    expect(page.get_by_label("Wrong match: a different picture")).to_be_checked()
    expect(page.get_by_label("Reason, in a sentence")).to_have_value("u and w are letters here")
    keyboard.press("Control+Enter")
    expect(page).to_have_url(f"{site.url}/cases/{second}?decided={case}")
    shot(page, "case-undo")
    assert site.town.query("SELECT count(*) FROM events") == [(0,)], "nothing has left"
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("Undone: the case is in your hands again")).to_be_visible()
    assert site.town.query("SELECT pending_state FROM cases WHERE id = %s", case) == [(None,)]
    at_work(page)
    keyboard.press("n")
    keyboard.press("Shift+Enter")
    expect(page.get_by_role("button", name="Undo")).to_be_visible()
    assert site.town.query("SELECT pending_state FROM cases WHERE id = %s", case) == [
        ("dismissed",)
    ]
    page.goto(f"{site.url}/me")
    page.get_by_label("Uphold: It is what the person registered").fill("q")
    page.get_by_label("Brightness, 30 to 100").fill("60")
    page.get_by_label("As a cartoon").check()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    page.goto(f"{site.url}/cases/{second}")
    at_work(page)
    shown = page.locator("[data-display]")
    assert (shown.get_attribute("data-brightness"), shown.get_attribute("data-as")) == (
        "60", "cartoon",
    )  # fmt: skip
    keyboard.press("u")
    expect(page.get_by_label("It is what the person registered")).not_to_be_checked()
    keyboard.press("q")
    expect(page.get_by_label("It is what the person registered")).to_be_checked()
    page.goto(f"{site.url}/me")
    page.get_by_label("Use keys at a case").uncheck()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    page.goto(f"{site.url}/cases/{second}")
    at_work(page)
    keyboard.press("q")
    expect(page.get_by_label("It is what the person registered")).not_to_be_checked()
    assert ada.complaints == []


def test_two_browsers_race_for_one_case_and_a_lease_that_ran_out_is_taken_over(
    visit: Callable[..., Visit], make_case: Callable[..., CaseId], site: Site
) -> None:
    case = make_case()
    both = (visit("ada"), visit("ben"))
    for one in both:
        one.page.evaluate(
            "document.querySelector('button.main').form.submit()"
        )  # neither waits for the other's answer
    for one in both:
        one.page.wait_for_url(lambda url: "/cases/" in url or "empty=1" in url)
    assert sorted("/cases/" in one.page.url for one in both) == [False, True]
    loser = next(one for one in both if "/cases/" not in one.page.url)
    winner = next(one for one in both if "/cases/" in one.page.url)
    site.town.query("UPDATE cases SET lease_until = now() - interval '1 second'")
    loser.page.get_by_role("button", name="Start reviewing").click()
    expect(loser.page).to_have_url(f"{site.url}/cases/{case}")
    at_work(winner.page)
    winner.page.keyboard.press("n")
    winner.page.keyboard.press("Shift+Enter")
    expect(winner.page.get_by_role("alert").first).to_contain_text(
        "your claim on this case has ended"
    )
    assert site.town.query("SELECT state FROM cases") == [("open",)]


def test_what_is_revealed_is_marked_counted_and_dressed_as_chosen_and_a_budget_ends_it(
    visit: Callable[..., Visit], make_case: Callable[..., CaseId], site: Site
) -> None:
    site.town.rules(undo_seconds=0, budget={"looks_per_hour": 2}, breaks={"seconds": 1})
    make_case("coffee")
    ada = visit()
    start(ada)
    page = ada.page
    page.locator("main").focus()
    page.keyboard.down("Space")
    expect(revealed(ada)).to_be_visible()
    assert "grayscale" in revealed(ada).evaluate("image => image.style.filter")
    shot(page, "case-watermark")
    page.keyboard.up("Space")
    expect(revealed(ada)).to_have_count(0)
    page.get_by_label("Cartoon").check()
    with page.expect_response("**/looked"):
        page.locator(".reveal").focus()
        page.keyboard.down("Space")
        expect(revealed(ada)).to_be_visible()
        shot(page, "case-cartoon")
        page.keyboard.up("Space")
    for _ in range(150):
        looks = site.town.query("SELECT seconds FROM looks")
        if len(looks) == 2 and all(seconds is not None for (seconds,) in looks):
            break
        page.wait_for_timeout(200)
    assert len(looks) == 2
    assert all(seconds is not None for (seconds,) in looks)
    make_case("rocket", "Forum")
    page.keyboard.press("n")
    page.get_by_role("button", name="Decide and take the next").click()
    expect(page.get_by_role("heading", name="Enough for this hour")).to_be_visible()
    shot(page, "rest-hour")
    page.goto(f"{site.url}/queue")
    page.get_by_role("button", name="Start reviewing").click()
    expect(page.get_by_role("heading", name="Enough for this hour")).to_be_visible()


def test_a_security_key_signs_in_and_a_code_is_taken_once(
    visit: Callable[..., Visit], site: Site
) -> None:
    ada = visit("ada")
    page = ada.page
    here = site.url.replace("127.0.0.1", "localhost")
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    session.send("WebAuthn.addVirtualAuthenticator", {"options": {
        "protocol": "ctap2", "transport": "internal", "hasResidentKey": True,
        "hasUserVerification": True, "isUserVerified": True,
        "automaticPresenceSimulation": True}})  # fmt: skip

    def sign_in() -> None:
        page.goto(f"{here}/login")
        page.get_by_label("Login").fill("ada")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()

    sign_in()
    page.goto(f"{here}/second/add")
    shot(page, "second-add")
    accessible(page)
    page.get_by_role("button", name="Add a key").click()
    expect(page.get_by_role("heading", name="Review")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    sign_in()
    expect(page.get_by_role("heading", name="One more proof")).to_be_visible()
    shot(page, "second")
    accessible(page)
    page.goto(f"{here}/queue")
    expect(page.get_by_role("heading", name="One more proof")).to_be_visible()
    page.goto(f"{here}/second/add")
    expect(page.get_by_text("Give the second factor that you have")).to_be_visible()
    page.goto(f"{here}/second")
    page.get_by_role("button", name="Use your security key").click()
    expect(page.get_by_role("heading", name="Review")).to_be_visible()
    page.goto(f"{here}/second/add")
    secret = page.locator("code.long").inner_text().replace(" ", "")
    code = pyotp.TOTP(secret).now()
    page.get_by_label("The code that it shows now").fill(code)
    page.get_by_role("button", name="Add the app").click()
    expect(page.get_by_role("heading", name="Review")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    sign_in()
    page.get_by_label("Code that your app shows").fill(code)
    page.get_by_role("button", name="Go on").click()
    expect(page.get_by_role("alert")).to_contain_text("not right")
    kinds = site.town.query("SELECT kind FROM second_factors ORDER BY kind")
    assert kinds == [("key",), ("totp",)]


def test_every_page_of_every_role_has_nothing_that_axe_could_name(
    visit: Callable[..., Visit], make_case: Callable[..., CaseId], site: Site
) -> None:
    for role in Role:
        add_reviewer(site.world, role.value, PASSWORD, role=role.value)
    first, second = make_case("coffee"), make_case("rocket", "Forum")
    frozen = make_case("astronaut")
    desk = site.world.desk
    with site.world.store.transaction() as unit:
        people = {row["login"]: row["id"] for row in unit.reviewers.all()}
        until = desk.clock() + timedelta(hours=5)
        notice = review.fresh_case(desk.clock())
        unit.cases.open(notice, desk.clock(), kind=CaseKind.NOTICE, deadline=until)
    claim = review.claim(desk, frozen, people["reviewer"])
    review.decide(desk, frozen, claim.token, State.FROZEN, Ground.POSSIBLE_MINOR, "A child?")
    claim = review.claim(desk, second, people["reviewer"])
    review.decide(desk, second, claim.token, State.DISMISSED, Ground.NOT_INTIMATE, "A rocket.")
    claim = review.claim(desk, first, people["reviewer"])
    told = make_case("cat", "Gallery")
    claim = review.claim(desk, told, people["senior"])
    review.decide(desk, told, claim.token, State.FROZEN, Ground.POSSIBLE_MINOR, "Young.")
    claim = review.claim(desk, told, people["protected"], role=Role.PROTECTED)
    review.decide(desk, told, claim.token, State.REPORTED, Ground.APPARENT_MINOR, "Yes.")
    site.town.query(
        "INSERT INTO opinions (case_id, subject, purpose, kind, queue, reviewer, state, ground,"
        " reason, at, agrees) SELECT id, id, 'second_look', kind, queue, %s, 'dismissed', 'match',"
        " '', now(), true FROM cases",
        people["senior"],
    )
    for at, (state, rival) in enumerate((("pending", None), ("frozen", None), ("frozen", 1))):
        site.town.query(
            "INSERT INTO enrolments (id, person, state, photos, spaces, text_version, asked_at,"
            " expires_at, organisation, rival, likeness, sealed) SELECT %s, id, %s, 3, '{drawn}',"
            " 'face-2026-11', now() - interval '5 hours', now() + interval '3 years', %s, %s, %s,"
            " 'x' FROM persons LIMIT 1",
            uuid5(NAMESPACE_OID, str(at)), state, "A helpline" if at else None,
            uuid5(NAMESPACE_OID, str(rival)) if rival else None, "very alike" if rival else None,
        )  # fmt: skip
    assert ask_about_all(site.world.store, desk.clock) == 3
    ((whose,),) = site.town.query("SELECT case_id FROM enrolments WHERE rival IS NOT NULL")
    review.claim(desk, whose, people["verifier"], role=Role.VERIFIER)
    pages: dict[str, tuple[str, ...]] = {
        "reviewer": ("/queue", f"/cases/{first}", "/rest", "/me", f"/cases/{second}"),
        "protected": (f"/cases/{frozen}", "/queue", f"/cases/{told}", f"/cases/{told}/report"),
        "lead": ("/lead", "/cases", f"/cases/{second}"),
        "operator": ("/house", "/people"),
        "verifier": ("/queue", "/cases", f"/cases/{whose}"),
        "auditor": ("/audit",),
    }
    for login, paths in pages.items():
        one = visit(login)
        for path in paths:
            one.page.goto(site.url + path)
            if path == f"/cases/{frozen}":
                one.page.get_by_role("button", name="Claim this case").click()
            accessible(one.page)
            name = f"{login}{path.split('?')[0].replace('/', '-')}"
            name = name.replace(str(first), "held").replace(str(second), "dismissed")
            name = name.replace(str(frozen), "frozen").replace(str(told), "reported")
            name = name.replace(str(whose), "enrolment")
            shot(one.page, name)
            one.page.set_viewport_size(NARROW)  # type: ignore[arg-type]
            wide = one.page.evaluate("document.documentElement.scrollWidth")
            assert wide <= 360, path
            shot(one.page, f"{name}-narrow")
            one.page.set_viewport_size({"width": 1280, "height": 900})
        assert one.complaints == []
    gone: Any = visit("reviewer")
    assert gone.page.goto(f"{site.url}/cases/{frozen}").status == 403


def test_a_case_whose_page_is_left_comes_free_and_one_that_is_loaded_again_does_not(
    visit: Callable[..., Visit], make_case: Callable[..., CaseId], site: Site
) -> None:
    case = make_case()
    ada, ben = visit("ada"), visit("ben")
    start(ada)

    def held() -> float:
        """Seconds for which the case is still held."""
        ((seconds,),) = site.town.query(
            "SELECT extract(epoch FROM lease_until - now())::float FROM cases WHERE id = %s", case
        )
        return float(seconds or 0)

    with ada.page.expect_response("**/renew"):
        ada.page.reload()
    at_work(ada.page)
    assert held() > 60, "loading it again is not leaving it"
    ada.page.goto(f"{site.url}/me")
    for _ in range(100):
        if held() < 15:
            break
        ada.page.wait_for_timeout(100)
    assert held() < 15, "the page says so when it is left"
    ada.page.goto(f"{site.url}/cases/{case}")
    at_work(ada.page)
    for _ in range(100):
        if held() > 60:
            break
        ada.page.wait_for_timeout(100)
    assert held() > 60, "whoever comes back in time has it still"
    ada.page.close()
    ben.page.get_by_role("button", name="Start reviewing").click()
    for _ in range(60):
        if "/cases/" in ben.page.url:
            break
        ben.page.wait_for_timeout(500)
        ben.page.goto(f"{site.url}/queue")
        ben.page.get_by_role("button", name="Start reviewing").click()
    expect(ben.page).to_have_url(f"{site.url}/cases/{case}")
    at_work(ben.page)
    assert ada.complaints == ben.complaints == []


def test_deciding_is_not_leaving_and_a_page_beside_it_keeps_the_case(
    visit: Callable[..., Visit], make_case: Callable[..., CaseId], site: Site
) -> None:
    case = make_case()
    ada = visit()
    start(ada)
    beside = ada.page.context.new_page()
    beside.goto(f"{site.url}/cases/{case}")
    at_work(beside)
    with beside.expect_response("**/renew"):
        ada.page.close()
    for _ in range(80):  # the page beside says it twice: the news of the leaving may be late
        ((left,),) = site.town.query("SELECT extract(epoch FROM lease_until - now()) FROM cases")
        if left > 60:
            break
        beside.wait_for_timeout(100)
    assert left > 60
    asked: list[str] = []
    beside.on("request", lambda request: asked.append(request.url))
    beside.keyboard.press("n")
    beside.keyboard.press("Shift+Enter")
    expect(beside.get_by_text("Your decision is recorded")).to_be_visible()
    assert site.town.query("SELECT state FROM cases") == [("dismissed",)]
    assert not any(url.endswith("/leave") for url in asked)


def test_a_lead_reads_many_banks_and_floods_and_the_count_is_of_what_still_waits(
    visit: Callable[..., Visit], make_case: Callable[..., CaseId], site: Site
) -> None:
    world, town = site.world, site.town
    rocket = pytest.importorskip("skimage.data").rocket
    add_reviewer(world, "lead", PASSWORD, role=Role.LEAD.value)
    make_case("coffee")
    board = make_case("rocket")
    note = "Pictures of a shop that half of our users seem to have in their kitchens; see the wiki."
    for number in range(2):
        add_bank(world.store, now, world.pins, f"memes-{number}", timedelta(days=30), "Lea", note)
    lists = world.lists()
    for name, test in (("StopNCII", False), ("NCMEC, hashes of known victims", True)):
        add_exchange(lists, world.pins, name, "ndjson", {"source": "/nowhere"}, test=test)
    near = Changes(share=0.25, within={"pdq": 12.0, "bytes": 0.0}, keeps=timedelta(days=400))
    set_bank(world.store, "StopNCII", near)
    ((screening,),) = town.query("SELECT screening FROM case_uploads WHERE case_id = %s", board)
    town.query(
        "INSERT INTO bank_trials (holder, screening, platform, at) SELECT b.holder, %s, p.id, now()"
        " FROM banks b, platforms p WHERE b.test LIMIT 1",
        screening,
    )
    for kept in (False, False, True):
        town.query(
            "INSERT INTO floods (item, person, parked, kept_out, uploads, accounts, since,"
            " decided_at) SELECT e.item, e.person, %s, %s, 43, 17, now() - interval '3 hours', %s"
            " FROM entries e WHERE e.item NOT IN (SELECT item FROM floods) LIMIT 1",
            [] if kept else ["pdq/0"], ["pdq/0"] if kept else [], now() if kept else None,
        )  # fmt: skip
        make_case("cat" if not kept else "astronaut")
    for platform in ("Gallery of friends", "Videos for all"):
        site.town.screen(town.platform(platform), encode(rocket()), platform)
    town.query(
        "UPDATE cases SET deadline = now() + interval '50 minutes', lease_reviewer = r.id,"
        " lease_until = now() + interval '9 minutes', lease_token = gen_random_uuid(),"
        " priority = 2, queue = 'pictures, German' FROM reviewers r WHERE r.login = 'lead'"
        " AND cases.id = %s",
        board,
    )
    lead = visit("lead")
    page = lead.page
    for path in ("/lead/banks", "/lead/floods", "/cases"):
        page.goto(site.url + path)
        accessible(page)
        shot(page, f"lead{path.replace('/', '-')}-full")
        page.set_viewport_size(NARROW)  # type: ignore[arg-type]
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, path
        shot(page, f"lead{path.replace('/', '-')}-full-narrow")
        page.set_viewport_size(WIDE)  # type: ignore[arg-type]
    for left in ("2 entries wait", "1 entry waits", "Nothing waits"):
        page.goto(f"{site.url}/lead/floods")
        expect(page.locator("main > .lead")).to_contain_text(left)
        if left == "Nothing waits":
            break
        page.get_by_role("button", name="Keep these codes out").first.click()
        expect(page.get_by_role("status")).to_contain_text("Kept out")
    page.set_viewport_size({"width": 1200, "height": 900})
    page.goto(f"{site.url}/cases")
    assert page.locator(".scroll").evaluate("box => box.scrollWidth - box.clientWidth") <= 0
    assert lead.complaints == []
