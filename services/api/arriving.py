"""An upload while it comes: in memory while it may be a picture, sealed as it comes if a video.

Its first 64 KiB say which. A picture is held whole, for it must be decoded whole; of a video no
more than a piece is ever held: the rest lies encrypted in the blob store already, its digests
computed on the way. Each has a limit of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

import anyio
import anyio.to_thread

from pipeline.journeys.fetch import HEAD
from pipeline.journeys.take_in_film import Incoming, Taken
from pipeline.media.moments import film_mime
from services.api.problems import Declined

T = TypeVar("T")

SLACK = 64 << 10
"""What a form may have around its file, in bytes."""

PIECE = 1 << 20
WINDOW = 2 * PIECE
"""Memory that a video takes while it comes: a piece, and what came while it was written."""


class Arrival:
    """One upload's file. Used by one event loop."""

    def __init__(
        self,
        begin: Callable[[], Incoming],
        picture: int,
        video: int,
        threads: anyio.CapacityLimiter,
    ) -> None:
        """``begin`` makes a place for a video; ``picture`` and ``video`` are bytes at most."""
        self._begin, self._threads = begin, threads
        self._picture, self._video = picture, video
        self._held = bytearray()
        self._known = False
        self._incoming: Incoming | None = None
        self._ours = False
        self.film: str | None = None
        """Which kind of video it is, once that is known."""

    def check(self, size: int) -> None:
        """413 if a body of this size is too large, whatever may still come out."""
        if self.film is not None:
            if size > self._video + SLACK:
                detail = f"a video has at most {self._video} bytes here"
                raise Declined(413, "video_too_large", detail)
        elif size > self._picture + SLACK and self._known:
            detail = f"what is no video has at most {self._picture} bytes here"
            raise Declined(413, "too_large", detail)
        elif size > max(self._picture, self._video) + SLACK:
            detail = f"a body has at most {max(self._picture, self._video)} bytes here"
            raise Declined(413, "too_large", detail)

    def memory(self, size: int) -> int:
        """How much of a body of this size is held at once."""
        if self.film is not None or size > self._picture + SLACK:
            return min(size, WINDOW)
        return size

    def write(self, piece: bytes | memoryview) -> None:
        """The next bytes of the file."""
        self._held += piece

    async def settle(self) -> None:
        """Find out what it is, and write what has come of a video."""
        if not self._known and len(self._held) >= HEAD:
            self._decide()
        if self.film is not None and len(self._held) >= PIECE:
            await self._flush()

    async def finish(self) -> bytes | Taken:
        """All of it: a picture's bytes, or a video that lies sealed."""
        if not self._known:
            self._decide()
        if self.film is None:
            return bytes(self._held)
        await self._flush()
        assert self._incoming is not None
        return await self._run(self._incoming.finish)

    def hand_over(self) -> None:
        """From now on somebody else sees to it that the video does not lie there for ever."""
        self._ours = False

    async def leave(self) -> None:
        """Nothing stays of a video that was not handed over."""
        self._held.clear()
        if self._incoming is not None and self._ours:
            self._ours = False
            with anyio.CancelScope(shield=True):
                await self._run(self._incoming.abandon)

    def _decide(self) -> None:
        self._known = True
        self.film = film_mime(bytes(self._held))

    async def _flush(self) -> None:
        if self._incoming is None:
            self._incoming = await self._run(self._begin)
            self._ours = True
        piece, self._held = bytes(self._held), bytearray()
        await self._run(partial(self._incoming.write, piece))

    async def _run(self, work: Callable[[], T]) -> T:
        return await anyio.to_thread.run_sync(work, limiter=self._threads)
