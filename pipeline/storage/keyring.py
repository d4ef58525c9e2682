"""Key-encryption keys: what wraps every data key, and is never in the database.

They come from a file that only its owner can read (made at first use), from a value such as an
environment variable, or from an operator's command that asks a key service. Whoever loses them
loses whatever was sealed; whoever keeps an old copy can read an old backup of the database.
"""

from __future__ import annotations

import base64
import binascii
import fcntl
import json
import os
import re
import secrets
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from pipeline.errors import Misconfigured

KEY_BYTES = 32
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_COMMAND_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Keys:
    """Keys by id, and which of them wraps what is new."""

    current: str
    keys: Mapping[str, bytes] = field(repr=False)


class Source(Protocol):
    """Where key-encryption keys come from."""

    name: str
    """What it is called in messages."""

    def read(self) -> Keys | None:
        """All keys; None where there are none yet. Raises ``Misconfigured``."""
        ...

    def changed(self) -> bool:
        """Whether ``read`` may now answer something else than it did last."""
        ...

    def make(self) -> Keys:
        """All keys, after making a first one where there was none."""
        ...

    def begin_rotation(self) -> Keys:
        """All keys, the current one being what everything is to be wrapped under."""
        ...

    def end_rotation(self, keep: str) -> bool:
        """Drop all keys but one; false where only the operator can."""
        ...


class KeyFile:
    """Keys in a JSON file with mode 0600, replaced as a whole so that no reader sees half of it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = f"the key file {path}"
        self._seen: tuple[int, ...] | None = None

    def read(self) -> Keys | None:
        """All keys; None where there is no file."""
        try:
            with self.path.open("rb") as file:
                status = os.fstat(file.fileno())
                if status.st_mode & 0o077:
                    raise Misconfigured(
                        f"{self.name} can be read by others; run: chmod 600 {self.path}"
                    )
                content = file.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Misconfigured(f"{self.name} cannot be read: {error.strerror}") from error
        self._seen = _identity(status)
        try:
            document = json.loads(content)
            return _checked(document["current"], list(document["keys"].items()), self.name)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise Misconfigured(f"{self.name} is damaged; restore it from its backup") from None

    def changed(self) -> bool:
        """Whether the file is another one than was read last."""
        try:
            return _identity(self.path.stat()) != self._seen
        except OSError:
            return True

    def make(self) -> Keys:
        """All keys; the file is made where it is missing, by one of several who try."""
        with self._locked():
            keys = self.read()
            if keys is None:
                keys = _with_new(None)
                self._write(keys)
        return keys

    def begin_rotation(self) -> Keys:
        """All keys with a new current one; those of an interrupted rotation are taken as they are.

        Raises ``Misconfigured`` where there is no file to rotate.
        """
        with self._locked():
            keys = self.read()
            if keys is None:
                raise Misconfigured(f"{self.name} is missing; restore it from its backup")
            if len(keys.keys) == 1:
                keys = _with_new(keys)
                self._write(keys)
        return keys

    def end_rotation(self, keep: str) -> bool:
        """Drop all keys but one. Copies of the old file must be destroyed by whoever made them."""
        with self._locked():
            keys = self.read()
            if keys is None or keep not in keys.keys:
                raise Misconfigured(f"{self.name} has lost a key; restore it from its backup")
            self._write(Keys(keep, {keep: keys.keys[keep]}))
        return True

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(_beside(self.path, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise Misconfigured(
                f"{self.name} cannot be changed: {error.strerror};"
                f" give this user write access to {self.path.parent}"
            ) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _write(self, keys: Keys) -> None:
        document = {
            "current": keys.current,
            "keys": {name: base64.b64encode(key).decode() for name, key in keys.keys.items()},
        }
        new = _beside(self.path, "new")
        new.unlink(missing_ok=True)  # what a killed process left, which nobody else can be writing
        handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "w") as file:
            json.dump(document, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.path)
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


class KeyText:
    """Keys in a text, ``id:base64[,id:base64...]``; the first is the current one."""

    def __init__(self, text: str, name: str) -> None:
        self.name = name
        self._text = text

    def read(self) -> Keys | None:
        """All keys."""
        pairs: list[tuple[str, str]] = []
        for part in re.split(r"[,\s]+", self.text().strip(", \t\r\n")):
            name, colon, key = part.partition(":")
            if not colon:
                raise Misconfigured(f"{self.name} must be id:base64[,id:base64...]")
            pairs.append((name, key))
        return _checked(pairs[0][0], pairs, self.name)

    def text(self) -> str:
        """The text as it is now."""
        return self._text

    def changed(self) -> bool:
        """Never: a process keeps the text it was started with."""
        return False

    def make(self) -> Keys:
        """All keys."""
        keys = self.read()
        assert keys is not None
        return keys

    def begin_rotation(self) -> Keys:
        """All keys; the operator has put the new one first."""
        return self.make()

    def end_rotation(self, keep: str) -> bool:  # noqa: ARG002 - the operator drops the others
        """False: only the operator can change the text."""
        return False


class KeyCommand(KeyText):
    """Keys that an operator's command prints, in the form of ``KeyText``. No shell is involved."""

    def __init__(self, command: Sequence[str]) -> None:
        super().__init__("", f"the key command {command[0]}")
        self._command = tuple(command)

    def text(self) -> str:
        """What the command prints now; raises ``Misconfigured`` when it fails."""
        try:
            ended = subprocess.run(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                timeout=_COMMAND_SECONDS,
                check=False,
                text=True,
            )
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            # The error may hold what the command printed: only its kind is told.
            raise Misconfigured(f"{self.name} did not run: {type(error).__name__}") from None
        if ended.returncode:
            raise Misconfigured(f"{self.name} failed with status {ended.returncode}")
        return ended.stdout


def new_key() -> str:
    """A fresh key with an id, ``id:base64``."""
    fresh = _with_new(None)
    return f"{fresh.current}:{base64.b64encode(fresh.keys[fresh.current]).decode()}"


class KeyRing:
    """The key-encryption keys of this deployment, followed as they change. Safe for threads."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._keys: Keys | None = None
        self._lock = threading.Lock()

    @staticmethod
    def file(path: Path) -> KeyRing:
        """Keys in a file, made when a key is first needed."""
        return KeyRing(KeyFile(path.absolute()))

    @staticmethod
    def text(text: str, name: str = "the list of keys") -> KeyRing:
        """Keys in a text such as an environment variable; ``name`` stands in messages."""
        return KeyRing(KeyText(text, name))

    @staticmethod
    def command(command: Sequence[str]) -> KeyRing:
        """Keys from a command that asks a key service."""
        return KeyRing(KeyCommand(command))

    def __repr__(self) -> str:
        return f"KeyRing({self._source.name})"

    @property
    def name(self) -> str:
        """What the source is called in messages."""
        return self._source.name

    def current(self) -> tuple[str, bytes]:
        """The id and key (32 bytes) that wrap what is new; a file's is made where none exists."""
        with self._lock:
            if self._keys is None or self._source.changed():
                self._keys = self._source.read() or self._source.make()
            return self._keys.current, self._keys.keys[self._keys.current]

    def get(self, key: str) -> bytes:
        """The key of an id, 32 bytes; raises ``Misconfigured`` when it is lost."""
        with self._lock:
            if self._keys is None or key not in self._keys.keys:
                self._keys = self._source.read()
            if self._keys is None or key not in self._keys.keys:
                raise Misconfigured(
                    f"the key-encryption key {key!r} is not in {self.name}; restore it from its"
                    " backup, or bring it here from where it was rotated: without it nothing that"
                    " was sealed can be opened"
                )
            return self._keys.keys[key]

    def begin_rotation(self) -> tuple[str, tuple[str, ...]]:
        """The id that everything is to be wrapped under, and the other ids there are."""
        with self._lock:
            self._keys = keys = self._source.begin_rotation()
            return keys.current, tuple(name for name in keys.keys if name != keys.current)

    def end_rotation(self, keep: str) -> bool:
        """Drop all keys but one; false where the operator must do it. Only once none is in use."""
        with self._lock:
            ended = self._source.end_rotation(keep)
            self._keys = self._source.read()
            return ended


def _beside(path: Path, what: str) -> Path:
    return path.with_name(f".{path.name}.{what}")


def _identity(status: os.stat_result) -> tuple[int, ...]:
    # A replaced file may get an old inode again, hence the times as well.
    return (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_mode)


def _with_new(old: Keys | None) -> Keys:
    name = f"k{secrets.token_hex(6)}"
    return Keys(name, {name: secrets.token_bytes(KEY_BYTES), **(old.keys if old else {})})


def _checked(current: str, pairs: Sequence[tuple[str, str]], source: str) -> Keys:
    keys: dict[str, bytes] = {}
    for name, text in pairs:
        if not _ID.fullmatch(name) or name in keys:
            raise Misconfigured(f"in {source} an id is unusable or stands twice")
        try:
            keys[name] = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raise Misconfigured(f"in {source} the key of {name!r} is not base64") from None
        if len(keys[name]) != KEY_BYTES:
            raise Misconfigured(f"in {source} the key of {name!r} is not {KEY_BYTES} bytes long")
    if current not in keys:
        raise Misconfigured(f"{source} has no current key; restore it from its backup")
    return Keys(current, keys)
