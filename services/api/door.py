"""What the routes share: who asks, how much is taken on at once, and who answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Annotated, cast
from weakref import WeakValueDictionary

import anyio
import anyio.to_thread
from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from pipeline.domain.ids import PlatformId
from pipeline.domain.media import Side, Upload
from pipeline.domain.screening import Screening, Verdict
from pipeline.journeys.restore_index import LiveIndexes
from pipeline.journeys.screen_upload import Screener
from pipeline.journeys.take_in_film import Incoming, Taken, accept, enlist
from pipeline.media.moments import film_mime
from pipeline.ports import Store
from pipeline.storage.idempotency import Idempotency
from services.api.arriving import SLACK, Arrival
from services.api.auth import Caller, Keys, Pace
from services.api.away import Away
from services.api.bodies import Budget, Patience
from services.api.line import Line, cores
from services.api.lookups import Lookups
from services.api.metrics import Metrics
from services.api.paging import Cursors
from services.api.problems import Declined, busy
from services.api.pulse import Pulses
from services.api.replay import Replay
from services.wiring import World, now

QUICK_WORKERS = 16
"""Threads for look-ups by value."""
MOST_BATCHES = 8
"""Batches of a platform that are read and answered at once."""
BATCHED = 16
"""Uploads of a platform's batches that are asked at once: few enough to leave others room."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one process takes on at once."""

    workers: int
    waiting: int
    """Uploads that wait for a worker; those beyond are told to come again."""
    bytes: int
    """Uploads in memory, all together; a video counts with what is held of it."""
    patience: Patience = field(default_factory=Patience)

    @staticmethod
    def of(world: World) -> Limits:
        """Limits for this machine: as many workers as cores, a few seconds' work in the line."""
        workers = cores()
        return Limits(workers, 16 * workers, max(4 * world.settings.max_bytes, 256 << 20))


class Door:
    """Everything that one app's routes share. Belongs to one event loop."""

    def __init__(self, world: World, live: LiveIndexes, limits: Limits) -> None:
        self.live, self.limits = live, limits
        self.store: Store = world.store
        self.desk = world.desk
        self.action = world.action()
        self.largest = world.settings.max_bytes + SLACK
        self.policy = world.policy.version
        self.world = world
        self._accept = partial(accept, world.store, world.blobs, now)
        self.screener: Screener = world.screener(live)
        self.keys, self.pace = Keys(world.store), Pace()
        self.line = Line(limits.workers, limits.waiting)
        # Hashes cost little but the wait for the database, which many can share.
        self.quick = Line(QUICK_WORKERS, 4 * limits.waiting)
        self.away = Away()
        self._batching: Counter[PlatformId] = Counter()
        self._turns: WeakValueDictionary[PlatformId, anyio.CapacityLimiter] = WeakValueDictionary()
        self.lookups = Lookups(self.screener.screen_many, self.quick)
        self.together = True
        """Whether look-ups go together; alone each has its stages under its own request."""
        self.budget = Budget(limits.bytes)
        self.replay = Replay(Idempotency(world.database), world.secrets)
        self.cursors = Cursors(world.secrets)
        self.pulse = Pulses(world.store, now)
        self.metrics = Metrics(live, self.line, self.budget, self.pulse)
        # Short questions to the database must not wait behind pictures, nor the other way round.
        # Tests of webhooks wait for somebody else's server.
        self.calls = anyio.CapacityLimiter(4)
        self.questions = anyio.CapacityLimiter(world.settings.pool_size)
        # Nor must either wait for videos that are being written to the disk.
        self.receiving = anyio.CapacityLimiter(2 * limits.workers)

    def turns(self, platform: PlatformId) -> anyio.CapacityLimiter:
        """What bounds how many uploads of all a platform's batches are in the line at once."""
        found = self._turns.get(platform)
        if found is None:
            found = self._turns[platform] = anyio.CapacityLimiter(BATCHED)
        return found

    @contextmanager
    def batching(self, platform: PlatformId) -> Iterator[None]:
        """Around a batch while it is read and answered; 503 when a platform sends many at once.

        Large ones would fill what this process may hold of everybody's uploads.
        """
        if self._batching[platform] >= MOST_BATCHES:
            raise busy(f"{MOST_BATCHES} of your batches are being answered; send this one again")
        self._batching[platform] += 1
        try:
            yield
        finally:
            self._batching[platform] -= 1
            self._batching += Counter()  # nobody who has none is remembered

    def arrival(self) -> Arrival:
        """A place for a file that is about to come."""
        world = self.world
        return Arrival(
            lambda: Incoming(world.store, world.blobs, now()),
            world.settings.max_bytes,
            world.settings.max_video_bytes,
            self.receiving,
        )

    def screen(self, platform: PlatformId, upload: Upload, body: bytes) -> Screening:
        """An image's answer, or that a video is in the line."""
        film = film_mime(body)
        if film is None:
            return self.screener.screen_file(platform, upload, body)
        world = self.world
        return self.pending(accept(world.store, world.blobs, now, platform, upload, (body,), film))

    def hashes(self, body: bytes) -> dict[str, str]:
        """A picture's hashes by their kind, in hexadecimal digits; those that say enough."""
        frames = self.world.decode(body).frames[:1]
        found = {}
        for signal in self.world.signals:
            computed = signal.compute(frames, Side.REGISTERED)
            if computed.quality[0] >= signal.minimum_quality:
                found[signal.space.name] = computed.codes[0].tobytes().hex()
        return found

    def enlist(self, platform: PlatformId, upload: Upload, film: Taken, mime: str) -> Screening:
        """That a video which lies sealed already is in the line."""
        return self.pending(enlist(self.store, now, platform, upload, film, mime))

    def pending(self, screening: Screening) -> Screening:
        """The answer to a video that waits, with the policy that would judge it now."""
        policy = self.world.rules(screening.platform)
        blocks = Verdict.PENDING in policy.terms.blocks
        return replace(screening, policy=policy.version, blocks=blocks)


_bearer = HTTPBearer(
    auto_error=False, scheme_name="ApiKey", description="A platform's key, csk_..."
)


async def called(request: Request) -> Caller:
    """Who asks, where the framework does not find it out."""
    return await caller(request, await _bearer(request))


def door_of(request: Request) -> Door:
    """The app's door."""
    return cast(Door, request.app.state.door)


async def caller(
    request: Request,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> Caller:
    """Whose key came with the request: 401 for none or a wrong one, 429 when it asks too often."""
    door = door_of(request)
    if credentials is None:
        raise _unauthorized("send your API key as: Authorization: Bearer csk_...")
    key = credentials.credentials
    found = door.keys.remembered(key)
    if found is None:
        found = await anyio.to_thread.run_sync(door.keys.find, key, limiter=door.questions)
    if found is None:
        raise _unauthorized("this API key is not known here, or it has ended")
    request.state.platform = str(found.platform)
    request.state.headers = door.pace.spend(found)
    return found


Called = Annotated[Caller, Depends(caller)]


def _unauthorized(said: str) -> Declined:
    return Declined(401, "unauthorized", said, headers={"www-authenticate": "Bearer"})
