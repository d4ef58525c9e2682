"""The process in which hostile bytes are decoded, and the nursery from which it comes.

The nursery is started clean, with no environment and one descriptor. It loads all decoders once
and then does nothing but fork: a new decoder is there in milliseconds, with everything loaded and
nothing of a service in its memory. Each decoder locks itself before it reads its first file.
"""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from PIL import Image

from pipeline.errors import Refused
from pipeline.media import _lockdown, _tasks, _wire

AHEAD = 3
"""How many pieces a decoder makes before the first of them was taken."""


def nursery(descriptor: int, parent: int) -> None:
    """Fork a decoder for each line that comes in, say how each ended, until nobody asks."""
    _lockdown.die_with_parent(parent)
    _first_to_go()
    line = socket.socket(fileno=descriptor)
    _tasks.warm()
    rules = _lockdown.seccomp_filter()
    _wire.send(line, {"kind": "ready"})
    while True:
        try:
            said, theirs = _wire.receive(line)
        except EOFError:
            return
        asked = json.loads(said)
        if theirs is None:
            _wire.send(line, {"kind": "ended", "status": _ended(int(asked["reap"]))})
            continue
        me = os.getpid()
        if (child := os.fork()) == 0:
            line.close()
            _live(theirs, me, rules, int(asked["largest"]))
        os.close(theirs)
        ours = os.pidfd_open(child)
        _wire.send(line, {"kind": "born", "pid": child}, ours)
        os.close(ours)


def _ended(pid: int) -> int:
    """How a decoder ended: its exit status, or the number of its signal below zero.

    Whoever asks has killed it before, so that this does not wait.
    """
    try:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    except ChildProcessError:
        return 0


def _first_to_go() -> None:
    """Where memory runs out, the kernel is to take a decoder and not a service."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def _live(descriptor: int, parent: int, rules: Any, largest: int) -> None:
    """A decoder's whole life; never returns."""
    status = 1
    try:
        memory = _lockdown.Memory()
        line = socket.socket(fileno=descriptor)
        held = _lockdown.lock(rules, largest, parent)
        _wire.send(line, {"kind": "ready", "locks": held})
        serve(line, memory)
        status = 0
    except (OSError, EOFError):
        pass
    finally:
        os._exit(status)


def serve(line: socket.socket, memory: _lockdown.Memory | None) -> None:
    """Answer one file after another until the other end is gone."""
    while True:
        try:
            said, descriptor = _wire.receive(line)
        except EOFError:
            return
        asked = json.loads(said)
        if descriptor is None:  # a piece of the last answer was taken late
            continue
        with _file(descriptor, asked.get("size")) as file:
            _lockdown_for(asked, memory)
            _answer(line, _tasks.TASKS[asked["task"]], file, asked["options"])


def _file(descriptor: int, size: int | None) -> io.BufferedReader:
    if size is not None:
        return io.BufferedReader(_wire.Afar(descriptor, size), _wire.RANGE)
    file = open(descriptor, "rb")  # noqa: SIM115 - it has no path
    file.seek(0)  # its place is shared with whoever wrote it
    return file


def _lockdown_for(asked: Mapping[str, Any], memory: _lockdown.Memory | None) -> None:
    if memory is not None:
        memory.allow(int(asked["memory"]))
        _lockdown.allow_seconds(float(asked["seconds"]))


def _answer(line: socket.socket, task: _tasks.Task, file: Any, options: Any) -> None:
    ahead = 0
    try:
        for made in task(file, options):
            if ahead == AHEAD:
                _wire.receive(line)
                ahead -= 1
            _part(line, made)
            if made.last:
                return
            ahead += 1
    except Refused as refused:
        _wire.send(line, {"kind": "refused", "reason": refused.reason, "message": refused.message})
    except MemoryError:
        _wire.send(line, {"kind": "failed", "error": "MemoryError"})
    except EOFError:
        raise
    except Exception as error:  # a decoder raises whatever it likes; its words stay here
        _wire.send(line, {"kind": "failed", "error": type(error).__name__})
    else:
        _wire.send(line, {"kind": "end"})


def _part(line: socket.socket, made: _tasks.Made) -> None:
    shapes = [_shape(array) for array in made.arrays]
    descriptor, ends = _wire.sealed(made.arrays)
    said = {"shapes": shapes, "ends": ends, "facts": dict(made.facts), "last": made.last}
    try:
        _wire.send(line, {"kind": "part", **said}, descriptor)
    finally:
        os.close(descriptor)


def _shape(array: Any) -> tuple[int, ...]:
    if isinstance(array, Image.Image):
        return (array.height, array.width, 3)
    return tuple(array.shape)


def main() -> None:
    """``_decoder DESCRIPTOR PARENT``, started by ``_nursery``."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the service, which ends us
    nursery(int(sys.argv[1]), int(sys.argv[2]))
