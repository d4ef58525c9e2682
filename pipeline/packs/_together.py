"""Faces of several uploads in common batches, for a card that runs many as fast as one.

The first who comes waits for others, ``wait`` seconds at the most and no longer than until a batch
is full; then one thread runs the network for all. Whoever comes while it runs begins the next
batch. On a processor batches gain nothing, and one thread's work for all would leave cores idle.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from pipeline.packs._found import Floats, Pixels
from pipeline.packs._runtime import Network


class _Embedder(Protocol):
    networks: tuple[Network, ...]

    def embed(self, chips: Sequence[Pixels]) -> Floats: ...


@dataclass(slots=True, eq=False)
class _Asked:
    """What one thread wants embedded; it lives no longer than its call."""

    chips: Sequence[Pixels] = field(repr=False)
    vectors: Floats | None = field(default=None, repr=False)
    error: Exception | None = None
    done: threading.Event = field(default_factory=threading.Event)


class Together:
    """An embedder for any number of threads, over one that gains from batches."""

    def __init__(self, inner: _Embedder, most: int, wait: float) -> None:
        """``most`` faces go into one batch; ``wait`` is in seconds."""
        self.networks = inner.networks
        self._inner, self._most, self._wait = inner, most, wait
        self._lock = threading.Lock()
        self._gathering: list[_Asked] = []
        self._full = threading.Event()

    def embed(self, chips: Sequence[Pixels]) -> Floats:
        """One row a chip, in order; raises what the network raised."""
        mine = _Asked(chips)
        with self._lock:
            first = not self._gathering
            if first:
                self._full = threading.Event()
            self._gathering.append(mine)
            full = self._full
            if sum(len(one.chips) for one in self._gathering) >= self._most:
                full.set()
        if first:
            full.wait(self._wait)
            with self._lock:
                batch, self._gathering = self._gathering, []
            self._run(batch)
        else:
            mine.done.wait()
        if mine.error is not None:
            raise mine.error
        assert mine.vectors is not None
        return mine.vectors

    def _run(self, batch: Sequence[_Asked]) -> None:
        try:
            chips = [chip for one in batch for chip in one.chips]
            rows = np.concatenate(
                [
                    self._inner.embed(chips[at : at + self._most])
                    for at in range(0, len(chips), self._most)
                ]
            )
            at = 0
            for one in batch:
                one.vectors = rows[at : at + len(one.chips)]
                at += len(one.chips)
        except Exception as error:
            for one in batch:
                one.error = error
        finally:
            for one in batch:
                one.done.set()
