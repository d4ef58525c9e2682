"""The kernels run on the CPUs and in the installations that there are."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest

from pipeline import kernels
from pipeline.indexes import _bits
from pipeline.indexes._ring import fill_tables
from services.bench import index as bench

ROOT = Path(__file__).parents[2]


def test_where_no_cache_can_be_written_kernels_are_compiled_without_one(monkeypatch):
    asked = []

    def njit(**options):
        asked.append(options)
        if options.get("cache"):
            raise RuntimeError("cannot cache function: no locator available for file")
        return numba.njit(**options)

    monkeypatch.setattr(kernels, "njit", njit)
    kernel = kernels.compiled(lambda number: number + 1)
    assert kernel(2) == 3
    assert asked == [{"nogil": True, "cache": True}, {"nogil": True}]


def test_the_vector_unit_has_a_name():
    assert _bits.vector_unit() in {"avx512", "avx2", "neon", "baseline"}


def test_row_numbers_of_four_bytes_are_written_whole():
    tiles = np.random.default_rng(1).integers(0, 1 << 62, 2 * 32, dtype=np.uint64)
    rows, sentinel = 9, 9
    found = {}
    for width in (3, 4):
        offsets, follow = np.zeros(16 * 65537, np.uint32), np.zeros(16 * (rows + 32), np.uint16)
        ids = np.zeros(16 * (rows + 32) * width + 4, np.uint8)
        fill_tables(tiles, rows, offsets, follow, ids, width, sentinel)
        table = ids[:-4].reshape(-1, width).astype(np.int64) @ (256 ** np.arange(width))
        found[width] = table.tolist()
        assert sorted(found[width][:rows]) == list(range(rows))
    assert found[3] == found[4]


@pytest.mark.slow
def test_without_any_vector_extension_the_answers_are_the_same():
    """The fuzz of ``bench index`` in short, on a code path that this CPU would not take itself."""
    plainest = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}
    x86 = os.uname().machine in ("x86_64", "amd64")
    environment = os.environ | (bench.CODE_PATHS["baseline"] if x86 else plainest)
    done = subprocess.run(
        [sys.executable, "-m", "services.bench.index", "2", "7"],
        env=environment, cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["unit"] == "baseline"
    assert said["searches"] > 0
    assert said["hits"] > 0
