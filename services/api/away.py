"""Threads that go out to platforms' addresses while a request waits, shared fairly.

They wait for others' servers, so they are not those that screen; and no platform has more than half
of them, so that its slow addresses keep nobody else waiting.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TypeVar

import anyio
import anyio.to_thread

from pipeline.domain.ids import PlatformId
from services.api.problems import busy

T = TypeVar("T")

PLACES = 16


class Away:
    """Such threads of one process. Used by one event loop."""

    def __init__(self, places: int = PLACES) -> None:
        self._places, self._each = places, max(1, places // 2)
        self._out: Counter[PlatformId] = Counter()
        self._limiter = anyio.CapacityLimiter(places)

    def free_for(self, platform: PlatformId) -> bool:
        """Whether one more of a platform's requests may go out now."""
        return self._out.total() < self._places and self._out[platform] < self._each

    async def run(self, platform: PlatformId, work: Callable[[], T]) -> T:
        """What ``work`` returns, in such a thread; 503 when there is none for this platform."""
        if not self.free_for(platform):
            raise busy("too many addresses are being gone to for you; send this one again")
        self._out[platform] += 1
        try:
            return await anyio.to_thread.run_sync(work, limiter=self._limiter)
        finally:
            self._out[platform] -= 1
            self._out += Counter()  # nobody who has none out is remembered
