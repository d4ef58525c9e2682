"""Schema and processes of two versions meet in any order, and nobody's day is interrupted."""

from __future__ import annotations

import pytest

from pipeline import storage
from pipeline.domain.screening import Verdict
from pipeline.journeys.deliver import deliver_due
from pipeline.journeys.withdraw import ask, finish
from pipeline.storage import NotYet, Queries, named
from pipeline.storage import migrate as schema
from pipeline.storage.migrate import OLDEST, Migration, migrate, migrations
from services.wiring import alive
from services.worker import duties
from tests.world import Platform, jpeg, picture

FILES = migrations()
LATER = Migration(
    len(FILES) + 1,
    f"{len(FILES) + 1:04}_later.sql",
    "-- additive\n"
    "ALTER TABLE persons ADD COLUMN later text;\n"
    "ALTER TABLE cases ADD COLUMN later text;\n"
    "ALTER TABLE screenings ADD COLUMN later jsonb NOT NULL DEFAULT '{}';\n"
    "CREATE TABLE later (id uuid PRIMARY KEY REFERENCES cases, what text);\n"
    "GRANT SELECT ON later TO consentry_app;\n",
)
NEW = named.Named("later", LATER.number, None, b"SELECT count(*) FROM later")
CHANGED = named.Named(
    "spoken", LATER.number, None, b"SELECT 'new' AS word, (SELECT max(later) FROM cases)"
)
STANDS_IN = named.Named("spoken", 0, LATER.number, b"SELECT 'old' AS word")


def released(*files):
    return lambda: files


@pytest.fixture
def migrated_url(request, database_url):
    """A database that has come to the migration that the test is parametrised with."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            schema, "migrations", released(*FILES[: getattr(request, "param", len(FILES))])
        )
        migrate(database_url)
    return database_url


def a_day(town, other):
    """A registration, an upload, a decision, its repeat, news of it, a withdrawal, a receipt."""
    ada, webhook = town.reviewer(), Platform()
    board = town.platform()
    hers, body = town.register(jpeg(picture(1))), jpeg(picture(1), 60)
    town.register(jpeg(picture(2)))
    other.live.catch_up()
    for _ in range(
        6
    ):  # more often than a statement is asked before the server is made to prepare it
        assert other.screen(board, jpeg(picture(3))).verdict is Verdict.CLEAR
    found = other.screen(board, body)
    assert found.verdict is Verdict.REVIEW
    town.uphold(found.case, ada)
    other.live.catch_up()
    assert other.screen(board, body).verdict is Verdict.KNOWN
    assert deliver_due(town.world.store, webhook, town.clock, lambda _: 1.0).sent
    assert {event.kind for event, _ in webhook.told} >= {"case.upheld"}
    for duty in duties(town.world):
        duty.work()
    receipt = ask(town.world.store, town.world.pins, town.clock, hers.case_number, hers.pin)
    for process in (town, other):
        process.live.catch_up()
    assert finish(town.world.store, town.world.blobs, town.clock, alive, receipt).signature
    assert other.screen(board, jpeg(picture(1), 50)).verdict is Verdict.CLEAR
    return board


@pytest.mark.parametrize("migrated_url", [OLDEST], indirect=True)
def test_new_code_has_its_day_on_the_old_schema_and_goes_on_while_it_is_migrated(
    town, make_town, migrated_url
):
    board = a_day(town, make_town())
    assert migrate(migrated_url) == [one.name for one in FILES[OLDEST:]]
    town.register(jpeg(picture(4)))
    assert town.screen(board, jpeg(picture(4), 60)).verdict is Verdict.REVIEW


def test_what_the_version_before_asked_is_answered_by_the_new_schema(town, make_town, monkeypatch):
    monkeypatch.setattr(storage, "queries", lambda *_: named.queries(OLDEST))
    a_day(town, make_town())


def test_old_code_goes_on_through_a_migration_that_only_adds(town, make_town, monkeypatch):
    board = town.platform("early")
    for _ in range(6):
        town.screen(board, jpeg(picture(3)))
    with monkeypatch.context() as new:
        new.setattr(schema, "migrations", released(*FILES, LATER))
        migrate(town.url)
    a_day(town, make_town())
    assert migrate(town.url) == [], "nothing is done to a newer schema"


def test_what_is_new_comes_with_its_migration_and_until_then_its_stand_in_answers(
    town, monkeypatch
):
    some = (*named.all_queries(), NEW, CHANGED, STANDS_IN)

    def queries(number=None):
        at = LATER.number if number is None else number
        return {one.name: one.text for one in some if one.holds(at)}

    for module in (schema, storage):
        monkeypatch.setattr(module, "migrations", released(*FILES, LATER))
    monkeypatch.setattr(storage, "queries", queries)
    database = storage.Database(town.url, size=1)
    try:
        with database.transaction() as connection:
            assert schema.require_known(connection) == 1
            asked = Queries(connection)
            assert asked.value("spoken") == "old"
            with pytest.raises(NotYet, match="consentry migrate"):
                asked.value("later")
            assert asked.value("sweep_latest") is None, "and the transaction is none the worse"
            with pytest.raises(KeyError):
                asked.value("no such query")
        migrate(town.url)
        with database.transaction() as connection:
            asked = Queries(connection)
            assert (asked.value("spoken"), asked.value("later")) == ("new", 0)
    finally:
        database.close()
