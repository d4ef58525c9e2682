"""Waiting after wrong answers, on a real PostgreSQL."""

import threading
from datetime import UTC, datetime, timedelta

import pytest

from pipeline.storage import Queries
from pipeline.storage.attempts import BUSY_SECONDS, PgAttempts

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
SHE, HE = b"s" * 32, b"h" * 32


@pytest.fixture
def in_attempts(database):
    """Run something with the attempts in a transaction of its own."""

    def run(what):
        with database.transaction() as connection:
            return what(PgAttempts(Queries(connection)))

    return run


@pytest.fixture
def fail(in_attempts):
    """Fail some times in a row, each as soon as it is allowed; the waits after each failure."""

    def run(times, now=NOON, subject=SHE):
        waits = []
        for _ in range(times):
            in_attempts(lambda attempts, at=now: attempts.failed(subject, at))
            waits.append(in_attempts(lambda attempts, at=now: attempts.wait(subject, at)))
            now += timedelta(seconds=waits[-1])
        return waits

    return run


def test_three_failures_are_free_and_then_waiting_doubles_up_to_a_quarter_of_an_hour(fail):
    assert fail(16) == [0, 0, 0, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900, 900]


def test_waiting_always_ends_even_after_a_hundred_failures_at_once(in_attempts):
    for _ in range(100):
        in_attempts(lambda attempts: attempts.failed(SHE, NOON))
    assert in_attempts(lambda attempts: attempts.wait(SHE, NOON)) == 900
    later = NOON + timedelta(seconds=900)
    assert in_attempts(lambda attempts: attempts.wait(SHE, later)) == 0


def test_who_never_failed_does_not_wait_whatever_others_did(fail, in_attempts):
    fail(6)
    assert in_attempts(lambda attempts: attempts.wait(HE, NOON)) == 0


def test_the_right_answer_makes_failures_forgotten(fail, in_attempts):
    fail(6)
    in_attempts(lambda attempts: attempts.cleared(SHE))
    assert fail(3) == [0, 0, 0]


def test_one_failure_is_forgiven_for_each_hour_without_one(fail, in_attempts):
    assert fail(5)[-1] == 4
    free = NOON + timedelta(seconds=6)
    assert fail(1, free + timedelta(minutes=59)) == [8]
    freed = free + timedelta(minutes=59, seconds=8)
    assert fail(1, freed + timedelta(hours=2)) == [4]
    assert fail(4, freed + timedelta(days=3)) == [0, 0, 0, 2]


def test_those_whose_failures_are_all_forgiven_are_forgotten(fail, in_attempts):
    fail(2)
    fail(4, subject=HE)
    assert in_attempts(lambda attempts: attempts.purge(NOON + timedelta(hours=1))) == 0
    assert in_attempts(lambda attempts: attempts.purge(NOON + timedelta(hours=2))) == 1
    assert in_attempts(lambda attempts: attempts.purge(NOON + timedelta(days=1))) == 1


def test_guesses_sent_at_once_are_answered_one_at_a_time(database, in_attempts):
    with database.transaction() as connection:
        assert PgAttempts(Queries(connection)).wait(SHE, NOON) == 0
        assert PgAttempts(Queries(connection)).wait(SHE, NOON) == 0, "it is ours already"
        assert in_attempts(lambda attempts: attempts.wait(SHE, NOON)) == BUSY_SECONDS
        assert in_attempts(lambda attempts: attempts.wait(HE, NOON)) == 0
    assert in_attempts(lambda attempts: attempts.wait(SHE, NOON)) == 0


def test_failures_at_once_are_all_counted(in_attempts):
    workers = [
        threading.Thread(target=in_attempts, args=(lambda attempts: attempts.failed(SHE, NOON),))
        for _ in range(7)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert in_attempts(lambda attempts: attempts.wait(SHE, NOON)) == 2 ** (7 - 3)
