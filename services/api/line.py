"""The line before the screening threads: as many work as there are cores, few may wait."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

import anyio.to_thread

from services.api.problems import busy

T = TypeVar("T")


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Line:
    """Threads for work that takes long, with a line of bounded length. Used by one event loop."""

    def __init__(self, workers: int, longest: int) -> None:
        self.workers, self.longest = workers, longest
        self.inside = 0
        self._limiter = anyio.CapacityLimiter(workers)

    @property
    def waiting(self) -> int:
        """How many wait for a thread."""
        return max(0, self.inside - self.workers)

    def check(self) -> None:
        """503 when the line is full: said before a body is read that could not be worked on."""
        if self.inside >= self.workers + self.longest:
            raise busy("more uploads are waiting than can be screened soon; send this one again")

    async def run(self, work: Callable[[], T]) -> T:
        """What ``work`` returns, computed in a thread."""
        self.check()
        self.inside += 1
        try:
            return await anyio.to_thread.run_sync(work, limiter=self._limiter)
        finally:
            self.inside -= 1
