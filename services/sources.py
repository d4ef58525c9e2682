"""Where old media can be read: a folder, a store such as s3://, or a platform's list of addresses.

A list is a file of lines ``content id<TAB>address``. Addresses are gone to as those that platforms
send us are: on hosts that are entered for the platform, and on no other (``pipeline.outside``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from pipeline import outside
from pipeline.errors import Invalid, Misconfigured, RefusalReason, Refused, Unavailable
from pipeline.journeys.sift import Source
from pipeline.ports import Reference
from pipeline.storage.afar import asking

_SECONDS = 30.0
_STORE = "the source's store"


class FolderSource:
    """A folder; a medium's content id is its path in it."""

    def __init__(self, folder: Path, most: int) -> None:
        self._folder, self._most = folder.resolve(), most

    def references(self) -> Iterator[Reference]:
        """All files, in order of their paths."""
        for file in sorted(path for path in self._folder.rglob("*") if path.is_file()):
            name = file.relative_to(self._folder).as_posix()
            yield Reference(name, name)

    def read(self, place: str) -> bytes:
        """A file's bytes."""
        file = (self._folder / place).resolve()
        if not file.is_relative_to(self._folder):
            raise Refused(RefusalReason.UNDECODABLE, "this path leads out of the folder")
        try:
            if file.stat().st_size > self._most:
                raise _large(self._most)
            return file.read_bytes()
        except FileNotFoundError:
            raise _gone() from None
        except OSError as error:
            raise Unavailable(f"the source cannot be read now ({error.strerror})") from error


class StoreSource:
    """A store that ``fsspec`` knows, such as s3://bucket/prefix or memory://folder."""

    def __init__(self, url: str, most: int) -> None:
        try:
            import fsspec
        except ImportError:
            raise Misconfigured(
                "reading from a store needs fsspec (and s3fs for s3://): install consentry[cluster]"
            ) from None
        self._files: Any
        self._files, self._root = fsspec.core.url_to_fs(url)
        self._url, self._most = url, most

    def references(self) -> Iterator[Reference]:
        """All objects under the prefix, in order of their names."""
        root = self._root.rstrip("/") + "/"
        found = []
        with suppress(FileNotFoundError), asking(_STORE):
            found = sorted(self._files.find(self._root))
        if not found:
            raise Invalid(f"there is nothing at {self._url}: see the bucket's name and the prefix")
        for path in found:
            name = str(path).removeprefix(root)
            yield Reference(name, name)

    def read(self, place: str) -> bytes:
        """An object's bytes."""
        path = str(PurePosixPath(self._root) / place)
        try:
            with asking(_STORE):
                if int(self._files.size(path) or 0) > self._most:
                    raise _large(self._most)
                found: bytes = self._files.cat_file(path)
        except FileNotFoundError:
            raise _gone() from None
        return found


class ListSource:
    """A platform's list of content ids and addresses."""

    def __init__(self, file: Path, most: int, hosts: Mapping[str, bool]) -> None:
        """``hosts`` are those entered for the platform, and whether each may be private."""
        self._file, self._most, self._hosts = file, most, hosts

    def references(self) -> Iterator[Reference]:
        """One a line."""
        with self._file.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                content_id, tab, address = line.rstrip("\n").partition("\t")
                if not tab or not address:
                    raise Invalid(f"line {number} is not: content id, a tab, an address")
                yield Reference(content_id, address)

    def read(self, place: str) -> bytes:
        """What an address gives."""
        private = self._hosts.get((urlsplit(place).hostname or "").rstrip("."))
        if private is None:
            raise Refused(
                RefusalReason.UNDECODABLE,
                "this address is on a host that is not entered for the platform",
            )
        try:
            with outside.client(private=private) as http:
                return outside.fetch(http, place, most=self._most, seconds=_SECONDS)
        except outside.Unreachable as error:
            raise Refused(RefusalReason.UNDECODABLE, str(error)) from error


def source_at(where: str, most: int, hosts: Mapping[str, bool]) -> Source:
    """The source that a word names; raises ``Invalid`` when there is none."""
    if "://" in where:
        return StoreSource(where, most)
    path = Path(where)
    if path.is_dir():
        return FolderSource(path, most)
    if path.is_file():
        return ListSource(path, most, hosts)
    raise Invalid(f"{where} is no folder, no list and no store such as s3://bucket/prefix")


def _gone() -> Refused:
    return Refused(RefusalReason.UNDECODABLE, "this medium is not there any more")


def _large(most: int) -> Refused:
    return Refused(RefusalReason.TOO_MANY_BYTES, f"this medium has more than {most} bytes")
