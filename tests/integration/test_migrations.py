"""Migrations on a real PostgreSQL: once each, by one at a time, never over newer."""

import json
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from pipeline.errors import UnknownSchema
from pipeline.storage import APP_ROLE, Database, embedded
from pipeline.storage import migrate as module
from pipeline.storage.migrate import (
    Migration,
    migrate,
    migrations,
    require_known,
    wait_for_schema,
)
from tests.postgres import temporary_home

ROOT = Path(__file__).parents[2]
FILES = migrations()
RELEASED = [one.name for one in FILES]
MIGRATE = (
    "import json, sys; from pipeline.storage.migrate import migrate;"
    " print(json.dumps(migrate(sys.argv[1])))"
)


@pytest.fixture
def as_owner():
    """Run a statement as the database's owner; the rows, where there are any."""

    def run(url, statement, *values):
        with psycopg.connect(url, autocommit=True) as connection:
            cursor = connection.execute(statement, values)
            return cursor.fetchall() if cursor.description else []

    return run


@pytest.fixture
def refusal():
    """What a service is told that opens a database, or None when it may work."""

    def ask(url):
        database = Database(url, size=1)
        try:
            with database.transaction() as connection:
                require_known(connection)
        except UnknownSchema as error:
            return str(error)
        finally:
            database.close()
        return None

    return ask


@pytest.fixture
def make_release(monkeypatch):
    """A later release: the released files, and more behind them."""

    def make(*texts):
        last = len(RELEASED)
        more = tuple(
            Migration(last + at, f"{last + at:04}_more.sql", text)
            for at, text in enumerate(texts, 1)
        )
        monkeypatch.setattr(module, "migrations", lambda: FILES + more)
        return [one.name for one in more]

    return make


def test_an_empty_database_is_brought_up_in_order_and_the_second_time_nothing_happens(
    database_url, as_owner
):
    told = []
    assert migrate(database_url, told.append) == RELEASED
    assert told == RELEASED
    assert migrate(database_url, told.append) == []
    assert told == RELEASED
    kept = as_owner(
        database_url, "SELECT number, name, checksum FROM consentry.schema_migrations ORDER BY 1"
    )
    assert kept == [(one.number, one.name, one.checksum) for one in FILES]


def test_a_service_may_work_on_a_current_schema(database_url, refusal):
    migrate(database_url)
    assert refusal(database_url) is None


def test_a_database_without_our_schema_is_refused_with_the_command_that_makes_it(
    make_database, refusal
):
    migrate(make_database())  # so that the server knows the services' role
    assert refusal(make_database()) == (
        "this database has no Consentry schema yet; run: consentry migrate"
    )


def test_a_server_that_never_saw_us_is_refused_with_the_same_words(refusal):
    with temporary_home() as home:
        assert refusal(embedded.start(home).url) == (
            "this database has no Consentry schema yet; run: consentry migrate"
        )


def test_an_older_schema_is_refused_with_the_command_that_brings_it_up(
    database_url, refusal, make_release, monkeypatch
):
    migrate(database_url)
    more = make_release("CREATE TABLE later (id integer)")
    monkeypatch.setattr(module, "OLDEST", len(FILES) + 1)
    assert refusal(database_url) == "this database is older than this code; run: consentry migrate"
    assert migrate(database_url) == more
    assert refusal(database_url) is None


def test_a_newer_schema_is_refused_by_services_and_by_migrate(
    database_url, refusal, make_release, monkeypatch
):
    more = make_release("CREATE TABLE later (id integer)", "CREATE TABLE last (id integer)")
    migrate(database_url)
    monkeypatch.setattr(module, "migrations", lambda: FILES)
    words = (
        f"this database has schema {more[-1]}, which this version does not know;"
        " install the newer Consentry that made it"
    )
    assert refusal(database_url) == words
    with pytest.raises(UnknownSchema) as caught:
        migrate(database_url)
    assert str(caught.value) == words


ADDITIVE = """-- additive
ALTER TABLE persons ADD COLUMN later text;
ALTER TABLE screenings ADD COLUMN later jsonb NOT NULL DEFAULT '{}';
CREATE TABLE later (id uuid PRIMARY KEY REFERENCES cases);
"""


def test_a_schema_that_adds_and_then_changes_is_refused_by_old_code(
    database_url, refusal, make_release, monkeypatch
):
    make_release(ADDITIVE, "ALTER TABLE persons DROP COLUMN case_number CASCADE")
    migrate(database_url)
    monkeypatch.setattr(module, "migrations", lambda: FILES)
    assert "which this version does not know" in refusal(database_url)


def test_new_code_waits_on_a_schema_that_is_too_old_until_it_was_migrated(
    database_url, make_release, monkeypatch
):
    migrate(database_url)
    make_release(ADDITIVE)
    monkeypatch.setattr(module, "OLDEST", len(FILES) + 1)
    told = []
    with pytest.raises(UnknownSchema, match="older than this code"):
        wait_for_schema(database_url, 0.0, lambda: told.append("waits"))
    wait_for_schema(
        database_url, 60.0, lambda: told.append("waits"), lambda _: migrate(database_url)
    )
    assert told == ["waits"]
    wait_for_schema(database_url, 0.0, lambda: told.append("waits"))
    assert told == ["waits"]


def test_a_file_that_changed_after_it_was_applied_stops_services_and_migrate(
    database_url, refusal, as_owner
):
    migrate(database_url)
    as_owner(
        database_url,
        "UPDATE consentry.schema_migrations SET checksum = sha256('other') WHERE number = 1",
    )
    words = f"{RELEASED[0]} is not the file that was applied"
    assert words in refusal(database_url)
    with pytest.raises(UnknownSchema, match=words.replace(".", r"\.")):
        migrate(database_url)


def test_a_file_that_fails_leaves_nothing_behind_and_those_before_it_stay(
    database_url, as_owner, make_release
):
    good, _ = make_release(
        "CREATE TABLE good (id integer)", "CREATE TABLE bad (id integer); SELECT 1 / 0"
    )
    with pytest.raises(psycopg.errors.DivisionByZero):
        migrate(database_url)
    names = [
        name
        for (name,) in as_owner(
            database_url, "SELECT name FROM consentry.schema_migrations ORDER BY number"
        )
    ]
    assert names == [*RELEASED, good]
    there = "SELECT to_regclass('consentry.good') IS NULL, to_regclass('consentry.bad') IS NULL"
    assert as_owner(database_url, there) == [(False, True)]


def test_a_repaired_file_is_applied_where_the_broken_one_had_failed(database_url, make_release):
    make_release("SELECT 1 / 0")
    with pytest.raises(psycopg.errors.DivisionByZero):
        migrate(database_url)
    repaired = make_release("SELECT 1")
    assert migrate(database_url) == repaired


def test_tables_land_in_our_schema_and_the_public_one_stays_empty(database_url, as_owner):
    migrate(database_url)
    schemas = as_owner(
        database_url,
        "SELECT DISTINCT schemaname FROM pg_tables"
        " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')",
    )
    assert schemas == [("consentry",)]


def test_services_can_read_what_was_applied_and_not_write_it(database_url, as_owner):
    migrate(database_url)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(APP_ROLE)))
        require_known(connection)
        for statement in (
            "UPDATE consentry.schema_migrations SET name = 'x'",
            "DELETE FROM consentry.schema_migrations",
            "CREATE TABLE consentry.mine (id integer)",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


def test_of_two_processes_that_migrate_at_once_one_does_it_and_the_other_finds_it_done(
    database_url, refusal
):
    with psycopg.connect(database_url, autocommit=True) as gate:
        gate.execute("SELECT pg_advisory_lock(%s)", (module._LOCK,))
        both = [
            subprocess.Popen(
                [sys.executable, "-c", MIGRATE, database_url],
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for _ in range(2)
        ]
        try:
            waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            while gate.execute(waiting).fetchone() != (2,):
                assert all(process.poll() is None for process in both), "one did not wait"
                time.sleep(0.05)
            gate.execute("SELECT pg_advisory_unlock(%s)", (module._LOCK,))
            ended = [(*process.communicate(timeout=120), process.returncode) for process in both]
        finally:
            for process in both:
                process.kill()
    assert [status for _, _, status in ended] == [0, 0], ended
    assert sorted((json.loads(out) for out, _, _ in ended), key=len) == [[], RELEASED]
    assert refusal(database_url) is None
