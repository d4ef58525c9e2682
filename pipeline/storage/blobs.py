"""Media under review as sealed files in a folder; clear bytes never touch the disk.

A blob is a stream sealed under its medium's own key (``streams``).

Destroying unlinks the file. Overwriting it first would promise nothing on a journaled file system
or a solid-state disk: what makes the bytes unreadable is that the medium's key is shredded.
"""

from __future__ import annotations

import io
import os
import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO, cast
from uuid import UUID

from pipeline.domain.ids import MediaId
from pipeline.errors import NotFound, Unavailable
from pipeline.storage.streams import CHUNK, StreamReader, StreamWriter, open_stream

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
        writer = self.begin(name, key)
        try:
            for chunk in chunks:
                writer.write(chunk)
            return writer.finish()
        except BaseException:
            writer.abandon()
            raise

    def begin(self, name: MediaId, key: bytes) -> Writing:
        """A blob that comes in pieces; nothing has its name until it is finished.

        Raises ``Unavailable`` as ``put`` does, at any step.
        """
        return Writing(self._place(name), name, key)

    def read(self, name: MediaId, key: bytes) -> Iterator[bytes]:
        """The clear bytes, up to 64 KiB at a time.

        A chunk comes out once it has proved itself, the end once everything has: whoever cannot
        use half of a medium must wait for the end. Raises ``NotFound``, ``Tampered`` or
        ``Unavailable``.
        """
        try:
            with self._place(name).open("rb") as file:
                yield from open_stream(file, key, "blob", str(name))
        except FileNotFoundError:
            raise NotFound(f"there is no blob of medium {name}") from None
        except OSError as error:
            raise _away(error) from error

    def open(self, name: MediaId, key: bytes) -> BinaryIO:
        """The clear bytes as an open file, to be read from any place on; it holds a chunk.

        Each read can raise ``Tampered`` or ``Unavailable``; opening ``NotFound`` as well.
        """
        try:
            file = self._place(name).open("rb")
        except FileNotFoundError:
            raise NotFound(f"there is no blob of medium {name}") from None
        except OSError as error:
            raise _away(error) from error
        try:
            return cast(BinaryIO, io.BufferedReader(_Clear(file, key, "blob", str(name)), CHUNK))
        except BaseException:
            file.close()
            raise

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


class _Clear(StreamReader):
    """A blob's clear bytes."""

    def readinto(self, buffer: Any) -> int:
        """See ``StreamReader``."""
        with _our_trouble():
            return super().readinto(buffer)


class Writing:
    """A blob while it is written: sealed piece by piece beside its place, moved there at the end.

    Used by one thread at a time.
    """

    def __init__(self, place: Path, name: MediaId, key: bytes) -> None:
        self._place = place
        self._part = place.with_name(f"{name}.{secrets.token_hex(6)}{_PART}")
        with _our_trouble():
            place.parent.mkdir(mode=0o700, exist_ok=True)
            handle = os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            self._file = os.fdopen(handle, "wb")
            self._stream = StreamWriter(self._file, key, "blob", str(name))

    def write(self, chunk: bytes) -> None:
        """The next clear bytes."""
        with _our_trouble():
            self._stream.write(chunk)

    def finish(self) -> int:
        """Give the blob its name, for good; the number of clear bytes."""
        with _our_trouble():
            size = self._stream.finish()
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._part.replace(self._place)
            _sync_folder(self._place.parent)
        return size

    def abandon(self) -> None:
        """Leave nothing of it, unless it is finished."""
        with suppress(OSError):
            self._file.close()
        with suppress(OSError):
            self._part.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _our_trouble() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _away(error) from error


def _away(error: OSError) -> Unavailable:
    return Unavailable(
        f"the folder of media under review does not work ({error.strerror});"
        " check its free space and permissions"
    )
