"""A wheel carries what the pages are made of: whoever installs it needs no Node and no build."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
ASSETS = {".html", ".js", ".css", ".svg", ".po", ".sql", ".json"}


def test_every_template_script_and_translation_is_in_the_wheel(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "SOURCE_DATE_EPOCH": "1700000000"},
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    packed = set(zipfile.ZipFile(wheel).namelist())
    wanted = {
        str(file.relative_to(ROOT))
        for package in ("pipeline", "services")
        for file in (ROOT / package).rglob("*")
        if file.suffix in ASSETS
    }
    assert len([name for name in wanted if name.startswith("services/portal/")]) > 40
    assert wanted - packed == set()
    assert not [name for name in packed if name.startswith("tests/")]
