"""Numbered SQL files, each applied once, in order, in a transaction of its own.

A file's SHA-256 is kept beside its number: a file that changed after it was applied is an error,
never silently different. An advisory lock lets one process migrate while others wait.

A file whose first line is ``-- additive`` only adds: code that does not know it works on as before.
That is what a rolling upgrade needs: schema and processes, in any order, one after another. Code
that meets a newer schema runs if all that it does not know is additive. Code that meets the schema
of the version before it (``OLDEST``) runs as well: it asks what that schema can answer, and has
what is new once that was migrated (``pipeline.storage.named``). On anything older it waits
(``wait_for_schema``), while its predecessors go on answering.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row

from pipeline.errors import Misconfigured, UnknownSchema

SCHEMA = "consentry"
OLDEST = 24
"""The last migration of the version before this one; what came since can be done without."""
_ONLY_ADD = frozenset({"0026_floods.sql", "0027_film_early.sql"})
"""Files that only add, though their first line forgets to say so: nothing applied is changed."""
RESTORING = "consentry_restoring"
"""A schema of this name bars a database to services: a backup is being restored into it."""
_LOCK = 0x636F6E73656E7472  # "consentr": any constant that nobody else uses on this server
_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")


class OldSchema(UnknownSchema):
    """A schema that ``migrate`` makes right."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered file."""

    number: int
    name: str
    text: str

    @property
    def additive(self) -> bool:
        """Whether code that does not know this file works on the schema that it makes."""
        return self.text.startswith("-- additive") or self.name in _ONLY_ADD

    @property
    def checksum(self) -> bytes:
        """SHA-256 of the text, 32 bytes."""
        return hashlib.sha256(self.text.encode()).digest()


def migrations() -> tuple[Migration, ...]:
    """All files of this version, in order; raises ``Misconfigured`` when a number is missing."""
    folder = resources.files("pipeline.storage") / "migrations"
    files = [file for file in folder.iterdir() if file.name.endswith(".sql")]
    misspelt = [file.name for file in files if not _NAME.fullmatch(file.name)]
    if misspelt:
        raise Misconfigured(f"a migration is called 0001_name.sql, not {', '.join(misspelt)}")
    found = sorted(
        (
            Migration(int(match[1]), file.name, file.read_text(encoding="utf-8"))
            for file in files
            if (match := _NAME.fullmatch(file.name))
        ),
        key=lambda migration: migration.number,
    )
    if [migration.number for migration in found] != list(range(1, len(found) + 1)):
        raise Misconfigured("the migrations are not numbered 0001, 0002, ... without a gap")
    return tuple(found)


def migrate(url: str, progress: Callable[[str], None] = lambda _: None) -> list[str]:
    """Bring the database at ``url`` to this version's schema; returns the files applied now.

    Raises ``UnknownSchema`` when the database is newer than this code or a file was changed.
    """
    applied: list[str] = []
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
        _prepare(connection)
        there = _applied(connection)
        _check(there)
        for migration in migrations()[len(there) :]:
            progress(migration.name)
            with connection.transaction():
                connection.execute(
                    sql.SQL("SET LOCAL search_path = {}").format(sql.Identifier(SCHEMA))
                )
                connection.execute(migration.text.encode())
                connection.execute(
                    "INSERT INTO consentry.schema_migrations (number, name, checksum, additive)"
                    " VALUES (%s, %s, %s, %s)",
                    (migration.number, migration.name, migration.checksum, migration.additive),
                )
            applied.append(migration.name)
    return applied


def require_known(connection: psycopg.Connection[Any]) -> int:
    """Refuse to work on a schema that this code cannot work on; says what to do.

    Returns how many migrations of this version have not been run yet.
    """
    if _rows(connection, f"SELECT to_regnamespace('{RESTORING}')") != [(None,)]:
        raise UnknownSchema(
            "a backup is being restored into this database, and people who have left since are in"
            " it until that ends; if it was interrupted, run consentry restore again"
        )
    if _rows(connection, "SELECT to_regclass('consentry.schema_migrations')") == [(None,)]:
        raise OldSchema("this database has no Consentry schema yet; run: consentry migrate")
    applied = _applied(connection)
    _check(applied)
    if len(applied) < min(OLDEST, len(migrations())):
        raise OldSchema("this database is older than this code; run: consentry migrate")
    return max(0, len(migrations()) - len(applied))


def wait_for_schema(
    url: str,
    patience: float,
    waiting: Callable[[], None] = lambda: None,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Return when the database was migrated to what this code needs; for a rolling upgrade.

    Raises ``UnknownSchema`` when that does not happen within ``patience`` seconds, or at once for a
    schema that this code will never know. ``waiting`` is called once if there is anything to wait
    for.
    """
    deadline, told = time.monotonic() + patience, False
    while True:
        with psycopg.connect(url, autocommit=True) as connection:
            try:
                require_known(connection)
            except OldSchema:
                if time.monotonic() >= deadline:
                    raise
            else:
                return
        if not told:
            waiting()
            told = True
        sleep(min(1.0, max(0.0, deadline - time.monotonic())))


def _prepare(connection: psycopg.Connection[Any]) -> None:
    connection.execute("CREATE SCHEMA IF NOT EXISTS consentry")
    connection.execute(
        "CREATE TABLE IF NOT EXISTS consentry.schema_migrations ("
        " number integer PRIMARY KEY, name text NOT NULL, checksum bytea NOT NULL,"
        " applied_at timestamptz NOT NULL DEFAULT now())"
    )
    connection.execute(
        "ALTER TABLE consentry.schema_migrations"
        " ADD COLUMN IF NOT EXISTS additive boolean NOT NULL DEFAULT false"
    )


def _applied(connection: psycopg.Connection[Any]) -> list[tuple[int, str, bytes, bool]]:
    return _rows(
        connection,
        # Read so that a table from before there was such a column says that nothing is additive.
        "SELECT number, name, checksum, coalesce((to_jsonb(m) ->> 'additive')::boolean, false)"
        " FROM consentry.schema_migrations m ORDER BY number",
    )


def _rows(connection: psycopg.Connection[Any], statement: LiteralString) -> list[Any]:
    """All rows as tuples, whatever the connection makes of rows."""
    return connection.cursor(row_factory=tuple_row).execute(statement).fetchall()


def _check(applied: list[tuple[int, str, bytes, bool]]) -> None:
    known = migrations()
    if not all(additive for *_, additive in applied[len(known) :]):
        raise UnknownSchema(
            f"this database has schema {applied[-1][1]}, which this version does not know;"
            " install the newer Consentry that made it"
        )
    for (number, name, checksum, _), migration in zip(applied, known, strict=False):
        if number != migration.number or checksum != migration.checksum:
            raise UnknownSchema(
                f"{migration.name} is not the file that was applied as {name};"
                " restore the released file, changes go into a new one"
            )
