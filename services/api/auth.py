"""Whose key this is, and whether it has asked too often."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from pipeline.domain.ids import PlatformId
from pipeline.ports import Store
from services.accounts import key_digest
from services.api.problems import Declined, retry_after

REMEMBERED = 2.0
"""How many seconds a key that was ended may still be taken for good by a process."""


@dataclass(frozen=True, slots=True)
class Caller:
    """A platform's engineer's program, by its key."""

    platform: PlatformId
    key: UUID
    per_minute: int


class Keys:
    """API keys as the database knows them, remembered for ``REMEMBERED`` seconds.

    Only keys that are good are remembered, so that guesses cannot fill the memory.
    """

    def __init__(self, store: Store, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._store, self._monotonic = store, monotonic
        self._good: dict[bytes, tuple[Caller, float]] = {}

    def remembered(self, key: str) -> Caller | None:
        """Who it is, when that was looked up a moment ago."""
        found = self._good.get(key_digest(key))
        return found[0] if found and self._monotonic() < found[1] else None

    def find(self, key: str) -> Caller | None:
        """Who it is, from the database; None for nobody."""
        digest = key_digest(key)
        with self._store.transaction() as unit:
            row = unit.platforms.by_key(digest)
        if row is None:
            self._good.pop(digest, None)
            return None
        caller = Caller(*row)
        self._good[digest] = (caller, self._monotonic() + REMEMBERED)
        return caller


@dataclass(slots=True)
class _Bucket:
    left: float
    at: float


class Pace:
    """A bucket of tokens for each key: a minute's worth, filled steadily. One event loop's."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._buckets: dict[UUID, _Bucket] = {}

    def spend(self, caller: Caller, requests: int = 1) -> dict[str, str]:
        """Count requests; the headers that tell how many are left. 429 when there are fewer."""
        now, rate = self._monotonic(), caller.per_minute / 60
        bucket = self._buckets.setdefault(caller.key, _Bucket(caller.per_minute, now))
        bucket.left = min(caller.per_minute, bucket.left + (now - bucket.at) * rate)
        bucket.at = now
        # A batch as large as a minute's worth must not be refused for ever.
        wanted = min(requests, caller.per_minute)
        allowed = bucket.left >= wanted
        if allowed:
            bucket.left -= requests
        left = max(0, int(bucket.left))
        full = int((caller.per_minute - bucket.left) / rate)
        headers = {
            "ratelimit-policy": f'"key";q={caller.per_minute};w=60',
            "ratelimit": f'"key";r={left};t={full}',
        }
        if not allowed:
            raise Declined(
                429,
                "rate_limited",
                f"this key may make {caller.per_minute} requests a minute; slow down",
                headers={**headers, **retry_after((wanted - bucket.left) / rate)},
            )
        return headers
