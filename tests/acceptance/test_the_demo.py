"""The demo is the promise in one command, so it is run as its users run it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_demo_shows_the_whole_path_and_exits_well(tmp_path: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "DATABASE_URL"}
    done = subprocess.run(
        [sys.executable, "-m", "services.cli", "demo", "--once"],
        env={**environment, "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for said in (
        "A person registers",
        "review",
        "x case.upheld, signature verified",
        "x case.dismissed, signature verified",
        ": known, nobody has to look again",
        "key shredded",
        "processes that held her hashes: api: applied",
        ": clear",
        "0 alarms on unrelated pictures",
        "Everything did what it promises.",
    ):
        assert said in done.stdout, said
    assert not list(tmp_path.iterdir()), "it leaves nothing behind"
