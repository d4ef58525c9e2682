"""The doctor looks at packs and gates before anybody relies on them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import structlog

from pipeline.packs import _copies
from services.doctor import Finding, _gates, _networks, _pack
from services.settings import Settings
from services.wiring import _say_where_networks_run
from tests.copies import pack_folder


def of(home: Path, **settings: object) -> Settings:
    return Settings(home=home, log_level="error", **settings)  # type: ignore[arg-type]


def test_an_installed_pack_is_well_and_one_that_was_changed_is_not(tmp_path: Path) -> None:
    home = tmp_path / "packs"
    _copies.install(pack_folder(tmp_path / "theirs"), home, allow_noncommercial=False)
    name = "thumbs"
    found = _pack(name, of(tmp_path))
    assert found.well, found
    assert "from the known one" in found.said
    (network,) = (home / name).glob("*.onnx")
    network.write_bytes(network.read_bytes() + b"\0")
    changed = _pack(name, of(tmp_path))
    assert not changed.well
    assert changed.advice.startswith("run: consentry packs install")


def test_a_pack_that_is_not_installed_is_named_with_what_to_run(tmp_path: Path) -> None:
    found = _pack("dlib_mtcnn", of(tmp_path))
    assert (found.well, found.advice) == (False, "run: consentry packs install dlib_mtcnn")


def test_the_doctor_says_where_networks_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert _networks() == Finding("networks", True, "on the processor")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    found = _networks()
    assert found.well, "slower than it could be is no fault"
    assert found.said.startswith("on the processor; onnxruntime")
    assert found.said.endswith("install onnxruntime-gpu in its place")


@pytest.mark.parametrize("content", ["[", "[]", '{"nothing": {}}', '{"onnx_classifier": {}}'])
def test_gates_that_cannot_be_used_are_sick(tmp_path: Path, content: str) -> None:
    file = tmp_path / "gates.json"
    file.write_text(content)
    (found,) = _gates(of(tmp_path, gates_file=file))
    assert not found.well
    assert found.advice == "correct CONSENTRY_GATES_FILE"


def test_gates_are_asked_and_none_need_be_there(tmp_path: Path) -> None:
    file = tmp_path / "gates.json"
    file.write_text(json.dumps({}))
    (found,) = _gates(of(tmp_path, gates_file=file))
    assert found == Finding("gates", True, "1 answer, the platform's own rating first")
    assert list(_gates(of(tmp_path))) == []


def test_the_command_line_starts_without_what_only_services_need() -> None:
    loaded = "import sys, services.cli; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", loaded], capture_output=True, text=True, check=True
    )
    heavy = {"services.console", "services.api", "services.portal", "services.wiring", "numba"}
    assert not heavy & set(done.stdout.split())


def test_a_process_that_was_given_a_card_it_cannot_use_says_so_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    with structlog.testing.capture_logs() as written:
        _say_where_networks_run()
    assert [(one["event"], one["log_level"]) for one in written] == [
        ("networks.on_processor", "warning")
    ]
    assert "install onnxruntime-gpu" in written[0]["why"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    with structlog.testing.capture_logs() as written:
        _say_where_networks_run()
    assert written == []
