"""Media under review as sealed files in a folder; clear bytes never touch the disk.

A blob is a version byte, 7 random bytes, then chunks of 64 KiB, each sealed with AES-256-GCM
under a nonce of the random bytes, the chunk's number and whether it is the last: the STREAM
construction (Hoang, Reyhanitabar, Rogaway, Vizar 2015), so that chunks cannot be dropped,
reordered or added unnoticed. The key is derived from the medium's own for this blob alone.

Destroying unlinks the file. Overwriting it first would promise nothing on a journaled file system
or a solid-state disk: what makes the bytes unreadable is that the medium's key is shredded.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from pipeline.domain.ids import MediaId
from pipeline.errors import NotFound, Tampered, Unavailable

CHUNK = 64 * 1024
"""Clear bytes in every chunk but the last, which has 0 to this many."""

_VERSION = 1
_PREFIX = 7
_TAG = 16
_SEALED = ".sealed"
_PART = ".part"


class FolderBlobs:
    """Blobs in a folder with mode 0700, a file with mode 0600 each."""

    def __init__(self, root: Path) -> None:
        self._root = root
        root.mkdir(mode=0o700, parents=True, exist_ok=True)

    def put(self, name: MediaId, key: bytes, chunks: Iterable[bytes]) -> int:
        """Seal and keep a stream under a name, replacing what had it; the number of clear bytes.

        All or nothing, and on the disk for good when it returns. Raises ``Unavailable`` when the
        folder cannot be written.
        """
        place = self._place(name)
        part = place.with_name(f"{name}.{secrets.token_hex(6)}{_PART}")
        try:
            place.parent.mkdir(mode=0o700, exist_ok=True)
            handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(handle, "wb") as file:
                size = _seal_into(file, name, key, chunks)
                file.flush()
                os.fsync(file.fileno())
            part.replace(place)
            _sync_folder(place.parent)
        except BaseException as error:
            with suppress(OSError):
                part.unlink(missing_ok=True)
            if isinstance(error, OSError):
                raise _away(error) from error
            raise
        return size

    def read(self, name: MediaId, key: bytes) -> Iterator[bytes]:
        """The clear bytes, up to 64 KiB at a time.

        A chunk comes out once it has proved itself, the end once everything has: whoever cannot
        use half of a medium must wait for the end. Raises ``NotFound``, ``Tampered`` or
        ``Unavailable``.
        """
        try:
            with self._place(name).open("rb") as file:
                head = file.read(1 + _PREFIX)
                if len(head) < 1 + _PREFIX or head[0] != _VERSION:
                    raise Tampered(f"the blob of medium {name} has no known form")
                sealer = _Sealer(name, key, head[1:])
                sealed = file.read(CHUNK + _TAG)
                while True:
                    following = file.read(CHUNK + _TAG)
                    yield sealer.open(sealed, last=not following)
                    if not following:
                        return
                    sealed = following
        except FileNotFoundError:
            raise NotFound(f"there is no blob of medium {name}") from None
        except OSError as error:
            raise _away(error) from error

    def destroy(self, name: MediaId) -> bool:
        """Remove a blob and whatever an interrupted ``put`` left of it; false when nothing was."""
        place, gone = self._place(name), False
        try:
            for file in (place, *place.parent.glob(f"{name}.*{_PART}")):
                with suppress(FileNotFoundError):
                    file.unlink()
                    gone = True
            if gone:
                _sync_folder(place.parent)
        except OSError as error:
            raise _away(error) from error
        return gone

    def older_than(self, age: timedelta) -> Iterator[MediaId]:
        """Names whose file, finished or not, was last written longer ago than ``age``."""
        before = time.time() - age.total_seconds()
        for folder in sorted(self._root.glob("[0-9a-f][0-9a-f]")):
            found: set[MediaId] = set()
            for file in folder.iterdir():
                name, _, rest = file.name.partition(".")
                with suppress(ValueError, FileNotFoundError):
                    if file.suffix in (_SEALED, _PART) and rest and file.stat().st_mtime <= before:
                        found.add(MediaId(UUID(name)))
            yield from sorted(found)

    def _place(self, name: MediaId) -> Path:
        # The last digits: those of a time-ordered id are random, its first ones are not.
        return self._root / name.hex[-2:] / f"{name}{_SEALED}"


class _Sealer:
    """Seals or opens the chunks of one blob, in order."""

    def __init__(self, name: MediaId, key: bytes, prefix: bytes) -> None:
        info = f"consentry/1/blob/{name}".encode()
        self._cipher = AESGCM(HKDFExpand(SHA256(), 32, info).derive(key))
        self._name = name
        self._prefix = prefix
        self._number = 0

    def seal(self, clear: bytes, *, last: bool) -> bytes:
        return self._cipher.encrypt(self._nonce(last=last), clear, self._bound())

    def open(self, sealed: bytes, *, last: bool) -> bytes:
        try:
            return self._cipher.decrypt(self._nonce(last=last), sealed, self._bound())
        except (InvalidTag, ValueError):
            raise Tampered(
                f"the blob of medium {self._name} does not open: it was changed, cut short,"
                " or sealed under another key"
            ) from None

    def _nonce(self, *, last: bool) -> bytes:
        number = self._number.to_bytes(4, "big")
        self._number += 1
        return self._prefix + number + bytes((last,))

    def _bound(self) -> bytes:
        return f"blob|{self._name}|{_VERSION}".encode()


def _cut(chunks: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    """The stream in pieces of ``CHUNK`` bytes, and whether each is the last. Never none at all."""
    held = bytearray()
    for chunk in chunks:
        held += chunk
        while len(held) > CHUNK:  # a full piece is held back until it is known not to be the last
            yield bytes(held[:CHUNK]), False
            del held[:CHUNK]
    yield bytes(held), True


def _seal_into(file: BinaryIO, name: MediaId, key: bytes, chunks: Iterable[bytes]) -> int:
    prefix = secrets.token_bytes(_PREFIX)
    sealer = _Sealer(name, key, prefix)
    file.write(bytes((_VERSION,)) + prefix)
    size = 0
    for clear, last in _cut(chunks):
        size += len(clear)
        file.write(sealer.seal(clear, last=last))
    return size


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _away(error: OSError) -> Unavailable:
    return Unavailable(
        f"the folder of media under review does not work ({error.strerror});"
        " check its free space and permissions"
    )
