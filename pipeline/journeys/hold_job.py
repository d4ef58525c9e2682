"""A claim on a job is renewed while the work is done, however long that takes.

By a thread of its own in the same process: compiled code and decoders let it run, and a process
that is killed takes it along, so that its claim ends and another takes the job up.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from pipeline.errors import Unavailable
from pipeline.ports import Job, Store

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
