"""A slow phone: how long the codes of a 12 megapixel photo take, and what the start page weighs.

Chromium slows the thread of a page down at will, but never a worker, which it says itself. So the
same modules that the worker is made of hash the photo in the page, four times slower; and in the
worker, at full speed, with the processor time that the page's process used. That second figure is
the one to compare on a machine that others use too.
"""

from __future__ import annotations

import io
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import uvicorn
from PIL import Image

from pipeline.errors import Misconfigured
from services.bench import Report, Target
from services.portal import create_app
from services.settings import Settings
from services.wiring import database_url, open_world

if TYPE_CHECKING:
    from playwright.sync_api import Browser, CDPSession, FilePayload, Page, Response

CHROMIUM = "/usr/bin/chromium"
SLOWER = 4
SECONDS, BYTES = 2.0, 100_000
_WIDTH, _HEIGHT = 4000, 3000

_IN_PAGE = """async () => {
  const { lumaOf, openEye } = await import("/static/device/pixels.js");
  const { hash } = await import("/static/device/pdq.js");
  const { registeredCrops } = await import("/static/device/crops.js");
  globalThis.eye ??= await openEye();
  const [file] = document.getElementById("photo").files;
  const began = performance.now();
  const { luma, width, height } = await lumaOf(eye, file);
  const seen = performance.now();
  const codes = hash(luma, width, height, registeredCrops(width, height));
  return { pixels: seen - began, codes: performance.now() - seen, number: codes.length };
}"""
_IN_WORKER = """async () => {
  const { openHasher } = await import("/static/device/hashing.js");
  globalThis.hasher ??= await openHasher("/device/worker.js");
  const [file] = document.getElementById("photo").files;
  const began = performance.now();
  const { item, problem } = await hasher.hash(file);
  return { all: performance.now() - began, number: item?.codes.length ?? problem };
}"""


def measure(
    rounds: int = 5,
    *,
    photo: Path | None = None,
    seed: int = 1,
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Open the portal in Chromium and hash a photo ``rounds`` times; the report's document.

    Raises ``Misconfigured`` where there is no browser to measure with.
    """
    report = Report("portal", seed)
    body = photo.read_bytes() if photo else _photo(seed)
    with ExitStack() as stack:
        page, site = stack.enter_context(_opened(progress))
        report.rows.append(_start_page(page, site))
        progress("hashing in the page and in the worker")
        page.goto(f"{site}/en/begin/4")
        page.locator("input[type=checkbox]").check()
        page.locator("form button").click()
        page.wait_for_url("**/begin/5**")
        file: FilePayload = {"name": "photo", "mimeType": "image/jpeg", "buffer": body}
        # In a field of its own: the page would begin to hash what is chosen in its own.
        page.evaluate(
            """() => {
              const bare = Object.assign(document.createElement("input"), { type: "file" });
              bare.id = "photo";
              document.querySelector("main").append(bare);
            }"""
        )
        page.set_input_files("#photo", [file])
        report.rows += _hashed(page, rounds)
    slow = report.rows[-1]["seconds"]
    report.targets += [
        Target(f"seconds for 12 MP at {SLOWER}x slower", slow, SECONDS, at_least=False),
        Target("bytes of the start page", report.rows[0]["bytes"], BYTES, at_least=False),
    ]
    report.notes.append(
        "in the worker: at full speed; its processor time holds for a machine that others use too"
    )
    return report.document()


def _start_page(page: Page, site: str) -> dict[str, Any]:
    answers: list[Response] = []

    def count(answer: Response) -> None:
        answers.append(answer)

    page.on("response", count)
    page.goto(f"{site}/en/")
    page.wait_for_load_state("networkidle")
    size = sum(len(answer.body()) for answer in answers)
    return {"what": "start page", "requests": len(answers), "bytes": size}


def _hashed(page: Page, rounds: int) -> list[dict[str, Any]]:
    browser = page.context.browser
    assert browser is not None
    processes, slow = browser.new_browser_cdp_session(), page.context.new_cdp_session(page)
    worker, spent, throttled = [], [], []
    for _ in range(rounds):
        before = _processor(processes)
        worker.append(page.evaluate(_IN_WORKER))
        spent.append(_processor(processes) - before)
    page.evaluate("() => hasher.close()")
    page.evaluate(_IN_PAGE)  # compiled before it is measured, as the worker's is
    slow.send("Emulation.setCPUThrottlingRate", {"rate": SLOWER})
    for _ in range(rounds):
        throttled.append(page.evaluate(_IN_PAGE))
    slow.send("Emulation.setCPUThrottlingRate", {"rate": 1})
    whole = [one["pixels"] + one["codes"] for one in throttled]
    return [
        {
            "what": "12 MP in the worker",
            "seconds": round(statistics.median(one["all"] for one in worker) / 1000, 3),
            "least": round(min(one["all"] for one in worker) / 1000, 3),
            "processor": round(min(spent), 3),
            "codes": worker[-1]["number"],
        },
        {
            "what": f"12 MP in the page, {SLOWER}x slower",
            "seconds": round(statistics.median(whole) / 1000, 3),
            "least": round(min(whole) / 1000, 3),
            "pixels": round(statistics.median(one["pixels"] for one in throttled) / 1000, 3),
            "codes": throttled[-1]["number"],
        },
    ]


def _processor(session: CDPSession) -> float:
    """Seconds of processor time of all pages' processes so far."""
    found = session.send("SystemInfo.getProcessInfo")["processInfo"]
    return float(sum(one["cpuTime"] for one in found if one["type"] == "renderer"))


@contextmanager
def _opened(progress: Callable[[str], None]) -> Iterator[tuple[Page, str]]:
    """A phone's screen in a browser, and the address of a fresh deployment's portal."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise Misconfigured("this bench needs Playwright; install the development set") from None
    if not Path(CHROMIUM).exists():
        raise Misconfigured(f"this bench needs Chromium at {CHROMIUM}; install your system's")
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="consentry-bench-")))
        home.chmod(0o711)
        settings = Settings(home=home, database_url=None, log_level="error")
        stack.enter_context(database_url(settings, progress))
        world = stack.enter_context(open_world(settings))
        site = stack.enter_context(_served(create_app(world)))
        playwright = stack.enter_context(sync_playwright())
        flags = ["--no-sandbox", "--disable-dev-shm-usage"]
        browser: Browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        stack.callback(browser.close)
        yield browser.new_page(viewport={"width": 360, "height": 740}, locale="en-GB"), site


@contextmanager
def _served(app: Any) -> Iterator[str]:
    """The app's address on this machine, for as long as the block lasts."""
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="critical", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        if not thread.is_alive():
            raise Misconfigured("the portal did not start on this machine")
        time.sleep(0.01)
    try:
        (listening,) = server.servers[0].sockets
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(timeout=10)


def _photo(seed: int) -> bytes:
    """A generated photo of 12 megapixels: soft shapes of every size, and a sensor's noise."""
    rng = np.random.default_rng(seed)
    pixels = np.zeros((_HEIGHT, _WIDTH, 3), np.float32)
    for cells in (4, 16, 64, 256, 1024):
        coarse = rng.normal(size=(cells * 3 // 4, cells, 3)).astype(np.float32)
        for channel in range(3):
            plane = Image.fromarray(coarse[..., channel]).resize((_WIDTH, _HEIGHT), Image.BICUBIC)  # type: ignore[attr-defined]
            pixels[..., channel] += np.asarray(plane) * (60 / cells**0.35)
    pixels += rng.normal(size=pixels.shape).astype(np.float32) * 2
    file = io.BytesIO()
    Image.fromarray(np.clip(pixels + 128, 0, 255).astype(np.uint8)).save(file, "JPEG", quality=92)
    return file.getvalue()
