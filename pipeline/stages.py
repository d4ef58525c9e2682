"""What a screening spends its time on: stages are told to whoever serves figures or traces.

Nothing but a stage's name and its time is told, and nobody need listen.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, Protocol
from weakref import WeakSet

Stage = Literal["decode", "look", "search", "faces", "record"]


class Listener(Protocol):
    """Who serves figures or traces."""

    def stage(self, name: str, seconds: float) -> None:
        """A stage has ended."""
        ...


_listeners: WeakSet[Listener] = WeakSet()


def heard_by(listener: Listener) -> None:
    """Tell a listener of each stage for as long as somebody else holds it."""
    _listeners.add(listener)


@contextmanager
def stage(name: Stage) -> Iterator[None]:
    """Time what is done within."""
    began = time.perf_counter()
    try:
        yield
    finally:
        took = time.perf_counter() - began
        for listener in tuple(_listeners):
            listener.stage(name, took)
