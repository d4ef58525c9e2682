"""The fuzz of ``bench index`` in short: random histories against the oracle, on two code paths."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from services.bench import index as bench


def test_random_histories_find_what_the_oracle_finds() -> None:
    done = dict.fromkeys(bench.DID, 0)
    for number in range(8):
        bench.history(np.random.default_rng([7, number]), done)
    assert done["searches"] > 10
    assert done["hits"] > 100
    assert done["removed"] > 100
    assert done["mapped"] > 5


@pytest.mark.skipif(os.uname().machine not in ("x86_64", "amd64"), reason="an x86 baseline")
def test_the_baseline_code_path_finds_it_as_well() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "services.bench.index", "1", "3"],
        env={**os.environ, **bench.CODE_PATHS["baseline"]},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    done = json.loads(ran.stdout)
    assert done["unit"] == "baseline"
    assert done["searches"] > 0


def test_a_code_path_that_this_cpu_lacks_is_named_and_not_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bench.binding, "get_host_cpu_features", dict)
    monkeypatch.setattr(bench, "CODE_PATHS", {"avx512": bench.CODE_PATHS["avx512"]})
    (found,) = bench.fuzz_all(1.0, 1, lambda _: None).values()
    assert "not run" in found
