"""The README's section on integrating a platform, followed word by word.

Its blocks are extracted and run in their order, in one shell, in an empty folder with one upload.
Two things are put in: the addresses of its first line, and the reviewer who decides before the
fourth step.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.journeys.deliver import deliver_due
from services.api import create_app
from services.wiring import now
from tests.serving import served
from tests.world import Town, jpeg, picture

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
ADDRESSES = "export CONSENTRY_URL=http://127.0.0.1:8700 MY_SITE=http://127.0.0.1:9000\n"


def blocks() -> list[tuple[str, str]]:
    """Language and text of the section's blocks, in order."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = text.split("## Integrate a platform\n")[1].split("\n## ")[0]
    return BLOCK.findall(section)


@dataclass
class Shell:
    """One shell that stays open, so that what a block exports holds for the next."""

    process: subprocess.Popen[str]
    folder: Path

    def run(self, text: str) -> str:
        """Run a block; what it printed. Any command that fails fails the test."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(text + "\necho __done__\n")
        self.process.stdin.flush()
        said = []
        for line in self.process.stdout:
            if line == "__done__\n":
                return "".join(said)
            said.append(line)
        raise AssertionError(f"this block of the README failed:\n{text}\n{''.join(said)}")


@pytest.fixture
def make_shell(town: Town, tmp_path: Path) -> Iterator[Callable[[], Shell]]:
    """A shell as the README's reader has it: consentry and python on the path, nothing else set."""
    opened = []

    def make() -> Shell:
        assert shutil.which("bash")
        assert shutil.which("curl")
        folder = tmp_path / "my-site"
        folder.mkdir()
        bin_ = tmp_path / "bin"
        bin_.mkdir()
        (bin_ / "python").symlink_to(sys.executable)
        for name, words in {"consentry": "-m services.cli", "python": ""}.items():
            (bin_ / name).unlink(missing_ok=True)
            (bin_ / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {words} "$@"\n')
            (bin_ / name).chmod(0o755)
        process = subprocess.Popen(
            ["bash", "-e", "-o", "pipefail"],
            cwd=folder,
            env={
                "PATH": f"{bin_}:{os.environ['PATH']}",
                "PYTHONPATH": str(ROOT),
                "HOME": str(tmp_path),
                "DATABASE_URL": town.url,
                "CONSENTRY_HOME": str(tmp_path / "home"),
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        opened.append(process)
        return Shell(process, folder)

    yield make
    for process in opened:
        os.killpg(process.pid, signal.SIGTERM)
        process.communicate(timeout=20)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def test_the_section_is_followed_to_the_end(town: Town, make_shell: Callable[[], Shell]) -> None:
    HERS = jpeg(picture(1))
    town.register(HERS)
    files, scripts = {}, []
    for language, text in blocks():
        if language == "python":
            files[re.match(r"# (\w+\.py)\n", text)[1]] = text  # type: ignore[index]
        elif language == "sh":
            scripts.append(text)
    assert scripts[0] == ADDRESSES, "the first block holds the addresses and nothing else"
    with served(create_app(town.world, town.live)) as url:
        shell = make_shell()
        (shell.folder / "upload.jpg").write_bytes(HERS)
        for name, text in files.items():
            (shell.folder / name).write_text(text)
        listening = f"http://127.0.0.1:{free_port()}"
        shell.run(
            ADDRESSES.replace("http://127.0.0.1:8700", url).replace(
                "http://127.0.0.1:9000", listening
            )
        )
        add, listen, screen, follow = scripts[1:]
        shell.run(add)
        assert "it arrived: 204" in shell.run(listen)
        assert "review" in shell.run(screen), "screen --remote prints the verdict"
        assert '"verdict":"review"' in (shell.folder / "answer.json").read_text()
        (case,) = {row[0] for row in town.query("SELECT case_id FROM case_uploads")}
        town.uphold(case, town.reviewer())
        assert deliver_due(town.world.store, town.world.action(), now, lambda _: 1.0).failed == 0
        told = (shell.folder / "told.txt").read_text().splitlines()
        assert "case.upheld post-1" in told
        said = shell.run(follow)
        assert said.startswith("upheld\n")
        assert len(said.splitlines()) > 5, "the reasons, in words"
        assert town.query("SELECT action FROM screening_actions") == [("removed",)]
        assert town.query("SELECT count(*) FROM appeals") == [(1,)]


def test_the_receiver_takes_nothing_that_is_not_signed(
    make_shell: Callable[[], Shell], town: Town
) -> None:
    receiver = next(text for language, text in blocks() if text.startswith("# receiver.py"))
    lines = [line for line in receiver.splitlines() if line and not line.startswith("#")]
    assert len(lines) <= 22, "an example of about twenty lines"
    shell = make_shell()
    (shell.folder / "receiver.py").write_text(receiver)
    port = free_port()
    shell.run(
        f"export MY_SITE=http://127.0.0.1:{port} WEBHOOK_SECRET=whsec_{'c2VjcmV0' * 4}\n"
        "python receiver.py > told.txt 2> receiver.log &\n"
        'until curl -s -o /dev/null "$MY_SITE"; do sleep 0.2; done\n'
    )
    said = shell.run(
        f"curl -s -o /dev/null -w '%{{http_code}}\\n' -X POST -d '{{\"type\": \"case.upheld\"}}'"
        f' -H "webhook-id: evt_1" -H "webhook-timestamp: {int(time.time())}"'
        ' -H "webhook-signature: v1,AAAA" "$MY_SITE/hooks/consentry"'
    )
    assert said.strip() == "401"
    assert (shell.folder / "told.txt").read_text() == ""
