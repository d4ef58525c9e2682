"""The command line as its users use it: a process of its own, real files, the embedded database."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pipeline.storage import embedded
from tests.postgres import temporary_home
from tests.world import jpeg, picture

ROOT = Path(__file__).parents[2]


@dataclass
class Shell:
    """A home with an embedded database, and commands run in it."""

    home: Path

    def __call__(
        self, *words: str | Path, typed: str = "", status: int = 0, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        kept = {key: value for key, value in os.environ.items() if key != "DATABASE_URL"}
        done = subprocess.run(
            [sys.executable, "-m", "services.cli", *map(str, words)],
            env={**kept, "CONSENTRY_HOME": str(self.home), "PYTHONPATH": str(ROOT), **environment},
            input=typed,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == status, done.stderr
        assert "Traceback" not in done.stderr
        return done

    def lines(self, *words: str | Path, typed: str = "", status: int = 0) -> list[dict[str, Any]]:
        done = self(*words, "--json", typed=typed, status=status)
        return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def shell() -> Iterator[Shell]:
    # The database stays up between commands, as it does beside a running service. That a command
    # starts and stops it by itself is seen in the tests of the embedded database and of the demo.
    with temporary_home() as home, embedded.running(home / "postgres"):
        yield Shell(home)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "one.jpg").write_bytes(jpeg(picture(1)))
    (tmp_path / "copy.jpg").write_bytes(jpeg(picture(1, (320, 240)), 40))
    (tmp_path / "other.jpg").write_bytes(jpeg(picture(2)))
    (tmp_path / "broken.jpg").write_bytes(jpeg(picture(4))[:400])
    return tmp_path


def test_hash_prints_what_the_pipeline_computes_and_names_what_it_refuses(
    shell: Shell, files: Path
) -> None:
    found = {Path(line["path"]).name: line for line in shell.lines("hash", files)}
    assert set(found) == {"one.jpg", "copy.jpg", "other.jpg", "broken.jpg"}
    assert len(bytes.fromhex(found["one.jpg"]["pdq"])) == 32
    assert found["one.jpg"]["quality"] >= 50
    assert found["broken.jpg"]["refused"] == "truncated"
    apart = int(found["one.jpg"]["pdq"], 16) ^ int(found["copy.jpg"]["pdq"], 16)
    assert apart.bit_count() <= 31


def test_a_person_registers_is_found_and_leaves_by_command_line(shell: Shell, files: Path) -> None:
    (done,) = shell.lines("register", "--image", files / "one.jpg", files / "broken.jpg")
    assert [bool(image["signals"]) for image in done["images"]] == [True, False]
    assert "ended too early" in done["images"][1]["problem"] or done["images"][1]["problem"]
    found = {
        Path(line["path"]).name: line
        for line in shell.lines("screen", files, "--rating", "intimate")
    }
    assert found["copy.jpg"]["verdict"] == "review"
    assert found["copy.jpg"]["matches"][0]["distance"] <= 31
    assert found["other.jpg"]["verdict"] == "clear"
    assert (found["broken.jpg"]["verdict"], found["broken.jpg"]["refused"]) == (
        "refused",
        "truncated",
    )
    wrong = shell("withdraw", done["case"], typed="11111111\n", status=1)
    assert "do not belong together" in wrong.stderr
    (receipt,) = shell.lines("withdraw", done["case"], typed=f"{done['pin']}\n")
    assert receipt["complete"]
    assert receipt["entries_destroyed"] == 2
    assert receipt["signature"]
    (again,) = shell.lines("receipt", receipt["receipt"])
    assert again == receipt
    (after,) = shell.lines("screen", files / "copy.jpg")
    assert after["verdict"] == "clear"


def test_operators_add_platforms_and_reviewers_and_see_deliveries(shell: Shell) -> None:
    (made,) = shell.lines("platforms", "add", "board", "--webhook", "http://127.0.0.1:9/hook")
    assert made["api_key"].startswith("csk_")
    assert made["webhook_secret"].startswith("whsec_")
    assert "already" in shell("platforms", "add", "board", status=1).stderr
    names = {row["name"] for row in shell.lines("platforms", "list")}
    assert "board" in names
    shell("reviewers", "add", "ada", typed="a long enough password\n")
    assert "at least" in shell("reviewers", "add", "eve", typed="short\n", status=1).stderr
    assert shell.lines("deliveries", "list", "--dead") == []
    assert "0 of 0" in shell("deliveries", "replay").stdout


def test_the_audit_trail_holds_and_its_head_is_signed(shell: Shell) -> None:
    from pipeline.storage.vault import signature_holds

    assert "holds" in shell("audit", "verify").stdout
    head = json.loads(shell("audit", "head").stdout)
    statement = json.dumps(head["statement"], sort_keys=True, separators=(",", ":")).encode()
    assert signature_holds(head["public_key"], statement, head["signature"])


def test_keys_are_rotated_and_everything_still_opens(shell: Shell, files: Path) -> None:
    (done,) = shell.lines("register", "--image", files / "one.jpg")
    before = (shell.home / "keys" / "kek.json").read_text()
    shell("vault", "rotate")
    assert (shell.home / "keys" / "kek.json").read_text() != before
    (found,) = shell.lines("screen", files / "copy.jpg")
    assert found["verdict"] == "review"
    (receipt,) = shell.lines("withdraw", done["case"], typed=done["pin"])
    assert receipt["complete"]


def test_doctor_says_that_all_is_well_and_which_method_the_index_uses(shell: Shell) -> None:
    found = {line["name"]: line for line in shell.lines("doctor")}
    assert found["schema"]["well"]
    assert found["index"]["said"].startswith("method ")


def test_doctor_says_what_to_do_about_a_database_that_is_not_there(shell: Shell) -> None:
    done = shell(
        "doctor", "--json", status=1, DATABASE_URL="postgresql://nobody@127.0.0.1:1/nothing"
    )
    sick = [line for line in map(json.loads, done.stdout.splitlines()) if not line["well"]]
    assert sick
    assert all(line["advice"] for line in sick)


def test_a_setting_that_cannot_be_used_is_named(shell: Shell) -> None:
    said = shell("doctor", status=1, CONSENTRY_API_PORT="many").stderr
    assert "api_port" in said


def test_a_file_that_is_not_there_is_an_error_in_words(shell: Shell) -> None:
    assert "there is no" in shell("hash", "/nowhere/at/all.jpg", status=1).stderr
