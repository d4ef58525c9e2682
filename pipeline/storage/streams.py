"""Streams sealed piece by piece, so that what is large is never whole in memory.

A sealed stream is a version byte, 7 random bytes, then chunks of 64 KiB, each sealed with
AES-256-GCM under a nonce of the random bytes, the chunk's number and whether it is the last: the
STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizar 2015), so that chunks cannot be dropped,
reordered or added unnoticed. The key is derived from the given one for this stream alone.
"""

from __future__ import annotations

import io
import secrets
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from pipeline.errors import Tampered

CHUNK = 64 * 1024
"""Clear bytes in every chunk but the last, which has 0 to this many."""

_VERSION = 1
_PREFIX = 7
_TAG = 16


def seal_stream(file: BinaryIO, key: bytes, kind: str, name: str, chunks: Iterable[bytes]) -> int:
    """Seal a stream into a file under a 32-byte key; the number of clear bytes."""
    writer = StreamWriter(file, key, kind, name)
    for chunk in chunks:
        writer.write(chunk)
    return writer.finish()


class StreamWriter:
    """A stream that is sealed as it comes; it holds a chunk."""

    def __init__(self, file: BinaryIO, key: bytes, kind: str, name: str) -> None:
        prefix = secrets.token_bytes(_PREFIX)
        self._sealer, self._file = _Sealer(key, kind, name, prefix), file
        self._held, self._size = bytearray(), 0
        file.write(bytes((_VERSION,)) + prefix)

    def write(self, clear: bytes) -> None:
        """The next clear bytes."""
        self._held += clear
        while len(self._held) > CHUNK:  # one is held back until it is known not to be the last
            self._put(bytes(self._held[:CHUNK]), last=False)
            del self._held[:CHUNK]

    def finish(self) -> int:
        """The end; the number of clear bytes."""
        self._put(bytes(self._held), last=True)
        self._held.clear()
        return self._size

    def _put(self, clear: bytes, *, last: bool) -> None:
        self._size += len(clear)
        self._file.write(self._sealer.seal(clear, last=last))


def open_stream(file: BinaryIO, key: bytes, kind: str, name: str) -> Iterator[bytes]:
    """The clear bytes, up to 64 KiB at a time, read from where the file stands.

    A chunk comes out once it has proved itself, the end once everything has: whoever cannot use
    half of it must wait for the end. Raises ``Tampered``.
    """
    head = file.read(1 + _PREFIX)
    if len(head) < 1 + _PREFIX or head[0] != _VERSION:
        raise Tampered(f"the sealed {kind} {name} has no known form")
    sealer = _Sealer(key, kind, name, head[1:])
    sealed = file.read(CHUNK + _TAG)
    while True:
        following = file.read(CHUNK + _TAG)
        yield sealer.open(sealed, last=not following)
        if not following:
            return
        sealed = following


class StreamReader(io.RawIOBase):
    """A sealed stream's clear bytes from any place on; it holds a chunk and the file it is given.

    Used by one thread at a time. Raises ``Tampered``, at once where the end was cut off.
    """

    def __init__(self, file: BinaryIO, key: bytes, kind: str, name: str) -> None:
        """``file`` is closed with this one."""
        super().__init__()
        self._file, self._place, self._held = file, 0, (-1, b"")
        head = file.read(1 + _PREFIX)
        sealed = file.seek(0, io.SEEK_END) - len(head)
        self._last = max(0, sealed - 1) // (CHUNK + _TAG)
        if len(head) < 1 + _PREFIX or head[0] != _VERSION or sealed < _TAG:
            raise Tampered(f"the sealed {kind} {name} has no known form")
        self._sealer = _Sealer(key, kind, name, head[1:])
        self.size = sealed - (self._last + 1) * _TAG
        """Clear bytes."""
        self._chunk(self._last)  # it proves that it is the last

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place; beyond the end there is nothing to read."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self.size}[whence]
        self._place = max(0, base + offset)
        return self._place

    def readinto(self, buffer: Any) -> int:
        """Up to the end of a chunk."""
        number, start = divmod(self._place, CHUNK)
        if self._place >= self.size:
            return 0
        clear = self._chunk(number)[start : start + len(buffer)]
        buffer[: len(clear)] = clear
        self._place += len(clear)
        return len(clear)

    def close(self) -> None:
        """Close the file, too."""
        self._held = (-1, b"")
        self._file.close()
        super().close()

    def _chunk(self, number: int) -> bytes:
        if self._held[0] != number:
            self._file.seek(1 + _PREFIX + number * (CHUNK + _TAG))
            sealed = self._file.read(CHUNK + _TAG)
            clear = self._sealer.open(sealed, last=number == self._last, number=number)
            self._held = (number, clear)
        return self._held[1]


class _Sealer:
    """Seals or opens the chunks of one stream, in order unless a number is given."""

    def __init__(self, key: bytes, kind: str, name: str, prefix: bytes) -> None:
        info = f"consentry/1/{kind}/{name}".encode()
        self._cipher = AESGCM(HKDFExpand(SHA256(), 32, info).derive(key))
        self._kind, self._name = kind, name
        self._prefix = prefix
        self._number = 0

    def seal(self, clear: bytes, *, last: bool) -> bytes:
        return self._cipher.encrypt(self._nonce(last=last), clear, self._bound())

    def open(self, sealed: bytes, *, last: bool, number: int | None = None) -> bytes:
        if number is not None:
            self._number = number
        try:
            return self._cipher.decrypt(self._nonce(last=last), sealed, self._bound())
        except (InvalidTag, ValueError):
            raise Tampered(
                f"the sealed {self._kind} {self._name} does not open: it was changed, cut short,"
                " or sealed under another key"
            ) from None

    def _nonce(self, *, last: bool) -> bytes:
        number = self._number.to_bytes(4, "big")
        self._number += 1
        return self._prefix + number + bytes((last,))

    def _bound(self) -> bytes:
        return f"{self._kind}|{self._name}|{_VERSION}".encode()
