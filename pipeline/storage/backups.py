"""A backup: one sealed file with a consistent dump of the database and the sealed media it names.

The file is a line of JSON (when, by which deployment, the wrapped key) and a sealed stream
(``streams``). Its key is wrapped by a key-encryption key, as every data key is: whoever has the
backup alone has nothing, and once the keys were rotated and the old ones destroyed, a backup made
under them is as unreadable as everything else that was left behind.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import psycopg
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import dict_row

from pipeline.domain.audit import canonical_json
from pipeline.domain.erasures import Place
from pipeline.errors import Conflict, Invalid, Misconfigured, Tampered, Unavailable
from pipeline.storage import APP_ROLE, Queries, embedded
from pipeline.storage.keyring import KEY_BYTES, KeyRing
from pipeline.storage.migrate import RESTORING, SCHEMA
from pipeline.storage.streams import open_stream, seal_stream

FORM = "consentry-backup/1"
ROOM = 1_000_000
"""Numbers left out in every sequence after a restore."""

_BLOCK = 64 * 1024
_HEAD = 1 << 16

Progress = Callable[[str, int], None]
"""Hears the section and how many more bytes of it are done."""


@dataclass(frozen=True, slots=True)
class Head:
    """What stands before the sealed part."""

    made_at: str
    kek: str
    wrapped: bytes
    deployment: str

    def line(self) -> bytes:
        """As the file's first line."""
        document = {
            "form": FORM,
            "made_at": self.made_at,
            "kek": self.kek,
            "wrapped": base64.b64encode(self.wrapped).decode(),
            "deployment": self.deployment,
        }
        return canonical_json(document).encode() + b"\n"

    @staticmethod
    def read(file: BinaryIO) -> Head:
        """The head of an open backup, which then stands at its sealed part."""
        try:
            said = json.loads(file.readline(_HEAD))
            form, made_at, kek = said["form"], said["made_at"], said["kek"]
            head = Head(made_at, kek, base64.b64decode(said["wrapped"]), said["deployment"])
        except (ValueError, KeyError, TypeError):
            form = None
        if form != FORM:
            raise Invalid("this is not a backup that Consentry made")
        return head


def write_backup(
    path: Path,
    url: str,
    keyring: KeyRing,
    media: Path,
    place: Place,
    made_at: str,
    progress: Progress = lambda _, __: None,
) -> int:
    """Write a backup of the database at ``url`` and the media that it names; the file's size.

    ``place`` is how far the list of erasures reached before this began: whatever was erased later
    is erased again when this is restored. The file (0600) appears whole or not at all.
    """
    with psycopg.connect(url, autocommit=True) as connection:
        found = connection.execute("SELECT id FROM consentry.deployment").fetchone()
    if found is None:
        raise Misconfigured("this database has no deployment; run: consentry migrate")
    kek, wrapping = keyring.current()
    key = secrets.token_bytes(KEY_BYTES)
    head = Head(made_at, kek, aes_key_wrap(wrapping, key), str(found[0]))
    manifest = {"erasures": {"seq": place.seq, "link": place.link}, "deployment": head.deployment}
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(head.line())
            sections = _sections(canonical_json(manifest).encode(), url, media, progress)
            seal_stream(file, key, "backup", head.deployment, sections)
            file.flush()
            os.fsync(file.fileno())
            size = file.tell()
        part.replace(path)
    except BaseException as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise Unavailable(f"{path} cannot be written ({error.strerror})") from error
        raise
    return size


def _sections(manifest: bytes, url: str, media: Path, progress: Progress) -> Iterator[bytes]:
    yield from _section("manifest", [manifest], progress)
    # The media that the database names, read after it: one that came later is in no row of the
    # dump, and one that has gone meanwhile stands in the list of erasures.
    yield from _section("database", _dump(url), progress)
    for file in sorted(media.glob("[0-9a-f][0-9a-f]/*.sealed")):
        with suppress(FileNotFoundError), file.open("rb") as opened:
            name = f"media/{file.relative_to(media)}"
            yield from _section(name, _read(opened), progress)
    yield from _section("end", [], progress)


def _read(file: BinaryIO) -> Iterator[bytes]:
    while block := file.read(_BLOCK):
        yield block


def _section(name: str, blocks: Iterable[bytes], progress: Progress) -> Iterator[bytes]:
    title = name.encode()
    yield len(title).to_bytes(4, "big") + title
    for block in blocks:
        if block:
            yield len(block).to_bytes(4, "big") + block
            progress(name, len(block))
    yield (0).to_bytes(4, "big")


def _dump(url: str) -> Iterator[bytes]:
    """The database in pg_dump's own form, from one snapshot."""
    command = [
        str(embedded.program("pg_dump")), "--format=custom", "--no-owner", "--compress=gzip:1",
        f"--schema={SCHEMA}",
    ]  # fmt: skip
    with _started(command, url, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        while block := process.stdout.read(_BLOCK):
            yield block


class Backup:
    """An open backup, read once from front to back."""

    def __init__(self, file: BinaryIO, keyring: KeyRing) -> None:
        self.head = Head.read(file)
        try:
            key = aes_key_unwrap(keyring.get(self.head.kek), self.head.wrapped)
        except InvalidUnwrap:
            raise Tampered(
                f"the backup's key does not open under {self.head.kek!r}: the file was changed,"
                f" or {keyring.name} belongs to another deployment"
            ) from None
        self._clear = _Reader(open_stream(file, key, "backup", self.head.deployment))
        name, blocks = self._next()
        if name != "manifest":
            raise Tampered("the backup does not begin with its manifest")
        said = json.loads(b"".join(blocks))
        self.place = Place(said["erasures"]["seq"], said["erasures"]["link"])

    def sections(self) -> Iterator[tuple[str, Iterator[bytes]]]:
        """What follows the manifest: each section's name and bytes, to be read before the next."""
        while True:
            name, blocks = self._next()
            if name == "end":
                for _ in blocks:
                    pass
                if self._clear.read(1):
                    raise Tampered("the backup goes on after its end")
                return
            yield name, blocks

    def _next(self) -> tuple[str, Iterator[bytes]]:
        size = int.from_bytes(self._clear.exactly(4), "big")
        if size > _HEAD:
            raise Tampered("a section of the backup has no sensible name")
        return self._clear.exactly(size).decode(), self._blocks()

    def _blocks(self) -> Iterator[bytes]:
        while size := int.from_bytes(self._clear.exactly(4), "big"):
            yield self._clear.exactly(size)


class _Reader:
    """Bytes out of an iterator of chunks."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks, self._held = chunks, bytearray()

    def read(self, size: int) -> bytes:
        while len(self._held) < size:
            chunk = next(self._chunks, b"")
            if not chunk:
                break
            self._held += chunk
        taken = bytes(self._held[:size])
        del self._held[:size]
        return taken

    def exactly(self, size: int) -> bytes:
        taken = self.read(size)
        if len(taken) != size:
            raise Tampered("the backup ends before its end")
        return taken


def begin_restore(url: str) -> None:
    """Bar the database at ``url`` to every service until ``end_restore``.

    Raises ``Conflict`` when it holds a Consentry already: a restore never writes over one. One that
    an interrupted restore left is dropped and begun anew.
    """
    with psycopg.connect(url, autocommit=True) as connection, connection.transaction():
        barred = _is_there(connection, RESTORING)
        if _is_there(connection, SCHEMA):
            if not barred:
                raise Conflict(
                    "this database holds a Consentry already; restore into an empty one, or have"
                    f" its owner drop the schema first: DROP SCHEMA {SCHEMA} CASCADE"
                )
            connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(SCHEMA)))
        connection.execute(
            sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(RESTORING))
        )
        if not connection.execute("SELECT FROM pg_roles WHERE rolname = %s", (APP_ROLE,)).rowcount:
            connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(APP_ROLE)))
        connection.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(sql.Identifier(APP_ROLE)))


def leave_room(url: str, listed: int) -> None:
    """After a load: no number of the lost history is given again, and no process follows it.

    ``listed`` is the last number in the list of erasures.
    """
    with psycopg.connect(url, row_factory=dict_row) as connection:
        connection.execute(sql.SQL("SET search_path = {}").format(sql.Identifier(SCHEMA)))
        queries = Queries(connection)
        queries.run("erasures_after_restore", listed=listed, room=ROOM)
        queries.run("changes_after_restore", room=ROOM)
        queries.run("entries_after_restore", room=ROOM)
        queries.run("followers_after_restore")


def end_restore(url: str) -> None:
    """Let services in: everything that was erased since the backup has been erased again."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP SCHEMA {}").format(sql.Identifier(RESTORING)))


def load(url: str, blocks: Iterator[bytes], progress: Progress = lambda _, __: None) -> None:
    """Write a dump into the database at ``url``, as a whole or not at all."""
    command = [
        str(embedded.program("pg_restore")), "--no-owner", "--exit-on-error",
        "--single-transaction",
    ]  # fmt: skip
    with _started(command, url, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        with suppress(BrokenPipeError):  # its own end tells why
            for block in blocks:
                process.stdin.write(block)
                progress("database", len(block))
        for _ in blocks:
            pass
        with suppress(BrokenPipeError):
            process.stdin.close()


def put_medium(media: Path, name: str, blocks: Iterator[bytes]) -> int:
    """Write one sealed medium where it lay; its size."""
    _, folder, file = name.split("/")
    place = media / folder / file
    if place.parent.parent != media or not file.endswith(".sealed"):
        raise Tampered("the backup names a medium that lies outside its folder")
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    size = 0
    with os.fdopen(handle, "wb") as written:
        for block in blocks:
            size += written.write(block)
        written.flush()
        os.fsync(written.fileno())
    return size


def _is_there(connection: psycopg.Connection[Any], schema: str) -> bool:
    return connection.execute("SELECT to_regnamespace(%s)", (schema,)).fetchone() != (None,)


@contextmanager
def _started(command: list[str], url: str, **pipes: Any) -> Iterator[subprocess.Popen[bytes]]:
    """One of PostgreSQL's programs; raises ``Unavailable`` with its last words when it fails."""
    # A command line can be read by every user of the machine, an environment cannot.
    address = conninfo_to_dict(url)
    secret = address.pop("password", None)
    password = {"PGPASSWORD": str(secret)} if secret else {}
    process: subprocess.Popen[bytes] = subprocess.Popen(
        [*command, f"--dbname={make_conninfo('', **{k: str(v) for k, v in address.items()})}"],
        stderr=subprocess.PIPE,
        env={**os.environ, **password},
        **pipes,
    )
    said: list[bytes] = []
    heard = process.stderr
    assert heard is not None
    hearing = threading.Thread(target=lambda: said.append(heard.read()), daemon=True)
    hearing.start()
    try:
        yield process
    except BaseException:
        process.kill()
        process.wait()
        raise
    status = process.wait()
    hearing.join()
    if status:
        # It may quote a row: only the line that names the trouble is told.
        words = b"".join(said).decode(errors="replace").strip().splitlines()
        name = Path(command[0]).name
        raise Unavailable(f"{name} failed: {words[-1][:300] if words else f'status {status}'}")
