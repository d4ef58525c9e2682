"""Two hosts and a cut cable: the API on one, the worker on the other, the database between.

The hosts are network namespaces; the worker's has a process namespace of its own, too, so that it
cannot be seen from here whether it runs. The database's socket is carried to both by a relay. A
link that is down drops packets without a word, as a cable does.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pipeline.domain.erasure import Confirmation
from pipeline.journeys import rescan, withdraw
from services.accounts import add_platform
from services.wiring import alive, now
from tests.world import Town, jpeg, picture

CUT = float(os.environ.get("CONSENTRY_TEST_CUT_SECONDS", "6"))
"""How long the cable is out; 30 for the whole story."""
PATIENCE = 150.0

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not os.environ.get("CONSENTRY_CI") and (os.geteuid() != 0 or not shutil.which("ip")),
        reason="hosts made of network namespaces need root and iproute2",
    ),
]


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@dataclass
class Host:
    """A network namespace with one cable to us."""

    name: str
    number: int

    @property
    def cable(self) -> str:
        return f"c{self.number}{os.getpid() % 100000}"

    def address(self, end: int) -> str:
        return f"10.213.{self.number}.{end}"

    def build(self) -> None:
        ip("netns", "add", self.name)
        ip("link", "add", self.cable, "type", "veth", "peer", "name", "eth0", "netns", self.name)
        ip("addr", "add", f"{self.address(1)}/24", "dev", self.cable)
        ip("link", "set", self.cable, "up")
        inside = ("-n", self.name)
        ip(*inside, "addr", "add", f"{self.address(2)}/24", "dev", "eth0")
        ip(*inside, "link", "set", "eth0", "up")
        ip(*inside, "link", "set", "lo", "up")

    def cut(self) -> None:
        ip("link", "set", self.cable, "down")

    def heal(self) -> None:
        ip("link", "set", self.cable, "up")

    def run(self, command: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
        apart = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
        return subprocess.Popen(
            ["ip", "netns", "exec", self.name, *apart, *command],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def demolish(self) -> None:
        with suppress(subprocess.CalledProcessError):
            ip("netns", "del", self.name)


class Relay:
    """Carries connections from an address to the database's socket."""

    def __init__(self, address: str, path: str) -> None:
        self._path = path
        self._listener = socket.create_server((address, 5432))
        self._open: list[socket.socket] = [self._listener]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.socket(socket.AF_UNIX)
                far.connect(self._path)
                self._open += [near, far]
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=self._carry, args=(one, other), daemon=True).start()

    @staticmethod
    def _carry(one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while some := one.recv(65536):
                other.sendall(some)
        with suppress(OSError):
            other.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        for each in self._open:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


@pytest.fixture
def two_hosts(town: Town) -> Iterator[tuple[Host, Host]]:
    """The API's host and the worker's, with a service on each."""
    said = conninfo_to_dict(town.url)
    path = Path(str(said["host"])) / f".s.PGSQL.{said.get('port', 5432)}"
    front, back = (Host(f"consentry-{n}-{os.getpid()}", n) for n in (1, 2))
    running: list[subprocess.Popen[bytes]] = []
    relays: list[Relay] = []
    try:
        for host, service in ((front, "api"), (back, "worker")):
            host.build()
            relays.append(Relay(host.address(1), str(path)))
            url = make_conninfo(
                host=host.address(1), port=5432, dbname=said["dbname"], user=said["user"]
            )
            environment = {
                **os.environ,
                "DATABASE_URL": url,
                "CONSENTRY_HOME": str(town.world.settings.home),
                "CONSENTRY_HOST": "0.0.0.0",
                "CONSENTRY_RESCAN_MINUTES": "0",
                "CONSENTRY_SEGMENTS": "",
                "CONSENTRY_DECODERS": "1",
            }
            command = [sys.executable, "-m", "services.cli", "serve", service]
            running.append(host.run(command, environment))
        yield front, back
    finally:
        for process in running:
            process.kill()
            process.wait()
        for relay in relays:
            relay.close()
        for host in (front, back):
            host.demolish()


def until(what: Callable[[], Any], why: str) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not (found := what()):
        assert time.monotonic() < deadline, why
        time.sleep(0.1)
    return found


def test_nothing_is_lost_while_a_host_is_away_and_a_receipt_waits_for_it(
    town: Town, two_hosts: tuple[Host, Host]
) -> None:
    front, back = two_hosts
    key = add_platform(town.world, "board", None, 6000)
    api = httpx.Client(
        base_url=f"http://{front.address(2)}:8700",
        headers={"authorization": f"Bearer {key.api_key}"},
        timeout=60,
        trust_env=False,
    )

    def ready() -> bool:
        with suppress(httpx.HTTPError):
            return api.get("/readyz").is_success
        return False

    def upload(body: bytes, name: str) -> str:
        answer = api.post(
            "/v1/screenings",
            params={"content_id": name, "rating": "intimate"},
            content=body,
            headers={"content-type": "application/octet-stream"},
        )
        assert answer.status_code in (200, 201), answer.text
        return str(answer.json()["verdict"])

    def worker_follows() -> bool:
        rows = town.query("SELECT count(*) FROM followers WHERE role = 'worker' AND applied >= 0")
        return bool(rows[0][0] >= 2)  # one that looks at videos, one that looks back

    until(ready, "the API answers across its cable")
    until(worker_follows, "the worker reaches the database across its own")

    for number in range(6):
        assert upload(jpeg(picture(1), 60 + number), f"early {number}") == "clear"
    rescan.press(town.world.store, now, size=1)
    leaving = town.register(jpeg(picture(2)))
    town.register(jpeg(picture(1)))

    back.cut()
    began = time.monotonic()
    asked = rescan.ask(town.world.store, now, town.world.reach, "test")
    assert asked is not None
    assert upload(jpeg(picture(1), 91), "while it is away") == "review"
    receipt = withdraw.ask(town.world.store, town.world.pins, now, leaving.case_number, leaving.pin)
    town.live.catch_up()
    assert upload(jpeg(picture(2), 88), "after she left") == "clear", "matches stop at once"
    waiting = withdraw.finish(town.world.store, town.world.blobs, now, alive, receipt)
    assert not waiting.complete, "a host that is away may hold what was hers"
    away = [holder.role for holder in waiting.holders if holder.confirmed is None]
    assert set(away) == {"worker"}
    assert rescan.progress_of(town.world.store, asked.id).done < 6
    time.sleep(max(0.0, CUT - (time.monotonic() - began)))
    back.heal()

    done = until(
        lambda: (
            one
            if (one := withdraw.finish(
                town.world.store, town.world.blobs, now, alive, receipt,
                patience=withdraw.timedelta(seconds=1),
            )).complete
            else None
        ),
        "the receipt is complete once the host has said so",
    )  # fmt: skip
    confirmed = {one.role: one.confirmed for one in done.holders}
    assert confirmed["worker"] in (Confirmation.APPLIED, Confirmation.EXPIRED)
    if CUT < 40:
        assert confirmed["worker"] is Confirmation.APPLIED
    until(lambda: not rescan.progress_of(town.world.store, asked.id).waiting, "it is all searched")
    assert rescan.progress_of(town.world.store, asked.id).dead == 0
    cases = town.query("SELECT content_id, count(*) FROM case_uploads GROUP BY 1 ORDER BY 1")
    assert cases == [*((f"early {n}", 1) for n in range(6)), ("while it is away", 1)]
    screened = town.query("SELECT count(*) FROM screenings WHERE content_id ~ 'she left'")
    assert screened == [(1,)], "every upload has its one answer"
