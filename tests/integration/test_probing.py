"""Variants of one picture from one account are noticed: once, without a name, and forgotten."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest

from pipeline.domain.media import Rating, Upload
from pipeline.journeys.notice_probing import PROBING, Suspicion, forget_probes
from pipeline.journeys.screen_upload import Hashed
from pipeline.journeys.withdraw import finish, leave
from tests.integration.test_api import pdq
from tests.integration.test_following import enter, join
from tests.world import Town, jpeg, picture

MANY = 4


@pytest.fixture
def wary(make_town) -> Town:
    return make_town(probing_uploads=MANY)


def turned(code: bytes, bits: int) -> bytes:
    """The code with its first bits turned."""
    value = int.from_bytes(code, "big") ^ ((1 << bits) - 1)
    return value.to_bytes(len(code), "big")


def upload(town: Town, platform, code: bytes, bits: int, account: str | None = "account-77"):
    what = Upload(f"post-{uuid4().hex[:8]}", account, Rating.INTIMATE)
    hashed = Hashed("pdq", turned(code, bits), 100)
    return town.world.screener(town.live).screen_hashes(platform, what, [hashed])


def told(town: Town) -> list[dict]:
    return [b for (b,) in town.query("SELECT body FROM events WHERE kind = %s", PROBING)]


def test_variants_around_a_hit_raise_one_alarm_even_where_the_last_ones_passed(wary: Town) -> None:
    join(wary, 1)
    board, code = wary.platform("board"), pdq(wary, jpeg(picture(1)))
    verdicts = [upload(wary, board, code, bits).verdict for bits in (0, 20, 36)]
    assert verdicts == ["review", "review", "clear"]
    assert told(wary) == []
    last = upload(wary, board, code, 40)
    assert last.verdict == "clear", "he has found what passes, and is noticed"
    (event,) = told(wary)
    assert event["data"]["variants"] == MANY
    assert event["data"].get("uploads", []) == [], "a receiver goes through it"
    assert event["data"]["screening"] == str(last.id)
    assert event["data"]["content_id"].startswith("post-")
    upload(wary, board, code, 41)
    assert len(told(wary)) == 1, "once in a window"
    ((subject, body),) = wary.query(
        "SELECT subject, body FROM audit_log WHERE action = 'probing.noticed'"
    )
    assert subject == f"screening:{last.id}"
    assert "account" not in body
    with wary.world.store.transaction() as unit:
        (row,) = unit.probes.alarms(wary.clock() - timedelta(days=3650))
    assert (row["platform"], row["alarms"]) == ("board", 1)


def test_of_what_passed_the_accounts_name_is_kept_nowhere(wary: Town) -> None:
    join(wary, 1)
    board, code = wary.platform(), pdq(wary, jpeg(picture(1)))
    for bits in (36, 37, 38, 39, 40):
        upload(wary, board, code, bits)
    tables = wary.query(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'consentry'"
    )
    for (table,) in tables:
        rows = wary.query(f"SELECT row_to_json(t)::text FROM {table} t")
        assert not any("account-77" in row for (row,) in rows), table
    assert wary.query("SELECT count(*) FROM probes") == [(5,)]
    assert told(wary) == [], "without a hit it is no probing of anything"


def test_other_accounts_the_same_file_and_no_account_at_all_do_not_count(wary: Town) -> None:
    join(wary, 1)
    board, code = wary.platform(), pdq(wary, jpeg(picture(1)))
    for _ in range(MANY + 1):
        upload(wary, board, code, 3)
    for number in range(MANY + 1):
        upload(wary, board, code, number, f"account-{number}")
        upload(wary, board, code, number, None)
    assert told(wary) == []
    assert wary.query("SELECT count(*) FROM probes") == [(MANY + 2,)]


def test_uploads_beyond_the_window_count_no_more_and_are_destroyed(wary: Town) -> None:
    join(wary, 1)
    board, code = wary.platform(), pdq(wary, jpeg(picture(1)))
    for bits in range(MANY - 1):
        upload(wary, board, code, bits)
    wary.query("UPDATE probes SET at = at - interval '25 hours'")
    upload(wary, board, code, 9)
    assert told(wary) == []
    from services.wiring import now

    assert forget_probes(wary.world.store, now, wary.world.suspicion) == MANY - 1
    assert wary.query("SELECT count(*) FROM probes") == [(1,)]


def test_what_is_counted_is_gone_with_the_person(wary: Town) -> None:
    given = join(wary, 1)
    board, code = wary.platform(), pdq(wary, jpeg(picture(1)))
    upload(wary, board, code, 36)
    assert wary.query("SELECT count(*) FROM probes") == [(1,)]
    receipt = leave(wary.world.store, wary.clock, enter(wary, given))
    wary.live.catch_up()
    finish(wary.world.store, wary.world.blobs, wary.clock, lambda _: False, receipt)
    assert wary.query("SELECT count(*) FROM probes") == [(0,)]
    assert upload(wary, board, code, 37).verdict == "clear"
    assert wary.query("SELECT count(*) FROM probes") == [(0,)]


def test_an_operator_can_turn_it_off(make_town) -> None:
    town = make_town(probing_uploads=0)
    join(town, 1)
    board, code = town.platform(), pdq(town, jpeg(picture(1)))
    for bits in range(10):
        upload(town, board, code, bits)
    assert told(town) == []
    assert town.query("SELECT count(*) FROM probes") == [(0,)]
    assert town.world.suspicion == Suspicion(0, timedelta(hours=24))
