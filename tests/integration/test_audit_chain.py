"""The audit trail on a real PostgreSQL: it can be lengthened and read, and changes are found."""

import json
import threading
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID, uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.domain.audit import GENESIS, Break, Head
from pipeline.domain.screening import Verdict
from pipeline.errors import Invalid
from pipeline.storage import Queries
from pipeline.storage.audit import SEALED, PgAudit, head_statement, screenings_digest


@pytest.fixture
def in_audit(database):
    """Run something with the audit trail in a transaction of its own, as the application."""

    def run(what):
        with database.transaction() as connection:
            return what(PgAudit(Queries(connection)))

    return run


@pytest.fixture
def as_superuser(migrated_url):
    """Do what only the server's superuser can: change the trail with its triggers off."""

    def run(*statements):
        with psycopg.connect(migrated_url, options="-c search_path=consentry") as connection:
            connection.execute("ALTER TABLE audit_log DISABLE TRIGGER ALL")
            connection.execute("ALTER TABLE audit_heads DISABLE TRIGGER ALL")
            for statement in statements:
                connection.execute(statement)

    return run


def append_some(audit, count=5):
    return [audit.append("system", "thing.done", f"thing:{n}", {"n": n}) for n in range(count)]


def test_an_empty_chain_holds(in_audit):
    assert in_audit(PgAudit.verify) is None
    assert in_audit(PgAudit.head) == Head("main", 0, GENESIS)


def test_records_are_numbered_without_gaps_and_the_chain_holds(in_audit):
    assert in_audit(append_some) == [1, 2, 3, 4, 5]
    assert in_audit(PgAudit.verify) is None
    assert in_audit(PgAudit.head).seq == 5


def test_a_record_of_a_transaction_that_failed_leaves_no_gap(in_audit):
    def fail(audit):
        audit.append("system", "thing.done", "thing:1", {})
        raise RuntimeError

    with pytest.raises(RuntimeError):
        in_audit(fail)
    assert in_audit(append_some) == [1, 2, 3, 4, 5]
    assert in_audit(PgAudit.verify) is None


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\n"), max_size=20)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    names=st.tuples(TEXT, TEXT, TEXT),
    body=st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"])),
        st.integers() | st.text(st.characters(exclude_categories=["Cs"])) | st.none(),
    ),
)
def test_postgres_and_python_hash_the_same_bytes_whatever_the_record_says(in_audit, names, body):
    in_audit(lambda audit: audit.append(*names, body))
    assert in_audit(PgAudit.verify) is None


@pytest.mark.parametrize("micros", [0, 3, 120_000, 999_999])
def test_a_moment_is_written_alike_on_both_sides(migrated_url, micros):
    moment = datetime(2026, 1, 2, 3, 4, 5, micros, tzinfo=UTC)
    from pipeline.domain.audit import stamp

    with psycopg.connect(migrated_url, options="-c timezone=Asia/Kolkata") as connection:
        [written] = connection.execute(
            """SELECT to_char(%s::timestamptz AT TIME ZONE 'UTC',
               'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')""",
            (moment,),
        ).fetchone()
    assert written == stamp(moment)


def test_a_name_with_a_line_break_is_refused(in_audit):
    for names in (("a\nb", "c", "d"), ("a", "c\nd", "e"), ("a", "b", "c\nd")):
        with pytest.raises(Invalid):
            in_audit(lambda audit, n=names: audit.append(*n, {}))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_log SET body = '{}'",
        "DELETE FROM audit_log",
        "TRUNCATE audit_log",
        "INSERT INTO audit_log VALUES ('main', 9, now(), 'a', 'b', 'c', '{}', '\\x00')",
        "UPDATE audit_heads SET seq = 0",
        "DELETE FROM audit_heads",
        "TRUNCATE audit_heads CASCADE",
        "INSERT INTO audit_heads VALUES ('other', 0, '\\x00')",
        "ALTER TABLE audit_log DISABLE TRIGGER ALL",
        "DROP TABLE audit_log",
        "CREATE OR REPLACE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN RETURN NEW; END'",
    ],
)
def test_the_application_cannot_change_the_trail(database, in_audit, statement):
    in_audit(append_some)
    with pytest.raises(psycopg.errors.InsufficientPrivilege), database.transaction() as connection:
        connection.execute(statement)
    assert in_audit(PgAudit.verify) is None


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_log SET body = '{}'",
        "DELETE FROM audit_log",
        "TRUNCATE audit_log",
        "DELETE FROM audit_heads",
        "TRUNCATE audit_heads CASCADE",
    ],
)
def test_a_trigger_denies_even_the_owner_also_as_a_replica(migrated_url, in_audit, statement):
    in_audit(append_some)
    for role in ("origin", "replica"):
        with psycopg.connect(migrated_url, options="-c search_path=consentry") as connection:
            connection.execute(f"SET session_replication_role = {role}")
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
                connection.execute(statement)


@pytest.mark.parametrize(
    ("statements", "found"),
    [
        (["UPDATE audit_log SET body = '{\"n\":9}' WHERE seq = 3"], (3, "a record was changed")),
        (["UPDATE audit_log SET at = at + interval '1us' WHERE seq = 2"], (2, "was changed")),
        (["UPDATE audit_log SET actor = 'x' WHERE seq = 5"], (5, "a record was changed")),
        (["DELETE FROM audit_log WHERE seq = 3"], (3, "a record is missing")),
        (["DELETE FROM audit_log WHERE seq = 5"], (5, "shorter than its head")),
        (["DELETE FROM audit_log"], (1, "shorter than its head")),
        (["UPDATE audit_heads SET hash = sha256('x')"], (5, "head does not belong")),
        (
            [
                "UPDATE audit_log SET seq = -seq WHERE seq IN (2, 3)",
                "UPDATE audit_log SET seq = CASE seq WHEN -2 THEN 3 ELSE 2 END WHERE seq < 0",
            ],
            (2, "a record was changed"),
        ),
        (
            ["INSERT INTO audit_log SELECT chain, 6, at, actor, action, subject, body, hash"
             " FROM audit_log WHERE seq = 5"],
            (6, "a record was changed"),
        ),
        (["DELETE FROM audit_log", "DELETE FROM audit_heads"], (0, "the head is missing")),
    ],
)  # fmt: skip
def test_what_a_superuser_changes_is_found(in_audit, as_superuser, statements, found):
    in_audit(append_some)
    as_superuser(*statements)
    seen = in_audit(PgAudit.verify)
    assert isinstance(seen, Break)
    assert seen.seq == found[0]
    assert found[1] in seen.what


def test_a_chain_rewritten_from_scratch_holds_but_not_up_to_the_published_head(
    in_audit, as_superuser
):
    in_audit(append_some)
    published = in_audit(PgAudit.head)
    as_superuser(
        "DELETE FROM audit_log",
        "UPDATE audit_heads SET seq = 0, hash = decode(repeat('00', 32), 'hex')",
    )
    in_audit(append_some)
    assert in_audit(PgAudit.verify) is None
    assert in_audit(PgAudit.head) != published


def test_appending_at_once_from_many_connections_gives_one_chain_without_gaps(database, in_audit):
    sequences, lock = [], threading.Lock()

    def work():
        for _ in range(25):
            sequence = in_audit(lambda audit: audit.append("system", "a.b", "c:d", {}))
            with lock:
                sequences.append(sequence)

    workers = [threading.Thread(target=work) for _ in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(sequences) == list(range(1, 151))
    assert in_audit(PgAudit.verify) is None


def test_verifying_while_others_append_finds_no_break(in_audit):
    in_audit(append_some)
    stop, breaks = threading.Event(), []

    def work():
        while not stop.is_set():
            in_audit(append_some)

    worker = threading.Thread(target=work)
    worker.start()
    try:
        breaks = [in_audit(PgAudit.verify) for _ in range(15)]
    finally:
        stop.set()
        worker.join()
    assert breaks == [None] * 15


PLATFORM = UUID(int=1)


def make_row(**changes):
    row = {
        "id": uuid4(),
        "platform": PLATFORM,
        "content_id": "post/1 – ünïcode",
        "verdict": "clear",
        "refusal": None,
        "case_id": None,
        "policy": "default/1",
        "index_seq": 7,
        "received_at": datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC),
        "form": "file",
        "bytes": 1000,
    }
    return row | changes


@pytest.fixture
def sealed_batch(migrated_url, in_audit):
    """Keep rows as screenings and cover them by one record."""

    def make(rows, **changes):
        with psycopg.connect(migrated_url, options="-c search_path=consentry") as connection:
            connection.execute(
                "INSERT INTO platforms (id, name) VALUES (%s, 'p') ON CONFLICT DO NOTHING",
                (PLATFORM,),
            )

            def keep(audit):
                body = {
                    "from": str(rows[0]["id"]),
                    "to": str(rows[-1]["id"]),
                    "count": len(rows),
                    "digest": screenings_digest(rows),
                }
                return audit.append("system", SEALED, "screenings", body | changes)

            sequence = in_audit(keep)
            for row in rows:
                connection.execute(
                    "INSERT INTO screenings (id, platform, content_id, verdict, refusal, case_id,"
                    " policy, index_seq, received_at, form, bytes, rating, milliseconds, audited)"
                    " VALUES (%(id)s, %(platform)s, %(content_id)s, %(verdict)s, %(refusal)s,"
                    " %(case_id)s, %(policy)s, %(index_seq)s, %(received_at)s, %(form)s,"
                    " %(bytes)s, 'unknown', 1, %(audited)s)",
                    row | {"audited": sequence},
                )
        return sequence

    return make


def test_a_batch_of_screenings_is_covered_by_its_record(in_audit, sealed_batch):
    sealed_batch([make_row() for _ in range(10)])
    sealed_batch([make_row(verdict="refused", refusal="empty", bytes=None)])
    assert in_audit(PgAudit.verify) is None


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("DELETE FROM screenings WHERE id IN (SELECT id FROM screenings LIMIT 2)",
         "2 screenings are missing"),
        ("UPDATE screenings SET audited = NULL", "5 screenings are missing"),
        ("UPDATE screenings SET content_id = 'other'", "a screening was changed"),
        ("UPDATE screenings SET received_at = received_at + interval '1us'", "was changed"),
        ("UPDATE screenings SET bytes = NULL", "a screening was changed"),
        ("INSERT INTO screenings (id, platform, content_id, verdict, policy, index_seq,"
         " received_at, form, rating, milliseconds, audited) SELECT uuidv7(), platform, 'x',"
         " 'clear', 'x', 1, now(), 'file', 'unknown', 1, audited FROM screenings LIMIT 1",
         "1 screenings were added"),
    ],
)  # fmt: skip
def test_screenings_that_are_missing_changed_or_added_are_found(
    migrated_url, in_audit, sealed_batch, statement, what
):
    in_audit(append_some)
    sequence = sealed_batch([make_row() for _ in range(5)])
    with psycopg.connect(migrated_url, options="-c search_path=consentry") as connection:
        connection.execute(statement)
    found = in_audit(PgAudit.verify)
    assert found is not None
    assert found.seq == sequence
    assert what in found.what


def test_a_record_that_does_not_say_what_it_covers_is_a_break(in_audit):
    in_audit(lambda audit: audit.append("system", SEALED, "screenings", {"count": 3}))
    assert "does not say" in in_audit(PgAudit.verify).what


def test_the_digest_depends_on_the_screenings_not_on_their_order_or_spelling():
    rows = [make_row() for _ in range(4)]
    digest = screenings_digest(rows)
    assert screenings_digest(reversed(rows)) == digest
    india = timezone(timedelta(hours=5, minutes=30))
    spelled = [
        row
        | {
            "id": str(row["id"]),
            "verdict": Verdict(row["verdict"]),
            "received_at": row["received_at"].astimezone(india),
            "milliseconds": 3.0,
        }
        for row in rows
    ]
    assert screenings_digest(spelled) == digest
    for name, other in (("verdict", "known"), ("bytes", 1001), ("case_id", uuid4())):
        assert screenings_digest([rows[0] | {name: other}, *rows[1:]]) != digest


def test_what_is_signed_of_a_head_says_whose_it_is_and_when():
    at = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
    statement = head_statement(Head("main", 7, bytes(32)), UUID(int=5), at)
    assert json.loads(statement) == {
        "form": "consentry-audit-head/1",
        "deployment": str(UUID(int=5)),
        "chain": "main",
        "seq": 7,
        "hash": "00" * 32,
        "at": "2026-01-02T03:04:05.000006Z",
    }
    assert statement == head_statement(Head("main", 7, bytes(32)), UUID(int=5), at)
