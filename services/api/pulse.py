"""What the database says of itself, asked no more than once a moment whoever wants to know."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from pipeline.errors import Unavailable
from pipeline.ports import Depth, Store

REMEMBERED = 0.5
"""Readiness and metrics need no key: this is all that they can cost the database, in seconds."""

NEAR = timedelta(hours=6)
"""A deadline nearer than this is at risk."""


@dataclass(frozen=True, slots=True)
class Pulse:
    """Whether the database answers, and if so what waits in it."""

    up: bool
    head: int = -1
    undecided: int = 0
    oldest_case: float = 0.0
    jobs: tuple[Depth, ...] = ()
    overdue: int = 0
    near: int = 0
    probing: int = 0
    """How many accounts were taken to be probing in the last 24 hours."""
    floods: int = 0
    """How many registered items match so much that they wait for a lead."""
    parked: int = 0
    """How many cases wait with them."""
    banks: tuple[tuple[str, int], ...] = ()
    """Banks that are tried, and how many uploads each would have brought up."""


class Pulses:
    """The database's pulse, from any thread."""

    def __init__(
        self,
        store: Store,
        now: Callable[[], datetime],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._now, self._monotonic = store, now, monotonic
        self._lock = threading.Lock()
        self._last, self._until = Pulse(up=False), float("-inf")

    def __call__(self) -> Pulse:
        """The latest pulse, at most ``REMEMBERED`` seconds old."""
        with self._lock:
            if self._monotonic() >= self._until:
                self._last = self._feel()
                self._until = self._monotonic() + REMEMBERED
            return self._last

    def _feel(self) -> Pulse:
        try:
            with self._store.transaction() as unit:
                head = unit.registry.head()
                undecided, since = unit.cases.waiting()
                overdue, near = unit.cases.deadlines(self._now(), self._now() + NEAR)
                jobs = tuple(unit.jobs.depth())
                noticed = unit.probes.alarms(self._now() - timedelta(hours=24))
                floods, parked = unit.floods.waiting()
                banks = tuple(unit.banks.trials_by_bank().items())
        except Unavailable:
            return Pulse(up=False)
        waited = (self._now() - since).total_seconds() if since else 0.0
        probing = sum(row["alarms"] for row in noticed)
        return Pulse(
            True, head, undecided, max(0.0, waited), jobs, overdue, near, probing, floods, parked,
            banks,
        )  # fmt: skip
