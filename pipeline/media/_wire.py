"""How a service, the nursery and the decoders talk: small messages, and bytes in sealed memory.

A message is JSON and may bring one descriptor. Bytes and pixels never pass through it: they lie in
a memory file that its maker sealed, so that whoever maps it can neither change it nor be surprised
by another's change of it. What is too large for that, or lies encrypted, is read a range at a time.
"""

from __future__ import annotations

import fcntl
import io
import json
import mmap
import os
import socket
import struct
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from PIL import Image

LARGEST = 32 << 10
"""Bytes of the longest message."""

RANGE = 1 << 18
"""Bytes of the longest range of a file that is asked for at once."""

ASKED = struct.Struct("<QQ")
"""Where a range begins, and its length."""

_WORTH_IT = 1 << 18

_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


class Garbled(Exception):
    """The other end sent what it must not send; nothing that it says can be believed."""


def pair() -> tuple[socket.socket, socket.socket]:
    """Two ends of a line that keeps messages whole and tells when the other end is gone."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def send(line: socket.socket, message: Mapping[str, Any], descriptor: int | None = None) -> None:
    """Send one message; raises ``OSError`` when the other end is gone."""
    said = json.dumps(message, separators=(",", ":")).encode()
    if descriptor is None:
        line.send(said)
    else:
        socket.send_fds(line, [said], [descriptor])


def receive(line: socket.socket) -> tuple[bytes, int | None]:
    """One message and its descriptor, which the caller closes.

    Raises ``EOFError`` when the other end is gone, ``Garbled`` for more than one message may be.
    """
    try:
        said, descriptors, flags, _ = socket.recv_fds(line, LARGEST, 1, socket.MSG_CMSG_CLOEXEC)
    except ConnectionError:
        raise EOFError from None
    if not said or flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
        for descriptor in descriptors:
            os.close(descriptor)
        if said:
            raise Garbled
        raise EOFError
    return said, descriptors[0] if descriptors else None


def sealed(chunks: Iterable[Any]) -> tuple[int, list[int]]:
    """A descriptor of memory that never changes any more, and where in it each chunk ends.

    A chunk is bytes, an array, or an RGB picture.
    """
    descriptor = os.memfd_create("consentry", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    ends: list[int] = []
    try:
        for chunk in chunks:
            _write(descriptor, chunk)
            ends.append(os.lseek(descriptor, 0, os.SEEK_CUR))
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor, ends


def _write(descriptor: int, chunk: Any) -> None:
    if isinstance(chunk, Image.Image) and chunk.width * chunk.height > _WORTH_IT:
        # Pillow writes PPM straight from its memory, pixels behind a header; by way of numpy it
        # would copy them three times.
        with open(descriptor, "wb", buffering=0, closefd=False) as file:
            chunk.save(file, "PPM")
        return
    flat: Any = chunk if isinstance(chunk, bytes) else np.ascontiguousarray(chunk).reshape(-1)
    left = memoryview(flat)
    while left:
        left = left[os.write(descriptor, left) :]


class Afar(io.RawIOBase):
    """A file that somebody else reads for us, a range at a time: see ``_lending``."""

    def __init__(self, descriptor: int, size: int) -> None:
        """``descriptor`` is our end of the line, closed with this file."""
        super().__init__()
        self._line, self._size, self._place = descriptor, size, 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place; beyond the end there is nothing to read."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        self._place = max(0, base + offset)
        return self._place

    def readinto(self, buffer: Any) -> int:
        """A range, once it is there; raises ``OSError`` when there is nobody to ask."""
        length = min(len(buffer), RANGE, self._size - self._place)
        if length <= 0:
            return 0
        if os.write(self._line, ASKED.pack(self._place, length)) != ASKED.size:
            raise OSError("a question was cut short")
        left = memoryview(buffer)[:length]
        while left:
            got = os.readv(self._line, [left])
            if not got:
                raise OSError("nobody reads this file any more")
            left = left[got:]
        self._place += length
        return length

    def close(self) -> None:
        """Hang up."""
        if not self.closed:
            os.close(self._line)
        super().close()


def mapped(descriptor: int, most: int) -> mmap.mmap:
    """Sealed memory of 1 to ``most`` bytes, to be read. Raises ``Garbled`` for anything else."""
    try:
        seals = fcntl.fcntl(descriptor, fcntl.F_GET_SEALS)
        size = os.fstat(descriptor).st_size
        if seals & _SEALS != _SEALS or not 0 < size <= most:
            raise Garbled
        flags = mmap.MAP_SHARED | mmap.MAP_POPULATE
        return mmap.mmap(descriptor, size, flags=flags, prot=mmap.PROT_READ)
    except (OSError, ValueError):
        raise Garbled from None
