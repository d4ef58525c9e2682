"""Every named query says what it does, is used, and is one that services may run."""

import re
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

import pipeline.storage
from pipeline.storage import APP_ROLE, Database
from pipeline.storage import migrate as schema
from pipeline.storage.migrate import OLDEST, migrate, migrations
from pipeline.storage.named import all_queries, queries

STORAGE = Path(pipeline.storage.__file__).parent
FILES = sorted((STORAGE / "queries").glob("*.sql"))
HEAD = re.compile(r"^-- name: (\w+)\n(?:-- (?:since|until): \w+\n)*-- (\S[^\n]*)\n", re.MULTILINE)
PLACEHOLDER = re.compile(r"%(?:\((\w+)\)[sbt]|(%))")


@pytest.fixture(scope="module")
def connected(postgres_server):
    """Open a database of a schema as a service sees it: role, search path, time zone."""
    opened = []
    with psycopg.connect(postgres_server, autocommit=True) as owner:

        def connect(number):
            name = f"test_named_queries_{number}"
            owner.execute(f"CREATE DATABASE {name} TEMPLATE template0")
            url = make_conninfo(postgres_server, dbname=name)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(schema, "migrations", lambda: migrations()[:number])
                migrate(url)
            database = Database(url, size=1)
            opened.append((name, database, database.dedicated()))
            return opened[-1][2]

        yield connect
        for name, database, connection in opened:
            connection.close()
            database.close()
            owner.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="module")
def services_connection(connected):
    """A database of this version."""
    return connected(len(migrations()))


@pytest.fixture(scope="module")
def older_connection(connected, services_connection):
    """A database of the version before, which a rolling upgrade leaves for last."""
    return connected(OLDEST) if len(migrations()) > OLDEST else services_connection


def plan(connection, text):
    """Prepare a query as the server would and plan it with NULLs, which also checks privileges."""
    numbers = {}

    def numbered(match):
        if match[2]:
            return "%"
        return f"${numbers.setdefault(match[1], len(numbers) + 1)}"

    prepared = PLACEHOLDER.sub(numbered, text)
    nulls = f"({', '.join(['NULL'] * len(numbers))})" if numbers else ""
    try:
        with connection.transaction(force_rollback=True):
            connection.execute(f"PREPARE checked AS {prepared}".encode())
            return connection.execute(f"EXPLAIN EXECUTE checked{nulls}".encode()).fetchall()
    finally:  # what was prepared outlives a rollback
        connection.execute("DEALLOCATE ALL")


@pytest.mark.parametrize("name", sorted(queries()))
def test_the_server_takes_the_query_from_the_services_role(services_connection, name):
    assert services_connection.execute("SELECT current_user AS me").fetchone() == {"me": APP_ROLE}
    assert plan(services_connection, queries()[name].decode())


def test_on_the_schema_of_the_version_before_the_server_takes_all_that_hold_there(
    older_connection,
):
    """Refused for a new column or table? Say ``-- since: MIGRATION`` under the query's name.

    Where an upload, a decision, a registration or a withdrawal needs it, write a second one of the
    same name with ``-- until: MIGRATION`` (see ``pipeline/storage/named.py``).
    """
    refused = {}
    for name, text in queries(OLDEST).items():
        try:
            plan(older_connection, text.decode())
        except psycopg.Error as error:
            refused[name] = str(error).splitlines()[0]
    assert refused == {}


def test_the_migrations_of_this_version_only_add_so_that_the_one_before_runs_on():
    assert 0 < OLDEST <= len(migrations())
    changing = [one.name for one in migrations()[OLDEST:] if not one.additive]
    assert changing == [], "begin it with a line: -- additive"


def test_queries_name_their_columns_for_a_new_one_would_change_what_a_prepared_star_gives():
    star = re.compile(rb"(?:SELECT|RETURNING|,)\s+(?:\w+\.)?\*")
    assert [one.name for one in all_queries() if star.search(one.text)] == []


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("SELECT nothing_like_it FROM cases", psycopg.errors.UndefinedColumn),
        ("SELECT id FROM no_such_table WHERE id = %(id)s", psycopg.errors.UndefinedTable),
        ("UPDATE audit_log SET body = %(body)s", psycopg.errors.InsufficientPrivilege),
        ("DELETE FROM audit_heads", psycopg.errors.InsufficientPrivilege),
        ("SELECT id FORM cases", psycopg.errors.SyntaxError),
    ],
)
def test_a_query_that_the_server_would_refuse_is_noticed_here(services_connection, text, error):
    with pytest.raises(error):
        plan(services_connection, text)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_query_has_a_name_and_a_sentence(file):
    text = file.read_text(encoding="utf-8")
    described = HEAD.findall(text)
    assert described, f"{file.name} holds no named query"
    assert len(described) == text.count("-- name:")
    assert text.startswith("-- name: "), f"{file.name} begins with something that has no name"
    for name, _ in described:
        assert name == name.lower()
        assert any(one.name == name for one in all_queries())


@pytest.mark.parametrize("name", sorted(queries()))
def test_a_query_is_one_statement(name):
    texts = [one.text.decode() for one in all_queries() if one.name == name]
    for text in texts:
        code = re.sub(r"--[^\n]*|'(?:[^']|'')*'", "", text)
        assert code.strip()
        assert ";" not in code


def test_every_query_is_used_and_every_query_that_is_asked_for_exists():
    code = "\n".join(file.read_text(encoding="utf-8") for file in STORAGE.rglob("*.py"))
    quoted = set(re.findall(r"""["'](\w+)["']""", code))
    assert sorted(set(queries()) - quoted) == []
    asked = set(re.findall(r"""\.(?:run|one|all|value|many|stream)\(\s*["'](\w+)["']""", code))
    assert sorted(asked - set(queries())) == []


def test_python_assembles_no_query():
    inside = re.compile(r"""execute\(\s*f["']|queries\(\)\[[^\]]+\]\s*[+%]""")
    found = {
        file.name: len(inside.findall(file.read_text(encoding="utf-8")))
        for file in STORAGE.rglob("*.py")
    }
    # One: SET ROLE takes no placeholder, and the role is a constant.
    assert {name: count for name, count in found.items() if count} == {"__init__.py": 1}
