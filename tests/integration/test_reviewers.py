"""Reviewers and their sessions, on a real PostgreSQL."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from pipeline.domain.ids import ReviewerId
from pipeline.errors import Conflict, Invalid
from pipeline.storage import Queries
from pipeline.storage.reviewers import IDLE, PgReviewers, Reviewer, Session

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
TOKEN = b"t" * 32
MINUTE = timedelta(minutes=1)


@pytest.fixture
def within(database):
    """Run something with the reviewers in a transaction of its own."""

    def run(what):
        with database.transaction() as connection:
            return what(PgReviewers(Queries(connection)))

    return run


@pytest.fixture
def make_reviewer(within):
    def make(login="ada", password="digest", role="reviewer"):
        return within(lambda reviewers: reviewers.add(login, password, role))

    return make


@pytest.fixture
def make_session(within, make_reviewer):
    def make(reviewer=None, digest=TOKEN, lasts=timedelta(hours=8)):
        reviewer = reviewer or make_reviewer()
        within(lambda r: r.create_session(reviewer, digest, "csrf", NOON, NOON + lasts))
        return reviewer

    return make


@pytest.fixture
def session_at(within):
    return lambda now, digest=TOKEN: within(lambda r: r.session(digest, now))


def test_a_reviewer_is_found_by_her_login_with_her_digest(within, make_reviewer):
    ada = make_reviewer("ada", "argon2 digest", "senior")
    found, digest = within(lambda r: r.by_login("ada"))
    assert (found, digest) == (Reviewer(ada, "ada", "senior", found.pseudonym), "argon2 digest")
    assert within(lambda r: r.by_login("Ada")) is None
    assert [row["login"] for row in within(PgReviewers.all)] == ["ada"]


def test_a_login_belongs_to_one(within, make_reviewer):
    make_reviewer("ada")
    with pytest.raises(Conflict, match="taken"):
        make_reviewer("ada", "another digest")
    assert within(lambda r: r.by_login("ada"))[1] == "digest"


def test_a_role_that_does_not_exist_is_refused_by_name(make_reviewer):
    with pytest.raises(
        Invalid, match="reviewer, senior, verifier, protected, lead, operator, auditor"
    ):
        make_reviewer(role="admin")


def test_a_session_is_found_by_its_digest_alone(make_session, session_at):
    ada = make_session()
    found = session_at(NOON)
    assert found == Session(Reviewer(ada, "ada", "reviewer", found.reviewer.pseudonym), "csrf")
    assert found.reviewer.pseudonym != "ada"
    assert session_at(NOON, b"u" * 32) is None
    assert "csrf'" not in repr(session_at(NOON))


def test_a_session_in_use_goes_on_and_one_left_idle_ends(make_session, session_at):
    make_session()
    now = NOON
    for _ in range(4):
        now += IDLE - MINUTE
        assert session_at(now) is not None
    assert session_at(now + IDLE) is None


def test_a_session_ends_at_its_time_however_busy(make_session, session_at):
    make_session(lasts=timedelta(minutes=40))
    assert session_at(NOON + 20 * MINUTE) is not None
    assert session_at(NOON + 40 * MINUTE) is None


def test_who_logs_out_is_out(within, make_session, session_at):
    make_session()
    assert within(lambda r: r.end_session(TOKEN))
    assert not within(lambda r: r.end_session(TOKEN))
    assert session_at(NOON) is None


def test_a_disabled_reviewer_is_out_at_once_and_cannot_come_back(within, make_session, session_at):
    ada = make_session()
    assert within(lambda r: r.disable(ada, NOON))
    assert not within(lambda r: r.disable(ada, NOON))
    assert session_at(NOON) is None
    assert within(lambda r: r.by_login("ada")) is None
    make_session(ada, b"u" * 32)
    assert session_at(NOON, b"u" * 32) is None


def test_another_password_ends_every_session_of_hers_and_nobody_elses(
    within, make_reviewer, make_session, session_at
):
    ada = make_session()
    make_session(make_reviewer("bob"), b"b" * 32)
    assert within(lambda r: r.set_password(ada, "new digest"))
    assert within(lambda r: r.by_login("ada"))[1] == "new digest"
    assert session_at(NOON) is None
    assert session_at(NOON, b"b" * 32) is not None
    assert not within(lambda r: r.set_password(ReviewerId(uuid4()), "digest"))


def test_only_sessions_that_have_ended_are_removed(within, make_reviewer, make_session, session_at):
    ada = make_session(lasts=10 * MINUTE)
    make_session(ada, b"idle" * 8)
    make_session(ada, b"used" * 8)
    later = NOON + IDLE
    assert session_at(NOON + 5 * MINUTE, b"used" * 8) is not None
    assert within(lambda r: r.purge(later)) == 2
    assert session_at(later, b"used" * 8) is not None
