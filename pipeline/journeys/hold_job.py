"""A claim on a job is renewed while the work is done, however long that takes.

By a thread of its own in the same process: compiled code and decoders let it run, and a process
that is killed takes it along, so that its claim ends and another takes the job up.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from pipeline.errors import Unavailable
from pipeline.ports import Clock, Job, Store

LEASE = timedelta(seconds=20)


class Lost(Exception):
    """Somebody else has taken up the job; nothing more of this attempt may be recorded."""


class Held:
    """A claim while it holds."""

    def __init__(self) -> None:
        self._lost = threading.Event()

    def check(self) -> None:
        """Raises ``Lost`` once the claim is known to be somebody else's."""
        if self._lost.is_set():
            raise Lost

    def lose(self) -> None:
        """The claim is somebody else's."""
        self._lost.set()


@contextmanager
def holding(store: Store, jobs: list[Job], lease: timedelta = LEASE) -> Iterator[Held]:
    """Renew some claims until the block ends."""
    held, over = Held(), threading.Event()

    def renew() -> None:
        while not over.wait(lease.total_seconds() / 4):
            try:
                with store.transaction() as unit:
                    if not all(unit.jobs.renew(job, lease) for job in jobs):
                        held.lose()
                        return
            except Unavailable:
                continue  # whoever cannot renew loses the claim when its time is over

    thread = threading.Thread(target=renew, name="hold-job", daemon=True)
    thread.start()
    try:
        yield held
    finally:
        over.set()
        thread.join()


def take_up(
    store: Store,
    clock: Clock,
    kind: str,
    pause: Callable[[int], float],
    do: Callable[[Job, Held], None],
) -> bool:
    """Take up one job of a kind, if one waits, and do it; whether there was one.

    One that fails is taken up again ``pause(attempt)`` seconds later while it has attempts left.
    """
    with store.transaction() as unit:
        jobs = unit.jobs.claim(kind, 1, LEASE)
    for job in jobs:
        attempt(store, clock, job, pause, do)
    return bool(jobs)


def attempt(
    store: Store,
    clock: Clock,
    job: Job,
    pause: Callable[[int], float],
    do: Callable[[Job, Held], None],
) -> None:
    """Do a job that was claimed for ``LEASE``, and give it back if that fails."""
    try:
        with holding(store, [job]) as held:
            do(job, held)
    except Lost:
        return
    except Unavailable as error:
        failed(store, clock, job, str(error), pause)
    except Exception as error:
        # The type alone: a message could carry what was being looked at.
        failed(store, clock, job, type(error).__name__, pause)
        raise


def failed(store: Store, clock: Clock, job: Job, error: str, pause: Callable[[int], float]) -> None:
    """Give a job back that did not succeed, for later or, after its last attempt, for good."""
    last = job.attempts >= job.max_attempts
    again = None if last else clock() + timedelta(seconds=pause(job.attempts))
    with store.transaction() as unit:
        unit.jobs.failed(job, error, again)
