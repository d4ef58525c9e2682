"""How a service, the nursery and the decoders talk: small messages, and bytes in sealed memory.

A message is JSON and may bring one descriptor. Bytes and pixels never pass through it: they lie in
a memory file that its maker sealed, so that whoever maps it can neither change it nor be surprised
by another's change of it.
"""

from __future__ import annotations

import fcntl
import json
import mmap
import os
import socket
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from PIL import Image

LARGEST = 32 << 10
"""Bytes of the longest message."""

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
