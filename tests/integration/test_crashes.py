"""What is killed comes back, and nothing is lost or doubled on the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psycopg
import pytest

from pipeline.domain.screening import Verdict
from pipeline.errors import LeaseLost, Unavailable
from pipeline.journeys import review
from pipeline.storage import embedded
from services.accounts import set_webhook
from services.settings import Settings
from services.wiring import open_world
from tests.postgres import temporary_home
from tests.world import Town, jpeg, picture

DELIVERIES = "FROM jobs WHERE kind = 'deliver'"
"""A worker also looks back for whoever registered: a job of another kind, at its own time."""


class Receiver:
    """A platform's endpoint that can be told to keep its callers waiting."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.heard = threading.Event()
        self.answer = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["content-length"]))
                receiver.ids.append(self.headers["webhook-id"])
                receiver.heard.set()
                receiver.answer.wait(30)
                try:
                    self.send_response(204)
                    self.end_headers()
                except OSError:
                    pass  # whoever called was killed

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.answer.set()
    made.server.shutdown()
    made.server.server_close()


@contextmanager
def worker(town: Town) -> Iterator[subprocess.Popen[bytes]]:
    environment = {
        **os.environ,
        "DATABASE_URL": town.url,
        "CONSENTRY_HOME": str(town.world.settings.home),
        "CONSENTRY_LOG_LEVEL": "error",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "services.cli", "serve", "worker"], env=environment
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def eventually(holds: Callable[[], object], seconds: float = 30) -> bool:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_a_worker_killed_while_it_delivers_loses_nothing(town: Town, receiver: Receiver) -> None:
    town.register(jpeg(picture(1)))
    board = town.platform()
    set_webhook(town.world, "board", receiver.url)
    case = town.screen(board, jpeg(picture(1), 50)).case
    with worker(town) as first:
        town.uphold(case, town.reviewer())
        assert receiver.heard.wait(60), "the worker has begun to deliver"
        first.send_signal(signal.SIGKILL)
        first.wait()
    assert town.query(f"SELECT state, attempts {DELIVERIES}") == [("leased", 1)]
    receiver.answer.set()
    town.query("UPDATE jobs SET lease_until = now()")  # as if the lease's minute had passed
    with worker(town):
        assert eventually(lambda: town.query("SELECT 1 FROM events WHERE delivered_at IS NOT NULL"))
        assert eventually(lambda: town.query(f"SELECT state {DELIVERIES}") == [("done",)])
    assert len(receiver.ids) == 2
    assert len(set(receiver.ids)) == 1, "the platform can tell that it is the same event"


def test_a_decision_made_while_no_worker_runs_is_delivered_later(
    town: Town, receiver: Receiver
) -> None:
    receiver.answer.set()
    town.register(jpeg(picture(1)))
    board = town.platform()
    set_webhook(town.world, "board", receiver.url)
    town.uphold(town.screen(board, jpeg(picture(1), 50)).case, town.reviewer())
    assert not receiver.ids
    with worker(town):
        assert eventually(lambda: receiver.ids)


def test_two_reviewers_who_claim_at_once_never_get_the_same_case(town: Town) -> None:
    town.register(jpeg(picture(1)))
    board = town.platform()
    case = town.screen(board, jpeg(picture(1), 50)).case
    assert case is not None
    reviewers = [town.reviewer(f"reviewer-{number}") for number in range(6)]
    together = threading.Barrier(len(reviewers))

    def claim(reviewer: object) -> bool:
        together.wait()
        try:
            review.claim(town.world.desk, case, reviewer)  # type: ignore[arg-type]
        except LeaseLost:
            return False
        return True

    with ThreadPoolExecutor(len(reviewers)) as threads:
        assert sum(threads.map(claim, reviewers)) == 1


def test_many_reviewers_who_start_at_once_get_a_case_each(town: Town) -> None:
    seeds = range(1, 5)
    town.register(*(jpeg(picture(seed)) for seed in seeds))
    board = town.platform()
    for seed in seeds:
        town.screen(board, jpeg(picture(seed), 50))
    reviewers = [town.reviewer(f"reviewer-{number}") for number in range(6)]
    together = threading.Barrier(len(reviewers))

    def start(reviewer: object) -> object:
        together.wait()
        claim = review.claim_next(town.world.desk, reviewer)  # type: ignore[arg-type]
        return claim.case if claim else None

    with ThreadPoolExecutor(len(reviewers)) as threads:
        got = [case for case in threads.map(start, reviewers) if case is not None]
    assert len(got) == len(set(got)) == len(seeds)


def test_a_database_killed_while_uploads_are_screened_answers_or_says_unavailable(
    tmp_path: Path,
) -> None:
    from services.accounts import add_platform
    from tests.world import Clock

    with temporary_home() as place:
        server = embedded.start(place)
        from pipeline.storage.migrate import migrate

        migrate(server.url)
        settings = Settings(database_url=server.url, home=tmp_path, log_level="error")
        with open_world(settings) as world, world.live("test") as live:
            town = Town(world, live, Clock(), server.url)
            town.register(jpeg(picture(1)))
            board = add_platform(world, "board", None, 1000).platform
            town.screen(board, jpeg(picture(1), 50), "warm")
            answered: list[tuple[str, Verdict]] = []
            unavailable: list[Exception] = []
            stop = threading.Event()

            def upload(thread: int) -> None:
                number = 0
                while not stop.is_set():
                    number += 1
                    seed = 1 if number % 2 else 2
                    name = f"{thread}-{number}"
                    try:
                        answer = town.screen(board, jpeg(picture(seed), 40 + number % 50), name)
                        answered.append((name, answer.verdict))
                    except Unavailable as error:
                        unavailable.append(error)
                        time.sleep(0.05)

            threads = [threading.Thread(target=upload, args=(n,)) for n in range(3)]
            for thread in threads:
                thread.start()
            time.sleep(1.0)
            os.kill(server.pid, signal.SIGKILL)
            assert eventually(lambda: unavailable), "callers are told, not left waiting"
            before = len(answered)
            server = embedded.start(place)
            assert eventually(lambda: len(answered) > before + 5, 60), "it goes on by itself"
            stop.set()
            for thread in threads:
                thread.join(60)
                assert not thread.is_alive()
            with psycopg.connect(server.url) as connection:
                kept = dict(
                    connection.execute(
                        "SELECT content_id, verdict FROM consentry.screenings"
                    ).fetchall()
                )
            lost = [name for name, verdict in answered if kept.get(name) != verdict.value]
            assert not lost, "every answer that was given is on record"
            assert {verdict for _, verdict in answered} == {Verdict.CLEAR, Verdict.REVIEW}
