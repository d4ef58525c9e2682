"""What a browser makes of a person's pictures is what the server would make of them, to the bit."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, Request, sync_playwright
from starlette.applications import Starlette
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from pipeline.domain.film import prune
from pipeline.domain.media import Side
from pipeline.errors import Refused
from pipeline.media.crops import CROPS, registered_crops, slot_of_view
from pipeline.media.image import decode_image
from pipeline.media.video import EVERY_FRAME, read_video
from pipeline.signals import pdq
from services.portal import device
from services.portal.policy import headers_of
from tests import pictures
from tests.pictures import encode
from tests.serving import served
from tests.vectors import pictures_of_devices

pytestmark = pytest.mark.browser

CHROMIUM = "/usr/bin/chromium"
STATIC = Path(device.__file__).parent / "static"
PDQ = pdq.build()


@dataclass
class Phone:
    """A page that hashes files, as the portal's pages do."""

    page: Page
    requests: list[str]
    arrived: list[str]

    def hash(self, files: list[tuple[str, bytes]]) -> list[dict[str, Any]]:
        """What `hasher.hash` says of each file; their names say nothing, as names should."""
        chosen = [
            {"name": name, "mimeType": "application/octet-stream", "buffer": body}
            for name, body in files
        ]
        self.page.set_input_files("#files", chosen)
        found: list[dict[str, Any]] = self.page.evaluate(
            """async () => {
                const found = [];
                for (const file of document.getElementById("files").files) {
                    found.push(await hasher.hash(file));
                }
                return found;
            }"""
        )
        return found


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    if not Path(CHROMIUM).exists():
        if os.environ.get("CONSENTRY_CI"):
            pytest.fail("in CI the browser is mandatory: apt-get install chromium libatomic1")
        pytest.skip("Chromium is not installed: apt-get install chromium libatomic1")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def phone(chromium: Browser) -> Iterator[Phone]:
    arrived: list[str] = []

    def page_of(_: Any) -> Response:
        return HTMLResponse(
            "<!doctype html><title>x</title><input type=file id=files multiple>",
            headers=dict(headers_of("/begin/5")),
        )

    def worker(request: Any) -> Response:
        response = device.worker_response()
        response.headers.update(headers_of(request.url.path))
        return response

    def anything(request: Any) -> Response:
        arrived.append(str(request.url))
        return Response("", headers={"access-control-allow-origin": "*"})

    app = Starlette(
        routes=[
            Route("/", page_of),
            Route("/device/worker.js", worker),
            Mount("/static", StaticFiles(directory=STATIC)),
            Route("/{rest:path}", anything),
        ]
    )
    with served(app) as url:
        page = chromium.new_page()
        requests: list[str] = []
        page.context.on("request", lambda request: requests.append(_told(request)))
        page.goto(url)
        page.evaluate(
            """async () => {
                const { openHasher } = await import("/static/device/hashing.js");
                globalThis.hasher = await openHasher("/device/worker.js");
            }"""
        )
        assert page.evaluate("hasher.check()") == {"works": True, "problem": None}
        yield Phone(page, requests, arrived)
        page.close()


def _told(request: Request) -> str:
    return f"{request.method} {request.url}"


def server_codes(body: bytes, slots: Iterable[int] | None = None) -> list[list[Any]]:
    """What registering at a desk would keep of a file, in the form in which a browser sends it.

    ``slots`` are the crops to look at, all when None.
    """
    frames = registered_crops(decode_image(body).frames[0])
    looked_at = [one for one in frames if slots is None or slot_of_view(one.view) in slots]
    computed = PDQ.compute(looked_at, Side.REGISTERED)
    return [
        [slot_of_view(view), code.tobytes().hex(), int(quality)]
        for view, code, quality in zip(
            computed.views, computed.codes, computed.quality, strict=True
        )
        if quality >= PDQ.minimum_quality
    ]


def bits(one: str, other: str) -> int:
    return (int(one, 16) ^ int(other, 16)).bit_count()


@pytest.mark.parametrize("kind", ["exact", "coloured"])
def test_codes_of_every_kind_of_picture_are_the_servers_to_the_bit(phone: Phone, kind: str) -> None:
    files = list(getattr(pictures_of_devices, kind)())
    for (name, body), found in zip(files, phone.hash(files), strict=True):
        wanted = server_codes(body)
        assert wanted, f"{name} shows nothing"
        assert "item" in found, f"{name}: {found}"
        codes = found["item"]["codes"]
        assert [code[:2] for code in codes] == [code[:2] for code in wanted], name
        assert codes[0][2] == wanted[0][2], f"{name}: the whole picture's quality"
        assert all(abs(a[2] - b[2]) <= 1 for a, b in zip(codes, wanted, strict=True)), name


def test_a_ruled_page_has_the_servers_code_though_sums_drift_along_it(phone: Phone) -> None:
    page = np.full((2000, 3000, 3), 255, np.uint8)
    page[:, ::97] = 0
    page[::61] = 0
    page[500:900, 700:1500] = 128
    body = encode(Image.fromarray(page))
    (found,) = phone.hash([("ruled", body)])
    assert found["item"]["codes"][:1] == server_codes(body, [0])


def test_profiles_that_browsers_convert_lie_within_a_few_bits(phone: Phone) -> None:
    """Browsers and the server convert them with different rounding; 31 bits match."""
    files = list(pictures_of_devices.left_to_browsers())
    for (name, body), found in zip(files, phone.hash(files), strict=True):
        wanted = {slot: code for slot, code, _ in server_codes(body)}
        codes = {slot: code for slot, code, _ in found["item"]["codes"]}
        shared = wanted.keys() & codes.keys()
        assert len(shared) >= 0.9 * len(wanted), name
        far = [bits(wanted[slot], codes[slot]) for slot in shared]
        assert bits(wanted[0], codes[0]) <= 2, name
        assert max(far) <= 8, name
        assert np.mean(far) <= 1, name
        print(name, bits(wanted[0], codes[0]), round(float(np.mean(far)), 2), max(far))


def test_the_profile_by_which_a_browser_is_tried_shows(phone: Phone) -> None:
    """Whoever heeds it sees other pixels than are stored: a browser that does is found out."""
    text = (STATIC / "device" / "pixels.js").read_text().split("const PROFILED =")[1].split(";")[0]
    body = base64.b64decode("".join(re.findall('"(.*)"', text)))
    with Image.open(io.BytesIO(body)) as image:
        stored = np.asarray(image)
    places = np.arange(stored.size, dtype=np.uint64) * 2654435761 >> 21 & 255
    assert stored.ravel().tolist() == places.tolist()
    seen = decode_image(body).frames[0].rgb
    assert np.abs(seen.astype(int) - stored).mean() > 30


@pytest.mark.parametrize(
    ("width", "height", "turn", "profile"),
    [(4000, 3000, 6, None), (4000, 3000, 6, pictures.display_p3()), (8000, 6000, 1, None)],
    ids=["12 megapixels", "12 megapixels in Display P3", "48 megapixels"],
)
def test_large_photos_are_hashed_as_the_server_hashes_them(
    phone: Phone, width: int, height: int, turn: int, profile: bytes | None
) -> None:
    """12 megapixels are hashed as they are, 48 from 2048 pixels, on both sides."""
    cell = pictures.textured(width // 8, height // 8, 4)
    told = {"icc_profile": profile} if profile else {}
    body = pictures.oriented(np.kron(cell, np.ones((8, 8, 1), np.uint8)), turn, **told)
    (found,) = phone.hash([("large", body)])
    codes = {slot: code for slot, code, _ in found["item"]["codes"]}
    wanted = server_codes(body, (0, 5, 24, 51, 66, 89))
    assert len(codes) >= 80
    assert wanted[0][0] == 0
    assert {slot: codes.get(slot) for slot, _, _ in wanted} == {s: code for s, code, _ in wanted}


def test_what_cannot_be_registered_is_named(phone: Phone) -> None:
    plain = pictures.shapes(200, 150)
    jpeg, png = encode(plain, "JPEG"), encode(plain)
    cases = {
        "empty": b"",
        "unsupported": b"these are words and no picture at all",
        "cut_short": jpeg[: len(jpeg) // 2],
        "broken": png[: len(png) // 2],
        "heic": encode(plain, "HEIF"),
        "tiff": encode(plain, "TIFF"),
        "jpeg2000": encode(plain, "JPEG2000"),
        "see_through": encode(np.dstack([plain, plain[..., :1]]), "AVIF"),
        "too_plain": encode(pictures.flat()),
        "too_large": pictures.png_header(40_000, 10),
        "video_unreadable": b"\0\0\0\x18ftypisom\0\0\0\0isommp42" + bytes(64),
    }
    found = phone.hash(list(cases.items()))
    assert [one.get("problem") for one in found] == list(cases)
    known = (STATIC / "device" / "problems.js").read_text()
    assert all(re.search(rf"^  {code}:", known, re.M) for code in cases)


def test_what_would_be_refused_here_is_refused_there_too() -> None:
    with pytest.raises(Refused):
        decode_image(encode(pictures.shapes(200, 150), "JPEG")[:900])


def server_frames(body: bytes) -> list[tuple[float, str, int]]:
    frames = [moment.frame for moment in read_video(io.BytesIO(body), EVERY_FRAME)]
    computed = PDQ.compute(frames, Side.REGISTERED)
    return [
        (frame.time or 0.0, code.tobytes().hex(), int(quality))
        for frame, code, quality in zip(frames, computed.codes, computed.quality, strict=True)
    ]


def assert_the_servers(found: dict[str, Any], body: bytes, rarest: float) -> None:
    """Every frame that is sent is one of the server's, at its time, to the bit."""
    assert "item" in found, found
    assert found["item"]["kind"] == "video"
    theirs = server_frames(body)
    sent = found["item"]["frames"]
    for seconds, code, quality in sent:
        nearest = min(theirs, key=lambda frame: abs(frame[0] - seconds))
        assert abs(nearest[0] - seconds) < 0.002
        assert (code, quality) == nearest[1:]
    # Every frame of these clips is a stretch of its own, so that nothing was pruned.
    times = [0.0, *sorted(frame[0] for frame in sent), theirs[-1][0]]
    assert max(after - before for before, after in pairwise(times)) <= rarest


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_the_frames_of_a_clip_are_the_servers_to_the_bit(phone: Phone, turn: int) -> None:
    body = turned(clip("libx264", "mp4"), turn) if turn else clip("libvpx-vp9", "webm")
    (found,) = phone.hash([("clip", body)])
    assert_the_servers(found, body, rarest=0.5)
    print(len(found["item"]["frames"]), "frames")


def test_a_clip_that_may_not_be_played_is_looked_at_step_by_step(phone: Phone) -> None:
    body = clip("libx264", "mp4")
    phone.page.evaluate(
        """() => {
            HTMLMediaElement.prototype.played_ = HTMLMediaElement.prototype.play;
            HTMLMediaElement.prototype.play = () => Promise.reject(new Error("no"));
        }"""
    )
    try:
        (found,) = phone.hash([("clip", body)])
    finally:
        phone.page.evaluate(
            "() => { HTMLMediaElement.prototype.play = HTMLMediaElement.prototype.played_; }"
        )
    assert_the_servers(found, body, rarest=0.31)


def test_stretches_of_frames_that_look_alike_are_kept_as_the_server_keeps_them(
    phone: Phone,
) -> None:
    rng = np.random.default_rng(3)
    frames, code = [], rng.integers(0, 256, 32, dtype=np.uint8)
    for at in range(80):
        flips = rng.choice(256, int(rng.integers(0, 7)), replace=False)
        code = code ^ np.packbits(np.isin(np.arange(256), flips))
        frames.append((at / 10, code.tobytes(), int(rng.integers(40, 100))))
    given = [
        {"time": time, "pdq": one.hex() if quality >= 50 else None, "quality": quality}
        for time, one, quality in frames
    ]
    kept = phone.page.evaluate(
        "(frames) => import('/static/device/frames.js').then((made) => made.pruned(frames))", given
    )
    theirs = prune(frames, PDQ.minimum_quality)
    edges = [
        time
        for begin, end in zip(theirs.begin, theirs.end, strict=True)
        for time in dict.fromkeys((float(begin), float(end)))
    ]
    assert np.allclose([one["time"] for one in kept], edges)
    assert {one["pdq"] for one in kept} >= {one.tobytes().hex() for one in theirs.codes}


def test_nothing_leaves_while_files_are_hashed(phone: Phone) -> None:
    phone.page.evaluate("hasher.check()")
    before = len(phone.requests)
    (found,) = phone.hash([("holiday in secret.png", encode(pictures.shapes(300, 200)))])
    assert phone.requests[before:] == []
    told = json.dumps(found["item"])
    assert set(found["item"]) == {"kind", "codes"}
    assert "holiday" not in told
    for slot, code, quality in found["item"]["codes"]:
        assert isinstance(slot, int)
        assert re.fullmatch("[0-9a-f]{64}", code)
        assert 50 <= quality <= 100


def clip(codec: str, container: str) -> bytes:
    """Two seconds in which each of 20 frames is far from the one before."""
    width, height, frames = 256, 192, 20
    sheet = np.tile(pictures.textured(width, height, 4), (3, 3, 1))
    bands = np.indices(sheet.shape[:2]).sum(0)[..., None] // 60 % 3 == 0
    sheet = np.where(bands, 255 - sheet, sheet).astype(np.uint8)
    file = io.BytesIO()
    with av.open(file, "w", format=container) as made:
        stream = made.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for at in range(frames):
            x, y = at * width * 2 // frames, at * height // frames
            part = np.ascontiguousarray(sheet[y : y + height, x : x + width])
            frame = av.VideoFrame.from_ndarray(part, format="rgb24").reformat(format="yuv420p")
            frame.pts = at
            made.mux(stream.encode(frame))
        made.mux(stream.encode())
    return file.getvalue()


def turned(mp4: bytes, degrees: int) -> bytes:
    """The same film with a display matrix that turns it to the right, as phones write it."""
    a, b, c, d = {90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}[degrees]
    matrix = struct.pack(">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    place = mp4.index(b"tkhd") + 4 + 40
    return mp4[:place] + matrix + mp4[place + len(matrix) :]


CONNECTIONS = {
    "fetch": "fetch('/leak/fetch').then(() => 'open', () => 'shut')",
    "fetch of a blob": """fetch(URL.createObjectURL(new Blob(['x'])))
        .then(() => 'open', () => 'shut')""",
    "XMLHttpRequest": """new Promise((done) => {
        const request = new XMLHttpRequest();
        request.onload = () => done('open');
        request.onerror = () => done('shut');
        request.open('POST', '/leak/xhr');
        request.send('x');
    })""",
    "WebSocket": """new Promise((done) => {
        try {
            const socket = new WebSocket(`ws://${location.host}/leak/socket`);
            socket.onopen = () => done('open');
            socket.onerror = () => done('shut');
        } catch { done('shut'); }
    })""",
    "EventSource": """new Promise((done) => {
        const source = new EventSource('/leak/events');
        source.onopen = () => { source.close(); done('open'); };
        source.onerror = () => { source.close(); done('shut'); };
    })""",
    "import": "import('/static/device/crops.js?leak').then(() => 'open', () => 'shut')",
    "importScripts": """(() => {
        try { importScripts('/static/device/crops.js?leak'); return 'open'; }
        catch { return 'shut'; }
    })()""",
    "a worker within": """new Promise((done) => {
        try {
            const inner = new Worker('/device/worker.js?leak', {type: 'module'});
            inner.onerror = () => done('shut');
            setTimeout(() => done('open'), 3000);
        } catch { done('shut'); }
    })""",
}


def test_the_worker_cannot_connect_to_anything(phone: Phone) -> None:
    phone.page.evaluate("hasher.check()")
    (worker,) = phone.page.workers
    phone.arrived.clear()
    found = {name: worker.evaluate(f"() => {what}") for name, what in CONNECTIONS.items()}
    assert found == dict.fromkeys(CONNECTIONS, "shut")
    assert phone.arrived == []


NOISE = """() => {
    const kinds = [OffscreenCanvasRenderingContext2D];
    for (const kind of kinds) {
        const read = kind.prototype.getImageData;
        kind.prototype.getImageData = function (...place) {
            const image = read.apply(this, place);
            for (let at = 0; at < image.data.length; at += 97) image.data[at] ^= 1;
            return image;
        };
    }
}"""


def test_a_browser_that_changes_pixels_sends_nothing_or_reads_them_another_way(
    phone: Phone,
) -> None:
    body = encode(pictures.shapes(300, 200))
    phone.page.evaluate("hasher.check()")
    (worker,) = phone.page.workers
    worker.evaluate(NOISE)
    try:
        assert phone.page.evaluate("hasher.check()") == {"works": True, "problem": None}
        (found,) = phone.hash([("a", body)])
        assert [c[:2] for c in found["item"]["codes"]] == [c[:2] for c in server_codes(body)]
        worker.evaluate("() => { delete globalThis.ImageDecoder; }")
        assert phone.page.evaluate("hasher.check()") == {
            "works": False,
            "problem": "pixels_changed",
        }
        assert phone.hash([("a", body)]) == [{"problem": "pixels_changed"}]
    finally:
        phone.page.evaluate("hasher.close()")
    assert phone.page.evaluate("hasher.check()") == {"works": True, "problem": None}


def test_crops_are_listed_once_for_both(phone: Phone) -> None:
    listed = phone.page.evaluate("import('/static/device/crops.js').then((crops) => crops.CROPS)")
    assert [tuple(crop) for crop in listed] == list(CROPS)


def test_a_batch_can_be_stopped(phone: Phone) -> None:
    files = [{"name": "a", "mimeType": "", "buffer": encode(pictures.shapes(1800, 1400))}]
    phone.page.set_input_files("#files", files)
    found = phone.page.evaluate(
        """() => {
            const stop = new AbortController();
            const [file] = document.getElementById("files").files;
            const found = hasher.hash(file, () => {}, stop.signal);
            setTimeout(() => stop.abort(), 1);
            return found;
        }"""
    )
    assert found == {"problem": "stopped"}
    assert "item" in phone.hash([("a", encode(pictures.shapes(300, 200)))])[0]


def test_the_worker_is_one_script_without_imports() -> None:
    script = device.worker_script()
    assert not re.search(r"^\s*(import|export)\b", script, re.M)
    assert "default-src 'none'" in device.WORKER_HEADERS["content-security-policy"]
    assert "script-src" not in device.WORKER_HEADERS["content-security-policy"]
