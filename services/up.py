"""Everything on this machine in one command: the database and all services, kept running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx

from pipeline.errors import Unavailable
from pipeline.storage.migrate import migrate
from services.settings import Settings
from services.wiring import database_url

SERVICES = ("api", "console", "portal", "worker")
_RESTART_PAUSE = 1.0
_GRACE = 10.0


@dataclass(slots=True)
class Child:
    """A service in a process of its own."""

    name: str
    process: subprocess.Popen[bytes]
    restarts: int = 0


@dataclass(slots=True)
class Running:
    """The services while they run."""

    api: str
    console: str
    portal: str
    children: dict[str, Child] = field(default_factory=dict)

    def wait_ready(self, seconds: float = 60.0) -> None:
        """Return when all that serve pages answer; ``Unavailable`` when they don't in time."""
        deadline = time.monotonic() + seconds
        for url in (f"{self.api}/readyz", f"{self.console}/healthz", f"{self.portal}/readyz"):
            while not _answers(url):
                if time.monotonic() > deadline:
                    raise Unavailable(f"{url} does not answer; see the log lines above")
                time.sleep(0.1)


@contextmanager
def running(
    settings: Settings,
    progress: Callable[[str], None] = lambda _: None,
    *,
    quiet: bool = False,
) -> Iterator[Running]:
    """The database and all services, each restarted when it ends, all stopped after the block."""
    with database_url(settings, progress) as url:
        if settings.database_url is None:
            migrate(url, progress)
        host = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host  # noqa: S104
        services = Running(
            f"http://{host}:{settings.api_port}",
            f"http://{host}:{settings.console_port}",
            f"http://{host}:{settings.portal_port}",
        )
        environment = {**os.environ, **_environment(settings), "DATABASE_URL": url}
        for name in SERVICES:
            services.children[name] = Child(name, _spawn(name, environment, quiet=quiet))
        stop = threading.Event()
        keeper = threading.Thread(
            target=_keep, args=(services, environment, stop, quiet), daemon=True, name="keeper"
        )
        keeper.start()
        try:
            yield services
        finally:
            stop.set()
            keeper.join()
            _end(services)


def _keep(
    services: Running, environment: Mapping[str, str], stop: threading.Event, quiet: bool
) -> None:
    while not stop.wait(_RESTART_PAUSE):
        for name, child in services.children.items():
            if child.process.poll() is not None:
                replacement = _spawn(name, environment, quiet=quiet)
                services.children[name] = Child(name, replacement, child.restarts + 1)


def _spawn(name: str, environment: Mapping[str, str], *, quiet: bool) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "services.cli", "serve", name],
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL if quiet else None,
        stderr=subprocess.DEVNULL if quiet else None,
        start_new_session=True,  # Ctrl-C reaches us alone; we end the services in order
    )


def _end(services: Running) -> None:
    for child in services.children.values():
        child.process.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + _GRACE
    for child in services.children.values():
        try:
            child.process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.process.kill()
            child.process.wait()


def _environment(settings: Settings) -> dict[str, str]:
    """What the services must see of settings that were not read from the environment."""
    return {
        "CONSENTRY_HOME": str(settings.home),
        "CONSENTRY_HOST": settings.host,
        "CONSENTRY_API_PORT": str(settings.api_port),
        "CONSENTRY_CONSOLE_PORT": str(settings.console_port),
        "CONSENTRY_PORTAL_PORT": str(settings.portal_port),
        "CONSENTRY_LOG_LEVEL": settings.log_level,
        "CONSENTRY_SECOND_FACTOR": settings.second_factor,
    }


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2.0).is_success
    except httpx.HTTPError:
        return False
