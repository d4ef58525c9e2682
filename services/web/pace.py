"""How often strangers may ask for something that costs: a bucket for each network, in memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from pipeline.errors import TooManyAttempts

_MOST = 10_000
"""Networks remembered at once; the longest unheard of is forgotten first."""


@dataclass(slots=True)
class _Bucket:
    left: float
    at: float


class Pace:
    """So many in so many seconds for each subject, filled steadily. For use from any thread."""

    def __init__(
        self, *, number: int, seconds: float, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._number, self._rate, self._monotonic = number, number / seconds, monotonic
        self._buckets: dict[str, _Bucket] = {}
        self._lock = threading.Lock()

    def spend(self, subject: str) -> None:
        """Count one; raises ``TooManyAttempts`` with the seconds to wait when none is left."""
        now = self._monotonic()
        with self._lock:
            bucket = self._buckets.pop(subject, None) or _Bucket(self._number, now)
            bucket.left = min(self._number, bucket.left + (now - bucket.at) * self._rate)
            bucket.at = now
            while len(self._buckets) >= _MOST:
                self._buckets.pop(next(iter(self._buckets)))
            self._buckets[subject] = bucket
            if bucket.left < 1:
                wait = (1 - bucket.left) / self._rate
                raise TooManyAttempts("too many at once from this network; try later", wait)
            bucket.left -= 1
