"""The bench of face vectors: its planted matches are what they say, and it counts what is lost."""

from __future__ import annotations

from typing import Any

import numpy as np

from services.bench import vectors as bench


def test_a_turned_vector_has_the_cosine_it_was_given() -> None:
    rng = np.random.default_rng(1)
    stored = bench.unit_vectors(rng, 50)
    cosines = np.linspace(0.5, 0.99, 50, dtype=np.float32)
    turned = bench.turned_to(rng, stored, cosines)
    assert np.allclose((turned * stored).sum(axis=1), cosines, atol=1e-5)


def test_it_measures_everybody_and_loses_nothing() -> None:
    found = bench.measure_vectors(2000, seed=1, progress=lambda _: None)
    assert set(found["ms"]) == {
        "ours, one", "ours, 64", "sketch at 0.65, one", "sketch at 0.65, 64",
        "int8 scan at 0.65, one", "int8 scan at 0.65, 64",
        "flat, one", "flat, 64", "flat, 64, BLAS",
    }  # fmt: skip
    assert found["lost"] == 0
    assert found["planted"] == 512
    assert found["targets"][-1]["met"]


def test_what_is_lost_is_counted() -> None:
    class Blind:
        query = label = np.zeros(0, np.int64)

    def blind(_queries: Any) -> Any:
        return Blind

    assert bench._lost(blind, bench.unit_vectors(np.random.default_rng(1), 100)) == 100
