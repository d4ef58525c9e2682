"""``consentry bench screen``: from an upload's body to its answer, over HTTP, with many at once.

A deployment of its own is loaded with people and codes and asked by 1, 4 and 16 clients. CPU time
is that of the API's process and all it starts; PostgreSQL's stands beside it. What each stage costs
is measured in this process, over the same database. Clients run on the same machine, so that
on few cores the rate per core of CPU says more than the rate by the clock.
"""

from __future__ import annotations

import io
import json
import multiprocessing
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http.client import HTTPConnection
from importlib import import_module, resources
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.domain.ids import PersonId
from pipeline.domain.media import Rating, Upload
from pipeline.domain.signal import Metric
from services.bench import Target
from services.bench._town import Town, add_person, cpu_seconds, town
from services.settings import Settings
from services.wiring import now, open_world

SIZE = (1600, 1004)
CLIENTS = (1, 4, 16)
CHANGES_A_SECOND = 100
BATCH = 100
BATCHED = f"hash only, {BATCH} a request"
HMA_LOOKUPS, HMA_FILES = 165.0, 29.0
"""What the field's service answers a second and core (``design/facts.md``), where no peer runs."""
LIBRARY = "peer's library: hashing a file"
HASHED = 12
"""Files that the peer's library hashes before each load of ours, and after the last."""

Progress = Callable[[str], None]
Ask = Callable[[HTTPConnection, int], int]
"""Send request number n and read its answer; the sequence of the change log that it says."""


@dataclass(slots=True)
class Load:
    """What some clients saw in some seconds."""

    milliseconds: list[float] = field(default_factory=list)
    heard: list[tuple[float, int]] = field(default_factory=list)
    """When a request was sent, and the sequence that its answer stood for."""
    seconds: float = 0.0
    api_cpu: float = 0.0
    database_cpu: float = 0.0

    def row(self, mode: str, clients: int) -> dict[str, Any]:
        """The load as a row of the report; a batch counts as what is in it."""
        count = len(self.milliseconds) * (BATCH if mode == BATCHED else 1)
        return {
            "mode": mode,
            "clients": clients,
            "requests": count,
            "per_second": count / self.seconds,
            "per_core_second": count / self.api_cpu if self.api_cpu else None,
            "p50_ms": float(np.median(self.milliseconds)),
            "p99_ms": self.p99,
            "api_cpu_ms": 1e3 * self.api_cpu / count if self.api_cpu else None,
            "database_cpu_ms": 1e3 * self.database_cpu / count if self.database_cpu else None,
        }

    @property
    def p99(self) -> float:
        """The time that one request in a hundred needed or more."""
        return float(np.quantile(self.milliseconds, 0.99))


def measure(
    *,
    people: int,
    codes: int,
    seconds: float,
    peer: str | None,
    packs: Path | None,
    faces: Sequence[str],
    progress: Progress,
) -> dict[str, Any]:
    """Rows, stages and targets. ``seconds`` is how long each of the loads runs."""
    uploads = pictures()
    with town(people, codes, packs, faces, progress) as measured:
        modes: dict[str, Ask] = {
            "hash only": _hashes(measured),
            BATCHED: _batches(measured),
            "hash + views": _files(measured, uploads, "unknown"),
        }
        if faces:
            modes["hash + faces"] = _files(measured, uploads, "intimate")
        rows, loads, library = [], {}, Library(uploads, progress)
        for mode, ask in modes.items():
            under_load(measured, ask, 1, min(2.0, seconds))  # to be warm
            for clients in CLIENTS:
                if mode == "hash + views":
                    library.hash_some()
                progress(f"{mode}, {clients} clients")
                loads[mode, clients] = under_load(measured, ask, clients, seconds)
                rows.append(loads[mode, clients].row(mode, clients))
        library.hash_some()
        rows += library.rows()
        if peer is not None:
            for mode, ask in _peer(peer, uploads).items():
                for clients in CLIENTS:
                    progress(f"{mode}, {clients} clients")
                    loads[mode, clients] = under_load(None, ask, clients, seconds, peer)
                    rows.append(loads[mode, clients].row(mode, clients))
        progress("the same while people register and leave")
        calm, changing, behind = under_change(measured, modes["hash only"], 2 * seconds)
        rows += [calm.row("hash only, quiet", 2), changing.row("hash only, changing", 2)]
        progress("what each stage costs")
        stages = stages_of(measured, uploads, intimate=bool(faces))

    def fastest(mode: str) -> float:
        return max(float(row["per_core_second"] or 0) for row in rows if row["mode"] == mode)

    lookups = fastest("hash only")
    targets = [
        Target("look-ups by value a second and core, one a request", lookups, 5 * HMA_LOOKUPS),
        Target(f"the same, {BATCH} a request", fastest(BATCHED), 5 * HMA_LOOKUPS),
        Target("files with all views a second and core", fastest("hash + views"), 3 * HMA_FILES),
        Target("p99 while changing / quiet p99", changing.p99 / calm.p99, 2, at_least=False),
        Target("farthest behind the change log, s", behind, 1.0, at_least=False),
    ]  # fmt: skip
    if library.load is not None:
        ratio = fastest("hash + views") / fastest(LIBRARY)
        targets.append(Target("files with all views / the peer's library hashing them", ratio, 3))
    if faces:
        name = "with faces: all / (decode + networks), time"
        targets.append(Target(name, stages["times_bare"], 1.25, at_least=False))
    if peer is not None:
        for mine, its, goal in (("hash only", "peer: hash", 5), ("hash + views", "peer: file", 3)):
            best = [max(len(loads[m, c].milliseconds) / loads[m, c].seconds for c in CLIENTS)
                    for m in (mine, its)]  # fmt: skip
            targets.append(Target(f"{mine} / {its}, by the clock", best[0] / best[1], goal))
    return {
        "rows": rows,
        "stages_ms": stages,
        "notes": [
            f"{people:,} people, {codes:,} codes, pictures of {SIZE[0]} x {SIZE[1]};"
            f" faces: {', '.join(faces) or 'no pack named, left out'}.",
            "per core second: requests for a second of the API's CPU time, PostgreSQL's apart.",
            f"{LIBRARY}: what HMA computes of an upload, in this process between our loads, without"
            " its HTTP and look-up." if library.load is not None
            else "the peer's library (extra oracle) is not installed and left out.",
            "stages, CPU ms an upload: "
            + ", ".join(f"{name} {value:.2f}" for name, value in stages.items()
                        if value is not None and name != "times_bare"),
            f"changing: {CHANGES_A_SECOND} registrations and withdrawals a second by turns.",
        ],
        "targets": [target.document() for target in targets],
    }  # fmt: skip


class Library:
    """What HMA hashes uploads with, where it is installed: one file after another, no service."""

    def __init__(self, uploads: Sequence[bytes], progress: Progress) -> None:
        self._uploads, self._hash = uploads, None
        self.load: Load | None = None
        try:
            signal = import_module("threatexchange.signal_type.pdq.signal").PdqSignal
            signal.hash_from_bytes(uploads[0])  # it loads more of itself, and may lack a part
        except Exception:
            progress("threatexchange with pdqhash (extra oracle) is not installed; left out")
            return
        self._hash, self.load = signal.hash_from_bytes, Load()

    def hash_some(self) -> None:
        """A few files, in between, so that ours and theirs meet the same machine."""
        if self._hash is None or self.load is None:
            return
        for number in range(HASHED):
            began, used = time.perf_counter(), time.thread_time()
            self._hash(self._uploads[number % len(self._uploads)])
            self.load.api_cpu += time.thread_time() - used
            took = time.perf_counter() - began
            self.load.seconds += took
            self.load.milliseconds.append(took * 1e3)

    def rows(self) -> list[dict[str, Any]]:
        """Its row of the report, if it is here."""
        return [self.load.row(LIBRARY, 1)] if self.load is not None else []


def pictures() -> list[bytes]:
    """Bundled photographs as JPEGs of the size that is measured, with a little grain."""
    rng = np.random.default_rng(1)
    found = []
    for package, place in (
        ("insightface", "data/images/t1.jpg"),
        ("skimage", "data/coffee.png"),
        ("skimage", "data/rocket.jpg"),
    ):
        try:
            body = resources.files(package).joinpath(place).read_bytes()
        except (ModuleNotFoundError, FileNotFoundError):
            continue
        with Image.open(io.BytesIO(body)) as image:
            pixels = np.asarray(image.convert("RGB").resize(SIZE, Image.Resampling.LANCZOS))
        grain = rng.normal(0, 3, (SIZE[1], SIZE[0], 1))
        grained = np.clip(pixels + grain, 0, 255).astype(np.uint8)
        file = io.BytesIO()
        Image.fromarray(grained).save(file, "JPEG", quality=87)
        found.append(file.getvalue())
    return found


def under_load(
    measured: Town | None, ask: Ask, clients: int, seconds: float, url: str | None = None
) -> Load:
    """What ``clients`` see who ask again as soon as they have an answer."""
    load, lock = Load(), threading.Lock()
    place = urlsplit(url or (measured.url if measured else ""))
    end = time.monotonic() + seconds
    wrong: list[Exception] = []

    def client(number: int) -> None:
        connection = HTTPConnection(place.hostname or "127.0.0.1", place.port, timeout=60)
        at = number * 1_000_000
        try:
            while time.monotonic() < end:
                sent, start = time.time(), time.perf_counter()
                sequence = ask(connection, at)
                took = (time.perf_counter() - start) * 1e3
                with lock:
                    load.milliseconds.append(took)
                    load.heard.append((sent, sequence))
                at += 1
        except Exception as error:
            wrong.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    before = _used(measured)
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    load.seconds = time.perf_counter() - start
    after = _used(measured)
    load.api_cpu, load.database_cpu = after[0] - before[0], after[1] - before[1]
    if wrong:
        raise wrong[0]
    return load


def under_change(measured: Town, ask: Ask, seconds: float) -> tuple[Load, Load, float]:
    """Two clients in quiet and while people come and go; the farthest any answer was behind, s."""
    calm = under_load(measured, ask, 2, seconds)
    context = multiprocessing.get_context("spawn")
    mine, its = context.Pipe()
    document = measured.settings.model_dump()
    document["database_url"] = measured.world.database.url
    # The installed script has no guard: a process that is spawned would run the command again.
    vars(sys.modules["__main__"]).pop("__file__", None)
    process = context.Process(target=change, args=(document, seconds + 2, its), daemon=True)
    process.start()
    mine.recv()  # it has begun
    load = under_load(measured, ask, 2, seconds)
    committed: list[tuple[float, int]] = mine.recv()
    process.join()
    times = np.array([at for at, _ in committed])
    sequences = np.array([sequence for _, sequence in committed])
    behind = 0.0
    for sent, sequence in load.heard:
        unheard = np.searchsorted(sequences, sequence, side="right")
        if unheard < len(times):
            behind = max(behind, sent - float(times[unheard]))
    return calm, load, behind


def change(document: dict[str, Any], seconds: float, pipe: Any) -> None:
    """Register and withdraw by turns, at the pace; tells when each change was committed."""
    committed = []
    rng = np.random.default_rng(2)
    with open_world(Settings(**document)) as world:
        space = next(space for space in world.spaces if space.metric is Metric.HAMMING)
        pipe.send("begun")
        start = time.monotonic()
        there: list[PersonId] = []
        for step in range(int(seconds * CHANGES_A_SECOND)):
            wait = start + step / CHANGES_A_SECOND - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            if time.monotonic() > start + seconds:
                break
            with world.store.transaction() as unit:
                if step % 2 and there:
                    sequence, _ = unit.registry.stop_matches(there.pop(0), now())
                else:
                    there.append(add_person(unit, space, (), 30, rng))
                    sequence = unit.registry.head()
            committed.append((time.time(), sequence))
    pipe.send(committed)


def stages_of(measured: Town, uploads: Sequence[bytes], *, intimate: bool) -> dict[str, Any]:
    """CPU milliseconds that an upload spends where, one after the other in this process."""
    world = measured.world
    stages: dict[str, list[float]] = {}
    rounds = 12
    bare, whole = [], []
    with world.live("cli") as live:
        screener: Any = world.screener(live)
        platform = _platform(world)

        def one(body: bytes, *, keep: bool) -> None:
            upload = Upload(uuid4().hex, None, Rating.INTIMATE if intimate else Rating.UNKNOWN)
            began, clock = time.perf_counter(), _Stopwatch(stages, keep=keep)
            media = clock.took("decode", lambda: screener.first_sight(upload, body))
            decoded = time.perf_counter() - began
            seen = clock.took("views and hashes", lambda: screener._eye.look(media.frames))
            began = time.perf_counter()
            if intimate:
                clock.took("faces", lambda: screener._faces.look(upload, media))
            looked = time.perf_counter() - began
            clock.took("look-ups", lambda: screener._eye.search(live, seen))
            began = time.perf_counter()
            clock.took("all in one", lambda: screener.screen_file(platform, upload, body))
            if keep:
                bare.append(decoded + looked)
                whole.append(time.perf_counter() - began)

        for turn in range(rounds):
            one(uploads[turn % len(uploads)], keep=turn >= len(uploads))
    found: dict[str, Any] = {name: float(np.median(took)) for name, took in stages.items()}
    parts = sum(value for name, value in found.items() if name != "all in one")
    found["record and the rest"] = max(0.0, found["all in one"] - parts)
    found["times_bare"] = float(np.median(whole) / np.median(bare)) if intimate else None
    return found


class _Stopwatch:
    """CPU time of this process by stage."""

    def __init__(self, stages: dict[str, list[float]], *, keep: bool) -> None:
        self._stages, self._keep = stages, keep

    def took(self, stage: str, work: Callable[[], Any]) -> Any:
        start = time.process_time()
        done = work()
        if self._keep:
            self._stages.setdefault(stage, []).append((time.process_time() - start) * 1e3)
        return done


def _platform(world: Any) -> Any:
    with world.database.transaction() as connection:
        row = connection.execute("SELECT id FROM platforms LIMIT 1").fetchone()
    return row["id"]


def _used(measured: Town | None) -> tuple[float, float]:
    if measured is None:
        return 0.0, 0.0
    return cpu_seconds(measured.api), cpu_seconds(measured.postgres)


def _batches(measured: Town) -> Ask:
    headers = {"Authorization": f"Bearer {measured.key}", "Content-Type": "application/json"}

    def ask(connection: HTTPConnection, number: int) -> int:
        uploads = [
            {
                "content_id": f"b{at}",
                "hashes": [{"signal": "pdq", "hash": _code(at).tobytes().hex(), "quality": 100}],
            }
            for at in range(number * BATCH, (number + 1) * BATCH)
        ]
        body = json.dumps({"hashes": uploads}).encode()
        return _sequence(connection, "/v1/screenings:batch", body, headers)

    return ask


def _hashes(measured: Town) -> Ask:
    headers = {"Authorization": f"Bearer {measured.key}", "Content-Type": "application/json"}

    def ask(connection: HTTPConnection, number: int) -> int:
        hashes = [{"signal": "pdq", "hash": _code(number).tobytes().hex(), "quality": 100}]
        body = json.dumps({"content_id": f"h{number}", "hashes": hashes})
        return _sequence(connection, "/v1/screenings/hashes", body.encode(), headers)

    return ask


def _files(measured: Town, uploads: Sequence[bytes], rating: str) -> Ask:
    headers = {"Authorization": f"Bearer {measured.key}", "Content-Type": "image/jpeg"}

    def ask(connection: HTTPConnection, number: int) -> int:
        address = f"/v1/screenings?content_id=f{number}&rating={rating}"
        return _sequence(connection, address, uploads[number % len(uploads)], headers)

    return ask


def _sequence(
    connection: HTTPConnection, address: str, body: bytes, headers: dict[str, str]
) -> int:
    while True:
        connection.request("POST", address, body, headers)
        answer = connection.getresponse()
        said = answer.read()
        if answer.status == 503:  # the line is full: as it asks, again
            time.sleep(0.01)
            continue
        if answer.status != 200:
            raise RuntimeError(f"{address} answered {answer.status}: {said[:200]!r}")
        document = json.loads(said)
        if "results" in document:  # the batch's first upload stands for the others
            if wrong := [one["problem"] for one in document["results"] if one["problem"]]:
                raise RuntimeError(f"{address} answered {wrong[0]['code']} for {len(wrong)}")
            document = document["results"][0]["screening"]
        return int(document["index_sequence"])


def _peer(url: str, uploads: Sequence[bytes]) -> dict[str, Ask]:
    """HMA's own endpoints: a look-up by value, and a file."""
    base = urlsplit(url).path.rstrip("/")

    def ask_hash(connection: HTTPConnection, number: int) -> int:
        code = _code(number).tobytes().hex()
        connection.request("GET", f"{base}/m/lookup?signal_type=pdq&signal={code}")
        return _read(connection)

    def ask_file(connection: HTTPConnection, number: int) -> int:
        body = uploads[number % len(uploads)]
        head = (
            b'--b\r\nContent-Disposition: form-data; name="photo"; filename="a.jpg"\r\n'
            b"Content-Type: image/jpeg\r\n\r\n"
        )
        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        connection.request("POST", f"{base}/m/lookup", head + body + b"\r\n--b--\r\n", headers)
        return _read(connection)

    return {"peer: hash": ask_hash, "peer: file": ask_file}


def _read(connection: HTTPConnection) -> int:
    answer = connection.getresponse()
    answer.read()
    if answer.status != 200:
        raise RuntimeError(f"the peer answered {answer.status}")
    return 0


def _code(number: int) -> NDArray[np.uint8]:
    return np.random.default_rng(number).integers(0, 256, 32, dtype=np.uint8)
