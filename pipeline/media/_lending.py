"""How a decoder comes to read a file: as sealed memory, by its descriptor, or a range at a time.

A file that only this process can read, because it lies encrypted, is read for the decoder: it asks
for a range over a line of its own and is sent those clear bytes and no others. No more than a range
is in anybody's memory, and the key stays here.
"""

from __future__ import annotations

import io
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import BinaryIO

from pipeline.errors import Unavailable
from pipeline.media import _wire


@dataclass(slots=True)
class Loan:
    """A descriptor for a decoder; ``size`` where it is a line on which ranges are asked for."""

    descriptor: int
    size: int | None = None
    trouble: list[BaseException] = field(default_factory=list)
    """Why a range could not be read here: no fault of the file's, whatever its decoder says."""

    def check(self) -> None:
        """Raise what reading a range raised."""
        if self.trouble:
            raise self.trouble[0]


@contextmanager
def lent(source: bytes | BinaryIO) -> Iterator[Loan]:
    """A way for a decoder to read the file, which it cannot write."""
    if isinstance(source, bytes):
        loan = Loan(_wire.sealed([source])[0])
    elif (descriptor := _descriptor(source)) is not None:
        loan = Loan(os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY | os.O_CLOEXEC))
    else:
        with _read_for(source) as loan:
            yield loan
        return
    try:
        yield loan
    finally:
        os.close(loan.descriptor)


@contextmanager
def _read_for(source: BinaryIO) -> Iterator[Loan]:
    size = source.seek(0, io.SEEK_END)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        loan = Loan(theirs.fileno(), size)
        reading = threading.Thread(target=_answer, args=(ours, source, loan), daemon=True)
        reading.start()
        try:
            yield loan
        finally:
            with suppress(OSError):
                ours.shutdown(socket.SHUT_RDWR)
            reading.join()


def _descriptor(source: BinaryIO) -> int | None:
    try:
        return source.fileno()
    except OSError:
        return None


def _answer(line: socket.socket, source: BinaryIO, loan: Loan) -> None:
    """Send the ranges that are asked for until nobody asks, or somebody asks what is not there."""
    try:
        while asked := line.recv(_wire.ASKED.size, socket.MSG_WAITALL):
            if len(asked) < _wire.ASKED.size:
                return
            start, length = _wire.ASKED.unpack(asked)
            if not 0 < length <= _wire.RANGE or start + length > (loan.size or 0):
                return
            try:
                clear = _range(source, start, length)
            except Exception as error:  # whoever waits for the decoder must know
                loan.trouble.append(error)
                return
            line.sendall(clear)
    except OSError:  # the decoder is gone
        return
    finally:
        with suppress(OSError):
            line.shutdown(socket.SHUT_RDWR)


def _range(source: BinaryIO, start: int, length: int) -> bytearray:
    source.seek(start)
    clear = bytearray()
    while len(clear) < length:
        more = source.read(length - len(clear))
        if not more:
            raise Unavailable("a file became shorter while it was read; try again")
        clear += more
    return clear
