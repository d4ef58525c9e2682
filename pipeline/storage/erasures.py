"""What was erased: rows that triggers write, and lists that outlive the database."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from uuid import UUID

from pipeline.domain.audit import canonical_json
from pipeline.domain.erasures import Erasure, Place
from pipeline.domain.ids import EntryId, PersonId
from pipeline.errors import Misconfigured, Tampered, Unavailable
from pipeline.storage import Queries

_TAIL = 1 << 16


class PgErasures:
    """See ``pipeline.ports.Erasures``."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    def after(self, seq: int, limit: int) -> list[Erasure]:
        """See the port."""
        self._queries.one("erasures_hold")
        self._queries.run("erasures_number")
        return [
            Erasure(row["seq"], row["what"], row["at"], row["owner"], tuple(row["entries"] or ()))
            for row in self._queries.all("erasures_after", seq=seq, limit=limit)
        ]

    def found(self, digests: Iterable[bytes]) -> dict[bytes, tuple[UUID, str]]:
        """See the port."""
        rows = self._queries.all("erasures_found", digests=list(digests))
        return {row["digest"]: (row["owner"], row["kind"]) for row in rows}

    def owners(self, entries: Iterable[EntryId]) -> dict[EntryId, PersonId]:
        """See the port."""
        rows = self._queries.all("erasures_owners", entries=list(entries))
        return {EntryId(row["id"]): row["person"] for row in rows}


class ErasureList:
    """A file (0600) of lines of JSON, appended to under a lock; each line is tied to those before.

    It holds ids that say nothing without the database. Keep it apart from the database and its
    backups: on the day when those are restored, it is what knows who has left since.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def place(self) -> Place:
        """How far the list reaches; the beginning where there is no file yet."""
        with self._opened(fcntl.LOCK_SH) as file:
            return Place() if file is None else self._last(file)

    @contextmanager
    def appending(self) -> Iterator[Place]:
        """Hold the list so that nobody else appends; gives how far it reaches."""
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _away(self.path, error) from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            # A write that a crash cut short: nobody was told that these lines are there.
            os.ftruncate(file, _last_line(file)[0])
            self._file = file
            yield self._last(file)
        finally:
            os.close(file)

    def append(self, erasures: Iterable[Erasure], place: Place) -> Place:
        """Write lines after ``place``, on the disk for good on return. Within ``appending``."""
        lines, last = [], place
        for erasure in erasures:
            last = Place(erasure.seq, erasure.link(last.link))
            lines.append(canonical_json({**erasure.document(), "link": last.link}) + "\n")
        try:
            os.lseek(self._file, 0, os.SEEK_END)
            data = "".join(lines).encode()
            while data:
                data = data[os.write(self._file, data) :]
            os.fsync(self._file)
        except OSError as error:
            raise _away(self.path, error) from error
        return last

    def since(self, place: Place) -> Iterator[Erasure]:
        """All lines after ``place``, each proved to follow from those before.

        Raises ``Tampered`` for a list that does not hold ``place`` or whose lines do not follow.
        """
        at, reached = Place(), place.seq == 0
        with self._opened(fcntl.LOCK_SH) as file:
            if file is None:
                raise Misconfigured(
                    f"there is no list of erasures at {self.path}; name the newest copy of it:"
                    " without it nobody can say who has left since the backup was made"
                )
            with os.fdopen(os.dup(file), encoding="utf-8") as lines:
                for number, line in enumerate(lines, start=1):
                    if not line.endswith("\n"):  # cut short by a crash
                        break
                    erasure, link = self._read(line, number)
                    at = Place(erasure.seq, erasure.link(at.link))
                    if at.link != link:
                        raise Tampered(
                            f"line {number} of {self.path} does not follow from those before"
                        )
                    if reached:
                        yield erasure
                    reached = reached or at == place
        if not reached:
            raise Tampered(
                f"{self.path} is not the list that the backup was made beside, or an older copy of"
                " it; name the newest copy"
            )

    def _read(self, line: str, number: int) -> tuple[Erasure, str]:
        try:
            said = json.loads(line)
            owner = said.get("owner")
            return Erasure(
                said["seq"],
                said["what"],
                datetime.fromisoformat(said["at"]),
                bytes.fromhex(owner) if owner else None,
                tuple(EntryId(entry) for entry in said.get("entries", ())),
            ), said["link"]
        except (ValueError, KeyError, TypeError, AttributeError):
            raise Tampered(f"line {number} of {self.path} cannot be read") from None

    def _last(self, file: int) -> Place:
        _, line = _last_line(file)
        if not line:
            return Place()
        erasure, link = self._read(line.decode(errors="replace"), -1)
        return Place(erasure.seq, link)

    @contextmanager
    def _opened(self, how: int) -> Iterator[int | None]:
        try:
            file = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            yield None
            return
        except OSError as error:
            raise _away(self.path, error) from error
        try:
            fcntl.flock(file, how)
            yield file
        finally:
            os.close(file)


def _away(path: Path, error: OSError) -> Unavailable:
    return Unavailable(
        f"the list of erasures {path} does not work ({error.strerror}); check its disk and owner"
    )


def _last_line(file: int) -> tuple[int, bytes]:
    """Where the last whole line of a file ends, and the line itself without its end."""
    size, tail = os.fstat(file).st_size, _TAIL
    while True:
        start = max(0, size - tail)
        read = os.pread(file, size - start, start)
        end = read.rfind(b"\n") + 1
        before = read.rfind(b"\n", 0, max(0, end - 1)) + 1
        if start == 0 or before:
            return start + end, read[before : max(0, end - 1)]
        tail *= 4
