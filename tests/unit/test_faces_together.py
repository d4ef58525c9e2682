"""Faces of several uploads go through a network together, and each gets its own vectors."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from pipeline.packs._found import Floats, Pixels
from pipeline.packs._together import Together


class Means:
    """A network that says of each chip what it is on average; it notes its batches."""

    def __init__(self) -> None:
        self.networks = ()
        self.batches: list[int] = []

    def embed(self, chips: Sequence[Pixels]) -> Floats:
        self.batches.append(len(chips))
        if any(chip.max() == 255 for chip in chips):
            raise RuntimeError("the card is lost")
        return np.stack([chip.reshape(-1, 3).mean(0) for chip in chips]).astype(np.float32)


def chips_of(number: int) -> list[Pixels]:
    rng = np.random.default_rng(number)
    return list(rng.integers(0, 255, (number % 4 + 1, 8, 8, 3), dtype=np.uint8))


def test_many_threads_get_the_vectors_that_each_would_get_alone_in_fewer_batches() -> None:
    inner = Means()
    together, start = Together(inner, most=16, wait=0.05), threading.Barrier(24)

    def ask(number: int) -> Floats:
        start.wait(30)
        return together.embed(chips_of(number))

    with ThreadPoolExecutor(24) as threads:
        found = list(threads.map(ask, range(24)))
    for number, vectors in enumerate(found):
        assert np.array_equal(vectors, Means().embed(chips_of(number)))
    assert len(inner.batches) < 24
    assert max(inner.batches) <= 16


def test_who_comes_alone_waits_no_longer_than_was_said() -> None:
    together = Together(Means(), most=16, wait=0.05)
    began = time.monotonic()
    assert len(together.embed(chips_of(3))) == 4
    assert 0.04 < time.monotonic() - began < 5


def test_a_full_batch_waits_for_nobody() -> None:
    began = time.monotonic()
    assert len(Together(Means(), most=4, wait=60).embed(chips_of(3))) == 4
    assert time.monotonic() - began < 30


def test_what_a_network_raises_is_told_and_the_next_batch_runs() -> None:
    together = Together(Means(), most=4, wait=0.0)
    with pytest.raises(RuntimeError, match="card is lost"):
        together.embed([np.full((8, 8, 3), 255, np.uint8)])
    assert len(together.embed(chips_of(1))) == 2
