"""Where the processes of a host share one copy of each index: a folder on a tmpfs.

A *generation* is a folder of segment files that stand for one sequence of the change log. The file
``current`` names the newest. Whoever uses a generation holds a shared lock on its file ``in-use``,
which the kernel takes back however a process ends; a generation that nobody uses can therefore be
told from one that somebody does, and be destroyed. One process at a time writes a new one.

The segments hold codes in the clear: that is what makes them worth sharing (sealed pages would have
to be opened into every process's own memory). Hence a tmpfs: nothing lies on a disk, nothing is
left after a boot, and the folder is closed to everybody else. It can be swapped out like any other
memory: run with swap off or encrypted.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from pipeline.domain.ids import ProcessId
from pipeline.errors import Misconfigured
from pipeline.ports import Shelved

_POINTER, _IN_USE, _WRITING = "current", "in-use", "writing"


@dataclass(slots=True)
class Use:
    """A generation in use, until ``close``."""

    folder: Path
    _handle: int

    def close(self) -> None:
        """Use it no longer."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


class FolderShelf:
    """See ``pipeline.ports.Shelf``."""

    def __init__(self, folder: Path, *, may_be_disk: bool = False) -> None:
        self.folder, self.may_be_disk = folder, may_be_disk

    def _make(self) -> None:
        try:
            self.folder.mkdir(mode=0o700, exist_ok=True)
            status = self.folder.lstat()
        except OSError as error:
            raise Misconfigured(
                f"{self.folder} cannot be used for shared indexes ({error.strerror});"
                " name another folder on a tmpfs in CONSENTRY_SEGMENTS, or none"
            ) from error
        closed = stat.S_ISDIR(status.st_mode) and not status.st_mode & 0o077
        if not closed or status.st_uid != os.geteuid():
            raise Misconfigured(
                f"{self.folder} must be a folder of this user with mode 0700; remove it or name"
                " another in CONSENTRY_SEGMENTS"
            )

    @property
    def name(self) -> str:
        """Tells this host's shelf from others."""
        return str(self.folder)

    def current(self) -> Shelved | None:
        """See the port."""
        try:
            said = json.loads((self.folder / _POINTER).read_text(encoding="ascii"))
            return Shelved(
                ProcessId(UUID(str(said["name"]))), int(said["sequence"]), str(said["mark"])
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def use(self, name: ProcessId) -> Use | None:
        """See the port."""
        folder = self.folder / str(name)
        try:
            handle = os.open(folder / _IN_USE, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return None
        fcntl.flock(handle, fcntl.LOCK_SH)
        if os.fstat(handle).st_nlink == 0:  # destroyed while we waited
            os.close(handle)
            return None
        return Use(folder, handle)

    @contextmanager
    def writing(self, name: ProcessId) -> Iterator[Path | None]:
        """See the port."""
        self._make()
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        lock = os.open(self.folder / _WRITING, flags, 0o600)
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield None
                return
            self._tidy()
            folder = self.folder / str(name)
            folder.mkdir(mode=0o700)
            in_use = os.open(folder / _IN_USE, flags, 0o600)
            fcntl.flock(in_use, fcntl.LOCK_SH)
            try:
                yield folder
            finally:
                os.close(in_use)
                said = self.current()
                if said is None or said.name != name:
                    shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(lock)

    def publish(self, shelved: Shelved) -> None:
        """See the port."""
        document = {
            "name": str(shelved.name), "sequence": shelved.sequence, "mark": shelved.mark,
        }  # fmt: skip
        beside = self.folder / f".{_POINTER}"
        beside.write_text(json.dumps(document), encoding="ascii")
        beside.replace(self.folder / _POINTER)
        self._tidy()

    def destroy_unused(self, name: ProcessId) -> bool:
        """See the port."""
        folder = self.folder / str(name)
        try:
            handle = os.open(folder / _IN_USE, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            shutil.rmtree(folder, ignore_errors=True)
            return not folder.exists()
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        else:
            said = self.current()
            if said is not None and said.name == name:
                with suppress(FileNotFoundError):
                    (self.folder / _POINTER).unlink()
            shutil.rmtree(folder, ignore_errors=True)
            return not folder.exists()
        finally:
            os.close(handle)

    def _tidy(self) -> None:
        """Unlink every generation but the current one; who still maps one keeps its pages."""
        said = self.current()
        for folder in self.folder.iterdir():
            if folder.is_dir() and (said is None or folder.name != str(said.name)):
                shutil.rmtree(folder, ignore_errors=True)
