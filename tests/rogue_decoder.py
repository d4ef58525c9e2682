"""A nursery whose decoders can be told to do what a hostile file would make them do."""

# The bare calls are what is tried.
# ruff: noqa: PTH108, PTH123, PTH208

from __future__ import annotations

import ctypes
import fcntl
import json
import math
import mmap
import os
import resource
import signal
import socket
import time

import numpy as np

from pipeline.media import _decoder, _tasks, _wire
from pipeline.media._tasks import Made

_libc = ctypes.CDLL(None, use_errno=True)
_connected = socket.socket()
"""Made before the lock: whether it can be connected is another question than whether it can be."""


def _call(*numbers):
    if _libc.syscall(*numbers) == -1:
        raise OSError(ctypes.get_errno(), "")


def _child(*numbers):
    """Start a process by the bare call, which is no thread."""
    number = _libc.syscall(*numbers, 0, 0, 0, 0)
    if number == 0:
        os._exit(0)
    if number == -1:
        raise OSError(ctypes.get_errno(), "")


def _shm():
    with open("/dev/shm/consentry-escaped", "w") as file:
        file.write("out")


ATTEMPTS = {
    "open": lambda asked: open(asked["planted"]).close(),
    "write": lambda asked: open(asked["planted"], "w").close(),
    "write elsewhere": lambda asked: _shm(),
    "list": lambda asked: os.listdir("/"),
    "connect": lambda asked: _connected.connect(("127.0.0.1", asked["port"])),
    "send": lambda asked: _connected.sendto(b"x", ("127.0.0.1", asked["port"])),
    "socket": lambda asked: socket.socket(),
    "pair of sockets": lambda asked: socket.socketpair(),
    "execve": lambda asked: os.execv("/bin/true", ["true"]),
    "fork": lambda asked: os.fork() or os._exit(0),
    "clone": lambda asked: _child(56, signal.SIGCHLD),
    "vfork": lambda asked: _child(58),
    "kill its parent": lambda asked: os.kill(os.getppid(), signal.SIGTERM),
    "kill": lambda asked: os.kill(asked["service"], 0),
    "signals by descriptor": lambda asked: fcntl.fcntl(0, fcntl.F_SETOWN, asked["service"]),
    "ptrace": lambda asked: _call(101, 16, asked["service"], 0, 0),
    "unlink": lambda asked: os.unlink(asked["planted"]),
    "executable memory": lambda asked: mmap.mmap(-1, 4096, prot=mmap.PROT_EXEC | mmap.PROT_READ),
    "become root": lambda asked: os.setuid(0),
    "io_uring": lambda asked: _call(425, 8, 0),
    "user namespace": lambda asked: _call(272, 0x10000000),
    "another's limits": lambda asked: resource.prlimit(asked["service"], resource.RLIMIT_CPU),
}


def probe(file, asked):
    """Try everything; say the number of the error that each attempt met."""
    met = {}
    for name, attempt in ATTEMPTS.items():
        try:
            attempt(asked)
            met[name] = None
        except OSError as error:
            met[name] = error.errno
        except Exception as error:
            met[name] = type(error).__name__
    yield Made((), {"met": met})


def die(file, asked):
    """Die of the ``after``-th piece."""
    for number in range(asked["after"]):
        yield Made((np.full(4, number, np.uint8),), {"number": number})
    os.abort()


def die_once(file, asked):
    """Die half-way, unless the file is asked about by the second decoder born."""
    for number in range(6):
        if number == 3 and os.getpid() == asked["dies"]:
            os.abort()
        yield Made((np.full(4, number, np.uint8),), {"number": number, "pid": os.getpid()})


def hang(file, asked):
    """Never come back."""
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    while True:
        time.monotonic()
    yield


def hungry(file, asked):
    """Take all memory."""
    held = []
    while True:
        held.append(np.ones(16 << 20, np.uint8))
    yield


def defect(file, asked):
    """Raise what nobody expects, with something in it that nobody should read."""
    raise LookupError("a secret")
    yield


DEADLY = b"kill the decoder"


def deadly(task):
    """A task that dies of files with these words in them."""

    def ask(file, asked):
        if DEADLY in file.read():
            os.abort()
        yield from task(file, asked)

    return ask


def pieces(file, asked):
    """Yield pieces for ever, and count how far ahead it is."""
    number = 0
    while True:
        yield Made((np.full((2, 2), number % 256, np.uint8),), {"number": number})
        number += 1


def lie(file, asked):
    """Send something else than what a decoder sends."""
    line = _decoder_line[0]
    pixels = np.zeros(12, np.uint8)
    what = asked["what"]
    if what == "garbage":
        line.send(b"\xff\x00not json")
    elif what == "deep":
        line.send(b"[" * 20_000)
    elif what == "larger than its memory":
        _part(line, [[1000, 1000, 3]], _wire.sealed([pixels])[0])
    elif what == "overflowing":
        _part(line, [[2**40, 2**40, 3]], _wire.sealed([pixels])[0])
    elif what == "negative":
        _part(line, [[-2, -6]], _wire.sealed([pixels])[0])
    elif what == "no memory":
        line.send(b'{"kind":"part","shapes":[[2,2,3]],"ends":[12],"facts":{},"last":true}')
    elif what == "memory that can shrink":
        descriptor = os.memfd_create("x", os.MFD_ALLOW_SEALING)
        os.write(descriptor, pixels)
        _part(line, [[2, 2, 3]], descriptor)
    elif what == "a pipe":
        _part(line, [[2, 2, 3]], 0)
    elif what == "another reason":
        line.send(b'{"kind":"refused","reason":"because","message":"x"}')
    elif what == "pixels of another shape":
        _part(line, [[3, 4]], _wire.sealed([pixels])[0])
        line.send(b'{"kind":"end"}')
        os._exit(0)
    time.sleep(5)
    yield


def _part(line, shapes, descriptor):
    ends = [math.prod(shape) for shape in shapes]
    message = {"kind": "part", "shapes": shapes, "ends": ends, "facts": {}, "last": False}
    _decoder_line[0].sendmsg(
        [json.dumps(message).encode()],
        [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptor.to_bytes(4, "little"))],
    )


_decoder_line = []
_serve = _decoder.serve


def _remembering(line, memory):
    _decoder_line[:] = [line]
    _serve(line, memory)


def main():
    _decoder.serve = _remembering
    _tasks.TASKS = {
        **_tasks.TASKS,
        **{name: deadly(_tasks.TASKS[name]) for name in ("image", "sketch")},
        **{
            task.__name__: task
            for task in (probe, die, die_once, hang, hungry, defect, pieces, lie)
        },
    }
    _decoder.main()
