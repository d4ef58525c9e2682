from __future__ import annotations

import multiprocessing
import os
import pwd
import shutil
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from pipeline.errors import Misconfigured
from pipeline.storage import embedded
from tests.postgres import temporary_home

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="changes its user, which root alone may")


@pytest.fixture
def home() -> Iterator[Path]:
    with temporary_home() as folder:
        yield folder


def note_down(server: embedded.Server, text: str) -> None:
    with psycopg.connect(server.url) as connection:
        # "If not exists" alone fails when two ask at once.
        connection.execute("SELECT pg_advisory_xact_lock(1)")
        connection.execute("CREATE TABLE IF NOT EXISTS note (text text)")
        connection.execute("INSERT INTO note VALUES (%s)", [text])


def notes(server: embedded.Server) -> list[str]:
    with psycopg.connect(server.url) as connection:
        return [text for (text,) in connection.execute("SELECT text FROM note ORDER BY text")]


def kill_everything(server: embedded.Server) -> None:
    postmaster = psutil.Process(server.pid)
    family = [postmaster, *postmaster.children(recursive=True)]
    assert len(family) > 4
    for process in family:
        # Its siblings' deaths may have ended it already.
        with suppress(psutil.NoSuchProcess):
            process.kill()
    wait_for_the_end_of(*(process.pid for process in family))


def wait_for_the_end_of(*pids: int) -> None:
    # Not psutil's wait: who is dead but not yet collected by his parent counts as gone.
    while any(is_alive(pid) for pid in pids):
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.NoSuchProcess:
        return False


def as_user(uid: int, act: Callable[[], str]) -> str:
    """What ``act`` returns in a process of that user; for an exception, its type and message."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
            answer = act()
        except BaseException as error:  # all of it belongs to the parent
            answer = f"{type(error).__name__}: {error}"
        os.write(writer, answer.encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    return answer


def test_rows_outlive_a_stop_and_a_start(home: Path) -> None:
    first = embedded.start(home)
    note_down(first, "kept")
    assert embedded.stop(home)
    assert not is_alive(first.pid)
    second = embedded.start(home)
    assert second.pid != first.pid
    assert second.url == first.url
    assert notes(second) == ["kept"]


def test_starting_a_running_server_finds_it(home: Path) -> None:
    assert embedded.start(home) == embedded.start(home)


def test_stopping_what_does_not_run_says_so(home: Path) -> None:
    assert not embedded.stop(home)
    embedded.start(home)
    assert embedded.stop(home)
    assert not embedded.stop(home)


def test_acknowledged_rows_are_there_after_everything_was_killed(home: Path) -> None:
    server = embedded.start(home)
    for number in range(3):
        note_down(server, f"row {number}")
        kill_everything(server)
        server = embedded.start(home)
        assert notes(server) == [f"row {n}" for n in range(number + 1)]


def test_a_child_busy_when_its_server_was_killed_does_not_bar_the_next_start(home: Path) -> None:
    server = embedded.start(home)
    note_down(server, "kept")
    with psycopg.connect(server.url) as connection:
        busy = connection.info.backend_pid

        def keep_busy() -> None:
            with pytest.raises(psycopg.OperationalError):
                connection.execute(
                    "SELECT count(*) FROM generate_series(1, 99999) a, generate_series(1, 999999) b"
                )

        thread = threading.Thread(target=keep_busy)
        thread.start()
        with psycopg.connect(server.url, autocommit=True) as other:
            state = "SELECT state FROM pg_stat_activity WHERE pid = %s"
            while other.execute(state, [busy]).fetchone() != ("active",):
                pass
        psutil.Process(server.pid).kill()
        wait_for_the_end_of(server.pid)
        assert is_alive(busy)
        again = embedded.start(home)
        thread.join()
    assert notes(again) == ["kept"]
    assert not is_alive(busy)


def start_and_tell(home: Path, go: Any, answers: Any) -> None:
    go.wait()
    server = embedded.start(home)
    note_down(server, f"from {os.getpid()}")
    answers.put((server.url, server.pid, os.getpid()))


def test_processes_that_start_it_at_once_share_one_server(home: Path) -> None:
    forking = multiprocessing.get_context("fork")
    go, answers = forking.Barrier(4), forking.Queue()
    starters = [forking.Process(target=start_and_tell, args=(home, go, answers)) for _ in range(4)]
    for starter in starters:
        starter.start()
    told = [answers.get(timeout=60) for _ in starters]
    for starter in starters:
        starter.join()
    assert len({(url, pid) for url, pid, _ in told}) == 1
    assert notes(embedded.start(home)) == sorted(f"from {starter}" for _, _, starter in told)


def test_a_starter_that_was_killed_midway_leaves_nothing_in_the_way(home: Path) -> None:
    place = embedded._place(home)
    part = place.folder / "data-part"
    part.mkdir()
    (part / "PG_VERSION").write_text("18\n")
    assert notes_of_a_fresh_start(home) == ["fresh"]


def notes_of_a_fresh_start(home: Path) -> list[str]:
    server = embedded.start(home)
    note_down(server, "fresh")
    return notes(server)


def test_a_long_path_gets_a_short_socket_and_leaves_none_behind(home: Path) -> None:
    deep = home / ("d" * 60) / ("e" * 60)
    deep.parent.mkdir()
    server = embedded.start(deep)
    sockets = embedded._place(deep).sockets
    try:
        assert deep not in sockets.parents
        assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
        note_down(server, "deep")
        assert notes(server) == ["deep"]
    finally:
        embedded.stop(deep)
    assert not sockets.exists()


def test_a_planted_socket_folder_is_refused(home: Path, tmp_path: Path) -> None:
    deep = home / ("d" * 60) / ("e" * 60)
    deep.parent.mkdir()
    sockets = embedded._place(deep).sockets
    sockets.symlink_to(tmp_path)
    try:
        with pytest.raises(Misconfigured, match="not a folder of ours"):
            embedded.start(deep)
    finally:
        sockets.unlink()


def test_a_path_with_spaces_quotes_and_commas_works(home: Path) -> None:
    odd = home / "a 'b' \"c\", d%20"
    server = embedded.start(odd)
    try:
        note_down(server, "odd")
        assert notes(server) == ["odd"]
    finally:
        embedded.stop(odd)


def test_a_stale_pid_that_is_now_somebody_elses_does_no_harm(home: Path) -> None:
    server = embedded.start(home)
    note_down(server, "kept")
    kill_everything(server)
    owner = {"user": embedded._account().uid} if os.geteuid() == 0 else {}
    with subprocess.Popen(["/bin/sleep", "600"], **owner) as stranger:
        try:
            pid_file = server.data / "postmaster.pid"
            pid_file.write_text(
                "\n".join([str(stranger.pid), *pid_file.read_text().splitlines()[1:]]) + "\n"
            )
            assert not embedded.stop(home)
            assert notes(embedded.start(home)) == ["kept"]
            assert stranger.poll() is None
        finally:
            stranger.kill()


def test_only_its_user_may_enter_where_sockets_and_rows_lie(home: Path) -> None:
    server = embedded.start(home)
    place = embedded._place(home)
    for folder in (place.sockets, server.data, place.log):
        state = folder.stat()
        assert stat.S_IMODE(state.st_mode) == 0o700
        assert state.st_uid == place.account.uid


def test_there_is_no_network_port_and_no_password(home: Path) -> None:
    server = embedded.start(home)
    processes = [psutil.Process(server.pid), *psutil.Process(server.pid).children()]
    assert [port for process in processes for port in process.net_connections("inet")] == []
    with psycopg.connect(server.url) as connection:
        rules = connection.execute("SELECT type, auth_method FROM pg_hba_file_rules").fetchall()
    assert rules == [("local", "peer")]


def test_what_guards_the_rows_is_switched_on(home: Path) -> None:
    with psycopg.connect(embedded.start(home).url) as connection:
        for setting, value in {
            "fsync": "on",
            "full_page_writes": "on",
            "synchronous_commit": "on",
            "data_checksums": "on",
            "max_connections": "200",
            "jit": "off",
            "server_encoding": "UTF8",
        }.items():
            row = connection.execute("SELECT current_setting(%s)", [setting]).fetchone()
            assert (setting, row) == (setting, (value,))


def test_bound_values_reach_no_log(home: Path) -> None:
    secret = "correct-horse-battery"
    server = embedded.start(home)
    note_down(server, secret)
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("CREATE UNIQUE INDEX ON note (text)")
        for statement in (
            "SELECT cast(%s::text AS integer)",
            "INSERT INTO note VALUES (%s)",
            f"SELECT missing FROM note WHERE text = '{secret}' AND text = %s",
        ):
            with pytest.raises(psycopg.Error):
                connection.execute(statement, [secret])
    embedded.stop(home)
    place = embedded._place(home)
    logs = [place.folder / "start.log", *place.log.iterdir()]
    written = "".join(log.read_text() for log in logs)
    assert "database system is shut down" in written
    assert secret not in written


def test_the_last_user_out_stops_it(home: Path) -> None:
    with embedded.running(home) as outer:
        with embedded.running(home) as inner:
            assert inner == outer
        assert is_alive(outer.pid)
    assert not is_alive(outer.pid)


def test_a_server_that_was_asked_to_stay_stays(home: Path) -> None:
    with embedded.running(home) as server:
        embedded.start(home)
    assert is_alive(server.pid)
    with embedded.running(home) as again:
        assert again == server
    assert is_alive(server.pid)


USE_IT = """
import sys, time
from pathlib import Path
from pipeline.storage import embedded
with embedded.running(Path(sys.argv[1])) as server:
    print(server.pid, flush=True)
    time.sleep(600)
"""


def test_a_user_who_was_killed_counts_as_out(home: Path) -> None:
    root = Path(embedded.__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", USE_IT, home], stdout=subprocess.PIPE, text=True, cwd=root
    ) as user:
        assert user.stdout is not None
        pid = int(user.stdout.readline())
        user.kill()
    assert is_alive(pid)
    with embedded.running(home) as server:
        assert server.pid == pid
    assert not is_alive(pid)


def test_rows_of_another_version_are_left_alone(home: Path) -> None:
    server = embedded.start(home)
    embedded.stop(home)
    (server.data / "PG_VERSION").write_text("17\n")
    with pytest.raises(Misconfigured, match="written by PostgreSQL 17"):
        embedded.start(home)


def test_a_server_that_cannot_start_tells_its_last_words(home: Path) -> None:
    server = embedded.start(home)
    embedded.stop(home)
    (server.data / "postgresql.auto.conf").write_text("shared_buffers = 'plenty'\n")
    with pytest.raises(embedded.Unavailable, match="shared_buffers"):
        embedded.start(home)


def test_programs_of_the_wheel_are_found_by_name() -> None:
    said = subprocess.run(
        [embedded.program("pg_dump"), "--version"], capture_output=True, check=True
    )
    assert b"(PostgreSQL) 18" in said.stdout
    with pytest.raises(Misconfigured, match="pg_dumb"):
        embedded.program("pg_dumb")


@needs_root
def test_root_runs_it_as_an_unprivileged_user(home: Path) -> None:
    server = embedded.start(home)
    nobody = pwd.getpwnam("nobody")
    assert psutil.Process(server.pid).uids().effective == nobody.pw_uid
    assert psutil.Process(server.pid).gids().effective == nobody.pw_gid


@needs_root
def test_other_users_are_kept_out_even_the_servers_own(home: Path) -> None:
    server = embedded.start(home)

    def connect() -> str:
        psycopg.connect(server.url).close()
        return "let in"

    assert "Permission denied" in as_user(pwd.getpwnam("daemon").pw_uid, connect)
    assert "Peer authentication failed" in as_user(pwd.getpwnam("nobody").pw_uid, connect)


@needs_root
def test_where_its_user_cannot_go_root_keeps_the_rows_elsewhere(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "SYSTEM_STATE", home / "state")
    closed = home / "closed"
    closed.mkdir(mode=0o700)
    server = embedded.start(closed)
    try:
        note_down(server, "kept")
        assert home / "state" in server.data.parents
        assert embedded.stop(closed)
        # The choice stands, whatever becomes of the modes: no empty database in its place.
        closed.chmod(0o755)
        assert notes(embedded.start(closed)) == ["kept"]
        (home / "state").chmod(0o700)
        with pytest.raises(Misconfigured, match="can no longer reach"):
            embedded.start(closed)
    finally:
        (home / "state").chmod(0o711)
        embedded.stop(closed)


@needs_root
def test_root_copies_programs_that_its_user_cannot_read(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = copy_wheel(home / "closed")
    (home / "closed").chmod(0o700)
    monkeypatch.setattr(embedded, "_wheel", lambda: closed)
    server = embedded.start(home)
    program = Path(os.fsdecode(embedded._command(server.pid)[0]))
    assert home / "postgres" in program.parents
    assert notes_of_a_fresh_start(home) == ["fresh"]


@needs_root
def test_an_unprivileged_user_runs_it_alone(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    user = pwd.getpwnam("daemon")
    wheel = copy_wheel(home / "wheel")
    monkeypatch.setattr(embedded, "_wheel", lambda: wheel)
    own = home / "own"
    own.mkdir()
    os.chown(own, user.pw_uid, user.pw_gid)

    def use_it() -> str:
        server = embedded.start(own)
        try:
            note_down(server, "mine")
            kill_everything(server)
            server = embedded.start(own)
            return f"{notes(server)} {psutil.Process(server.pid).uids().effective}"
        finally:
            embedded.stop(own)

    assert as_user(user.pw_uid, use_it) == f"['mine'] {user.pw_uid}"
    with pytest.raises(Misconfigured, match="belongs to daemon"):
        embedded.start(own)


@needs_root
def test_a_user_without_a_name_is_told_what_to_do(home: Path) -> None:
    said = as_user(54321, lambda: str(embedded.start(home / "own")))
    assert said.startswith("Misconfigured: user 54321 has no name")
    assert "DATABASE_URL" in said


def copy_wheel(target: Path) -> Path:
    wheel = embedded._wheel()
    libraries = wheel.parent.with_name(f"{wheel.parent.name}.libs")
    shutil.copytree(wheel, target / wheel.parent.name / wheel.name, symlinks=True)
    shutil.copytree(libraries, target / libraries.name, symlinks=True)
    embedded._open_to_all(target)
    return target / wheel.parent.name / wheel.name


def test_every_test_gets_a_database_of_its_own(
    database_url: str, make_database: Callable[..., str]
) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("CREATE TABLE here (n integer)")
    with psycopg.connect(make_database(template=database_url)) as copied:
        assert copied.execute("SELECT count(*) FROM here").fetchone() == (0,)
    with psycopg.connect(make_database()) as empty, pytest.raises(psycopg.errors.UndefinedTable):
        empty.execute("SELECT count(*) FROM here")
