"""The portal in Chromium: no image byte leaves, everybody can use it, it is left at once."""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, Page, Request, Route, expect, sync_playwright

from pipeline.domain.action import ActionKind
from pipeline.domain.consent import HASHES_TEXT
from pipeline.domain.screening import Verdict
from pipeline.journeys.act import act
from pipeline.storage.vault import Pins
from services.portal import create_app
from services.portal.languages import LANGUAGES
from services.portal.paces import Paces
from services.settings import Settings
from services.web.pace import Pace
from services.wiring import open_world
from tests.films import film, scenes, still
from tests.integration.test_following import join
from tests.integration.test_local_features_in_the_path import joined, small_in_another
from tests.integration.test_portal import PUBLIC
from tests.pictures import encode
from tests.serving import served
from tests.world import CHEAP, Clock, Town, jpeg, picture

pytestmark = pytest.mark.browser

CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox", "--disable-dev-shm-usage", "--disable-background-networking",
    "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
]  # fmt: skip
WIDE, NARROW, LEAST = (
    {"width": 1280, "height": 900},
    {"width": 360, "height": 740},
    {"width": 320, "height": 640},
)
EXIT = "https://www.wikipedia.org/"
STANDARD = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
TELLING = re.compile(
    "intimate|naked|abuse|consentry|nude|fake|íntim|intim|حميم|register|protect", re.IGNORECASE
)
"""Words that a tab, a history or an address must not say."""


@dataclass
class Site:
    """A portal that answers on this machine."""

    town: Town
    url: str


@pytest.fixture(scope="module")
def site(
    migrated_template: str, postgres_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """One deployment for the whole module: the pages leave each other alone."""
    import psycopg
    from psycopg import sql
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    name = "portal_browser"
    template = str(conninfo_to_dict(migrated_template)["dbname"])
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                sql.Identifier(name), sql.Identifier(template)
            )
        )
    url = make_conninfo(postgres_server, dbname=name)
    home = tmp_path_factory.mktemp("portal") / "home"
    with ExitStack() as stack:
        world = stack.enter_context(
            open_world(Settings(database_url=url, home=home, log_level="error"))
        )
        clock = Clock()
        world = replace(
            world, pins=Pins(world.secrets, CHEAP), desk=replace(world.desk, clock=clock)
        )
        live = stack.enter_context(world.live("api"))
        town = Town(world, live, clock, url)
        town.platform("Board")
        app = create_app(world, live)
        app.state.paces = Paces(cases=Pace(number=1000, seconds=1))
        yield Site(town, stack.enter_context(served(app)))


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    if not Path(CHROMIUM).exists():
        if os.environ.get("CONSENTRY_CI"):
            pytest.fail("in CI the browser is mandatory: apt-get install chromium libatomic1")
        pytest.skip("Chromium is not installed: apt-get install chromium libatomic1")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@dataclass
class Visitor:
    """A person's tab, all that it asked for, and what the browser complained of."""

    page: Page
    site: Site
    asked: list[Request] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def go(self, path: str) -> None:
        self.page.goto(f"{self.site.url}{path}")

    def press(self, name: str) -> None:
        self.page.get_by_role("link", name=name, exact=True).click()


@pytest.fixture
def visit(chromium: Browser, site: Site) -> Iterator[Callable[..., Visitor]]:
    contexts = []

    def make(**options: Any) -> Visitor:
        context = chromium.new_context(**{"viewport": NARROW, "locale": "en-GB", **options})
        contexts.append(context)
        context.set_default_timeout(30_000)
        made = Visitor(context.new_page(), site)
        context.on("request", lambda request: made.asked.append(request))  # noqa: PLW0108
        made.page.on("pageerror", lambda error: made.complaints.append(str(error)))
        made.page.on(
            "console",
            lambda said: made.complaints.append(said.text) if said.type == "error" else None,
        )
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


def sound(page: Page) -> list[str]:
    """What axe finds wrong with a page.

    From its top: what lies half under the bar that stays in place cannot be told from small.
    """
    page.evaluate("scrollTo(0, 0)")
    found = Axe().run(
        page,
        options={
            "resultTypes": ["violations"],
            "runOnly": {"type": "tag", "values": list(STANDARD)},
        },
    )
    return [
        f"{one['id']}: {one['help']} {[node['html'][:120] for node in one['nodes'][:3]]}"
        for one in found.response["violations"]
    ]


def test_a_person_registers_follows_and_leaves_and_no_image_byte_ever_left_her_device(
    site: Site, visit: Callable[..., Visitor], shot: Callable[[Page, str], None]
) -> None:
    town, visitor = site.town, visit()
    page = visitor.page
    pictures = [encode(still(name)) for name in ("astronaut", "chelsea", "coffee")]
    clip = film(scenes(("rocket", "coffee"), seconds=2.0))
    files = [
        {"name": f"me-and-{number}.jpg", "mimeType": "image/jpeg", "buffer": body}
        for number, body in enumerate(pictures)
    ]
    files.append({"name": "us.mp4", "mimeType": "video/mp4", "buffer": clip})

    visitor.go("/en/")
    shot(page, "story-1-start")
    visitor.press("Protect my pictures")
    visitor.press("Yes, 18 or older")
    visitor.press("Yes, it shows me")
    visitor.press("Yes, it is intimate")
    page.get_by_role("checkbox").check()
    page.get_by_role("button", name="Go on").click()
    assert not page.context.cookies(), "no cookie before there is a need"
    page.set_input_files("#files", files)
    expect(page.get_by_text("Ready. Nothing has been sent yet.")).to_be_visible(timeout=120_000)
    assert not [one for one in visitor.asked if one.method == "POST"]
    page.get_by_text("Show exactly what will be sent").click()
    shown = page.locator("#exact").inner_text()
    shot(page, "story-2-ready")
    assert sound(page) == []
    page.get_by_role("button", name="Send these codes").click()
    expect(page.get_by_role("heading", name="Keep these numbers")).to_be_focused()
    assert sound(page) == []
    shot(page, "story-3-numbers")
    given = [page.locator(f"#given-{part}").inner_text() for part in ("case", "pin", "recovery")]

    # Nothing but the JSON that was shown has left, and nothing went elsewhere.
    (sent,) = [one for one in visitor.asked if one.method != "GET"]
    assert sent.post_data == shown
    kinds = [item["kind"] for item in json.loads(shown)["items"]]
    assert kinds == ["image", "image", "image", "video"]
    assert all(one.url.startswith((site.url, "blob:")) for one in visitor.asked)
    everything = [f"{one.url} {json.dumps(one.headers)}" for one in visitor.asked]
    assert not any("me-and" in said or "us.mp4" in said for said in everything)
    raw = sent.post_data_buffer or b""
    for body in (*pictures, clip):
        for at in range(64, len(body) - 24, max(1, len(body) // 64)):
            assert body[at : at + 24] not in raw

    town.live.catch_up()
    board = town.platform("Another board")
    copy = io.BytesIO()
    Image.fromarray(still("astronaut")).save(copy, "JPEG", quality=40)
    found = town.screen(board, copy.getvalue())
    assert found.verdict is Verdict.REVIEW
    frame = encode(list(scenes(("rocket", "coffee"), seconds=2.0))[6])
    assert town.screen(board, frame).verdict is Verdict.REVIEW, "a frame of the clip"

    page.get_by_role("link", name="Sign in to my case").click()
    page.get_by_label("Case number").fill(given[0])
    page.get_by_label("PIN").fill(given[1])
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Your case")).to_be_visible()
    expect(page.get_by_text("A trained person will look at it and decide.").first).to_be_visible()
    expect(page.get_by_text("Another board")).to_have_count(0)
    expect(page.get_by_role("heading", name="Clip 4")).to_be_visible()
    town.uphold(found.case, town.reviewer())
    page.reload()
    expect(page.get_by_text("A person decided: it is a copy, and it must go.")).to_be_visible()
    expect(page.get_by_text("We told Another board to take it down.")).to_be_visible()
    shot(page, "story-4-case")
    assert sound(page) == []

    page.get_by_role("link", name="Stop and delete everything").click()
    assert sound(page) == []
    shot(page, "story-5-end")
    page.get_by_role("button", name="Yes, delete everything").click()
    town.live.catch_up()
    for _ in range(20):
        again = page.get_by_role("button", name="Look again")
        if not again.count():
            break
        again.click()
        town.live.catch_up()
    expect(page.get_by_role("heading", name="Everything is deleted")).to_be_visible()
    shot(page, "story-6-receipt")
    assert sound(page) == []
    assert not page.context.cookies()
    with page.expect_download() as saving:
        page.get_by_role("link", name="Save the receipt").click()
    receipt = Path(saving.value.path()).read_text()
    visitor.go("/en/check")
    page.get_by_label("What the receipt file says").fill(receipt)
    page.get_by_role("button", name="Check", exact=True).click()
    expect(page.get_by_text("This receipt is real.")).to_be_visible()
    shot(page, "story-7-checked")
    assert town.screen(board, copy.getvalue(), "after").verdict is Verdict.CLEAR
    assert visitor.complaints == []


@pytest.mark.parametrize("code", sorted(LANGUAGES))
def test_every_page_in_every_language_is_accessible_narrow_and_says_nothing_in_its_tab(
    code: str, visit: Callable[..., Visitor], shot: Callable[[Page, str], None]
) -> None:
    visitor = visit(viewport=LEAST)
    page = visitor.page
    wrong: dict[str, Any] = {}
    for path in (*PUBLIC, "/nothing"):
        visitor.go(f"/{code}{path}")
        here = path.partition("?")[0]
        found = sound(page)
        overflow = page.evaluate("document.documentElement.scrollWidth > innerWidth")
        if found or overflow:
            wrong[here] = found or "wider than the screen"
        assert not TELLING.search(page.title()), page.title()
        assert not TELLING.search(here)
        if os.environ.get("CONSENTRY_SCREENSHOTS"):
            name = here.strip("/").replace("/", "-") or "home"
            for size, viewport in (("360", NARROW), ("wide", WIDE)):
                if size == "wide" and code in ("de", "es"):
                    continue
                page.set_viewport_size(viewport)
                shot(page, f"{code}-{name}-{size}")
            page.set_viewport_size(LEAST)
    assert wrong == {}


def test_three_presses_of_shift_blank_the_page_and_put_another_in_its_place(
    site: Site, visit: Callable[..., Visitor]
) -> None:
    visitor = visit()
    page = visitor.page

    def elsewhere(route: Route) -> None:
        route.fulfill(body="<title>weather</title>fine", content_type="text/html")

    page.context.route(f"{EXIT}**", elsewhere)
    visitor.go("/en/")
    visitor.press("Protect my pictures")
    page.wait_for_url("**/begin")
    # In one go, so that a busy machine is not too slow for it.
    page.evaluate(
        """() => {
            for (let press = 0; press < 3; press++) {
                dispatchEvent(new KeyboardEvent("keydown", { key: "Shift" }));
            }
        }"""
    )
    page.wait_for_url(EXIT)
    page.go_back()
    assert page.url == f"{site.url}/en/", "the page that she left is not behind her"
    page.get_by_role("link", name="Leave this page").click()
    page.wait_for_url(EXIT)
    assert page.title() == "weather"
    visitor.go("/en/begin")
    page.keyboard.press("Shift")
    page.keyboard.press("a")
    page.keyboard.press("Shift")
    page.keyboard.press("Shift")
    assert page.url.startswith(site.url), "typing in capitals does not throw her out"


def test_all_can_be_done_with_the_keyboard_and_what_has_the_focus_is_never_hidden(
    site: Site, visit: Callable[..., Visitor]
) -> None:
    visitor = visit()
    page = visitor.page
    for path in ("/en/", "/en/tell", f"/en/begin/5?agree={HASHES_TEXT}", "/ar/in"):
        visitor.go(path)
        seen = []
        for _ in range(60):
            page.keyboard.press("Tab")
            told = page.evaluate(
                """() => {
                    const one = document.activeElement;
                    if (one === document.body) return null;
                    const box = one.getBoundingClientRect();
                    const at = document.elementFromPoint(
                        box.left + box.width / 2, box.top + Math.min(box.height / 2, 20));
                    const label = one.closest("label");
                    return { name: one.outerHTML.slice(0, 80),
                             shown: one.contains(at) || at?.contains(one) || label?.contains(at) };
                }"""
            )
            if told is None:
                break
            seen.append(told["name"])
            assert told["shown"], told["name"]
        assert len(seen) >= 10, "everything was reached"
    visitor.go("/en/begin")
    while page.evaluate("document.activeElement.textContent") != "Yes, 18 or older":
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**/begin/2")


def test_her_own_pages_are_accessible_and_narrow_in_every_language(
    site: Site, visit: Callable[..., Visitor], shot: Callable[[Page, str], None]
) -> None:
    """A case with everything that can happen: left, objected to, upheld, removed, put back."""
    town = site.town
    town.rules(undo_seconds=0)
    given = join(town, 21, 22, 23)
    board, ada, ben = town.platform("The third board"), town.reviewer("ada2"), town.reviewer("ben2")
    found = [town.screen(board, jpeg(picture(seed), 50)) for seed in (21, 22, 23)]
    town.uphold(found[0].case, ada)
    for kind in (ActionKind.REMOVED, ActionKind.RESTORED):
        town.clock.forward(minutes=1)
        act(town.world.store, town.clock, board, found[0].id, kind, town.clock())
    town.dismiss(found[1].case, ada)
    town.dismiss(found[2].case, ben)
    visitor = visit(viewport=LEAST)
    page = visitor.page
    visitor.go("/en/in")
    page.get_by_label("Case number").fill(given.case_number)
    page.get_by_label("PIN").fill(given.pin)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/en/case")
    page.get_by_role("link", name="I do not agree").first.click()
    say = page.url.removeprefix(f"{site.url}/en")
    shot(page, "case-say")
    page.get_by_label("Why was it wrong?").fill("That is my own kitchen.")
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.get_by_text("You objected.")).to_be_visible()
    other = page.get_by_role("link", name="I do not agree").get_attribute("href") or ""
    assert other.removeprefix("/en") != say, "once for each decision"
    wrong: dict[str, Any] = {}
    for code in sorted(LANGUAGES):
        for path in ("/case", other.removeprefix("/en"), "/case/end"):
            visitor.go(f"/{code}{path}")
            assert not TELLING.search(page.title())
            overflow = page.evaluate("document.documentElement.scrollWidth > innerWidth")
            if problems := sound(page) or (["wider than the screen"] if overflow else []):
                wrong[f"{code}{path}"] = problems
            shot(page, f"hers-{code}{path[:9].replace('/', '-')}-320")
            if path == "/case" and os.environ.get("CONSENTRY_SCREENSHOTS"):
                page.set_viewport_size(WIDE)
                shot(page, f"hers-{code}-case-wide")
                page.set_viewport_size(LEAST)
    assert wrong == {}


def test_a_whole_registration_is_done_by_keyboard_alone(
    site: Site, visit: Callable[..., Visitor]
) -> None:
    visitor = visit()
    page = visitor.page

    def reach(name: str) -> None:
        """Tab on until what has this name has the focus."""
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.evaluate(
                """(name) => {
                    const one = document.activeElement;
                    const said = one.ariaLabel ?? one.labels?.[0]?.textContent ?? one.textContent;
                    return said.trim().startsWith(name);
                }""",
                name,
            ):
                return
        pytest.fail(f"{name} cannot be reached by Tab")

    visitor.go("/en/")
    for name in ("Protect my pictures", "Yes, 18", "Yes, it shows me", "Yes, it is intimate"):
        reach(name)
        before = page.url
        page.keyboard.press("Enter")
        page.wait_for_url(lambda url, before=before: url != before)  # type: ignore[misc]
    reach("I have read this")
    page.keyboard.press("Space")
    reach("Go on")
    page.keyboard.press("Enter")
    page.wait_for_url("**/begin/5**")
    expect(page.locator("#files")).to_be_enabled()
    reach("Choose files")
    body = encode(still("chelsea"))
    with page.expect_file_chooser() as choosing:
        page.keyboard.press("Enter")
    choosing.value.set_files([{"name": "a", "mimeType": "image/png", "buffer": body}])
    expect(page.get_by_text("Ready. Nothing has been sent yet.")).to_be_visible()
    reach("Show exactly what will be sent")
    page.keyboard.press("Enter")
    expect(page.locator("#exact")).to_be_visible()
    reach("Send these codes")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Keep these numbers")).to_be_focused()
    reach("Copy")
    reach("Print")
    page.emulate_media(media="print")
    expect(page.locator("#given-pin")).to_be_visible()
    expect(page.get_by_role("link", name="Leave this page")).to_be_hidden()
    page.emulate_media(media="screen")
    reach("Sign in to my case")
    page.keyboard.press("Enter")
    page.wait_for_url("**/in")


SOON = "globalThis.setTimeout = ((later) => (work, ms) => later(work, ms / 100))(setTimeout)"
"""Pauses before sending again take a hundredth of their time."""


def test_her_numbers_are_copied_or_marked_where_a_browser_forbids_copying(
    site: Site, visit: Callable[..., Visitor]
) -> None:
    visitor = visit(permissions=["clipboard-write"])
    page = visitor.page
    visitor.go("/en/begin")
    for name in ("Yes, 18 or older", "Yes, it shows me", "Yes, it is intimate"):
        visitor.press(name)
    page.get_by_role("checkbox").check()
    page.get_by_role("button", name="Go on").click()
    page.locator("#files").set_input_files(
        [{"name": "a", "mimeType": "image/png", "buffer": encode(still("coffee"))}]
    )
    page.get_by_role("button", name="Send these codes").click()
    expect(page.get_by_role("heading", name="Keep these numbers")).to_be_visible()
    given = [page.locator(f"#given-{part}").inner_text() for part in ("case", "pin", "recovery")]

    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_text("Copied.")).to_be_visible()
    other = page.context.new_page()  # where she pastes them
    other.goto(f"{site.url}/en/tell")
    words = other.locator("textarea").last
    words.click()
    other.keyboard.press("Control+V")
    assert words.input_value().split("\n") == [
        f"{name}: {value}"
        for name, value in zip(("Case number", "PIN", "Recovery code"), given, strict=True)
    ]

    page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(); }")
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_text("Your browser did not let us copy.")).to_be_visible()
    marked = page.evaluate("getSelection().toString()")
    assert all(value in marked for value in given)
    assert sound(page) == []


def test_finer_traces_alone_are_taken_back_on_the_page_of_her_case(
    site: Site, visit: Callable[..., Visitor], shot: Callable[[Page, str], None]
) -> None:
    town = site.town
    image = picture(31, (640, 480))
    given, part = joined(town, image), jpeg(small_in_another(image))
    board = town.platform("The fourth board")
    assert town.screen(board, part).verdict is Verdict.REVIEW
    visitor = visit(viewport=LEAST)
    page = visitor.page
    visitor.go("/en/in")
    page.get_by_label("Case number").fill(given.case_number or "")
    page.get_by_label("PIN").fill(given.pin or "")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Finer traces")).to_be_visible()
    page.get_by_text("Delete the finer traces only").click()
    shot(page, "finer-1-asked")
    assert sound(page) == []
    page.get_by_role("button", name="Yes, delete the finer traces").click()
    expect(page.get_by_text("Done. The finer traces are deleted.")).to_be_visible()
    expect(page.get_by_role("heading", name="Finer traces")).to_have_count(0)
    shot(page, "finer-2-gone")
    assert sound(page) == []
    assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")
    town.live.catch_up()
    assert town.screen(board, part, "later").verdict is Verdict.CLEAR
    assert town.screen(board, jpeg(image, 50)).verdict is Verdict.REVIEW, "her codes go on"
    assert visitor.complaints == []


@pytest.mark.parametrize("cuts", [1, 4])
def test_an_answer_that_is_cut_off_after_all_was_stored_is_asked_for_again(
    cuts: int, site: Site, visit: Callable[..., Visitor], shot: Callable[[Page, str], None]
) -> None:
    visitor = visit()
    page, people = visitor.page, "SELECT count(*) FROM persons"
    ((before,),) = site.town.query(people)
    page.add_init_script(SOON)
    visitor.go(f"/en/begin/5?agree={HASHES_TEXT}")
    body = encode(still("coffee"))
    page.set_input_files("#files", [{"name": "a", "mimeType": "", "buffer": body}])
    expect(page.get_by_text("Ready. Nothing has been sent yet.")).to_be_visible()
    answers: list[str] = []

    def cut(route: Route) -> None:
        answers.append(route.fetch().text())  # the server has stored it and answered
        route.abort("connectionreset")

    page.route("**/items", cut, times=cuts)
    page.get_by_role("button", name="Send these codes").click()
    if cuts > 1:
        expect(page.get_by_role("alert")).to_contain_text("Stay on this page and send again")
        expect(page.get_by_role("button", name="Remove: Picture 1")).to_be_hidden()
        expect(page.locator("#files")).to_be_disabled()
        assert sound(page) == []
        shot(page, "lost-1-answer")
        page.get_by_role("button", name="Send these codes").click()
    expect(page.get_by_role("heading", name="Keep these numbers")).to_be_focused()
    expect(page.get_by_text("There is one case, and these are its numbers.")).to_be_visible()
    assert len(answers) == cuts
    assert json.loads(answers[0])["pin"] == page.locator("#given-pin").inner_text()
    assert site.town.query(people) == [(before + 1,)]
    assert sound(page) == []
    shot(page, "lost-2-numbers")


def test_a_pin_can_be_pasted_with_what_copying_adds(
    site: Site, visit: Callable[..., Visitor]
) -> None:
    visitor = visit(permissions=["clipboard-write"])
    page = visitor.page
    visitor.go("/en/in")
    page.evaluate("navigator.clipboard.writeText('1234 5678')")
    page.get_by_label("PIN").focus()
    page.keyboard.press("Control+V")
    assert page.get_by_label("PIN").input_value() == "1234 5678"


def test_the_start_page_is_light_enough_for_a_slow_phone(
    site: Site, visit: Callable[..., Visitor]
) -> None:
    visitor = visit()
    sizes: list[int] = []
    visitor.page.on("response", lambda answer: sizes.append(len(answer.body())))
    visitor.go("/en/")
    visitor.page.wait_for_load_state("networkidle")
    assert sum(sizes) < 100_000
    assert len(sizes) <= 5


def test_without_scripts_the_way_is_open_up_to_where_a_device_must_compute(
    site: Site, visit: Callable[..., Visitor]
) -> None:
    visitor = visit(java_script_enabled=False)
    page = visitor.page
    visitor.go("/de/")
    for name in ("Meine Bilder schützen", "Ja, 18 oder älter", "Ja, ich bin darauf"):
        visitor.press(name)
    visitor.press("Ja, es ist intim")
    page.get_by_role("checkbox").check()
    page.get_by_role("button", name="Weiter").click()
    expect(page.get_by_text("Dieser Schritt braucht JavaScript")).to_be_visible()
    expect(page.locator("#files")).to_be_hidden()
    visitor.go("/de/tell")
    page.get_by_role("button", name="Meldung senden").click()
    expect(page.get_by_role("alert")).to_contain_text("Etwas fehlt")
    assert sound_without_scripts(page)


def sound_without_scripts(page: Page) -> bool:
    """Whether what is wrong is named where the fields say that it is."""
    return page.locator("[aria-invalid=true]").count() >= 5
