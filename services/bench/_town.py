"""A deployment to be measured: a database of its own, people and codes in it, an API process.

Everything lies in a temporary folder and is gone at the end; nothing listens beyond 127.0.0.1.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np

from pipeline.domain.consent import Consent, ConsentState, Purpose
from pipeline.domain.evidence import Source
from pipeline.domain.ids import PersonId
from pipeline.domain.media import View
from pipeline.domain.signal import Metric, Signals, Space, pack
from pipeline.errors import Unavailable
from pipeline.journeys.register import BANK
from pipeline.ports import NewEntry, Unit
from pipeline.storage import embedded
from services.accounts import add_platform
from services.settings import Settings
from services.wiring import World, now, open_world

CODES_AN_ENTRY = 50
TOGETHER = 250
"""People put in by one transaction."""

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Town:
    """A running deployment: its world in this process, its API in another."""

    world: World
    settings: Settings
    url: str
    key: str
    api: int
    postgres: int


@contextmanager
def town(
    people: int, codes: int, packs: Path | None, faces: Sequence[str], progress: Progress
) -> Iterator[Town]:
    """A deployment with so many people and codes, and its API process, until the block ends."""
    home = Path(tempfile.mkdtemp(prefix="consentry-bench-"))
    home.chmod(0o711)
    memory = Path("/dev/shm")  # noqa: S108 - a folder of our own in it, gone at the end
    segments = Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else home))
    try:
        settings = Settings(
            home=home, segments=segments, api_port=_free_port(), log_level="error",
            faces=tuple(faces), rate_per_minute=100_000_000,
        )  # fmt: skip
        if packs is not None and faces:
            (home / "packs").symlink_to(packs)
        with (
            embedded.running(settings.database_home, progress=progress) as server,
            open_world(settings, progress) as world,
        ):
            platform = add_platform(world, "bench", None, 100_000_000)
            populate(world, people, codes, progress)
            with _served(settings, server.url, progress) as (process, url):
                yield Town(world, settings, url, platform.api_key, process, _postmaster(settings))
    finally:
        shutil.rmtree(segments, ignore_errors=True)
        shutil.rmtree(home, ignore_errors=True)


def populate(world: World, people: int, codes: int, progress: Progress) -> None:
    """People with random codes and, where face packs are configured, one random face each."""
    rng = np.random.default_rng(1)
    space = next(space for space in world.spaces if space.metric is Metric.HAMMING)
    left = codes
    for first in range(0, people, TOGETHER):
        with world.store.transaction() as unit:
            for number in range(first, min(first + TOGETHER, people)):
                share = round(left / (people - number))
                left -= share
                add_person(unit, space, world.face_spaces, share, rng)
        if first % (20 * TOGETHER) == 0:
            progress(f"{first:,} of {people:,} people are in")


def add_person(
    unit: Unit, space: Space, faces: Sequence[Space], codes: int, rng: np.random.Generator
) -> PersonId:
    """One person with random codes, and a random vector in each space of faces."""
    consent = Consent(Purpose.HASHES, "bench").to(ConsentState.GIVEN, now())
    person = unit.registry.add_person(
        secrets.token_hex(6), secrets.token_hex(16), consent, secrets.token_bytes(32)
    )
    unit.vault.create(person, kind="person")
    entries = []
    for at in range(0, codes, CODES_AN_ENTRY):
        count = min(CODES_AN_ENTRY, codes - at)
        drawn = rng.integers(0, 256, (count, 32), dtype=np.uint8)
        entries.append((space, Signals(space, drawn, np.full(count, 100, np.uint8), _views(count))))
    for one in faces:
        vector = rng.standard_normal((1, one.width)).astype(np.float32)
        vector /= np.linalg.norm(vector)
        entries.append((one, Signals(one, vector, np.full(1, 100, np.uint8), _views(1))))
    unit.registry.add_item(
        person,
        BANK,
        Source.REGISTERED,
        [
            NewEntry(
                where.key, len(batch), unit.vault.seal(person, f"entries.{where.key}", pack(batch))
            )
            for where, batch in entries
        ],
    )
    return person


def cpu_seconds(process: int) -> float:
    """CPU time of a process and of everything that it started."""
    ticks = 0
    todo = [process]
    while todo:
        number = todo.pop()
        with suppress(OSError, IndexError, ValueError):
            fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
            # Its own, and what its children that have ended used.
            ticks += sum(int(value) for value in fields[11:15])
            for thread in Path(f"/proc/{number}/task").iterdir():
                todo += [int(child) for child in (thread / "children").read_text().split()]
    return ticks / os.sysconf("SC_CLK_TCK")


def _views(count: int) -> tuple[View, ...]:
    return tuple(View(f"crop {number}") for number in range(count))


@contextmanager
def _served(settings: Settings, database: str, progress: Progress) -> Iterator[tuple[int, str]]:
    progress("the API is loading its index")
    environment = {
        **os.environ,
        "DATABASE_URL": database,
        "CONSENTRY_HOME": str(settings.home),
        "CONSENTRY_SEGMENTS": str(settings.segments),
        "CONSENTRY_API_PORT": str(settings.api_port),
        "CONSENTRY_LOG_LEVEL": "error",
        "CONSENTRY_FACES": ",".join(settings.faces),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "services.cli", "serve", "api"],
        env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    url = f"http://127.0.0.1:{settings.api_port}"
    try:
        deadline = time.monotonic() + 600
        while not _ready(url):
            if process.poll() is not None or time.monotonic() > deadline:
                raise Unavailable("the API did not become ready; see the lines above")
            time.sleep(0.2)
        yield process.pid, url
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=5.0).is_success
    except httpx.HTTPError:
        return False


def _postmaster(settings: Settings) -> int:
    file = next(settings.database_home.rglob("postmaster.pid"))
    return int(file.read_text().split()[0])


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])
