"""A query says on which schema it holds, and another of its name stands in until then."""

from types import SimpleNamespace

import pytest

from pipeline.errors import Misconfigured
from pipeline.storage import named
from pipeline.storage.migrate import Migration

MIGRATIONS = tuple(
    Migration(at, f"000{at}_{name}.sql", "") for at, name in ((1, "one"), (2, "two"))
)


@pytest.fixture
def make_queries(tmp_path, monkeypatch):
    """Let a text stand for the folder of queries."""

    def make(text):
        (tmp_path / "queries").mkdir(exist_ok=True)
        (tmp_path / "queries" / "some.sql").write_text(text)
        monkeypatch.setattr(named, "resources", SimpleNamespace(files=lambda _: tmp_path))
        monkeypatch.setattr(named, "migrations", lambda: MIGRATIONS)
        named.all_queries.cache_clear()
        named.queries.cache_clear()
        return named.queries

    yield make
    named.all_queries.cache_clear()
    named.queries.cache_clear()


def query(name, body, **when):
    lines = "".join(f"-- {word}: {migration}\n" for word, migration in when.items())
    return f"-- name: {name}\n{lines}-- What it does.\n{body};\n\n"


def test_a_query_holds_since_its_migration_and_its_stand_in_until_then(make_queries):
    queries = make_queries(
        query("always", "SELECT 0")
        + query("both", "SELECT 1", until="two")
        + query("both", "SELECT 2", since="two")
        + query("new", "SELECT 3", since="two")
    )
    assert queries(1) == {"always": b"SELECT 0", "both": b"SELECT 1"}
    assert queries(2) == {"always": b"SELECT 0", "both": b"SELECT 2", "new": b"SELECT 3"}
    assert queries() == queries(2), "unless told otherwise, this version's schema"


@pytest.mark.parametrize(
    "text",
    [
        query("two", "SELECT 1") + query("two", "SELECT 2"),
        query("two", "SELECT 1") + query("two", "SELECT 2", since="two"),
        query("two", "SELECT 1", until="two") + query("two", "SELECT 2", since="one"),
    ],
)
def test_two_of_one_name_on_one_schema_are_refused(make_queries, text):
    queries = make_queries(text)
    with pytest.raises(Misconfigured, match="two queries are called 'two'"):
        queries()


def test_a_migration_that_there_is_not_is_refused_by_its_name(make_queries):
    queries = make_queries(query("lost", "SELECT 1", since="three"))
    with pytest.raises(Misconfigured, match="names no migration with 'three'"):
        queries()


def test_a_query_without_a_word_is_refused(make_queries):
    queries = make_queries("-- name: mute\nSELECT 1;\n")
    with pytest.raises(Misconfigured, match="no line that says what it does"):
        queries()
