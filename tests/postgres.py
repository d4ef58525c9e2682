"""A PostgreSQL of the test run's own, and a fresh database for each test that asks for one."""

from __future__ import annotations

import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pipeline.storage import Database, embedded
from pipeline.storage.migrate import migrate

MEMORY = Path("/dev/shm")
ROOM = 4 << 30
"""Bytes that must be free there: a server of each of several processes may take one in four."""


def in_memory() -> Path | None:
    """A folder in memory where there is one with room: a database there costs a seventh."""
    try:
        return MEMORY if shutil.disk_usage(MEMORY).free >= ROOM else None
    except OSError:
        return None


@contextmanager
def temporary_home(folder: Path | None = None) -> Iterator[Path]:
    """A home that the server's user can reach when the tests run as root, which pytest's is not."""
    home = Path(tempfile.mkdtemp(prefix="consentry-test-", dir=folder))
    home.chmod(0o711)
    try:
        yield home
    finally:
        embedded.stop(home)
        shutil.rmtree(home)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The conninfo of an administrator's connection to a PostgreSQL that this run started."""
    with temporary_home(in_memory()) as home:
        server = embedded.start(home)
        with psycopg.connect(server.url, autocommit=True) as connection:
            # Tests kill processes, not the machine: what the kernel holds is safe enough here.
            connection.execute("ALTER SYSTEM SET fsync = off")
            connection.execute("ALTER SYSTEM SET full_page_writes = off")
            connection.execute("ALTER SYSTEM SET max_wal_size = '128MB'")
            connection.execute("SELECT pg_reload_conf()")
        yield server.url


@pytest.fixture
def make_database(postgres_server: str) -> Iterator[Callable[..., str]]:
    """Make databases, empty or copied from a ``template`` (its conninfo); gone after the test."""
    made = []

    def make(template: str | None = None) -> str:
        name = f"test_{uuid.uuid4().hex}"
        source = conninfo_to_dict(template)["dbname"] if template else "template0"
        with psycopg.connect(postgres_server, autocommit=True) as connection:
            connection.execute(
                # Copied as files: half the time, and nothing here must outlive a crash.
                sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(
                    sql.Identifier(name), sql.Identifier(str(source))
                )
            )
        made.append(name)
        return make_conninfo(postgres_server, dbname=name)

    yield make
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        for name in made:
            connection.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
            )


@pytest.fixture(scope="session")
def migrated_template(postgres_server: str) -> str:
    """A database with this version's schema, to be copied."""
    name = f"template_{uuid.uuid4().hex}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    url = make_conninfo(postgres_server, dbname=name)
    migrate(url)
    return url


@pytest.fixture
def migrated_url(make_database: Callable[..., str], migrated_template: str) -> str:
    """The conninfo of a fresh database with this version's schema, for this test alone."""
    return make_database(migrated_template)


@pytest.fixture
def database(migrated_url: str) -> Iterator[Database]:
    """A fresh database with this version's schema, as services see it."""
    opened = Database(migrated_url)
    yield opened
    opened.close()


@pytest.fixture
def database_url(make_database: Callable[..., str]) -> str:
    """The conninfo of a fresh, empty database for this test alone."""
    return make_database()
