"""Hands on this host: processes that claim work from the database, replaced when they die."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping

from pipeline.ports import Crew
from services.hand import CHILD
from services.settings import Settings

_GRACE = 15.0


class LocalExecutor:
    """See ``pipeline.ports.Executor``: as many processes of this host as the crew has hands."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """``environment`` says which database and which key."""
        self._environment = dict(environment)
        self._crew: Crew | None = None
        self._hands: list[subprocess.Popen[bytes]] = []
        self.replaced = 0

    def start(self, crew: Crew) -> None:
        """See the port."""
        self._crew = crew
        self._hands = [self._hand() for _ in range(crew.size)]

    def tend(self) -> int:
        """See the port."""
        for at, hand in enumerate(self._hands):
            if hand.poll() is not None:
                self._hands[at] = self._hand()
                self.replaced += 1
        return len(self._hands)

    def stop(self) -> None:
        """See the port."""
        for hand in self._hands:
            hand.terminate()
        for hand in self._hands:
            try:
                hand.wait(_GRACE)
            except subprocess.TimeoutExpired:
                hand.kill()
                hand.wait()
        self._hands = []

    @property
    def pids(self) -> list[int]:
        """The processes."""
        return [hand.pid for hand in self._hands]

    def _hand(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "services.hand", CHILD], env=self._environment
        )


def environment_of(settings: Settings, url: str) -> dict[str, str]:
    """The environment in which a process of this host works with these settings."""
    found = {**os.environ, "DATABASE_URL": url, "CONSENTRY_HOME": str(settings.home)}
    found.update(OPENBLAS_NUM_THREADS="1")
    return found
