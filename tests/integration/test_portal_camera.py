"""Protecting a face in Chromium: the camera's poses and hints, what is sent, and a voucher."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from skimage import data

from pipeline.domain import voucher as vouchers
from pipeline.domain.voucher import Voucher
from pipeline.storage.vault import new_signing_key, public_key_of, signature_by
from services.portal import create_app
from services.portal.languages import LANGUAGES
from services.wiring import now
from tests.integration.test_portal_browser import (  # noqa: F401
    CHROMIUM,
    FLAGS,
    LEAST,
    NARROW,
    WIDE,
    chromium,
    shot,
    sound,
)
from tests.integration.test_portal_faces import Model
from tests.serving import served
from tests.world import Town, jpeg, picture

pytestmark = pytest.mark.browser

DRAWN = """(filter) => {
    const kind = CanvasRenderingContext2D.prototype;
    kind.drawn ??= kind.drawImage;
    kind.drawImage = function (...given) { this.filter = filter; this.drawn(...given); };
}"""
"""The camera's pictures pass through a filter, as in a dark or too bright room."""


@pytest.fixture(scope="module")
def camera(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:  # noqa: F811
    """A browser whose camera shows a portrait."""
    assert chromium.is_connected()  # so that it is skipped where there is none
    file = tmp_path_factory.mktemp("camera") / "portrait.y4m"
    file.write_bytes(_film(data.astronaut()[0:384, 0:512]))
    flags = [*FLAGS, f"--use-file-for-fake-video-capture={file}"]
    # A second browser in the same process goes through the first one's driver.
    browser = chromium.browser_type.launch(executable_path=CHROMIUM, args=flags)
    yield browser
    browser.close()


def _film(pixels: np.ndarray) -> bytes:
    """Two frames of a picture as a YUV4MPEG2 file, the form that Chromium's stand-in reads."""
    image = Image.fromarray(pixels).resize((640, 480)).convert("YCbCr")
    y, blue, red = image.split()
    half = [plane.resize((320, 240)).tobytes() for plane in (blue, red)]
    frame = b"FRAME\n" + y.tobytes() + b"".join(half)
    return b"YUV4MPEG2 W640 H480 F10:1 Ip A1:1 C420jpeg\n" + 2 * frame


@pytest.fixture
def place(town: Town, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """A portal that looks at faces; its address, and the key of an organisation that vouches."""
    private = new_signing_key()
    file = tmp_path / "organisations.json"
    file.write_text(json.dumps({"helpline": public_key_of(private)}))
    settings = {"faces": ("model",), "vouchers_file": file}
    world = replace(
        town.world,
        settings=town.world.settings.model_copy(update=settings),
        face_models=lambda: (Model(),),
        face_spaces=(Model.space,),
        policy=replace(
            town.world.policy,
            faces=replace(town.world.policy.faces, thresholds={"model": Model.likeness}),
        ),
    )
    with world.live("portal") as live, served(create_app(world, live)) as url:
        yield url, private


def test_three_poses_with_hints_are_sent_once_and_the_camera_is_turned_off(
    town: Town,
    place: tuple[str, str],
    camera: Browser,
    shot: Callable[[Page, str], None],  # noqa: F811
) -> None:
    url, _ = place
    context = camera.new_context(viewport=NARROW, locale="en-GB")
    context.set_default_timeout(30_000)
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"{url}/en/photo")
    assert sound(page) == []
    shot(page, "camera-1-before")
    page.get_by_role("button", name="Turn on the camera").click()
    shoot = page.get_by_role("button", name="Take this photo")
    expect(shoot).to_be_focused()
    pose, photos = page.locator("#pose"), page.locator("#photos li")
    for filtered, hint in (
        ("brightness(0.1)", "It is too dark."),
        ("brightness(0) invert(1)", "It is too bright."),
        ("blur(14px)", "It is blurred."),
    ):
        page.evaluate(DRAWN, filtered)
        shoot.click()
        expect(pose).to_contain_text(hint)
        expect(photos).to_have_count(0)
    assert sound(page) == []
    shot(page, "camera-2-hint")
    send = page.get_by_role("button", name="Send the photos")
    expect(send).to_be_disabled()
    for taken, said in enumerate(("to the left", "to the right", "enough photos"), 1):
        # The stand-in's picture stands still, and the same photo twice is one.
        page.evaluate(DRAWN, f"brightness(0.9{taken})")
        shoot.click()
        expect(photos).to_have_count(taken)
        expect(pose).to_contain_text(said)
    assert sound(page) == []
    shot(page, "camera-3-taken")
    page.set_viewport_size(WIDE)
    shot(page, "camera-3-taken-wide")
    page.set_viewport_size(LEAST)
    assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")
    send.click()
    expect(page.get_by_role("alert")).to_contain_text("tick both boxes")
    for box in page.get_by_role("checkbox").all():
        box.check()
    tracks = "() => document.getElementById('camera').srcObject.getTracks()[0].readyState"
    assert page.evaluate(tracks) == "live"
    send.click()
    expect(page.get_by_role("heading", name="We have it")).to_be_focused()
    assert page.evaluate(tracks) == "ended", "the camera's light is out"
    assert page.locator("#given-pin").inner_text().isdigit()
    assert sound(page) == []
    shot(page, "camera-4-numbers")
    assert complaints == []
    assert town.query("SELECT state, photos FROM enrolments") == [("pending", 3)]
    context.close()


def test_a_voucher_is_for_its_photos_alone_and_takes_the_place_of_the_check(
    town: Town,
    place: tuple[str, str],
    camera: Browser,
    shot: Callable[[Page, str], None],  # noqa: F811
) -> None:
    url, private = place
    bodies = [jpeg(picture(seed)) for seed in (1, 2, 3)]
    word = Voucher("helpline", vouchers.digests(bodies), now())
    word = replace(word, signature=signature_by(private, word.statement()))
    files = [
        {"name": f"{at}.jpg", "mimeType": "image/jpeg", "buffer": body}
        for at, body in enumerate([*bodies, jpeg(picture(4))])
    ]
    signed = {
        "name": "voucher.json", "mimeType": "application/json",
        "buffer": json.dumps(word.document()).encode(),
    }  # fmt: skip
    context = camera.new_context(viewport=NARROW, locale="en-GB")
    context.set_default_timeout(30_000)
    page = context.new_page()
    page.goto(f"{url}/en/photo")
    page.get_by_text("I have a voucher of an organisation").click()
    page.set_input_files("#voucher", [signed])  # type: ignore[arg-type]
    expect(page.get_by_text("The voucher is chosen.")).to_be_visible()
    page.set_input_files("#files", [*files[:2], files[3]])  # type: ignore[arg-type]
    for box in page.get_by_role("checkbox").all():
        box.check()
    page.get_by_role("button", name="Send the photos").click()
    expect(page.get_by_role("alert")).to_contain_text("does not fit these photos")
    assert sound(page) == []
    shot(page, "camera-5-voucher-refused")
    page.get_by_role("button", name="Remove: Photo 3").click()
    page.set_input_files("#files", [files[2]])  # type: ignore[arg-type]
    page.get_by_role("button", name="Send the photos").click()
    expect(page.get_by_role("heading", name="We have it")).to_be_focused()
    expect(page.get_by_text("Your face: we look for it in intimate uploads.")).to_be_visible()
    shot(page, "camera-6-vouched")
    assert town.query("SELECT state, organisation FROM enrolments") == [("approved", "helpline")]
    context.close()


@pytest.mark.parametrize("code", sorted(LANGUAGES.keys() - {"en"}))
def test_the_page_with_the_camera_on_is_accessible_in_every_language(
    place: tuple[str, str],
    camera: Browser,
    shot: Callable[[Page, str], None],  # noqa: F811
    code: str,
) -> None:
    url, _ = place
    context = camera.new_context(viewport=LEAST)
    context.set_default_timeout(30_000)
    page = context.new_page()
    page.goto(f"{url}/{code}/photo")
    page.locator("#start").click()
    expect(page.locator("#shoot")).to_be_focused()
    page.locator("#shoot").click()
    expect(page.locator("#photos li")).to_have_count(1)
    assert sound(page) == []
    assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")
    shot(page, f"camera-{code}")
    context.close()
