"""The same hands on Ray: it places them on hosts, spreads them, and replaces those that die.

What there is to do, and what is done, stays in PostgreSQL: hands on Ray claim pieces as any other
hand does, so that a host, a hand or whoever drives may vanish at any moment. Database and key are
in the environment of each host's own ``consentry cluster up``; they never go through Ray, and a
token that only this key gives keeps everybody else out of it. One core
of the cluster is left free: where a crew fills it, Ray has been seen to find no place for those
that a dying host leaves behind.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pipeline.errors import ConsentryError, Invalid, Misconfigured, Unavailable
from pipeline.ports import Crew

NAMESPACE = "consentry"
HEADROOM = 1
"""Cores that are left free in the whole cluster."""
PORT = 6379
FIRST = "node:__internal_head__"
"""What Ray lists among the resources of a cluster's first host."""
AT_WORK, WAITING = "at work", "being placed"
_WAIT = 30.0


@dataclass(frozen=True, slots=True)
class HandSeen:
    """A hand as the cluster's status shows it."""

    name: str
    node: str
    state: str
    pieces: int
    trouble: str | None


class Hand:
    """A hand as an actor: the loop runs in a thread, so that it can be asked and told to end."""

    def __init__(self, kinds: tuple[str, ...]) -> None:
        _see_given_cards(_ray().get_gpu_ids())
        self._kinds, self._stop = kinds, threading.Event()
        self._pieces = 0
        self._trouble: str | None = None
        self._thread = threading.Thread(target=self._run, name="hand", daemon=True)
        self._thread.start()

    def figures(self) -> tuple[int, str | None, str]:
        """Pieces done, what keeps it from working, and the host that it is on."""
        return self._pieces, self._trouble, _ray().util.get_node_ip_address()

    def end(self) -> None:
        """End the piece it is at, and go."""
        self._stop.set()
        self._thread.join(_WAIT)

    def _run(self) -> None:
        from services.hand import work
        from services.settings import Settings
        from services.wiring import open_world

        while not self._stop.is_set():
            try:
                with open_world(Settings()) as world:
                    self._trouble = None
                    work(world, self._stop, self._did, self._kinds)
            except ConsentryError as error:
                self._trouble = str(error)
            except Exception as error:  # the type alone, and again: others must not do all the work
                self._trouble = type(error).__name__
            self._stop.wait(2.0)

    def _did(self) -> None:
        self._pieces += 1


def _see_given_cards(given: Sequence[Any]) -> None:
    """Ray leaves all of a host's cards in sight of a hand that was given none."""
    if not given:
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"


class RayExecutor:
    """See ``pipeline.ports.Executor``: a crew whose hands outlive whoever placed them."""

    def __init__(self, address: str = "auto") -> None:
        """Join the cluster at an address, or this host's; raises ``Unavailable`` without one."""
        self._ray = _ray()
        if not self._ray.is_initialized():
            _require_first(address)
            try:
                self._ray.init(
                    address=address, namespace=NAMESPACE, log_to_driver=False,
                    include_dashboard=False, configure_logging=False,
                )  # fmt: skip
            except (ConnectionError, RuntimeError) as error:
                raise Unavailable(
                    "no cluster answers here; start one with: consentry cluster up"
                ) from error
        self._crew: list[tuple[str, Crew]] = []

    def whole_crews(self) -> tuple[Crew, ...]:
        """Hands for all the cluster has, but for the headroom; CPUs and GPUs apart.

        Those of cards first, because each wants a core beside its card, and others have more hosts.
        """
        there = self._ray.cluster_resources()
        cpus, gpus = int(there.get("CPU", 0)) - HEADROOM, int(there.get("GPU", 0))
        if not gpus:
            return (Crew(max(1, cpus)),)
        return (
            Crew(gpus, gpus=1.0, kinds=("sift",)),
            Crew(max(1, cpus - gpus), kinds=("rescan",)),
        )

    def start(self, crew: Crew) -> None:
        """See the port. Hands that are there already stay."""
        self._crew += [(f"{'gpu' if crew.gpus else 'cpu'}-{n}", crew) for n in range(crew.size)]
        self.tend()

    def tend(self) -> int:
        """See the port. Ray replaces them; this places those that were never placed."""
        remote = self._ray.remote(Hand)
        for name, crew in self._crew:
            remote.options(
                name=name, get_if_exists=True, lifetime="detached", max_restarts=-1,
                num_cpus=crew.cpus, num_gpus=crew.gpus, scheduling_strategy="SPREAD",
            ).remote(crew.kinds)  # fmt: skip
        return len(self._crew)

    def hands(self, patience: float = 2.0) -> list[HandSeen]:
        """Everybody in the cluster, and how they are; who does not answer is being replaced."""
        from ray.util import list_named_actors

        asked = {}
        for name in sorted(list_named_actors()):
            try:
                asked[name] = self._ray.get_actor(name).figures.remote()
            except (self._ray.exceptions.RayError, ValueError):
                continue  # it has just gone
        ready = (
            asked
            and self._ray.wait(list(asked.values()), num_returns=len(asked), timeout=patience)[0]
        )
        seen = []
        for name, answer in asked.items():
            hand = HandSeen(name, "", WAITING, 0, None)
            if answer in (ready or ()):
                try:
                    pieces, trouble, node = self._ray.get(answer)
                    hand = HandSeen(name, node, AT_WORK, pieces, trouble)
                except self._ray.exceptions.RayError:
                    pass  # its host has died; Ray looks for another
            seen.append(hand)
        return seen

    def here(self) -> tuple[str, bool]:
        """This host's address in the cluster, and whether the cluster stands and falls with it."""
        address = self._ray.util.get_node_ip_address()
        first = any(
            node["Alive"] and node["NodeManagerAddress"] == address and FIRST in node["Resources"]
            for node in self._ray.nodes()
        )
        return address, first

    def nodes(self) -> list[dict[str, Any]]:
        """The hosts of the cluster: address, whether alive, cores and GPUs."""
        return [
            {
                "address": node["NodeManagerAddress"],
                "alive": node["Alive"],
                "cpus": int(node["Resources"].get("CPU", 0)),
                "gpus": int(node["Resources"].get("GPU", 0)),
            }
            for node in self._ray.nodes()
        ]

    def stop(self) -> None:
        """See the port."""
        self._end(self.hands())
        self._crew = []

    def clear(self, address: str) -> None:
        """End the pieces that are worked on at one host; Ray finds its hands another place."""
        self._end([hand for hand in self.hands() if hand.node == address], stay=True)

    def _end(self, hands: list[HandSeen], *, stay: bool = False) -> None:
        """Tell all of them before any is waited for: each ends the piece it is at."""
        told, ended = [], []
        for seen in hands:
            try:
                hand = self._ray.get_actor(seen.name)
            except (self._ray.exceptions.RayError, ValueError):
                continue  # it has just gone
            told.append(hand)
            if seen.state == AT_WORK:  # one that is being placed has nothing to end, and no ears
                ended.append(hand.end.remote())
        if ended:
            self._ray.wait(ended, num_returns=len(ended), timeout=_WAIT)
        for hand in told if not stay else ():
            self._ray.kill(hand)

    def leave(self) -> None:
        """Have nothing to do with the cluster any more; its hands go on."""
        self._ray.shutdown()


def guard(token: str) -> None:
    """Have Ray answer only those who know the deployment's key; before Ray is first used.

    Ray listens on this host's outward address even where it is given 127.0.0.1.
    """
    os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=token)


def start_node(listen: str, join: str | None, cpus: int | None) -> None:
    """Make this host one of a cluster's, or the first of one."""
    if join is None:
        if _answers(listen, PORT):
            raise Unavailable(
                f"a cluster runs at {listen}:{PORT} already; see consentry cluster status, and to"
                f" make this host one of its hosts give --join {listen}:{PORT}"
            )
        arguments = ["--head", f"--port={PORT}", "--include-dashboard=false"]
    else:
        _require_answer(join)
        arguments = [f"--address={join}"]
    if cpus is not None:
        arguments.append(f"--num-cpus={cpus}")
    _command("start", *arguments, f"--node-ip-address={listen}", "--disable-usage-stats")


def _require_first(address: str) -> None:
    """Where this host's cluster has lost its first host, Ray waits for it by the minute."""
    from ray._private.services import find_bootstrap_address

    last = find_bootstrap_address(None) if address == "auto" else address
    if last and not _answers(*_split(last)):
        raise Unavailable(
            f"the cluster's first host does not answer at {last}; bring it back, or end what is"
            " left here with: consentry cluster down"
        )


def _require_answer(join: str) -> None:
    """Ray itself tries for a minute, and then names a file of its log."""
    host, port = _split(join)
    if not host or not 0 < port < 65536:
        raise Invalid(f"--join takes HOST:PORT as the first host printed it, not {join!r}")
    if not _answers(host, port):
        raise Unavailable(
            f"no cluster answers at {join}: take the address that consentry cluster up printed on"
            " the first host, which it must have been given with --listen, and see that this host"
            " may reach it"
        )


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port) if port.isascii() and port.isdecimal() else 0


def _answers(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=5.0).close()
    except OSError:
        return False
    return True


def stop_node() -> None:
    """Take this host out of its cluster."""
    _command("stop")


def _command(*arguments: str) -> None:
    _ray()
    done = subprocess.run(
        [sys.executable, "-m", "ray.scripts.scripts", *arguments],
        env={**os.environ, "RAY_USAGE_STATS_ENABLED": "0", "OPENBLAS_NUM_THREADS": "1"},
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise Unavailable(f"Ray could not {arguments[0]}: {said[-1] if said else 'no word'}")


def _ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError:
        raise Misconfigured("a cluster needs Ray: install consentry[cluster]") from None
    return ray


def wait_for_hands(executor: RayExecutor, size: int, seconds: float = 120.0) -> None:
    """Return when so many hands run; raises ``Unavailable`` when they don't in time."""
    until = time.monotonic() + seconds
    while sum(hand.state == AT_WORK for hand in executor.hands()) < size:
        if time.monotonic() > until:
            raise Unavailable("the cluster has no room for its hands; see consentry cluster status")
        time.sleep(0.2)
        executor.tend()  # a name whose last hand was still dying was placed by nobody


def start_all(executor: RayExecutor, patience: float = 20.0) -> None:
    """Start hands for all the cluster has, those of cards first.

    Each of these wants a core beside its card, which no other hand may have taken before; where
    hands that were there already did, the rest of the cluster need not wait for ever.
    """
    for crew in executor.whole_crews():
        executor.start(crew)
        if crew.gpus:
            with suppress(Unavailable):
                wait_for_hands(executor, crew.size, patience)
