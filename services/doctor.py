"""``consentry doctor``: looks at the machine and says what to fix."""

from __future__ import annotations

import os
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline import plugins
from pipeline.domain.media import Frame, Media, Rating, Upload
from pipeline.domain.signal import Metric, Space
from pipeline.errors import ConsentryError
from pipeline.storage import Database
from pipeline.storage.migrate import require_known
from services.settings import Settings
from services.wiring import database_url, decoder_pool, gates_of, keyring

_ENOUGH_DISK = 2 << 30


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. ``advice`` says what to do when it is not well."""

    name: str
    well: bool
    said: str
    advice: str = ""


def examine(
    settings: Settings, progress: Callable[[str], None] = lambda _: None
) -> Iterator[Finding]:
    """Look at everything, one finding at a time; nothing raises, trouble is a finding."""
    yield _python()
    yield _disk(settings.home)
    yield _home(settings.home)
    yield _keys(settings)
    yield _sandbox(settings)
    yield _index()
    for signal in settings.signals:
        yield _signal(signal)
    if settings.faces or settings.copies:
        yield _networks()
    for pack in (*settings.faces, *settings.copies):
        yield _pack(pack, settings)
    yield from _gates(settings)
    yield from _database(settings, progress)


def _python() -> Finding:
    said = ".".join(str(part) for part in sys.version_info[:3])
    return Finding("python", sys.version_info >= (3, 11), said, "install Python 3.11 or newer")


def _disk(home: Path) -> Finding:
    there = next(folder for folder in (home, *home.parents) if folder.exists())
    free = shutil.disk_usage(there).free
    return Finding(
        "disk",
        free > _ENOUGH_DISK,
        f"{free / 2**30:.1f} GiB free",
        f"free some space below {there}; the database needs at least 2 GiB",
    )


def _home(home: Path) -> Finding:
    if not home.exists():
        return Finding("home", True, f"{home} (made at first start)")
    if not os.access(home, os.W_OK):
        return Finding("home", False, f"{home} cannot be written", "set CONSENTRY_HOME")
    return Finding("home", True, str(home))


def _keys(settings: Settings) -> Finding:
    try:
        ring = keyring(settings)
        file = settings.key_file
        if settings.kek is None and settings.kek_command is None:
            if not file.exists():
                return Finding("keys", True, f"{file} (made at first start)")
            mode = stat.S_IMODE(file.stat().st_mode)
            if mode & 0o077:
                return Finding("keys", False, f"{file} is open to others", f"chmod 600 {file}")
        current, _ = ring.current()
    except (ConsentryError, OSError) as error:
        return Finding("keys", False, str(error), "see Keys in the README")
    return Finding("keys", True, f"current key {current} from {ring.name}")


def _sandbox(settings: Settings) -> Finding:
    """Start a decoder and ask which of its locks hold on this machine."""
    try:
        with closing(decoder_pool(settings)) as pool:
            locks = pool.warm()
    except ConsentryError as error:
        return Finding("sandbox", False, str(error), "allow this process to start others")
    missing = [lock for lock in ("landlock", "seccomp") if not any(lock in held for held in locks)]
    said = f"decoders held by: {', '.join(locks)}"
    if missing:
        said += f"; not by {' nor '.join(missing)}"
    return Finding(
        "sandbox",
        "seccomp" not in missing,
        said,
        "install libseccomp2; without it decoders are held by the kernel's plain limits alone",
    )


def _index() -> Finding:
    """Build a small index and ask it: the kernels compile here, and their choice is told."""
    space = Space("doctor", "1", Metric.HAMMING, 256)
    try:
        index = plugins.build("indexes", "hamming", space)
        codes = np.random.default_rng(1).integers(0, 256, (64, 32), np.uint8)
        index.add(np.arange(64, dtype=np.int64), codes)
        found = index.search(codes[:1], 31)
    except Exception as error:
        return Finding("index", False, f"{type(error).__name__}", "reinstall numba and faiss-cpu")
    well = len(found) == 1 and int(found.distance[0]) == 0
    return Finding("index", well, f"method {index.state().method}", "reinstall faiss-cpu")


def _signal(name: str) -> Finding:
    try:
        built = plugins.build("signals", name)
    except Exception as error:
        return Finding(f"signal {name}", False, str(error), "correct CONSENTRY_SIGNALS")
    return Finding(f"signal {name}", True, built.space.key)


def _networks() -> Finding:
    """Where packs run: a card that is here and not used costs time, and is no fault."""
    from pipeline.packs._card import card_here, free_bytes
    from pipeline.packs._runtime import runs

    try:
        found = runs(card_here=card_here())
    except Exception as error:  # onnxruntime's own exceptions have no public common root
        return Finding("networks", False, type(error).__name__, "reinstall onnxruntime")
    free = free_bytes() if found.card else None
    room = "" if free is None else f", {free / 2**30:.1f} GiB of it free"
    return Finding("networks", True, found.words + room)


def _pack(name: str, settings: Settings) -> Finding:
    """Digests, licence and the known answer of a pack that is configured."""
    from pipeline.packs import _copies, _install

    home = settings.home / "packs"
    try:
        if _copies.is_copies(home / name):
            licence, apart = _copies.told(home / name).licence, _copies.verify(name, home)
        else:
            licence, apart = _install.told(name, home).licence, _install.verify(name, home)
    except ConsentryError as error:
        return Finding(f"pack {name}", False, str(error), f"run: consentry packs install {name}")
    said = f"as installed, {licence.spdx}, its answer {apart:.1e} from the known one"
    if not licence.commercial_use:
        said += "; not for commercial use"
    return Finding(f"pack {name}", True, said)


def _gates(settings: Settings) -> Iterator[Finding]:
    """Each configured gate, opened and asked about a plain picture."""
    if settings.gates_file is None:
        if settings.faces:
            yield Finding("gates", True, "none: faces are looked at where the policy says so")
        return
    try:
        gates = gates_of(settings.gates_file)
        plain = Media((Frame(np.full((64, 64, 3), 128, np.uint8)),), "image/png", 64, 64)
        for gate in gates:
            gate.rate(Upload("doctor", None, Rating.UNKNOWN), plain)
    except (ConsentryError, OSError, ValueError) as error:
        yield Finding("gates", False, str(error), "correct CONSENTRY_GATES_FILE")
        return
    yield Finding("gates", True, f"{len(gates)} answer, the platform's own rating first")


def _database(settings: Settings, progress: Callable[[str], None]) -> Iterator[Finding]:
    where = "DATABASE_URL" if settings.database_url else f"embedded in {settings.database_home}"
    try:
        with database_url(settings, progress) as url:
            database = Database(url, size=1)
            try:
                with database.transaction() as connection:
                    row = connection.execute("SHOW server_version").fetchone()
                    version = str(next(iter(row.values()))) if row else "?"
                    major = int(version.split(".")[0].split()[0])
                    yield Finding(
                        "database",
                        major >= 18,
                        f"PostgreSQL {version}, {where}",
                        "use PostgreSQL 18 or newer",
                    )
                    behind = require_known(connection)
            finally:
                database.close()
    except ConsentryError as error:
        advice = "run: consentry migrate" if "migrate" in str(error) else "check DATABASE_URL"
        yield Finding("schema", False, str(error), advice)
        return
    except Exception as error:
        yield Finding("database", False, type(error).__name__, "check DATABASE_URL")
        return
    waiting = f"the version before's: {behind} migrations wait for consentry migrate"
    yield Finding("schema", True, waiting if behind else "as this version needs it")
