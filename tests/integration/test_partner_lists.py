"""Partners' lists are followed: added, withdrawn within one sync, resumed, told, given up."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pipeline import plugins
from pipeline.domain.media import Rating, Side, Upload
from pipeline.errors import Conflict, Invalid, NotFound
from pipeline.exchanges._calls import Calls
from pipeline.journeys.banks import (
    Changes,
    add_bank,
    bank_named,
    empty_outdated,
    give_up_bank,
    only_try,
    set_bank,
    tried,
)
from pipeline.journeys.policies import try_terms
from pipeline.journeys.screen_upload import Hashed
from pipeline.journeys.sync_exchange import (
    Lists,
    add_exchange,
    exchange_named,
    give_up_exchange,
    new_credentials_for,
    sync,
)
from pipeline.journeys.try_banks import KEPT, forget_tried
from pipeline.journeys.withdraw import finish
from services.api.pulse import Pulses
from services.cli import app
from services.wiring import alive
from services.worker import duties, read_lists
from tests.partners import Partner, StopNcii
from tests.world import Town, jpeg, picture

KEYS = {"subscription_key": "subscription", "fetch_key": "fetch", "feedback_key": "feedback"}


@pytest.fixture
def partner() -> StopNcii:
    return StopNcii()


@pytest.fixture
def server(partner: StopNcii) -> Iterator[Partner]:
    with Partner(partner).running() as running:
        yield running


@pytest.fixture
def lists(town: Town) -> Lists:
    """The deployment's own, with the test's clock and no waiting for partners."""
    calls = Calls(sleep=lambda _: None)
    return replace(
        town.world.lists(),
        clock=town.clock,
        build=lambda kind, given: plugins.build("exchanges", kind, calls, **given),
    )


@pytest.fixture
def followed(town: Town, lists: Lists, server: Partner) -> Lists:
    settings = {**KEYS, "address": server.address}
    add_exchange(lists, town.world.pins, "stopncii", "stopncii", settings)
    return lists


def body_of(seed: int) -> bytes:
    return jpeg(picture(seed))


def hash_of(town: Town, seed: int) -> str:
    """The PDQ hash that somebody's device made of a picture."""
    pdq = next(signal for signal in town.world.signals if signal.space.name == "pdq")
    media = town.world.decode(body_of(seed))
    return bytes(pdq.compute(media.frames, Side.REGISTERED).codes[0].tobytes()).hex()


def verdict(town: Town, seed: int, content_id: str | None = None) -> str:
    town.live.catch_up()
    return town.screen(town.platform(f"p{seed}{content_id}"), body_of(seed), content_id).verdict


def read(town: Town, lists: Lists) -> Any:
    done = sync(lists, "stopncii")
    town.live.catch_up()
    town.clock.forward(minutes=1)
    return done


def test_what_a_partner_adds_is_found_and_what_it_withdraws_is_not(
    town: Town, followed: Lists, partner: StopNcii
) -> None:
    for seed in (1, 2, 3):
        partner.put(hash_of(town, seed), "Active", 100 + seed)
    assert (read(town, followed).added, verdict(town, 1)) == (3, "review")
    partner.put(hash_of(town, 1), "Withdrawn", 200)
    partner.put(hash_of(town, 2), "Deleted", 201)
    assert read(town, followed).withdrawn == 2
    assert [verdict(town, seed, "again") for seed in (1, 2, 3)] == ["clear", "clear", "review"]


def test_a_list_s_entries_and_what_is_said_of_it_ask_for_earlier_uploads(
    town: Town, followed: Lists, partner: StopNcii
) -> None:
    rescans = next(duty for duty in duties(town.world) if duty.name == "rescan")
    sweeper = town.world.sweeper(town.live)

    def found() -> list[tuple[Any, ...]]:
        while sweeper.work(lambda _: 0.0):
            pass
        return town.query("SELECT content_id FROM case_uploads ORDER BY 1")

    board = town.platform()
    for seed in (1, 2):
        assert town.screen(board, body_of(seed), f"early {seed}").verdict == "clear"
    assert rescans.work() == 1, "there was none before"
    assert found() == []
    partner.put(hash_of(town, 1), "Active", 101)
    read(town, followed)
    assert (rescans.work(), rescans.work()) == (1, 0)
    assert found() == [("early 1",)]
    set_bank(town.world.store, "stopncii", Changes(test=True))
    partner.put(hash_of(town, 2), "Active", 102)
    read(town, followed)
    assert rescans.work() == 1
    assert found() == [("early 1",)], "the list is only tried"
    set_bank(town.world.store, "stopncii", Changes(test=False))
    assert (rescans.work(), rescans.work()) == (1, 0)
    assert found() == [("early 1",), ("early 2",)], "and counts now"
    sweeper.close()


def test_reading_again_changes_nothing(town: Town, followed: Lists, partner: StopNcii) -> None:
    for seed in (1, 2, 3):
        partner.put(hash_of(town, seed), "Active", 100 + seed)
    read(town, followed)
    entries = town.query("SELECT id FROM entries ORDER BY id")
    again = read(town, followed)
    assert (again.added, again.withdrawn) == (0, 0)
    assert town.query("SELECT id FROM entries ORDER BY id") == entries


def test_a_sync_that_was_cut_short_loses_and_doubles_nothing(
    town: Town, followed: Lists, partner: StopNcii, server: Partner
) -> None:
    for seed in range(1, 6):
        partner.put(hash_of(town, seed), "Active", 100 + seed)
    answer, asked = server.answer, []

    def dies_after_one_page(request: Any) -> Any:
        asked.append(request)
        return answer(request) if len(asked) == 1 else (403, {}, b"")

    server.answer = dies_after_one_page
    cut = read(town, followed)
    assert cut.added == 2
    assert "credentials" in (cut.problem or "")
    server.answer = answer
    rest = read(town, followed)
    assert (rest.added, rest.problem) == (3, None)
    assert town.query("SELECT count(*), count(DISTINCT item) FROM entries") == [(5, 5)]
    assert exchange_named(town.world.store, "stopncii").listing.problem is None


def test_after_thirty_days_of_silence_the_whole_list_is_read_and_what_it_lost_is_withdrawn(
    town: Town, followed: Lists, partner: StopNcii
) -> None:
    for seed in (1, 2):
        partner.put(hash_of(town, seed), "Active", 100 + seed)
    read(town, followed)
    partner.records = [one for one in partner.records if one["hashValue"] != hash_of(town, 1)]
    assert read(town, followed).withdrawn == 0, "an absence says nothing in a reading of changes"
    town.clock.forward(days=31)
    late = read(town, followed)
    assert (late.withdrawn, late.unchanged) == (1, 1)
    assert (verdict(town, 1), verdict(town, 2)) == ("clear", "review")


def test_a_file_is_the_whole_list_each_time(town: Town, lists: Lists, tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    file.write_text(f"pdq,{hash_of(town, 1)}\npdq,{hash_of(town, 2)}\nsound,00\n")
    add_exchange(lists, town.world.pins, "file", "ndjson", {"source": str(file)})
    first = sync(lists, "file")
    assert (first.added, first.unreadable) == (2, 1)
    town.clock.forward(minutes=1)
    file.write_text(f"pdq,{hash_of(town, 2)}\n")
    second = sync(lists, "file")
    assert (second.withdrawn, second.unchanged, second.unreadable) == (1, 1, 0)
    assert (verdict(town, 1), verdict(town, 2)) == ("clear", "review")


def test_one_bad_record_is_listed_and_stops_nothing(
    town: Town, followed: Lists, partner: StopNcii
) -> None:
    partner.put(hash_of(town, 1), "Active", 101)
    partner.put("ab12", "Active", 102)
    partner.put("00" * 32, "Paused", 103)
    done = read(town, followed)
    assert (done.added, done.unreadable) == (1, 2)
    stored = exchange_named(town.world.store, "stopncii")
    with town.world.store.transaction() as unit:
        said = unit.exchanges.troubles(stored.id)
    assert len(said) == stored.troubles == 2
    assert "64 hexadecimal digits" in said[0][1]


def test_a_video_on_a_list_is_known_by_its_bytes_alone(
    town: Town, followed: Lists, partner: StopNcii
) -> None:
    partner.put("a1" * 16, "Active", 101, kind="VideoMD5")
    read(town, followed)
    assert town.query("SELECT space, bank FROM entries") == [("bytes/1", "partner")]


def test_a_decision_is_told_to_the_partner_once(
    town: Town, followed: Lists, partner: StopNcii
) -> None:
    for seed in (1, 2):
        partner.put(hash_of(town, seed), "Active", 100 + seed)
    read(town, followed)
    board, ada = town.platform(), town.reviewer()
    upheld, dismissed = (town.screen(board, body_of(seed)).case for seed in (1, 2))
    town.uphold(upheld, ada)
    town.dismiss(dismissed, ada)
    assert read(town, followed).told == 2
    assert {(one["hashValue"], one["feedbackValue"]) for one in partner.feedback} == {
        (hash_of(town, 1), "Blocked"),
        (hash_of(town, 2), "NotBlocked"),
    }
    assert read(town, followed).told == 0


def test_what_was_upheld_for_a_withdrawn_record_goes_with_it(
    town: Town, followed: Lists, partner: StopNcii
) -> None:
    partner.put(hash_of(town, 1), "Active", 101)
    read(town, followed)
    board, ada = town.platform(), town.reviewer()
    town.uphold(town.screen(board, body_of(1)).case, ada)
    assert town.screen(board, body_of(1), "copy").verdict == "known"
    partner.put(hash_of(town, 1), "Withdrawn", 200)
    read(town, followed)
    assert town.screen(board, body_of(1), "after").verdict == "clear"
    assert town.query("SELECT count(*) FROM entries") == [(0,)]


def test_an_open_case_on_a_withdrawn_record_is_closed_and_its_media_destroyed(
    town: Town, followed: Lists, partner: StopNcii
) -> None:
    partner.put(hash_of(town, 1), "Active", 101)
    read(town, followed)
    case = town.screen(town.platform(), body_of(1)).case
    partner.put(hash_of(town, 1), "Withdrawn", 200)
    read(town, followed)
    assert town.query("SELECT state FROM cases WHERE id = %s", case) == [("withdrawn",)]
    assert town.query("SELECT count(*) FROM media WHERE destroyed_at IS NULL") == [(0,)]


def test_a_list_is_given_up_with_a_receipt(town: Town, followed: Lists, partner: StopNcii) -> None:
    partner.put(hash_of(town, 1), "Active", 101)
    read(town, followed)
    receipt = give_up_exchange(followed, "stopncii")
    town.live.catch_up()
    done = finish(town.world.store, town.world.blobs, town.clock, alive, receipt)
    assert done.complete
    assert verdict(town, 1) == "clear"
    for table in ("entries", "exchanges", "exchange_records", "persons"):
        assert town.query(f"SELECT count(*) FROM {table}") == [(0,)], table
    with pytest.raises(NotFound, match="no list 'stopncii'"):
        sync(followed, "stopncii")


def test_two_processes_do_not_read_a_list_at_once(
    town: Town, followed: Lists, partner: StopNcii, server: Partner
) -> None:
    partner.put(hash_of(town, 1), "Active", 101)
    answer, inner = server.answer, []

    def meanwhile(request: Any) -> Any:
        if not inner:
            inner.append(None)
            inner[0] = sync(followed, "stopncii")
        return answer(request)

    server.answer = meanwhile
    assert read(town, followed).added == 1
    assert "another process" in inner[0].problem


def test_no_hash_and_no_key_of_a_partner_lies_in_the_database(
    town: Town, followed: Lists, partner: StopNcii
) -> None:
    value = hash_of(town, 1)
    partner.put(value, "Active", 101)
    partner.put("ab12cd", "Active", 102)
    read(town, followed)
    names = town.query(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'consentry'"
    )
    dump = " ".join(
        str(row)
        for (name,) in names
        for row in town.query(f"SELECT row_to_json(t)::text FROM {name} t")
    )
    for secret in (value, "ab12cd", "subscription_key", '"fetch"'):
        assert secret not in dump
    assert bytes.fromhex(value).hex() not in dump.replace("\\\\x", "")


def test_a_holder_is_nobody_in_the_public_numbers(
    town: Town, followed: Lists, partner: StopNcii
) -> None:
    partner.put(hash_of(town, 1), "Active", 101)
    read(town, followed)
    day = timedelta(days=1)
    with town.world.store.transaction() as unit:
        assert unit.figures.public("people", town.clock() - day, town.clock() + day) == []


def test_settings_are_tried_before_they_are_kept(town: Town, followed: Lists) -> None:
    pins = town.world.pins
    with pytest.raises(Invalid, match="subscription_key"):
        add_exchange(followed, pins, "other", "stopncii", {"fetch_key": "x"})
    with pytest.raises(Conflict, match="already"):
        add_exchange(followed, pins, "stopncii", "stopncii", KEYS)
    with pytest.raises(Invalid, match="subscription_key"):
        new_credentials_for(followed, "stopncii", {})
    assert town.query("SELECT count(*) FROM exchanges") == [(1,)]
    assert town.query("SELECT count(*) FROM persons") == [(1,)]


def test_new_credentials_are_used_from_then_on(
    town: Town, followed: Lists, partner: StopNcii, server: Partner
) -> None:
    address = {"address": server.address}
    new_credentials_for(followed, "stopncii", {**KEYS, **address, "fetch_key": "old"})
    assert "credentials" in (read(town, followed).problem or "")
    new_credentials_for(followed, "stopncii", {**KEYS, **address})
    assert read(town, followed).problem is None


def test_workers_read_every_list(town: Town, followed: Lists, partner: StopNcii) -> None:
    partner.put(hash_of(town, 1), "Active", 101)
    assert read_lists(town.world) == 1


# --- the command line -------------------------------------------------------------------------


@pytest.fixture
def run(town: Town, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    monkeypatch.setenv("DATABASE_URL", town.url)
    monkeypatch.setenv("CONSENTRY_HOME", str(town.world.settings.home))
    monkeypatch.setenv("CONSENTRY_LOG_LEVEL", "error")
    return lambda *words, **more: CliRunner().invoke(app, ["exchange", *words], **more)


def test_an_operator_follows_a_list_from_the_command_line(
    town: Town, run: Callable[..., Any], partner: StopNcii, server: Partner
) -> None:
    partner.put(hash_of(town, 1), "Active", 101)
    partner.put("12", "Active", 102)
    given = json.dumps({**KEYS, "address": server.address})
    assert run("add", "ncii", "stopncii", "--settings", "-", input=given).exit_code == 0
    synced = run("sync", "--json")
    assert (synced.exit_code, json.loads(synced.stdout)["added"]) == (0, 1)
    told = run("status", "ncii", "--json")
    assert json.loads(told.stdout)["records"] == 1
    assert json.loads(told.stdout)["troubles"][0]["where"] == "a ImagePDQ changed at 102"
    server.answer = lambda asked: (403, {}, b"")
    assert run("sync", "ncii").exit_code == 1
    assert "receipt" in run("remove", "ncii").stdout


def test_a_list_is_tried_first_and_counted_without_anybody_being_asked(
    town: Town, followed: Lists, partner: StopNcii
) -> None:
    store = town.world.store
    set_bank(store, "stopncii", Changes(test=True))
    for seed in (1, 2):
        partner.put(hash_of(town, seed), "Active", 100 + seed)
    read(town, followed)
    board, forum = town.platform("board"), town.platform("forum")
    answered = town.screen(board, body_of(1), "one")
    assert (answered.verdict, answered.blocks, answered.matches) == ("clear", False, ())
    assert town.query("SELECT count(*) FROM cases") == [(0,)]
    told = tried(store, "stopncii", board, None, 9)
    assert [screening for screening, _ in told] == [answered.id]
    assert tried(store, "stopncii", forum, None, 9) == []
    trial = try_terms(store, town.world.policy, board, {}, 10)
    assert (trial.tests, trial.more) == ({"stopncii": 1}, 0)
    assert dict(Pulses(store, town.clock)().banks) == {"stopncii": 1}

    set_bank(store, "stopncii", Changes(test=False))
    only_try(store, "stopncii", forum, only=True, actor="test")
    assert town.screen(forum, body_of(2), "two").verdict == "clear"
    assert town.screen(board, body_of(2), "three").verdict == "review"
    only_try(store, "stopncii", forum, only=False, actor="test")
    assert town.screen(forum, body_of(2), "four").verdict == "review"
    with store.transaction() as unit:
        holder = bank_named(unit, "stopncii").holder
        assert unit.banks.count(holder) == (2, 2)
    town.clock.at += KEPT
    town.clock.forward(days=1)
    assert forget_tried(store, town.clock) == 2


def test_a_list_counts_as_far_and_as_long_as_it_is_said_to(
    town: Town, followed: Lists, partner: StopNcii
) -> None:
    world = town.world
    partner.put(hash_of(town, 1), "Active", 101)
    read(town, followed)
    board = town.platform()

    def asked(bits: int, name: str) -> str:
        code = bytes.fromhex(hash_of(town, 1))
        turned = int.from_bytes(code, "big") ^ ((1 << bits) - 1)
        hashed = [Hashed("pdq", turned.to_bytes(32, "big"), 100)]
        return world.screener(town.live).screen_hashes(
            board, Upload(name, None, Rating.INTIMATE), hashed
        ).verdict  # fmt: skip

    set_bank(world.store, "stopncii", Changes(within={"pdq": 10.0}))
    assert (asked(11, "a"), asked(10, "b")) == ("clear", "review")
    set_bank(world.store, "stopncii", Changes(share=0.0))
    assert asked(9, "c") == "clear"
    set_bank(world.store, "stopncii", Changes(share=1.0, within={}, keeps=timedelta(days=5)))
    assert asked(12, "d") == "review"
    town.clock.forward(days=6)
    assert empty_outdated(world.store, world.blobs, town.clock) == 1
    assert town.query("SELECT DISTINCT state FROM cases") == [("withdrawn",)]
    ((body,),) = town.query("SELECT body FROM audit_log WHERE action = 'bank.outdated'")
    assert body == '{"pictures":1}'
    read(town, followed)
    town.live.catch_up()
    assert asked(0, "e") == "clear", "the next reading does not bring it back"
    with pytest.raises(Invalid, match="exchange remove"):
        give_up_bank(world.store, town.clock, "stopncii")
    with pytest.raises(Conflict):
        add_bank(world.store, town.clock, world.pins, "stopncii", timedelta(days=9))
