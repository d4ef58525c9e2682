"""Look-ups by value: those that come while others are worked on go on together.

Nobody waits for company. Whoever finds a worker free goes at once, alone; what comes meanwhile is
taken up by one thread and recorded by one commit. What is near to something goes on by itself.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Sequence

import anyio
import anyio.to_thread

from pipeline.domain.screening import Screening
from pipeline.journeys.screen_upload import Lookup
from services.api.line import Line

Outcome = Screening | Exception | Callable[[], Screening]

WORKERS = 2
"""One searches while the other's commit is on its way."""
MOST = 64
"""Look-ups that one thread takes up together."""


class Lookups:
    """Look-ups by value of one event loop."""

    def __init__(self, many: Callable[[Sequence[Lookup]], list[Outcome]], line: Line) -> None:
        """``many`` answers several, ``line`` bounds how many wait and works on what takes long."""
        self._many, self._line = many, line
        self._waiting: list[tuple[Lookup, asyncio.Future[Outcome]]] = []
        self._threads = anyio.CapacityLimiter(WORKERS)
        self._tasks: set[asyncio.Task[None]] = set()

    async def screen(self, lookup: Lookup) -> Screening:
        """The answer, on record; raises whatever went wrong with this look-up."""
        self._line.check()
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._line.inside += 1
        try:
            self._waiting.append((lookup, future))
            if len(self._tasks) < WORKERS:
                # A context of its own: it works for many requests, and must name none of them.
                task = asyncio.create_task(self._work(), context=contextvars.Context())
                self._tasks.add(task)
            outcome = await future
        finally:
            self._line.inside -= 1
        if isinstance(outcome, Screening):
            return outcome
        if isinstance(outcome, Exception):
            raise outcome
        return await self._line.run(outcome)

    async def _work(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
                for (_, future), outcome in zip(batch, await self._outcomes(batch), strict=True):
                    if not future.done():
                        future.set_result(outcome)
        finally:
            # Nothing is waited for between the last look at the line and this.
            self._tasks -= {task for task in (asyncio.current_task(),) if task is not None}

    async def _outcomes(
        self, batch: Sequence[tuple[Lookup, asyncio.Future[Outcome]]]
    ) -> list[Outcome]:
        asked = [lookup for lookup, _ in batch]
        try:
            return await anyio.to_thread.run_sync(self._many, asked, limiter=self._threads)
        except Exception as error:
            return [error] * len(batch)
