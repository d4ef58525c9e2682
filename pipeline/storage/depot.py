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
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any
from uuid import UUID

from pipeline.domain.ids import MediaId, ProcessId
from pipeline.errors import Misconfigured, NotFound, Tampered, Unavailable
from pipeline.ports import Shelved, Unit
from pipeline.storage.afar import asking
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
            with _asking():
                note = json.loads(self._files.cat_file(f"{self._root}/{_NOTE}"))
            name = ProcessId(UUID(str(note["name"])))
            clear = unit.vault.unseal(MediaId(name), _COLUMN, bytes.fromhex(note["sealed"]))
            said = json.loads(clear)
            return Shelved(name, int(said["sequence"]), str(said["mark"]))
        except (FileNotFoundError, NotFound):
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise Tampered("the depot's note of its newest segments is not ours") from error

    def put(self, shelved: Shelved, folder: Path, key: bytes, note: bytes) -> None:
        """See the port."""
        place = f"{self._root}/{shelved.name}"
        try:
            with _asking():
                self._files.makedirs(place, exist_ok=True)
                for file in sorted(folder.glob("*.segment")):
                    with self._files.open(f"{place}/{file.name}.sealed", "wb") as out:
                        seal_stream(out, key, _KIND, f"{shelved.name}/{file.name}", _chunks(file))
                said = json.dumps({"name": str(shelved.name), "sealed": note.hex()})
                self._files.pipe_file(f"{self._root}/{_NOTE}", said.encode())
        except FileNotFoundError as error:
            raise Unavailable(f"there is no {self.name}: make the bucket or the folder") from error

    def get(self, name: ProcessId, folder: Path, key: bytes) -> None:
        """See the port."""
        place = f"{self._root}/{name}"
        try:
            with _asking():
                found = self._files.find(place)
                for path in found:
                    called = str(path).rpartition("/")[2].removesuffix(".sealed")
                    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
                    with (
                        self._files.open(path, "rb") as sealed,
                        os.fdopen(os.open(folder / called, flags, 0o600), "wb") as out,
                    ):
                        for clear in open_stream(sealed, key, _KIND, f"{name}/{called}"):
                            out.write(clear)
        except FileNotFoundError:
            found = []
        if not found:  # a store has no folders: one without files is none
            raise NotFound(f"the depot has no segments {name} any more")

    def destroy(self, name: ProcessId) -> None:
        """See the port."""
        with suppress(FileNotFoundError), _asking():
            self._files.rm(f"{self._root}/{name}", recursive=True)


def _chunks(file: Path) -> Iterator[bytes]:
    with file.open("rb") as clear:
        while some := clear.read(CHUNK):
            yield some


def _asking() -> AbstractContextManager[None]:
    return asking("the depot of index segments", "indexes are rebuilt meanwhile")
