"""The console in Debian's Chromium: nothing is shown before the key is held, and not after."""

from __future__ import annotations

import json
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from playwright.sync_api import Browser, Error, Page, Request, Route, expect, sync_playwright

from pipeline.domain.evidence import Stretch
from pipeline.domain.ids import CaseId
from services.accounts import add_reviewer
from services.console import create_app
from services.wiring import World, now
from tests.pictures import encode, textured
from tests.world import Town

pytestmark = pytest.mark.browser

CHROMIUM = "/usr/bin/chromium"
PASSWORD = "a long enough password"
QUIET = [
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 360, "height": 740}


@dataclass
class Site:
    """A console that answers on this machine, with a real clock."""

    town: Town
    world: World
    url: str


@pytest.fixture
def site(town: Town) -> Iterator[Site]:
    world = replace(town.world, desk=replace(town.world.desk, clock=now))
    add_reviewer(world, "ada", PASSWORD)
    add_reviewer(world, "ben", PASSWORD)
    town.rules(undo_seconds=0)  # what can be undone is tested on its own
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(create_app(world), log_level="error"))
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.02)
        yield Site(town, world, f"http://127.0.0.1:{listening.getsockname()[1]}")
        server.should_exit = True
        thread.join(timeout=10)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    if not Path(CHROMIUM).exists():
        if os.environ.get("CONSENTRY_CI"):
            pytest.fail("in CI the browser is mandatory: apt-get install chromium libatomic1")
        pytest.skip("Chromium is not installed: apt-get install chromium libatomic1")
    expect.set_options(
        timeout=30_000
    )  # the machine may be busy, and the first look starts decoders
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@dataclass
class Visit:
    """A reviewer's tab, what it asked the server for, and what the browser complained of."""

    page: Page
    site: Site
    asked: list[Request] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def log_in(self, login: str = "ada") -> None:
        self.page.goto(f"{self.site.url}/login")
        self.page.get_by_label("Login").fill(login)
        self.page.get_by_label("Password").fill(PASSWORD)
        self.page.get_by_role("button", name="Sign in").click()
        expect(self.page.get_by_role("button", name="Sign out")).to_be_visible()

    def pixels(self) -> list[str]:
        """Which pictures were asked for, in order."""
        kinds = (re.search(r"/media/[^/]+/(\w+)$", request.url) for request in self.asked)
        return [kind[1] for kind in kinds if kind]


@pytest.fixture
def visit(chromium: Browser, site: Site) -> Iterator[Callable[..., Visit]]:
    """Open browsers of their own, each for one reviewer."""
    contexts = []

    def make(login: str | None = "ada", **options: Any) -> Visit:
        context = chromium.new_context(**{"viewport": WIDE, **options})
        contexts.append(context)
        context.set_default_timeout(10_000)
        made = Visit(context.new_page(), site)
        # Playwright marks its handlers with an attribute, which a list's own method does not take.
        made.page.on("request", lambda request: made.asked.append(request))  # noqa: PLW0108
        made.page.on("pageerror", lambda error: made.complaints.append(str(error)))
        made.page.on(
            "console",
            lambda said: made.complaints.append(said.text) if said.type == "error" else None,
        )
        if login:
            made.log_in(login)
        return made

    yield make
    for context in contexts:
        context.close()


@pytest.fixture
def shot(tmp_path: Path) -> Callable[[Page, str], None]:
    """Keep a picture of a page for people to look at."""
    folder = Path(os.environ.get("CONSENTRY_SCREENSHOTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)

    def take(page: Page, name: str) -> None:
        page.screenshot(path=folder / f"{name}.png", full_page=True)

    return take


@pytest.fixture
def make_case(site: Site) -> Callable[..., CaseId]:
    """Make cases of bundled pictures: a cup of coffee, a rocket."""
    data = pytest.importorskip("skimage.data")
    boards: dict[str, Any] = {}

    def make(name: str = "coffee", platform: str = "Board") -> CaseId:
        if platform not in boards:
            boards[platform] = site.town.platform(platform)
        pixels = getattr(data, name)()
        site.town.register(encode(pixels))
        altered = encode(pixels[:, ::-1].copy(), "JPEG", quality=40)
        case = site.town.screen(boards[platform], altered, f"post-{name}").case
        assert case is not None
        return case

    return make


def at_work(page: Page) -> None:
    """Wait until the page's scripts listen: a key that is pressed earlier is heard by nobody."""
    expect(page.get_by_role("heading", name="Decision")).to_be_visible()
    expect(page.locator("html[data-listening]")).to_be_attached()


def start(visit: Visit) -> None:
    visit.page.get_by_role("button", name="Start reviewing").click()
    expect(visit.page.get_by_role("heading", name="The upload")).to_be_visible()
    at_work(visit.page)
    blurred = visit.page.locator("img.blurred")
    expect(blurred).to_be_visible()
    assert blurred.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0


def revealed(visit: Visit) -> Any:
    return visit.page.locator("img.clear")


def looks(visit: Visit) -> int:
    return int(
        visit.site.town.query("SELECT count(*) FROM audit_log WHERE action = 'media.revealed'")[0][
            0
        ]
    )


def test_nothing_but_the_derivative_is_fetched_before_the_key_is_held(
    visit: Callable[..., Visit],
    make_case: Callable[..., CaseId],
    shot: Callable[[Page, str], None],
) -> None:
    make_case()
    ada = visit()
    start(ada)
    ada.page.mouse.move(400, 400)
    ada.page.keyboard.press("Tab")
    ada.page.wait_for_timeout(400)
    assert ada.pixels() == ["preview"]
    shot(ada.page, "case-blurred")
    ada.page.locator(".reveal").focus()
    ada.page.keyboard.down("Space")
    expect(revealed(ada)).to_be_visible()
    assert ada.pixels() == ["preview", "reveal"]
    shot(ada.page, "case-revealed")
    source = revealed(ada).get_attribute("src")
    assert source
    assert source.startswith("blob:")
    ada.page.keyboard.up("Space")
    expect(revealed(ada)).to_have_count(0)
    gone = ada.page.evaluate("url => fetch(url).then(() => 'there', () => 'gone')", source)
    assert gone == "gone", "its bytes are freed"
    ada.page.wait_for_timeout(200)
    assert ada.pixels() == ["preview", "reveal", "looked"], "held keys repeat, the request does not"
    assert looks(ada) == 1


def test_the_picture_is_blurred_again_whatever_ends_the_hold(
    visit: Callable[..., Visit], make_case: Callable[..., CaseId]
) -> None:
    make_case()
    ada = visit()
    start(ada)
    button = ada.page.locator(".reveal")
    endings: list[Callable[[], Any]] = [
        lambda: ada.page.keyboard.press("Tab"),
        lambda: ada.page.keyboard.press("Escape"),
        lambda: ada.page.evaluate("window.dispatchEvent(new Event('blur'))"),
        lambda: ada.page.evaluate(
            "Object.defineProperty(document, 'hidden', {value: true, configurable: true});"
            "document.dispatchEvent(new Event('visibilitychange'));"
            "delete document.hidden"
        ),
    ]
    for ending in endings:
        button.focus()
        ada.page.keyboard.down("Space")
        expect(revealed(ada)).to_be_visible()
        ending()
        expect(revealed(ada)).to_have_count(0)
        ada.page.keyboard.up("Space")
    box = button.bounding_box()
    assert box
    ada.page.mouse.move(box["x"] + 40, box["y"] + 40)
    for ending in (ada.page.mouse.up, lambda: ada.page.mouse.move(2, 2)):
        ada.page.mouse.move(box["x"] + 40, box["y"] + 40)
        ada.page.mouse.down()
        expect(revealed(ada)).to_be_visible()
        ending()
        expect(revealed(ada)).to_have_count(0)
        ada.page.mouse.up()
    assert looks(ada) == 6, "each look is recorded"


def test_a_tap_or_a_slip_reveals_and_fetches_nothing(
    visit: Callable[..., Visit], make_case: Callable[..., CaseId]
) -> None:
    make_case()
    ada = visit()
    start(ada)
    ada.page.locator(".reveal").click()
    ada.page.keyboard.press("Space")
    ada.page.keyboard.press("Enter")
    ada.page.wait_for_timeout(400)
    assert ada.pixels() == ["preview"]
    assert looks(ada) == 0


def test_an_answer_that_comes_after_the_release_is_never_shown(
    visit: Callable[..., Visit], make_case: Callable[..., CaseId]
) -> None:
    make_case()
    ada = visit()
    start(ada)
    held: list[Route] = []
    ada.page.route("**/reveal", lambda route: held.append(route))  # noqa: PLW0108
    ada.page.locator(".reveal").focus()
    ada.page.keyboard.down("Space")
    while not held:
        ada.page.wait_for_timeout(20)
    ada.page.keyboard.up("Space")
    with suppress(Error):  # the page has given the request up by now
        held[0].fulfill(body=encode(textured()), content_type="image/png")
    ada.page.wait_for_timeout(300)
    expect(revealed(ada)).to_have_count(0)
    expect(ada.page.locator("[data-hint]")).to_have_text("Blurred and grey.")


def test_a_case_is_decided_by_keyboard_alone(
    visit: Callable[..., Visit],
    make_case: Callable[..., CaseId],
    shot: Callable[[Page, str], None],
) -> None:
    case, second = make_case("coffee"), make_case("rocket", "Forum")
    ada = visit(None)
    page, keyboard = ada.page, ada.page.keyboard
    page.goto(f"{ada.site.url}/login")
    shot(page, "login")
    keyboard.type("ada")
    keyboard.press("Tab")
    keyboard.type(PASSWORD)
    keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Review")).to_be_visible()
    shot(page, "queue")

    def reach(name: str) -> None:
        """Tab until a control has the focus, as somebody without a mouse does."""
        for _ in range(60):
            keyboard.press("Tab")
            focused = page.evaluate(
                "(document.activeElement.labels?.[0] ?? document.activeElement).innerText"
            )
            if focused.strip().startswith(name):
                return
        raise AssertionError(f"no way to {name} by Tab")

    reach("Start reviewing")
    keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Decision")).to_be_visible()
    reach("It is what the person registered")
    keyboard.press("Space")
    reach("Reason, in a sentence")
    keyboard.type("The same cup, mirrored.")
    reach("Decide and take the next")
    keyboard.press("Enter")
    expect(page).to_have_url(f"{ada.site.url}/cases/{second}?decided={case}")
    assert ada.site.town.query("SELECT state, reason FROM cases WHERE id = %s", case) == [
        ("upheld", "The same cup, mirrored.")
    ]
    page.goto(f"{ada.site.url}/cases/{case}")
    shot(page, "case-decided")
    page.goto(f"{ada.site.url}/queue?decided={case}")
    shot(page, "queue-decided")
    assert looks(ada) == 0, "a decision needs no look"
    assert ada.complaints == []


def test_a_second_reviewer_sees_facts_only_and_what_she_wrote_survives(
    visit: Callable[..., Visit],
    make_case: Callable[..., CaseId],
    shot: Callable[[Page, str], None],
) -> None:
    case = make_case()
    ada, ben = visit("ada"), visit("ben")
    start(ada)
    ben.page.goto(f"{ben.site.url}/cases/{case}")
    expect(ben.page.get_by_role("heading", name="Held by R")).to_be_visible()
    assert ben.pixels() == []
    shot(ben.page, "case-held-by-another")
    ada.page.get_by_label("I am not sure").check()
    ada.page.get_by_label("Reason, in a sentence").fill("I want to ask somebody.")
    ada.site.town.query("UPDATE cases SET lease_until = now() - interval '1 second'")
    ada.page.get_by_role("button", name="Decide", exact=True).click()
    expect(ada.page.get_by_role("alert")).to_contain_text("your claim on this case has ended")
    shot(ada.page, "case-lease-lost")
    ada.page.get_by_role("button", name="Claim it again and go on").click()
    expect(ada.page.get_by_label("Reason, in a sentence")).to_have_value("I want to ask somebody.")
    expect(ada.page.get_by_label("I am not sure")).to_be_checked()


def test_the_claim_is_renewed_while_somebody_works_and_only_then(
    visit: Callable[..., Visit], make_case: Callable[..., CaseId]
) -> None:
    case = make_case()
    ada = visit()
    ada.page.clock.install()
    start(ada)

    def renewals() -> int:
        return sum(request.url.endswith("/renew") for request in ada.asked)

    ada.page.clock.run_for(90_000)
    assert renewals() == 0, "nobody has touched the page"
    before = ada.site.town.query("SELECT lease_until FROM cases WHERE id = %s", case)
    # The page's clock is a false one; the answer comes in real time, from a busy machine.
    with ada.page.expect_response("**/renew", timeout=60_000) as answered:
        ada.page.keyboard.press("Shift")
        ada.page.clock.run_for(2_000)
    assert answered.value.ok
    assert ada.site.town.query("SELECT lease_until FROM cases WHERE id = %s", case) > before
    ada.page.clock.run_for(900_000)
    assert renewals() == 1
    expect(ada.page.get_by_text("Your claim on this case has ended.")).to_be_visible()


def test_matched_stretches_of_a_video_are_walked_through_by_keys(
    visit: Callable[..., Visit], make_case: Callable[..., CaseId]
) -> None:
    case = make_case()
    ada = visit()
    stretches = [
        Stretch((at, at + 5.0), (at + 80.0, at + 85.0), 5, 5, 12.0).document()
        for at in (6.0, 40.0, 90.0)
    ]
    ada.site.town.query(
        "UPDATE case_hits SET stretches = %s::jsonb WHERE case_id = %s", json.dumps(stretches), case
    )
    start(ada)
    ranges = ada.page.locator("[data-range]")

    def chosen() -> list[int]:
        pressed = ranges.evaluate_all("all => all.map(one => one.ariaPressed)")
        return [at for at, one in enumerate(pressed) if one == "true"]

    walked = []
    for key in "jjjjkk":
        ada.page.keyboard.press(key)
        walked += chosen()
    count = ranges.count()
    assert count % 3 == 0
    forward = [at % count for at in range(4)]
    assert walked == [*forward, forward[-2], forward[-3]]
    ranges.nth(1).click()
    assert chosen() == [1]
    assert not ada.complaints


def test_a_refused_look_says_why(
    visit: Callable[..., Visit],
    make_case: Callable[..., CaseId],
) -> None:
    make_case()
    ada = visit()
    start(ada)
    ada.site.town.query("UPDATE cases SET lease_until = now() - interval '1 second'")
    ada.page.locator(".reveal").focus()
    ada.page.keyboard.down("Space")
    expect(ada.page.locator("[data-hint]")).to_contain_text("your claim on this case has ended")
    ada.page.keyboard.up("Space")
    expect(revealed(ada)).to_have_count(0)


def test_without_scripts_a_case_can_be_claimed_and_decided(
    visit: Callable[..., Visit], make_case: Callable[..., CaseId]
) -> None:
    case = make_case()
    ada = visit(java_script_enabled=False)
    start_button = ada.page.get_by_role("button", name="Start reviewing")
    start_button.click()
    expect(ada.page.get_by_text("Looking at an upload needs JavaScript.")).to_be_visible()
    ada.page.get_by_label("Not intimate").check()
    ada.page.get_by_label("Reason, in a sentence").fill("A cup.")
    ada.page.get_by_role("button", name="Decide", exact=True).click()
    expect(ada.page.get_by_role("status")).to_contain_text("dismissed")
    assert ada.site.town.query("SELECT state FROM cases WHERE id = %s", case) == [("dismissed",)]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_fits_a_narrow_screen(
    visit: Callable[..., Visit],
    make_case: Callable[..., CaseId],
    shot: Callable[[Page, str], None],
    scheme: str,
) -> None:
    case = make_case("coffee")
    make_case("rocket", "A platform with quite a long name")
    ada = visit(None, viewport=NARROW, color_scheme=scheme)
    page = ada.page

    def fits(name: str) -> None:
        for width in (320, 360):
            page.set_viewport_size({"width": width, "height": 740})
            assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        shot(page, f"narrow-{scheme}-{name}")

    page.goto(f"{ada.site.url}/login")
    page.get_by_label("Login").fill("ada")
    page.get_by_label("Password").fill("not the password")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("do not go together")
    fits("login")
    ada.log_in()
    fits("queue")
    start(ada)
    fits("case")
    page.locator(".reveal").focus()
    page.keyboard.down("Space")
    expect(revealed(ada)).to_be_visible()
    fits("case-revealed")
    page.keyboard.up("Space")
    page.goto(f"{ada.site.url}/cases/{str(case)[:-1]}z")
    expect(page.get_by_role("heading", name="Not here")).to_be_visible()
    fits("not-here")
    if scheme == "dark":
        page.set_viewport_size(WIDE)
        page.goto(f"{ada.site.url}/cases/{case}")
        shot(page, "case-dark")
