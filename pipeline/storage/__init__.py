"""PostgreSQL, the only store: connections, transactions, named queries.

SQL is written in SQL: every query stands in ``queries/*.sql`` under its name with a line that
says what it does. Python names a query and never assembles one. ``named`` tells what becomes of
one that needs a migration which has not been run yet.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from psycopg.rows import DictRow, dict_row, scalar_row
from psycopg_pool import ConnectionPool, PoolTimeout

from pipeline.errors import Unavailable, UnknownSchema
from pipeline.storage.migrate import migrations
from pipeline.storage.named import queries

Connection = psycopg.Connection[DictRow]
"""A connection whose rows are dictionaries."""

APP_ROLE = "consentry_app"
"""What services work as: it can lengthen and read the audit trail, and nothing else there."""

IDLE = 1.0
"""Seconds after which a connection is asked whether it still works before it is used."""
_used: WeakKeyDictionary[psycopg.Connection[Any], float] = WeakKeyDictionary()
_schema: WeakKeyDictionary[psycopg.Connection[Any], int] = WeakKeyDictionary()
"""Up to which migration a connection's database has come, where that is behind this code."""


class NotYet(Unavailable):
    """Something new is asked of a database that has not been migrated to it."""


class Queries:
    """Named queries on one connection, as they hold on the schema of its database."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._texts = queries(_schema.get(connection))

    def run(self, name: str, /, **values: Any) -> int:
        """Run a statement; how many rows it touched."""
        return self.connection.execute(self._text(name), values).rowcount

    def one(self, name: str, /, **values: Any) -> dict[str, Any] | None:
        """The first row, or None."""
        return self.connection.execute(self._text(name), values).fetchone()

    def all(self, name: str, /, **values: Any) -> list[dict[str, Any]]:
        """All rows."""
        return self.connection.execute(self._text(name), values).fetchall()

    def planned(self, name: str, /, **values: Any) -> list[dict[str, Any]]:
        """All rows of a statement that is planned for these very values, each time.

        A plan made once for any values cannot know which filters are given, nor how few rows are
        asked for: it sorts everything.
        """
        return self.connection.execute(queries()[name], values, prepare=False).fetchall()

    def value(self, name: str, /, **values: Any) -> Any:
        """The first column of the first row, or None."""
        row = self.one(name, **values)
        return next(iter(row.values())) if row else None

    def many(self, name: str, rows: list[dict[str, Any]]) -> None:
        """Run a statement once for each row of values, pipelined."""
        with self.connection.cursor() as cursor:
            cursor.executemany(self._text(name), rows)

    def stream(self, name: str, /, batch: int = 5000, **values: Any) -> Generator[dict[str, Any]]:
        """Rows through a server-side cursor, never all in memory. Needs an open transaction."""
        with self.connection.cursor(name=f"stream_{name}") as cursor:
            cursor.itersize = batch
            cursor.execute(self._text(name), values)
            yield from cursor

    def _text(self, name: str) -> bytes:
        try:
            return self._texts[name]
        except KeyError:
            if name not in queries():
                raise
        raise NotYet("this needs a newer database; it is there once consentry migrate was run")


def _prepare(connection: psycopg.Connection[Any]) -> None:
    """What every connection of a service is: the application's role, our schema, UTC."""
    with connection.transaction():
        connection.execute(f"SET SESSION ROLE {APP_ROLE}")
        connection.execute("SET search_path = consentry, pg_temp")
        connection.execute("SET timezone = 'UTC'")
        connection.execute("SET statement_timeout = '60s'")
        connection.execute("SET idle_in_transaction_session_timeout = '60s'")
    _see_schema(connection)


def _see_schema(connection: psycopg.Connection[Any]) -> None:
    """Remember it when the database is behind this code, as it is while a version is rolled out."""
    try:
        with connection.cursor(row_factory=scalar_row) as cursor:
            number = cursor.execute("SELECT max(number) FROM schema_migrations").fetchone()
    except (psycopg.errors.UndefinedTable, psycopg.errors.InsufficientPrivilege):
        return  # no schema yet: whoever opens the database is told so
    if number is not None and number < len(migrations()):
        _schema[connection] = number
    else:
        _schema.pop(connection, None)


def _check_when_idle(connection: psycopg.Connection[Any]) -> None:
    """Ask a connection whether it still works, unless it did a moment ago: asking costs a way."""
    if time.monotonic() - _used.get(connection, float("-inf")) > IDLE:
        ConnectionPool.check_connection(connection)


def _never_migrated(url: str) -> bool:
    """Whether the server answers, but knows nothing of the role that services work as."""
    try:
        with psycopg.connect(url, connect_timeout=5) as plain:
            found = plain.execute("SELECT FROM pg_roles WHERE rolname = %s", (APP_ROLE,))
            return found.rowcount == 0
    except psycopg.Error:
        return False


class Database:
    """A pool of connections to one database."""

    def __init__(self, url: str, *, size: int = 8, wait: float = 5.0) -> None:
        """``wait`` is how many seconds a caller waits for a connection before ``Unavailable``."""
        self.url = url
        self._pool: ConnectionPool[Connection] = ConnectionPool(
            url,
            min_size=1,
            max_size=size,
            timeout=wait,
            kwargs={
                "row_factory": dict_row,
                "autocommit": True,
                "application_name": self.called(),
            },
            configure=_prepare,
            check=_check_when_idle,
            reconnect_timeout=1.0,
            open=True,
            name="consentry",
        )

    @staticmethod
    def called() -> str:
        """What this process is called at the server: by the schema that it knows.

        So that others see whether all of them know what they would write (``flood_understood``).
        """
        return f"consentry {len(migrations())}"

    @contextmanager
    def transaction(self, *, snapshot: bool = False) -> Iterator[Connection]:
        """A connection inside a transaction; commits at the end, rolls back on any exception.

        Raises ``Unavailable`` when the database cannot be reached or goes away meanwhile.
        """
        with self.connection() as connection, connection.transaction():
            if snapshot:
                connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            yield connection

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """A connection on which every call is a transaction of its own: one way, not three.

        Raises ``Unavailable`` as ``transaction`` does.
        """
        try:
            with self._pool.connection() as connection:
                if connection in _schema:
                    _see_schema(connection)
                yield connection
                _used[connection] = time.monotonic()
        except (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout) as error:
            if isinstance(error, PoolTimeout) and _never_migrated(self.url):
                raise UnknownSchema(
                    "this database has no Consentry schema yet; run: consentry migrate"
                ) from error
            raise Unavailable(
                "the database does not answer; the same request may be sent again"
            ) from error

    def dedicated(self) -> Connection:
        """A connection of its own, outside the pool, in autocommit; for LISTEN."""
        try:
            connection = psycopg.connect(
                self.url, autocommit=True, row_factory=dict_row, connect_timeout=5,
                application_name=self.called(),
            )  # fmt: skip
            _prepare(connection)
        except psycopg.OperationalError as error:
            raise Unavailable("the database does not answer") from error
        return connection

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()
