"""The service's side of the nursery: one for each process, started when it is first needed."""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pipeline
from pipeline.errors import Misconfigured, Unavailable
from pipeline.media import _wire

_START = 60.0
"""Seconds that loading all decoders may take on a machine under load."""

_BIRTH = 30.0
_CODE = "import sys; sys.path[:] = sys.argv[3:]; from {module} import main; main()"
_ENVIRONMENT = {"LANG": "C.UTF-8", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


@dataclass(slots=True, eq=False)
class Cell:
    """A decoder as its service sees it: a line to it, and a handle that can only ever kill it."""

    line: socket.socket
    pid: int
    handle: int
    locks: tuple[str, ...]
    answered: int = 0
    clean: bool = True
    """Whether it said all that it had to say to the last file; only then it may see another."""


class Nursery:
    """Starts decoders. Safe for several threads; after a fork the child must make its own."""

    def __init__(self, module: str = "pipeline.media._decoder") -> None:
        """``module`` holds the nursery's own ``main``."""
        self._code = _CODE.format(module=module)
        self._lock = threading.Lock()
        self._line: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def alive(self) -> bool:
        """Whether it runs; one that ended takes all its decoders with it."""
        process = self._process
        return process is not None and process.poll() is None

    def bear(self, largest: int) -> Cell:
        """A new decoder, locked and waiting. Raises ``Unavailable`` when none can be had now."""
        ours, theirs = _wire.pair()
        try:
            with self._lock, theirs:
                line = self._started()
                _wire.send(line, {"largest": largest}, theirs.fileno())
                born, handle = _heard(line, _BIRTH)
            assert handle is not None
            try:
                ready, _ = _heard(ours, _BIRTH)
            except BaseException:
                os.close(handle)
                raise
            return Cell(ours, int(born["pid"]), handle, tuple(ready["locks"]))
        except (OSError, EOFError, _wire.Garbled, TimeoutError) as error:
            ours.close()
            raise Unavailable(
                f"no decoder could be started ({type(error).__name__}); see consentry doctor"
            ) from error
        except BaseException:
            ours.close()
            raise

    def end(self, cell: Cell) -> int | None:
        """End a decoder at once, whatever it does; how it ended, None where nobody can tell."""
        with suppress(OSError):  # it ended by itself
            signal.pidfd_send_signal(cell.handle, signal.SIGKILL)
        os.close(cell.handle)
        cell.line.close()
        try:
            with self._lock:
                if self._line is None:
                    return None
                _wire.send(self._line, {"reap": cell.pid})
                ended, _ = _heard(self._line, _BIRTH)
        except (OSError, EOFError, _wire.Garbled, TimeoutError):
            return None
        return int(ended["status"])

    def close(self) -> None:
        """End the nursery, and with it all decoders."""
        with self._lock:
            self._drop()

    def _started(self) -> socket.socket:
        if self._line is not None and self.alive:
            return self._line
        self._drop()
        ours, theirs = _wire.pair()
        started = threading.Event()
        # The kernel ends the nursery together with the thread that started it, so that thread
        # lives as long as the nursery: not one that answers a request and is gone.
        threading.Thread(
            target=self._keep, args=(theirs, started), name="nursery", daemon=True
        ).start()
        started.wait()
        if self._process is None:
            ours.close()
            raise Misconfigured("this machine cannot start another process; see consentry doctor")
        try:
            _heard(ours, _START)
        except BaseException:
            ours.close()
            self._process.kill()
            raise
        self._line = ours
        return ours

    def _keep(self, theirs: socket.socket, started: threading.Event) -> None:
        try:
            with theirs:
                self._process = subprocess.Popen(
                    [
                        sys.executable, "-I", "-S", "-B", "-c", self._code,
                        str(theirs.fileno()), str(os.getpid()), *_path(),
                    ],
                    env=_ENVIRONMENT,
                    cwd="/",
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    pass_fds=(theirs.fileno(),),
                )  # fmt: skip
        except OSError:
            return
        finally:
            started.set()
        self._process.wait()

    def _drop(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def _heard(line: socket.socket, seconds: float) -> tuple[Mapping[str, Any], int | None]:
    """The next message of somebody that has read nothing hostile yet."""
    if not waits(line, time.monotonic() + seconds):
        raise TimeoutError
    said, descriptor = _wire.receive(line)
    return json.loads(said), descriptor


def waits(line: socket.socket, deadline: float) -> bool:
    """Whether something came before the deadline; the end of the other side counts."""
    poll = select.poll()
    poll.register(line, select.POLLIN)
    while True:
        left = deadline - time.monotonic()
        if poll.poll(max(0, round(left * 1000))):
            return True
        if left <= 0:
            return False


def _path() -> list[str]:
    """Where this process finds its modules: the nursery starts without looking for any."""
    own = str(Path(pipeline.__file__).parents[1])
    return [own, *(part for part in sys.path if part and part != own)]


_one = Nursery()


def nursery() -> Nursery:
    """This process's own."""
    return _one


def _after_fork() -> None:
    global _one  # noqa: PLW0603 - the parent's nursery is the parent's
    _one = Nursery()


os.register_at_fork(after_in_child=_after_fork)
atexit.register(lambda: nursery().close())
