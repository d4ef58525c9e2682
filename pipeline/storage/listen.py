"""Hearing of changes as they are committed."""

from __future__ import annotations

import threading
from contextlib import suppress

import psycopg

from pipeline.errors import Unavailable
from pipeline.storage import Connection, Database


class Listener:
    """Waits for a notice of the change log on a connection of its own; for one thread."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: Connection | None = None
        self._closed = threading.Event()

    def wait(self, seconds: float) -> None:
        """Return when the change log moved, or after ``seconds``.

        Raises ``Unavailable`` when the database cannot be reached; the next call tries again.
        """
        if self._closed.is_set():
            return
        try:
            if self._connection is None:
                self._connection = self._database.dedicated()
                self._connection.execute("LISTEN consentry_changes")
                return  # something may have changed before we listened
            for _ in self._connection.notifies(timeout=seconds, stop_after=1):
                return
        except psycopg.Error as error:
            self._drop()
            if not self._closed.is_set():
                raise Unavailable("the database does not answer") from error

    def close(self) -> None:
        """Stop waiting, from any thread."""
        self._closed.set()
        self._drop()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error):
                connection.close()
