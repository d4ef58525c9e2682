"""`consentry cluster` as an operator uses it: a first host, another joins, each is taken out.

Ray ends whatever of Ray it finds among a host's processes, so each host has a process namespace and
a folder of Ray's own. The first is at our end of the cable of the second.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.integration.test_two_hosts import Host, Relay
from tests.integration.test_two_hosts import pytestmark as needs_namespaces
from tests.world import Town

pytest.importorskip("ray")
pytestmark = needs_namespaces

APART = "mkdir -p /tmp/ray && mount -t tmpfs tmpfs /tmp/ray && while :; do sleep 0.2; done"
"""A shell reaps whoever loses its parent, as the first process of a host does."""


class Machine:
    """Processes that see each other and no others, in the network of ``within``."""

    def __init__(self, within: Host | None, environment: dict[str, str]) -> None:
        inside = [] if within is None else ["ip", "netns", "exec", within.name]
        self._environment = environment
        self._guard = subprocess.Popen(
            [*inside, "unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--mount",
             "bash", "-c", APART],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        mine = Path(f"/proc/{self._guard.pid}/task/{self._guard.pid}/children")
        until = time.monotonic() + 10
        while not (first := mine.read_text().split()):
            assert time.monotonic() < until, "no namespace"
            time.sleep(0.02)
        self._first = first[0]

    def consentry(self, *words: str, **changed: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["nsenter", "--target", self._first, "--pid", "--mount", "--net",
             sys.executable, "-m", "services.cli", "cluster", *words],
            env={**self._environment, **changed}, capture_output=True, text=True, timeout=180,
            check=False,
        )  # fmt: skip

    def of_ray(self) -> list[str]:
        """What of Ray runs here."""
        names = subprocess.run(
            ["nsenter", "--target", self._first, "--pid", "--mount", "ps", "-eo", "stat,comm"],
            capture_output=True, text=True, check=True,
        ).stdout.splitlines()  # fmt: skip
        return [one for one in names if ("raylet" in one or "gcs" in one) and "Z" not in one]

    def close(self) -> None:
        self._guard.kill()
        self._guard.wait()


@contextmanager
def machines(town: Town) -> Iterator[tuple[Machine, Machine, Host]]:
    said = conninfo_to_dict(town.url)
    path = Path(str(said["host"])) / f".s.PGSQL.{said.get('port', 5432)}"
    with ExitStack() as stack:
        other = Host(f"consentry-3-{os.getpid()}", 3)
        stack.callback(other.demolish)
        other.build()
        relay = Relay(other.address(1), str(path))
        stack.callback(relay.close)
        environment = {
            **os.environ,
            "DATABASE_URL": make_conninfo(
                host=other.address(1), port=5432, dbname=said["dbname"], user=said["user"]
            ),
            "CONSENTRY_HOME": str(town.world.settings.home),
            "CONSENTRY_DECODERS": "1",
            "CONSENTRY_SEGMENTS": "",
        }
        both = [Machine(None, environment), Machine(other, environment)]
        for machine in both:
            stack.callback(machine.close)
        yield both[0], both[1], other


def test_another_host_joins_with_one_command_and_each_is_taken_out(town: Town) -> None:
    with machines(town) as (first, second, cable):
        at = f"{cable.address(1)}:6379"

        def status() -> dict[str, Any]:
            told = first.consentry("status", "--json")
            assert told.returncode == 0, told.stderr
            found: dict[str, Any] = json.loads(told.stdout)
            return found

        nobody = first.consentry("status")
        assert nobody.returncode == 1
        assert "consentry cluster up" in nobody.stderr

        begun = first.consentry("up", "--listen", cable.address(1), "--cpus", "2")
        assert begun.returncode == 0, begun.stderr
        assert f"consentry cluster up --join {at} --listen" in begun.stdout
        again = first.consentry("up", "--listen", cable.address(1))
        assert again.returncode == 1
        assert "already" in again.stderr

        join = ("up", "--listen", cable.address(2), "--cpus", "2")
        lost = second.consentry(*join, "--join", f"{cable.address(1)}:6399")
        assert lost.returncode == 1
        assert f"{cable.address(1)}:6399" in lost.stderr
        unclear = second.consentry(*join, "--join", cable.address(1))
        assert unclear.returncode == 1
        assert "HOST:PORT" in unclear.stderr

        joined = second.consentry(*join, "--join", at)
        assert joined.returncode == 0, joined.stderr
        assert joined.stdout.startswith("2 hosts, 3 hands")
        there = status()
        assert {host["address"] for host in there["hosts"]} == {cable.address(1), cable.address(2)}
        assert {hand["node"] for hand in there["hands"]} == {cable.address(1), cable.address(2)}

        left = second.consentry("down")
        assert left.returncode == 0, left.stderr
        assert "the others go on" in left.stdout
        assert second.of_ray() == []
        assert first.of_ray() != []
        alive = [host["address"] for host in status()["hosts"] if host["alive"]]
        assert alive == [cable.address(1)]

        assert second.consentry(*join, "--join", at).returncode == 0, "it may come back"
        ended = first.consentry("down")
        assert ended.returncode == 0, ended.stderr
        assert "the cluster has ended" in ended.stdout
        assert first.of_ray() == []
        stranded = second.consentry("status")
        assert stranded.returncode == 1
        assert "first host does not answer" in stranded.stderr
        assert second.consentry("down").returncode == 1
        assert second.of_ray() == [], "a host whose first host has gone is put in order, too"
