"""Where index segments are published for other hosts: a folder or a store such as S3, sealed.

A generation lies sealed under a key of its own, which is in the vault and goes nowhere else: once
it is shredded, no copy that a store, its versions or its backups still hold can be read. The note
``current`` names the newest generation; what it stands for is sealed, too, for whoever could make
an old one look new would undo removals.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

from pipeline.domain.ids import MediaId, ProcessId
from pipeline.errors import Misconfigured, NotFound, Tampered, Unavailable
from pipeline.ports import Shelved, Unit
from pipeline.storage.streams import CHUNK, open_stream, seal_stream

_NOTE, _COLUMN, _KIND = "current.json", "depot.current", "segment"


class StoreDepot:
    """See ``pipeline.ports.Depot``; whatever ``fsspec`` knows."""

    def __init__(self, url: str) -> None:
        try:
            import fsspec
        except ImportError:
            raise Misconfigured(
                "publishing index segments needs fsspec (and s3fs for s3://):"
                " install consentry[cluster]"
            ) from None
        self.name = url
        self._files: Any
        self._files, root = fsspec.core.url_to_fs(url)
        self._root = str(root).rstrip("/")

    def current(self, unit: Unit) -> Shelved | None:
        """See the port."""
        try:
            note = json.loads(self._files.cat_file(f"{self._root}/{_NOTE}"))
            name = ProcessId(UUID(str(note["name"])))
            clear = unit.vault.unseal(MediaId(name), _COLUMN, bytes.fromhex(note["sealed"]))
            said = json.loads(clear)
            return Shelved(name, int(said["sequence"]), str(said["mark"]))
        except (FileNotFoundError, NotFound):
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise Tampered("the depot's note of its newest segments is not ours") from error
        except OSError as error:
            raise _away() from error

    def put(self, shelved: Shelved, folder: Path, key: bytes, note: bytes) -> None:
        """See the port."""
        place = f"{self._root}/{shelved.name}"
        try:
            self._files.makedirs(place, exist_ok=True)
            for file in sorted(folder.glob("*.segment")):
                with self._files.open(f"{place}/{file.name}.sealed", "wb") as out:
                    seal_stream(out, key, _KIND, f"{shelved.name}/{file.name}", _chunks(file))
            said = json.dumps({"name": str(shelved.name), "sealed": note.hex()})
            self._files.pipe_file(f"{self._root}/{_NOTE}", said.encode())
        except OSError as error:
            raise _away() from error

    def get(self, name: ProcessId, folder: Path, key: bytes) -> None:
        """See the port."""
        place = f"{self._root}/{name}"
        try:
            for path in self._files.find(place):
                called = str(path).rpartition("/")[2].removesuffix(".sealed")
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
                with (
                    self._files.open(path, "rb") as sealed,
                    os.fdopen(os.open(folder / called, flags, 0o600), "wb") as out,
                ):
                    for clear in open_stream(sealed, key, _KIND, f"{name}/{called}"):
                        out.write(clear)
        except FileNotFoundError:
            raise NotFound(f"the depot has no segments {name} any more") from None
        except OSError as error:
            raise _away() from error

    def destroy(self, name: ProcessId) -> None:
        """See the port."""
        try:
            self._files.rm(f"{self._root}/{name}", recursive=True)
        except FileNotFoundError:
            return
        except OSError as error:
            raise _away() from error


def _chunks(file: Path) -> Iterator[bytes]:
    with file.open("rb") as clear:
        while some := clear.read(CHUNK):
            yield some


def _away() -> Unavailable:
    return Unavailable("the depot of index segments does not answer; indexes are rebuilt meanwhile")
