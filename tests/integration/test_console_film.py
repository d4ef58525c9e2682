"""A video at the review desk, end to end: screened, played as pictures, revealed while held."""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from pipeline.domain.ids import CaseId
from pipeline.domain.media import Upload
from pipeline.journeys import review
from pipeline.journeys.register import register
from pipeline.journeys.take_in_film import accept
from tests.films import OTHERS, SCENES, film, scenes
from tests.integration.test_console_browser import (
    NARROW,
    Site,
    Visit,
    at_work,
    chromium,
    revealed,
    site,
    visit,
)
from tests.integration.test_console_desk_browser import accessible
from tests.world import Town

__all__ = ["chromium", "site", "visit"]

pytestmark = pytest.mark.browser

FPS = 12.0


@pytest.fixture(scope="module")
def clips() -> tuple[bytes, bytes]:
    """What she registers, and an upload that shows it twice."""
    hers = [list(scenes((name,), 3, FPS, seed=2)) for name in SCENES[1:3]]
    other = [list(scenes((name,), 2, FPS, seed=5)) for name in OTHERS[:2]]
    upload = chain(other[0], hers[0], other[1], hers[1])
    return film(chain(*hers), fps=FPS), film(upload, fps=FPS, crf="30")


@pytest.fixture
def film_case(site: Site, clips: tuple[bytes, bytes]) -> CaseId:
    """The case of a video that shows hers twice, and a face in it."""
    return screened(site.town, *clips)


def screened(town: Town, hers: bytes, upload: bytes) -> CaseId:
    world = town.world
    register(
        world.store, world.pins, town.clock, world.decode, world.signals, (), world.generic,
        videos=[("film", io.BytesIO(hers))], filmer=world.filmer,
    )  # fmt: skip
    town.live.catch_up()
    sent = Upload("post-film", "somebody")
    accept(world.store, world.blobs, town.clock, town.platform(), sent, [upload], "video/mp4")
    assert world.projector(town.live).work(lambda _: 0.0)
    ((case,),) = town.query("SELECT id FROM cases")
    return CaseId(case)


def with_a_face(town: Town, case: CaseId) -> None:
    """Say that a face matched too, as a pack of face models would."""
    view = {"name": "the face at 6.0 s", "turn": "as it is", "time": 6.0,
            "corners": [[0.3, 0.2], [0.5, 0.2], [0.5, 0.6], [0.3, 0.6]]}  # fmt: skip
    stretch = {"upload": [5.0, 7.5], "entry": None, "matched": 3, "sampled": 3, "distance": 0.71,
               "path": [[5.0, 0.1, 0.2, 0.3, 0.6], [6.0, 0.3, 0.2, 0.5, 0.6],
                        [7.5, 0.6, 0.2, 0.8, 0.6]]}  # fmt: skip
    town.query(
        "INSERT INTO case_hits (case_id, screening, entry, person, signal, distance, threshold,"
        " bank, source, slot, view, witness, stretches, metric)"
        " SELECT case_id, screening, entry + 100, person, 'omz0095', 0.71, 0.512, 'faces',"
        " 'registered', 0, %s, 'a face very like hers: 1 in 100,000 strangers comes this near',"
        " %s, 'inner_product' FROM case_hits WHERE case_id = %s LIMIT 1",
        json.dumps(view), json.dumps([stretch]), case,
    )  # fmt: skip


def shot(page: Page, name: str) -> None:
    folder = os.environ.get("CONSENTRY_SCREENSHOTS")
    if folder:
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def place(page: Page) -> float:
    minutes, seconds = page.locator("[data-clock]").inner_text().split(":")
    return 60 * int(minutes) + float(seconds)


def at(page: Page, seconds: float, within: float = 0.3) -> None:
    """Wait until the player is at a moment."""
    for _ in range(300):
        if abs(place(page) - seconds) <= within:
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"the player is at {place(page)}, not at {seconds}")


def frames(one: Visit, method: str) -> int:
    return sum(
        bool(re.search(r"/frames(\?|$)", request.url)) and request.method == method
        for request in one.asked
    )


def audited(town: Town, action: str) -> list[dict[str, Any]]:
    return [
        json.loads(row[0])
        for row in town.query("SELECT body FROM audit_log WHERE action = %s ORDER BY seq", action)
    ]


def test_a_video_is_looked_through_by_keys_and_is_clear_only_while_held(
    visit: Callable[..., Visit], film_case: CaseId, site: Site
) -> None:
    with_a_face(site.town, film_case)
    ada = visit()
    page, keyboard = ada.page, ada.page.keyboard
    page.get_by_role("button", name="Start reviewing").click()
    at_work(page)
    still = page.locator("img.blurred")
    assert still.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    ranges = page.locator("[data-range]")
    starts = [float(one.get_attribute("data-start") or "x") for one in ranges.all()]
    print([one.inner_text() for one in ranges.all()])
    assert starts == sorted(starts)
    assert starts[0] == pytest.approx(2.0, abs=0.6)
    assert any(start == pytest.approx(7.0, abs=0.6) for start in starts)
    expect(page.locator("[data-range].face")).to_have_text(
        "0:05 to 0:07: the face, similarity 0.71, best at 0:06"
    )
    page.wait_for_timeout(500)
    assert frames(ada, "GET") == 0, "nothing plays by itself"
    for number, start in enumerate(starts):
        keyboard.press("j")
        at(page, start)
        expect(ranges.nth(number)).to_have_attribute("aria-pressed", "true")
    keyboard.press("k")
    expect(ranges.nth(len(starts) - 2)).to_have_attribute("aria-pressed", "true")
    page.locator("[data-place]").fill("4")
    page.locator("[data-place]").dispatch_event("change")
    at(page, 4.0, 0.05)
    before = place(page)
    for key in (".", ".", ","):
        keyboard.press(key)
        page.wait_for_timeout(1500)
    at(page, before + 1 / FPS, 0.02)
    assert frames(ada, "POST") == 0
    assert not audited(site.town, "media.revealed")
    shot(page, "film-blurred")

    page.locator("main").focus()
    keyboard.down("Space")
    expect(revealed(ada)).to_be_visible()
    assert "grayscale" in revealed(ada).evaluate("image => image.style.filter")
    keyboard.press(".")
    at(page, before + 2 / FPS, 0.02)
    expect(revealed(ada)).to_be_visible()
    shot(page, "film-revealed")
    assert ada.complaints == []
    source = revealed(ada).get_attribute("src")
    keyboard.up("Space")
    expect(revealed(ada)).to_have_count(0)
    gone = page.evaluate("url => fetch(url).then(() => 'there', () => 'gone')", source)
    assert gone == "gone", "its bytes are freed"
    told = audited(site.town, "media.revealed")
    assert [one["at_ms"] for one in told] == pytest.approx(
        [1000 * (before + 1 / FPS)] * 2, abs=30
    ), "every strip that is fetched clear is in the trail, with its moment"
    assert site.town.query("SELECT count(*) FROM looks") == [(1,)], "one hold is one look"


def test_a_video_plays_when_asked_and_stops_at_its_end_blurred_whenever_nobody_holds(
    visit: Callable[..., Visit], film_case: CaseId
) -> None:
    ada = visit()
    page, keyboard = ada.page, ada.page.keyboard
    page.get_by_role("button", name="Start reviewing").click()
    at_work(page)
    play = page.locator("[data-play]")
    page.get_by_label("Speed").select_option("2")
    keyboard.press("l")
    expect(play).to_have_attribute("aria-pressed", "true")
    at(page, 4.0, 1.0)
    page.locator("main").focus()
    keyboard.down("Space")
    expect(revealed(ada)).to_be_visible()
    held_at = place(page)
    for _ in range(100):
        if place(page) > held_at + 0.5:
            break
        page.wait_for_timeout(100)
    assert place(page) > held_at + 0.5, "it goes on while it is revealed"
    page.evaluate("window.dispatchEvent(new Event('blur'))")
    expect(revealed(ada)).to_have_count(0)
    keyboard.up("Space")
    at(page, 10.0, 0.6)
    expect(play).to_have_attribute("aria-pressed", "false")
    expect(revealed(ada)).to_have_count(0)
    assert ada.complaints == []


def test_the_page_of_a_video_is_accessible_fits_a_phone_and_shows_the_face_where_it_lies(
    visit: Callable[..., Visit], film_case: CaseId, site: Site
) -> None:
    with_a_face(site.town, film_case)
    ada = visit()
    page = ada.page
    page.get_by_role("button", name="Start reviewing").click()
    at_work(page)
    box = page.locator(".boxes polygon")
    expect(box).to_have_class(re.compile("away"))
    page.locator("[data-range].face").click()
    at(page, 5.0)
    expect(box).to_have_attribute("points", "10,20 30,20 30,60 10,60")
    page.locator("[data-place]").fill("6")
    page.locator("[data-place]").dispatch_event("change")
    at(page, 6.0, 0.1)
    expect(box).not_to_have_class(re.compile("away"))
    where, picture = box.bounding_box(), page.locator("img.blurred").bounding_box()
    assert where
    assert picture
    assert (where["x"] - picture["x"]) / picture["width"] == pytest.approx(0.3, abs=0.03)
    assert where["height"] / picture["height"] == pytest.approx(0.4, abs=0.05)
    expect(page.get_by_text("1 in 100,000 strangers comes this near")).to_be_visible()
    expect(page.get_by_text("There is no photo to compare with")).to_have_count(0)
    accessible(page)
    shot(page, "film-face")
    page.set_viewport_size(NARROW)  # type: ignore[arg-type]
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    shot(page, "film-narrow")
    assert ada.complaints == []


def test_strips_are_for_the_holder_alone_and_a_look_ends_with_its_hold(
    site: Site, film_case: CaseId
) -> None:
    from fastapi.testclient import TestClient

    from services.console import create_app
    from tests.integration.test_console import Desk

    town = site.town
    app = create_app(site.world)
    desks = {}
    for login in ("ada", "ben"):
        desks[login] = Desk(town, TestClient(app, follow_redirects=False))
        assert desks[login].log_in(login).status_code == 303
    ada, ben = desks["ada"], desks["ben"]
    token = ada.claim(film_case)
    medium = town.query("SELECT id FROM media")[0][0]
    where = f"/cases/{film_case}/media/{medium}/frames"
    blurred = ada.get(f"{where}?at=2.5&after=3")
    assert blurred.headers["content-type"].startswith("multipart/form-data")
    assert blurred.content.count(b"image/jpeg") == 3
    assert float(blurred.headers["x-seconds"]) == pytest.approx(10, abs=0.3)
    assert b"ftyp" not in blurred.content
    assert ben.get(f"{where}?at=2.5").status_code == 409
    assert ada.get(f"{where}?at=nan").status_code == 422
    assert ada.get(f"{where}?at=1&after=5000").status_code == 422

    clear = ada.send(where, token=token, at="2.5")
    look = clear.headers["x-look"]
    start = clear.content.index(b"\xff\xd8")
    with Image.open(io.BytesIO(clear.content[start:])) as picture:
        assert picture.size == (256, 144)
    assert ada.send(where, token=token, at="3", look=look).status_code == 200
    few = ada.send(where, token=token, at="3", look=look, after="20", **{"as": "cartoon"})
    assert few.content.count(b"image/jpeg") == 3, "cartoons cost much: a few at a time"
    assert ben.send(where, token=token, at="3", look=look).status_code == 409
    ada.send(where.replace("frames", "looked"), look=look, seconds="3")
    assert ada.send(where, token=token, at="3", look=look).status_code == 409, "it has ended"
    assert town.query("SELECT count(*) FROM looks") == [(1,)]
    town.rules(undo_seconds=0, budget={"looks_per_hour": 1})
    assert ada.send(where, token=token, at="3").status_code == 403
    whole = ada.get(f"/cases/{film_case}/media/{medium}/preview?at=4")
    with Image.open(io.BytesIO(whole.content)) as picture:
        assert picture.mode == "L"
    with town.world.store.transaction() as unit:
        (held,) = unit.media.of_case(film_case)
    assert held.mime == "video/mp4"
    assert review.claim(site.world.desk, film_case, desks_reviewer(town, "ada"))


def desks_reviewer(town: Town, login: str) -> Any:
    return town.query("SELECT id FROM reviewers WHERE login = %s", login)[0][0]
