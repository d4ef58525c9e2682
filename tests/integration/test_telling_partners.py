"""Partners hear of a decision once, whatever dies meanwhile; their lists find files by bytes."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.domain.case import Ground, State
from pipeline.journeys import appeal, review
from pipeline.journeys.sync_exchange import Lists, add_exchange, exchange_named, sync
from tests.integration.test_partner_lists import (
    body_of,
    followed,
    hash_of,
    lists,
    partner,
    read,
    server,
    verdict,
)
from tests.partners import Asked, Hma, Ncmec, Partner, StopNcii
from tests.world import Town

__all__ = ["followed", "lists", "partner", "server"]

LOGIN = {"username": "me", "password": "secret", "negative_reason": "not-it"}


@pytest.fixture
def service() -> Iterator[tuple[Ncmec, Partner]]:
    speaks = Ncmec()
    with Partner(speaks).running() as running:
        yield speaks, running


def decided(town: Town, lists: Lists, service: tuple[Ncmec, Partner]) -> None:
    """Two pictures on NCMEC's list, one upheld and one dismissed."""
    speaks, server = service
    for seed in (1, 2):
        speaks.image(f"entry-{seed}", pdq=hash_of(town, seed))
    add_exchange(lists, town.world.pins, "ncmec", "ncmec", {**LOGIN, "address": server.address})
    sync(lists, "ncmec")
    town.live.catch_up()
    board, ada = town.platform(), town.reviewer()
    upheld, dismissed = (town.screen(board, body_of(seed)).case for seed in (1, 2))
    town.uphold(upheld, ada)
    town.dismiss(dismissed, ada)
    town.clock.forward(minutes=1)


def test_a_process_killed_after_telling_and_before_writing_it_down_tells_nobody_twice(
    town: Town, lists: Lists, service: tuple[Ncmec, Partner]
) -> None:
    decided(town, lists, service)
    speaks, server = service
    running: list[subprocess.Popen[bytes]] = []

    def kills(asked: Asked) -> Any:
        answer = speaks(asked)
        if asked.method == "POST" and running:
            os.kill(running.pop().pid, signal.SIGKILL)
        return answer

    server.answer = kills
    environment = {
        **os.environ,
        "DATABASE_URL": town.url,
        "CONSENTRY_HOME": str(town.world.settings.home),
        "CONSENTRY_LOG_LEVEL": "error",
    }
    words = [sys.executable, "-m", "services.cli", "exchange", "sync", "ncmec"]
    process = subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL)
    running.append(process)
    assert process.wait(120) == -signal.SIGKILL
    assert len(speaks.feedback) == 1
    assert town.query("SELECT state FROM exchange_reports") == [("telling",)]
    town.query("UPDATE exchanges SET held_until = NULL")  # its lease runs out in time
    done = sync(lists, "ncmec")
    assert (done.told, done.problem) == (1, None)
    assert len({path for path, _ in speaks.feedback}) == len(speaks.feedback) == 2
    states = [state for (state,) in town.query("SELECT state FROM exchange_reports")]
    assert sorted(states) == ["told", "unsure"]
    stored = exchange_named(town.world.store, "ncmec")
    with town.world.store.transaction() as unit:
        assert "not told again" in unit.exchanges.troubles(stored.id)[-1][1]
    unsure = "SELECT count(*) FROM audit_log WHERE action = 'exchange.unsure'"
    assert town.query(unsure) == [(1,)]
    assert sync(lists, "ncmec").told == 0


def test_where_telling_twice_is_telling_once_what_may_be_lost_is_told_again(
    town: Town, followed: Lists, partner: StopNcii, server: Partner
) -> None:
    partner.put(hash_of(town, 1), "Active", 101)
    read(town, followed)
    town.uphold(town.screen(town.platform(), body_of(1)).case, town.reviewer())
    server.answer = lambda asked: (
        (partner(asked)[0], {}, b"") if asked.method == "GET" else (504, {}, b"")
    )
    answer = partner

    def deaf(asked: Asked) -> Any:
        return (504, {}, b"") if asked.method == "POST" else answer(asked)

    server.answer = deaf
    lost = read(town, followed)
    assert "may have heard" in (lost.problem or "")
    assert lost.told == 0
    server.answer = answer
    assert read(town, followed).told == 1
    assert [one["feedbackValue"] for one in partner.feedback] == ["Blocked"]
    assert read(town, followed).told == 0


def test_one_of_many_that_was_refused_is_told_later_and_the_others_only_once(
    town: Town, lists: Lists, service: tuple[Ncmec, Partner]
) -> None:
    decided(town, lists, service)
    speaks, server = service
    posts: list[str] = []

    def second_is_refused(asked: Asked) -> Any:
        if asked.method == "POST":
            posts.append(asked.path)
            if len(posts) == 2:
                return 403, {}, b""
        return speaks(asked)

    server.answer = second_is_refused
    assert "credentials" in (sync(lists, "ncmec").problem or "")
    town.clock.forward(minutes=1)
    assert sync(lists, "ncmec").told == 1
    assert len({path for path, _ in speaks.feedback}) == len(speaks.feedback) == 2


def test_an_overturned_decision_is_told_as_its_opposite(
    town: Town, followed: Lists, partner: StopNcii
) -> None:
    town.rules(undo_seconds=0, second_looks=0)
    partner.put(hash_of(town, 1), "Active", 101)
    read(town, followed)
    board = town.platform()
    case = town.screen(board, body_of(1)).case
    assert case is not None
    town.uphold(case, town.reviewer("ada"))
    assert read(town, followed).told == 1
    asked = appeal.by_uploader(town.world.desk, board, case, "It is my own.")
    claim = review.claim(town.world.desk, asked, town.reviewer("ben"))
    review.decide(
        town.world.desk, asked, claim.token, State.OVERTURNED, Ground.DECISION_WRONG, "So it is."
    )
    assert read(town, followed).told == 1
    assert [one["feedbackValue"] for one in partner.feedback] == ["Blocked", "NotBlocked"]


# --- files known by their bytes ---------------------------------------------------------------


def test_a_still_on_a_partners_list_by_its_md5_is_found_and_a_person_looks(
    town: Town, lists: Lists, tmp_path: Path
) -> None:
    file, body = tmp_path / "list.csv", body_of(7)
    md5 = hashlib.md5(body, usedforsecurity=False).hexdigest()
    sha256 = hashlib.sha256(body_of(8)).hexdigest()
    file.write_text(f"type,indicator\nmd5,{md5}\nsha256,{sha256}\nmd5,12\n")
    add_exchange(lists, town.world.pins, "file", "ndjson", {"source": str(file)})
    done = sync(lists, "file")
    assert (done.added, done.unreadable) == (2, 1)
    town.live.catch_up()
    board, ada = town.platform(), town.reviewer()
    found = town.screen(board, body, "post-1")
    assert (found.verdict, found.matches[0].signal) == ("review", "bytes")
    assert found.matches[0].witness == "the same bytes"
    assert verdict(town, 8) == "review"
    assert verdict(town, 9) == "clear"
    town.uphold(found.case, ada)
    again = town.screen(board, body, "post-2")
    assert again.verdict == "known", "by what it shows, which a person saw"
    assert {match.signal for match in again.matches} <= {"pdq", "phash"}
    file.write_text("type,indicator\n")
    town.clock.forward(minutes=1)
    assert sync(lists, "file").withdrawn == 2
    town.live.catch_up()
    assert town.screen(board, body, "post-3").verdict == "clear"


def test_a_file_of_threatexchange_updates_withdraws_by_flag_and_by_absence(
    town: Town, lists: Lists, tmp_path: Path
) -> None:
    file = tmp_path / "updates.ndjson"

    def write(*records: dict[str, Any]) -> None:
        file.write_text("".join(json.dumps(record) + "\n" for record in records))

    def one(seed: int, **more: Any) -> dict[str, Any]:
        return {"id": str(seed), "type": "HASH_PDQ", "indicator": hash_of(town, seed), **more}

    write(one(1), one(2), {"id": "3", "type": "HASH_PDQ"}, one(4))
    add_exchange(lists, town.world.pins, "file", "ndjson", {"source": str(file)})
    first = sync(lists, "file")
    assert (first.added, first.unreadable) == (3, 1)
    town.clock.forward(minutes=1)
    write(one(1, should_delete=True), one(2))
    assert sync(lists, "file").withdrawn == 2
    assert [verdict(town, seed) for seed in (1, 2, 4)] == ["clear", "review", "clear"]


def test_a_peers_hma_is_followed_disabled_content_withdrawn_and_bad_records_listed(
    town: Town, lists: Lists
) -> None:
    peer = Hma()
    with Partner(peer).running() as server:
        for seed in (1, 2, 3):
            peer.put(hash_of(town, seed))
        peer.contents[peer.put("12")] = b"<html>"
        given = {"address": server.address, "banks": ["OURS"], "token": "peer", "gap": 10}
        add_exchange(lists, town.world.pins, "peer", "hma", given)
        first = sync(lists, "peer")
        assert (first.added, first.unreadable) == (3, 1)
        peer.disable(hash_of(town, 1))
        del peer.contents[2]
        town.clock.forward(minutes=1)
        second = sync(lists, "peer")
        assert (second.withdrawn, second.unchanged) == (2, 1)
        assert [verdict(town, seed) for seed in (1, 2, 3)] == ["clear", "clear", "review"]
