"""Numbered SQL files, each applied once, in order, in a transaction of its own.

A file's SHA-256 is kept beside its number: a file that changed after it was applied is an error,
never silently different. An advisory lock lets one process migrate while others wait.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row

from pipeline.errors import Misconfigured, UnknownSchema

SCHEMA = "consentry"
RESTORING = "consentry_restoring"
"""A schema of this name bars a database to services: a backup is being restored into it."""
_LOCK = 0x636F6E73656E7472  # "consentr": any constant that nobody else uses on this server
_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered file."""

    number: int
    name: str
    text: str

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
                    "INSERT INTO consentry.schema_migrations (number, name, checksum)"
                    " VALUES (%s, %s, %s)",
                    (migration.number, migration.name, migration.checksum),
                )
            applied.append(migration.name)
    return applied


def require_current(connection: psycopg.Connection[Any]) -> None:
    """Refuse to work on a schema that this code does not know; says what to do."""
    if _rows(connection, f"SELECT to_regnamespace('{RESTORING}')") != [(None,)]:
        raise UnknownSchema(
            "a backup is being restored into this database, and people who have left since are in"
            " it until that ends; if it was interrupted, run consentry restore again"
        )
    if _rows(connection, "SELECT to_regclass('consentry.schema_migrations')") == [(None,)]:
        raise UnknownSchema("this database has no Consentry schema yet; run: consentry migrate")
    applied = _applied(connection)
    _check(applied)
    if len(applied) < len(migrations()):
        raise UnknownSchema("this database is older than this code; run: consentry migrate")


def _prepare(connection: psycopg.Connection[Any]) -> None:
    connection.execute("CREATE SCHEMA IF NOT EXISTS consentry")
    connection.execute(
        "CREATE TABLE IF NOT EXISTS consentry.schema_migrations ("
        " number integer PRIMARY KEY, name text NOT NULL, checksum bytea NOT NULL,"
        " applied_at timestamptz NOT NULL DEFAULT now())"
    )


def _applied(connection: psycopg.Connection[Any]) -> list[tuple[int, str, bytes]]:
    return _rows(
        connection,
        "SELECT number, name, checksum FROM consentry.schema_migrations ORDER BY number",
    )


def _rows(connection: psycopg.Connection[Any], statement: LiteralString) -> list[Any]:
    """All rows as tuples, whatever the connection makes of rows."""
    return connection.cursor(row_factory=tuple_row).execute(statement).fetchall()


def _check(applied: list[tuple[int, str, bytes]]) -> None:
    known = migrations()
    if len(applied) > len(known):
        raise UnknownSchema(
            f"this database has schema {applied[-1][1]}, which this version does not know;"
            " install the newer Consentry that made it"
        )
    for (number, name, checksum), migration in zip(applied, known, strict=False):
        if number != migration.number or checksum != migration.checksum:
            raise UnknownSchema(
                f"{migration.name} is not the file that was applied as {name};"
                " restore the released file, changes go into a new one"
            )
