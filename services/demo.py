"""``consentry demo``: the whole path on pictures that everybody has.

Real services in processes of their own, a real HTTP receiver that verifies each webhook's
signature, real pictures (bundled in scikit-image). The one thing played is the reviewer: the
demo decides in her place, through the same journey that the console uses.
"""

from __future__ import annotations

import io
import json
import secrets
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
from PIL import Image, ImageDraw, ImageOps
from rich.console import Console
from rich.table import Table
from standardwebhooks import Webhook

from pipeline.domain.case import Ground
from pipeline.domain.ids import CaseId, ReviewerId
from pipeline.errors import Misconfigured, Unavailable
from pipeline.journeys import review
from pipeline.journeys.register import Registration, register, shown_case_number
from pipeline.journeys.withdraw import ask, finish
from services.accounts import add_platform, add_reviewer
from services.settings import Settings
from services.up import Running, running
from services.wiring import World, alive, now, open_world

Picture = Image.Image

REGISTERED = ("astronaut.png", "chelsea.png", "coffee.png")
UNRELATED = ("rocket.jpg", "motorcycle_left.png", "hubble_deep_field.jpg", "camera.png")


def run(settings: Settings, *, once: bool) -> int:
    """Run the demo; 0 when everything that should happen did."""
    out = Console(width=None if Console().is_terminal else 132)
    home = Path(tempfile.mkdtemp(prefix="consentry-demo-"))
    settings = settings.model_copy(
        update={
            "home": home,
            "database_url": None,
            "api_port": _free_port(settings.api_port),
            "console_port": _free_port(settings.console_port),
            "second_factor": "optional",
            "portal_port": _free_port(settings.portal_port),
        }
    )
    try:
        with (
            _receiver() as inbox,
            out.status("setting up") as status,
            running(settings, status.update, quiet=True) as services,
            open_world(settings) as world,
        ):
            status.update("starting the services")
            services.wait_ready()
            good = _Demo(out, world, services, inbox, status.stop).play()
            if not once:
                _leave_running(out, world, services)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    return 0 if good else 1


def copies(picture: Picture) -> Iterator[tuple[str, bytes]]:
    """What people do to a picture before they post it again: (name, file)."""
    width, height = picture.size
    yield "the same file type again, JPEG quality 30", _jpeg(picture, 30)
    yield "half the size", _jpeg(picture.resize((width // 2, height // 2)))
    yield "mirrored", _jpeg(ImageOps.mirror(picture))
    yield "turned by 90 degrees", _jpeg(picture.transpose(Image.Transpose.ROTATE_90))
    yield "darker, as PNG", _png(picture.point([round(value * 0.7) for value in range(256)] * 3))
    yield "one percent cut off", _jpeg(ImageOps.crop(picture, max(1, width // 200)))
    cut = width // 20
    yield "ten percent cut off", _jpeg(picture.crop((cut, cut, width - cut, height - cut)))
    framed = ImageOps.expand(picture, width // 10, "white")
    yield "in a white frame", _jpeg(framed)
    captioned = Image.new("RGB", (width, height + height // 6), "white")
    captioned.paste(picture, (0, height // 6))
    ImageDraw.Draw(captioned).text((8, 8), "look who this is", fill="black", font_size=height // 12)
    yield "with a caption above", _jpeg(captioned)


@dataclass(slots=True)
class Inbox:
    """What the demo's platform has been told."""

    url: str
    secret: str = field(default="", repr=False)
    received: list[dict[str, Any]] = field(default_factory=list)
    forged: int = 0


@dataclass(slots=True)
class _Demo:
    out: Console
    world: World
    services: Running
    inbox: Inbox
    quiet: Callable[[], None]

    def play(self) -> bool:
        """Everything in order; true when each step did what it promises."""
        world, out = self.world, self.out
        platform = add_platform(world, "demo", self.inbox.url, 100_000)
        self.inbox.secret = platform.webhook_secret or ""
        client = httpx.Client(
            base_url=self.services.api,
            headers={"authorization": f"Bearer {platform.api_key}"},
            timeout=60,
        )
        began = time.perf_counter()
        person = self._register(REGISTERED)
        self.quiet()
        out.print(f"\n[bold]1. A person registers[/] {', '.join(REGISTERED)}")
        out.print(
            f"   case number {shown_case_number(person.case_number)}; only hashes were kept,"
            f" sealed ({_ms(began)})",
            highlight=False,
        )
        self._until_indexed()

        out.print("\n[bold]2. A platform screens uploads[/]")
        found, good = self._screen(client)

        out.print("\n[bold]3. A person decides[/] (the demo plays the reviewer)")
        upheld = self._decide(found)
        good &= upheld is not None

        out.print("\n[bold]4. The platform is told[/]")
        good &= self._told(len(found))

        out.print("\n[bold]5. A repeat of what was upheld is known[/]")
        if upheld is not None:
            again = self._post(client, f"again-{upheld.name}", upheld.body)
            out.print(f"   {upheld.name}: {again['verdict']}, nobody has to look again")
            good &= again["verdict"] == "known"

        out.print("\n[bold]6. The person leaves[/]")
        good &= self._withdraw(person)

        out.print("\n[bold]7. The same upload passes[/]")
        if upheld is not None:
            after = self._post(client, f"after-{upheld.name}", upheld.body)
            out.print(f"   {upheld.name}: {after['verdict']}")
            good &= after["verdict"] == "clear"
        out.print(
            "\n[green]Everything did what it promises.[/]"
            if good
            else "\n[red]Something did not do what it promises; see above.[/]"
        )
        return good

    def _register(self, names: tuple[str, ...]) -> Registration:
        world = self.world
        images = [(name, (_bundled() / name).read_bytes()) for name in names]
        return register(
            world.store, world.pins, now, world.decode, world.signals, images, world.generic
        )

    def _until_indexed(self) -> None:
        """Wait until the API's own index has what was just registered."""
        with self.world.store.transaction() as unit:
            head = unit.registry.head()
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            answer = httpx.get(f"{self.services.api}/readyz", timeout=5)
            if answer.is_success and answer.json().get("sequence", -1) >= head:
                return
            time.sleep(0.05)
        raise Unavailable("the API's index does not follow the change log")

    def _screen(self, client: httpx.Client) -> tuple[list[_Found], bool]:
        table = Table("upload", "verdict", "signal", "distance", "view", "ms")
        found, missed, alarms = [], 0, 0
        for name, body in self._uploads():
            answer = self._post(client, name, body)
            best = answer["matches"][0] if answer["matches"] else None
            is_copy = ": " in name
            missed += is_copy and best is None
            alarms += not is_copy and best is not None
            table.add_row(
                name,
                _coloured(answer["verdict"]),
                best["signal"] if best else "-",
                f"{best['distance']:.0f} of {best['threshold']:.0f}" if best else "-",
                best["view"] if best else "-",
                f"{answer['milliseconds']:.0f}",
            )
            if answer["case"]:
                found.append(_Found(name, CaseId(_uuid(answer["case"])), body))
        self.out.print(table)
        self.out.print(
            f"   {len(found)} found, {missed} altered copies missed,"
            f" {alarms} alarms on unrelated pictures"
        )
        return found, bool(found) and alarms == 0

    def _uploads(self) -> Iterator[tuple[str, bytes]]:
        for name in REGISTERED:
            with Image.open(_bundled() / name) as opened:
                picture = opened.convert("RGB")
            for what, body in copies(picture):
                yield f"{Path(name).stem}: {what}", body
        for name in UNRELATED:
            yield name, (_bundled() / name).read_bytes()

    def _post(self, client: httpx.Client, name: str, body: bytes) -> dict[str, Any]:
        answer = client.post(
            "/v1/screenings",
            params={"content_id": name, "rating": "intimate"},
            content=body,
            headers={"content-type": "application/octet-stream"},
        )
        answer.raise_for_status()
        return dict(answer.json())

    def _decide(self, found: list[_Found]) -> _Found | None:
        desk, reviewer = self.world.desk, self._reviewer()
        upheld: _Found | None = None
        cases = {one.case: one for one in found}
        for case, one in cases.items():
            claim = review.claim(desk, case, reviewer)
            if upheld is None:
                review.uphold(
                    desk, case, claim.token, Ground.MATCH, "The same picture, re-encoded."
                )
                upheld = one
                self.out.print(f"   upheld: {one.name}")
            else:
                review.dismiss(
                    desk, case, claim.token, Ground.CONSENTED, "She allowed this one (demo)."
                )
        self.out.print(f"   dismissed, with a reason: the other {len(cases) - 1}")
        return upheld

    def _reviewer(self) -> ReviewerId:
        password = secrets.token_urlsafe(12)
        add_reviewer(self.world, "demo-reviewer", password)
        with self.world.store.transaction() as unit:
            found = unit.reviewers.by_login("demo-reviewer")
        assert found is not None
        return found[0].id

    def _told(self, expected: int) -> bool:
        deadline = time.monotonic() + 20
        while len(self.inbox.received) < expected and time.monotonic() < deadline:
            time.sleep(0.1)
        kinds = [event["type"] for event in self.inbox.received]
        for kind in sorted(set(kinds)):
            self.out.print(f"   {kinds.count(kind)} x {kind}, signature verified")
        if self.inbox.forged:
            self.out.print(f"   [red]{self.inbox.forged} with a wrong signature[/]")
        return "case.upheld" in kinds and len(kinds) >= expected and not self.inbox.forged

    def _withdraw(self, person: Registration) -> bool:
        world = self.world
        receipt_id = ask(world.store, world.pins, now, person.case_number, person.pin)
        receipt = finish(
            world.store, world.blobs, now, alive, receipt_id, patience=timedelta(seconds=20)
        )
        self.out.print(f"   receipt {receipt.id}", highlight=False)
        for step, at in receipt.done:
            self.out.print(f"   {at:%H:%M:%S.%f}  {step.value.replace('_', ' ')}", highlight=False)
        said = sorted(f"{one.role}: {one.confirmed.value if one.confirmed else 'not yet'}"
                      for one in receipt.holders)  # fmt: skip
        self.out.print(f"   processes that held her hashes: {', '.join(said)}", highlight=False)
        return receipt.complete


@dataclass(frozen=True, slots=True)
class _Found:
    name: str
    case: CaseId
    body: bytes = field(repr=False)


def _leave_running(out: Console, world: World, services: Running) -> None:
    """A queue with something in it, addresses and a login; until Ctrl-C."""
    password = secrets.token_urlsafe(9)
    add_reviewer(world, "reviewer", password, senior=True)
    images = [(name, (_bundled() / name).read_bytes()) for name in REGISTERED]
    register(world.store, world.pins, now, world.decode, world.signals, images, world.generic)
    key = add_platform(world, "playground", None, 100_000).api_key
    client = httpx.Client(headers={"authorization": f"Bearer {key}"}, timeout=60)
    time.sleep(1.0)
    for name in REGISTERED:
        with Image.open(_bundled() / name) as opened:
            client.post(
                f"{services.api}/v1/screenings",
                params={"content_id": name, "rating": "intimate"},
                content=_jpeg(ImageOps.mirror(opened.convert("RGB"))),
                headers={"content-type": "image/jpeg"},
            )
    out.print("\n[bold]Still running[/] (Ctrl-C ends it and removes everything)")
    out.print(f"   console  {services.console}   login reviewer, password {password}")
    out.print(f"   portal   {services.portal}   where people register, follow and leave")
    out.print(f"   API      {services.api}   key {key}", highlight=False)
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        out.print("ending")


@contextmanager
def _receiver() -> Iterator[Inbox]:
    """A platform's webhook endpoint: a real HTTP server that verifies before it believes."""
    inbox = Inbox("")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", "0")))
            try:
                verified = Webhook(inbox.secret).verify(body, dict(self.headers.items()))
            except Exception:  # whatever is wrong with it, it is not ours
                inbox.forged += 1
                self.send_response(401)
            else:
                inbox.received.append(verified if verified else json.loads(body))
                self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    inbox.url = f"http://127.0.0.1:{server.server_address[1]}/consentry"
    threading.Thread(target=server.serve_forever, daemon=True, name="receiver").start()
    try:
        yield inbox
    finally:
        server.shutdown()
        server.server_close()


def _bundled() -> Path:
    """The folder of pictures inside the scikit-image package."""
    try:
        import skimage
    except ImportError:
        raise Misconfigured(
            "the demo's pictures are in scikit-image; run: pip install 'consentry[demo]'"
        ) from None
    return Path(skimage.__file__).parent / "data"


def _jpeg(picture: Picture, quality: int = 85) -> bytes:
    file = io.BytesIO()
    picture.convert("RGB").save(file, "JPEG", quality=quality)
    return file.getvalue()


def _png(picture: Picture) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def _coloured(verdict: str) -> str:
    colour = {"review": "yellow", "known": "magenta", "clear": "green"}.get(verdict, "red")
    return f"[{colour}]{verdict}[/]"


def _free_port(wanted: int) -> int:
    """The port that was asked for, or any other when it is taken."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise Unavailable("no free port on this machine")


def _uuid(text: str) -> Any:
    from uuid import UUID

    return UUID(text)


def _ms(began: float) -> str:
    return f"{(time.perf_counter() - began) * 1000:.0f} ms"
