"""The fuzz of ``bench index`` in short: random histories against the oracle.

Without vector extensions it runs in ``test_hamming_compiling``, which compiles everything anew.
"""

from __future__ import annotations

import numpy as np
import pytest

from services.bench import index as bench


def test_random_histories_find_what_the_oracle_finds() -> None:
    done = dict.fromkeys(bench.DID, 0)
    for number in range(8):
        bench.history(np.random.default_rng([7, number]), done, 4 * number)
    assert done["searches"] > 10
    assert done["hits"] > 100
    assert done["removed"] > 100
    assert done["mapped"] > 5
    asked = {radius for radius in range(bench.RADII) if done["radii"] >> radius & 1}
    assert asked >= set(range(0, bench.RADII, 4))


def test_a_code_path_that_this_cpu_lacks_is_named_and_not_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bench.binding, "get_host_cpu_features", dict)
    monkeypatch.setattr(bench, "CODE_PATHS", {"avx512": bench.CODE_PATHS["avx512"]})
    (found,) = bench.fuzz_all(1.0, 1, lambda _: None).values()
    assert "not run" in found
