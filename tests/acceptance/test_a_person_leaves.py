"""A person leaves: nothing of hers matches any more, anywhere, and nothing of her is left."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from pipeline.domain.erasure import ORDER, Confirmation, Receipt, Step
from pipeline.domain.screening import Verdict
from pipeline.errors import Denied, TooManyAttempts
from pipeline.journeys import review
from pipeline.journeys.deliver import deliver_due
from pipeline.journeys.register import Registration, shown_case_number
from pipeline.journeys.see import Eye
from pipeline.journeys.withdraw import ask, finish
from services.wiring import alive
from tests.world import Platform, Town, jpeg, picture


def leave(town: Town, person: Registration, patience: float = 10) -> Receipt:
    receipt = ask(town.world.store, town.world.pins, town.clock, person.case_number, person.pin)
    return finish(
        town.world.store,
        town.world.blobs,
        _ticking(town),
        alive,
        receipt,
        patience=timedelta(seconds=patience),
    )


def _ticking(town: Town) -> Callable[[], object]:
    from services.wiring import now

    return now


def test_a_person_who_left_is_no_longer_matched(town: Town) -> None:
    person = town.register(jpeg(picture(1)))
    board = town.platform()
    assert town.screen(board, jpeg(picture(1), 50)).verdict is Verdict.REVIEW
    receipt = leave(town, person)
    assert receipt.complete
    assert tuple(step for step, _ in receipt.done) == ORDER
    assert town.screen(board, jpeg(picture(1), 51)).verdict is Verdict.CLEAR


def test_matches_stop_before_any_index_has_heard_of_it(town: Town) -> None:
    person = town.register(jpeg(picture(1)))
    board = town.platform()
    # The index of this process is asked with the entries still in it: the database says no.
    ask(town.world.store, town.world.pins, town.clock, person.case_number, person.pin)
    assert town.screen(board, jpeg(picture(1), 50)).verdict is Verdict.CLEAR


def test_a_person_who_leaves_while_her_match_is_being_judged_raises_nothing(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    person, board = town.register(jpeg(picture(1))), town.platform()
    believe = Eye.believe

    def believe_and_lose_her(*given: Any) -> Any:
        hits = believe(*given)
        ask(town.world.store, town.world.pins, town.clock, person.case_number, person.pin)
        return hits

    monkeypatch.setattr(Eye, "believe", believe_and_lose_her)
    assert town.screen(board, jpeg(picture(1), 50)).verdict is Verdict.CLEAR
    assert town.query("SELECT count(*) FROM cases") == [(0,)]


def test_every_process_that_held_her_hashes_confirms(make_town: Callable[..., Town]) -> None:
    here, there = make_town("api"), make_town("cli")
    person = here.register(jpeg(picture(1)))
    there.live.catch_up()
    receipt = leave(here, person)
    assert {holder.role for holder in receipt.holders} == {"api", "cli"}
    assert {holder.confirmed for holder in receipt.holders} == {Confirmation.APPLIED}
    for town in (here, there):
        assert sum(state.codes for state in town.live.states().values()) == 0


def test_a_process_that_was_killed_counts_as_having_let_go(town: Town) -> None:
    from uuid import uuid4

    from pipeline.domain.ids import ProcessId
    from services.wiring import me

    mine = me("gone")
    with town.world.store.transaction() as unit:
        unit.followers.announce(ProcessId(uuid4()), "killed", mine.host, 2**22 - 1, 17)
    receipt = leave(town, town.register(jpeg(picture(1))))
    confirmed = {holder.role: holder.confirmed for holder in receipt.holders}
    assert confirmed["killed"] is Confirmation.ENDED
    assert receipt.complete


def test_a_host_that_is_away_delays_the_receipt_but_not_the_destruction(town: Town) -> None:
    from uuid import uuid4

    from pipeline.domain.ids import ProcessId

    away = ProcessId(uuid4())
    with town.world.store.transaction() as unit:
        unit.followers.announce(away, "api", "another host", 1, 1)
    receipt = leave(town, town.register(jpeg(picture(1))), patience=0.2)
    assert not receipt.complete
    assert receipt.signature is None
    assert Step.INDEXES_CLEAR not in {step for step, _ in receipt.done}
    assert town.query("SELECT count(*) FROM entries") == [(0,)]
    assert town.query("SELECT count(*) FROM vault_keys WHERE kind = 'person'") == [(0,)]
    with town.world.store.transaction() as unit:
        unit.followers.report(away, receipt.sequence)
    finished = finish(
        town.world.store, town.world.blobs, _ticking(town), alive, receipt.id, timedelta(0)
    )
    assert finished.complete
    assert town.world.secrets.verify(finished.statement(), finished.signature or "")


def test_open_cases_that_rest_on_her_alone_close_and_their_media_are_destroyed(town: Town) -> None:
    person = town.register(jpeg(picture(1)))
    case = town.screen(town.platform(), jpeg(picture(1), 50), "post-1").case
    receipt = leave(town, person)
    assert (receipt.cases_closed, receipt.media_destroyed) == (1, 1)
    assert town.query("SELECT state FROM cases WHERE id = %s", case) == [("withdrawn",)]
    assert not [file for file in town.world.settings.blob_folder.rglob("*") if file.is_file()]
    sent = Platform()
    deliver_due(town.world.store, sent, town.clock, lambda _: 1.0)
    assert [event.kind for event, _ in sent.told] == ["case.withdrawn"], "the upload may go"


def test_a_case_that_rests_on_somebody_else_too_stays_open(town: Town) -> None:
    hers, his = town.register(jpeg(picture(1))), town.register(jpeg(picture(1), 80))
    case = town.screen(town.platform(), jpeg(picture(1), 50)).case
    assert leave(town, hers).cases_closed == 0
    assert town.query("SELECT state FROM cases WHERE id = %s", case) == [("open",)]
    assert leave(town, his).cases_closed == 1


def test_what_a_person_already_upheld_stays_upheld_but_repeats_are_no_longer_known(
    town: Town,
) -> None:
    person = town.register(jpeg(picture(1)))
    board = town.platform()
    case = town.screen(board, jpeg(picture(1), 50)).case
    town.uphold(case, town.reviewer())
    leave(town, person)
    assert town.query("SELECT state FROM cases WHERE id = %s", case) == [("upheld",)]
    assert town.query("SELECT person FROM case_hits") == [(None,)] * len(
        town.query("SELECT 1 FROM case_hits")
    )
    assert town.screen(board, jpeg(picture(1), 50)).verdict is Verdict.CLEAR


def test_a_reviewer_at_work_finds_the_case_closed_under_her(town: Town) -> None:
    from pipeline.domain.case import Ground
    from pipeline.errors import IllegalTransition

    person = town.register(jpeg(picture(1)))
    case = town.screen(town.platform(), jpeg(picture(1), 50)).case
    assert case is not None
    claim = review.claim(town.world.desk, case, town.reviewer())
    leave(town, person)
    with pytest.raises(IllegalTransition, match="withdrawn"):
        review.uphold(town.world.desk, case, claim.token, Ground.MATCH, "It is hers.")
    assert town.query("SELECT count(*) FROM takedowns") == [(0,)]


def test_a_case_whose_entries_are_out_of_force_cannot_be_upheld_before_it_closes(
    town: Town,
) -> None:
    from pipeline.domain.case import Ground
    from pipeline.errors import IllegalTransition

    person = town.register(jpeg(picture(1)))
    case = town.screen(town.platform(), jpeg(picture(1), 50)).case
    assert case is not None
    claim = review.claim(town.world.desk, case, town.reviewer())
    ask(town.world.store, town.world.pins, town.clock, person.case_number, person.pin)
    with pytest.raises(IllegalTransition, match="withdrawn"):
        review.uphold(town.world.desk, case, claim.token, Ground.MATCH, "It is hers.")


def test_a_wrong_pin_gets_the_same_words_as_a_wrong_case_number_and_must_wait(town: Town) -> None:
    person = town.register(jpeg(picture(1)))

    def fails_with(case_number: str, pin: str) -> str:
        with pytest.raises(Denied) as caught:
            ask(town.world.store, town.world.pins, town.clock, case_number, pin)
        return str(caught.value)

    assert fails_with(person.case_number, "00000000") == fails_with("0" * 12, person.pin)
    waits = [_guess(town, person.case_number) for _ in range(20)]
    assert any(waits), "a PIN cannot be guessed without end"
    assert max(waits) <= 15 * 60, (
        "and whoever locks her out locks her out for minutes, not for good"
    )
    town.clock.forward(minutes=16)
    assert ask(town.world.store, town.world.pins, town.clock, person.case_number, person.pin)


def test_a_case_number_is_understood_however_it_is_typed(town: Town) -> None:
    person = town.register(jpeg(picture(1)))
    typed = shown_case_number(person.case_number).lower().replace("-", " ")
    assert ask(town.world.store, town.world.pins, town.clock, typed, f" {person.pin}\n")


def test_asking_twice_gives_the_same_receipt(town: Town) -> None:
    person = town.register(jpeg(picture(1)))
    first = ask(town.world.store, town.world.pins, town.clock, person.case_number, person.pin)
    again = ask(town.world.store, town.world.pins, town.clock, person.case_number, person.pin)
    assert first == again


def test_nothing_of_her_is_left_in_any_table_and_the_audit_trail_still_holds(town: Town) -> None:
    person = town.register(jpeg(picture(1)), jpeg(picture(3)))
    board = town.platform()
    town.uphold(town.screen(board, jpeg(picture(1), 50)).case, town.reviewer())
    town.screen(board, jpeg(picture(3), 50))
    ((hers,),) = town.query("SELECT id FROM persons")
    leave(town, person)
    assert not _rows_that_mention(town, str(hers), person.case_number)
    with town.world.store.transaction(snapshot=True) as unit:
        assert unit.audit.verify() is None


def _guess(town: Town, case_number: str) -> float:
    """One wrong guess; how many seconds it has to wait before the next."""
    with pytest.raises(Denied) as caught:
        ask(town.world.store, town.world.pins, town.clock, case_number, "00000000")
    return caught.value.retry_after if isinstance(caught.value, TooManyAttempts) else 0.0


def _rows_that_mention(town: Town, *needles: str) -> list[str]:
    """Tables with a row that contains any needle; the audit trail keeps her random id alone."""
    found = []
    with psycopg.connect(town.url) as connection:
        tables = connection.execute(
            "SELECT relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace"
            " WHERE nspname = 'consentry' AND relkind = 'r' AND relname <> 'audit_log'"
        ).fetchall()
        for (table,) in tables:
            rows = connection.execute(f"SELECT t::text FROM consentry.{table} t").fetchall()
            if any(needle in row[0] for row in rows for needle in needles):
                found.append(table)
    return found
