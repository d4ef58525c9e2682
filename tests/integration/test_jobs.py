"""The job table on a real PostgreSQL: at least once, by one worker at a time, never for ever."""

import random
import threading
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from pipeline.errors import Invalid
from pipeline.storage import Queries
from pipeline.storage.jobs import PgJobs, backoff

LEASE = timedelta(minutes=5)
EXPIRED = timedelta(0)


@pytest.fixture
def in_jobs(database):
    """Run something with the job table in a transaction of its own."""

    def run(what):
        with database.transaction() as connection:
            return what(PgJobs(Queries(connection)))

    return run


@pytest.fixture
def make_job(in_jobs):
    def make(kind="deliver", max_attempts=3, run_at=None, **payload):
        return in_jobs(
            lambda jobs: jobs.add(kind, payload, max_attempts=max_attempts, run_at=run_at)
        )

    return make


@pytest.fixture
def claim(in_jobs):
    def run(limit=10, lease=LEASE, kind="deliver"):
        return in_jobs(lambda jobs: jobs.claim(kind, limit, lease))

    return run


def later(seconds=3600):
    return datetime.now(UTC) + timedelta(seconds=seconds)


def test_a_claimed_job_says_what_to_do_and_counts_the_attempt(make_job, claim):
    number = make_job(event="e1", max_attempts=4)
    [job] = claim()
    assert (job.id, job.kind, job.payload) == (number, "deliver", {"event": "e1"})
    assert (job.attempts, job.max_attempts) == (1, 4)
    assert claim() == []


def test_jobs_come_in_the_order_they_are_due_and_not_before(make_job, claim):
    second = make_job(run_at=later(-10))
    first = make_job(run_at=later(-20))
    make_job(run_at=later())
    make_job(kind="other", run_at=later(-30))
    assert [job.id for job in claim(limit=1)] == [first]
    assert [job.id for job in claim()] == [second]


def test_a_job_that_is_done_never_comes_back(make_job, claim, in_jobs):
    make_job()
    [job] = claim(lease=EXPIRED)
    assert in_jobs(lambda jobs: jobs.done(job))
    assert claim() == []
    assert not in_jobs(lambda jobs: jobs.done(job))


def test_a_failed_job_comes_back_when_its_time_has_come(make_job, claim, in_jobs):
    make_job()
    [job] = claim()
    assert in_jobs(lambda jobs: jobs.failed(job, "status 500", later(-1)))
    [again] = claim()
    assert (again.id, again.attempts) == (job.id, 2)
    assert in_jobs(lambda jobs: jobs.failed(again, "status 500", later()))
    assert claim() == []


def test_a_job_given_up_is_dead_and_can_be_replayed_with_all_its_attempts(make_job, claim, in_jobs):
    number = make_job(event="e1")
    [job] = claim()
    assert in_jobs(lambda jobs: jobs.failed(job, "gone \0" + "x" * 1000, None))
    [dead] = in_jobs(lambda jobs: jobs.dead(10))
    assert (dead.id, dead.payload, dead.attempts) == (number, {"event": "e1"}, 1)
    assert dead.error == "gone " + "x" * 495
    assert claim() == []
    assert in_jobs(lambda jobs: jobs.replay(number))
    assert not in_jobs(lambda jobs: jobs.replay(number))
    [again] = claim()
    assert again.attempts == 1
    assert not in_jobs(lambda jobs: jobs.done(job)), "a fence from before its death holds nothing"
    assert in_jobs(lambda jobs: jobs.done(again))


def test_a_job_is_dead_after_its_last_attempt_whatever_its_worker_asks(make_job, claim, in_jobs):
    make_job(max_attempts=1)
    [job] = claim()
    assert in_jobs(lambda jobs: jobs.failed(job, "status 500", later(-1)))
    assert claim() == []
    assert [dead.error for dead in in_jobs(lambda jobs: jobs.dead(10))] == ["status 500"]


def test_a_job_whose_worker_dies_each_time_ends_dead_with_a_reason(make_job, claim, in_jobs):
    number = make_job(max_attempts=3)
    attempts = []
    for _ in range(6):
        attempts += [job.attempts for job in claim(lease=EXPIRED)]
    assert attempts == [1, 2, 3]
    [dead] = in_jobs(lambda jobs: jobs.dead(10))
    assert (dead.id, dead.attempts) == (number, 3)
    assert dead.error == "the worker of attempt 3, the last one allowed, never answered"


def test_who_lost_the_lease_cannot_answer_for_who_has_it_now(make_job, claim, in_jobs):
    make_job()
    [stale] = claim(lease=EXPIRED)
    [mine] = claim()
    assert mine.fence > stale.fence
    assert not in_jobs(lambda jobs: jobs.done(stale))
    assert not in_jobs(lambda jobs: jobs.failed(stale, "x", None))
    assert not in_jobs(lambda jobs: jobs.renew(stale, LEASE))
    assert in_jobs(lambda jobs: jobs.done(mine))


def test_a_late_answer_counts_while_nobody_else_has_taken_the_job(make_job, claim, in_jobs):
    make_job()
    [job] = claim(lease=EXPIRED)
    assert in_jobs(lambda jobs: jobs.done(job))


def test_a_renewed_lease_keeps_others_away(make_job, claim, in_jobs):
    make_job()
    [job] = claim(lease=EXPIRED)
    assert in_jobs(lambda jobs: jobs.renew(job, LEASE))
    assert claim() == []


def test_a_claim_whose_transaction_failed_was_never_made(make_job, claim, in_jobs):
    make_job()

    def fail(jobs):
        assert jobs.claim("deliver", 10, LEASE)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        in_jobs(fail)
    [job] = claim()
    assert job.attempts == 1


def test_workers_who_claim_at_once_share_the_jobs_without_waiting(database, make_job, claim):
    numbers = [make_job() for _ in range(6)]
    with database.transaction() as connection:
        held = PgJobs(Queries(connection)).claim("deliver", 4, LEASE)
        others = claim()
    assert sorted(job.id for job in [*held, *others]) == numbers


def test_many_workers_do_every_job_once(in_jobs, make_job):
    with_jobs = [make_job() for _ in range(120)]
    done, lock = [], threading.Lock()

    def work():
        while claimed := in_jobs(lambda jobs: jobs.claim("deliver", 7, LEASE)):
            for job in claimed:
                assert in_jobs(lambda jobs, j=job: jobs.done(j))
                with lock:
                    done.append(job.id)

    workers = [threading.Thread(target=work) for _ in range(5)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(done) == with_jobs


def test_the_depth_tells_what_waits_is_held_and_is_dead(make_job, claim, in_jobs):
    assert in_jobs(PgJobs.depth) == []
    for _ in range(3):
        make_job(run_at=later(-60))
    make_job(kind="rescan", run_at=later())
    [job, _] = claim(limit=2)
    in_jobs(lambda jobs: jobs.failed(job, "x", None))
    deliver, rescan = in_jobs(PgJobs.depth)
    assert (deliver.kind, deliver.ready, deliver.leased, deliver.dead) == ("deliver", 1, 1, 1)
    assert timedelta(seconds=60) <= deliver.oldest < timedelta(seconds=600)
    assert (rescan.kind, rescan.ready, rescan.oldest) == ("rescan", 1, timedelta(0))


def test_waiting_grows_from_seconds_to_hours_and_no_two_wait_alike():
    rng = random.Random(1)
    for attempt in (1, 2, 5, 12, 13, 1000):
        ceiling = min(6 * 3600, 5 * 2 ** min(attempt, 40))
        waits = [backoff(attempt, rng) for _ in range(300)]
        assert all(5 <= wait <= ceiling for wait in waits)
        assert len(set(waits)) > 290
        assert max(waits) > 0.9 * ceiling
    with pytest.raises(Invalid):
        backoff(0, rng)


def test_a_job_needs_an_attempt(make_job):
    with pytest.raises(Invalid):
        make_job(max_attempts=0)


def make_machine(database, migrated_url):
    """A machine that does what workers do in any order, beside a model of what must be true."""

    def jobs(what):
        with database.transaction() as connection:
            return what(PgJobs(Queries(connection)))

    def sql(statement, *values):
        with psycopg.connect(migrated_url) as connection:
            return connection.execute(statement, values)

    class Workers(RuleBasedStateMachine):
        claims = Bundle("claims")

        def __init__(self):
            super().__init__()
            sql("DELETE FROM consentry.jobs")
            self.state, self.left, self.holder = {}, {}, {}

        @rule(max_attempts=st.integers(1, 3))
        def add(self, max_attempts):
            number = jobs(lambda j: j.add("k", {}, max_attempts=max_attempts))
            self.state[number], self.left[number] = "ready", max_attempts

        @rule(target=claims, limit=st.integers(1, 4))
        def claim(self, limit):
            return self.take(limit)

        @rule(target=claims)
        def overtake(self):
            self.expire()
            return self.take(4)

        def take(self, limit):
            before = [n for n, state in self.state.items() if state in ("ready", "expired")]
            taken = jobs(lambda j: j.claim("k", limit, LEASE))
            for job in taken:
                assert self.state[job.id] in ("ready", "expired")
                assert self.left[job.id] > 0
                self.left[job.id] -= 1
                self.state[job.id], self.holder[job.id] = "held", job.fence
            buried = [n for n in before if self.state[n] == "expired" and self.left[n] == 0]
            dead = {d.id for d in jobs(lambda j: j.dead(1000))}
            for number in buried:
                if number in dead:
                    self.state[number] = "dead"
            assert len(taken) + len(dead & set(buried)) >= min(limit, len(before))
            return tuple(taken)

        @rule()
        def time_passes(self):
            self.expire()

        def expire(self):
            sql(
                "UPDATE consentry.jobs SET lease_until = now() - interval '1s'"
                " WHERE state = 'leased'"
            )
            for number, state in self.state.items():
                if state == "held":
                    self.state[number] = "expired"

        def mine(self, job):
            held = self.state[job.id] in ("held", "expired")
            return held and self.holder[job.id] == job.fence

        @rule(taken=claims, how=st.sampled_from(["done", "retry", "give up", "renew"]))
        def answer(self, taken, how):
            for job in taken:
                mine = self.mine(job)
                if how == "done":
                    answered, after = jobs(lambda j, x=job: j.done(x)), "done"
                elif how == "renew":
                    answered, after = jobs(lambda j, x=job: j.renew(x, LEASE)), "held"
                else:
                    again = later(-1) if how == "retry" else None
                    answered = jobs(lambda j, x=job, r=again: j.failed(x, "no", r))
                    after = "ready" if again and self.left[job.id] else "dead"
                assert answered == mine
                if mine:
                    self.state[job.id] = after

        @rule()
        def replay_the_dead(self):
            for number, state in self.state.items():
                assert jobs(lambda j, n=number: j.replay(n)) == (state == "dead")
                if state == "dead":
                    self.state[number] = "ready"
                    [self.left[number]] = sql(
                        "SELECT max_attempts FROM consentry.jobs WHERE id = %s", number
                    ).fetchone()

        @invariant()
        def nothing_is_lost_and_nothing_is_held_by_two(self):
            with psycopg.connect(migrated_url) as connection:
                rows = connection.execute(
                    "SELECT id, CASE WHEN state = 'leased' AND lease_until <= now()"
                    " THEN 'expired' WHEN state = 'leased' THEN 'held' ELSE state END,"
                    " max_attempts - attempts, fence FROM consentry.jobs"
                ).fetchall()
            assert {row[0]: row[1] for row in rows} == self.state
            assert {row[0]: row[2] for row in rows} == self.left
            for number, state, _, fence in rows:
                if state in ("held", "expired"):
                    assert self.holder[number] == fence

    return Workers


def test_whatever_workers_do_no_job_is_lost_or_held_by_two(database, migrated_url):
    machine = make_machine(database, migrated_url)
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=30,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
