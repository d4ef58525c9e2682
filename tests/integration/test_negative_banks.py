"""A wrong match is dismissed once, a lead teaches a bank, and the picture raises nothing more."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from pipeline.domain.case import Ground
from pipeline.domain.media import Side, Upload
from pipeline.errors import Conflict, Denied, Invalid, NotFound
from pipeline.journeys.banks import (
    Changes,
    add_bank,
    bank_named,
    empty_outdated,
    give_up_bank,
    learn,
    set_bank,
)
from pipeline.journeys.screen_upload import Hashed
from pipeline.journeys.withdraw import finish
from services.accounts import add_reviewer
from services.cli import app
from services.console import create_app
from services.wiring import alive
from tests.integration.test_console import PASSWORD, Desk
from tests.world import Town, jpeg, picture


def code_of(town: Town, body: bytes, turned: int = 0) -> bytes:
    pdq = next(one for one in town.world.signals if one.space.name == "pdq")
    code = bytearray(pdq.compute(town.world.decode(body).frames, Side.QUERY).codes[0])
    for bit in range(turned):
        code[bit // 8] ^= 1 << (bit % 8)
    return bytes(code)


def asked(town: Town, platform: Any, code: bytes, name: str) -> Any:
    town.live.catch_up()
    screener = town.world.screener(town.live)
    return screener.screen_hashes(platform, Upload(name), [Hashed("pdq", code, 100)])


@pytest.fixture
def taught(town: Town) -> Any:
    """A town whose bank has learned a picture 24 bits from hers."""
    world = town.world
    town.register(jpeg(picture(1)))
    board, lead = town.platform(), town.reviewer("lea", "lead")
    wrong = code_of(town, jpeg(picture(1)), 24)
    case = asked(town, board, wrong, "first").case
    add_bank(world.store, town.clock, world.pins, "memes", timedelta(days=30), "Lea", "cats")
    with pytest.raises(Invalid, match="dismissed"):
        learn(world.store, "memes", case, lead, "lead")
    town.dismiss(case, town.reviewer())
    with pytest.raises(Denied):
        learn(world.store, "memes", case, lead, "reviewer")
    with pytest.raises(NotFound, match="memes"):
        learn(world.store, "meme", case, lead, "lead")
    again = asked(town, board, bytes([wrong[0] ^ 1, *wrong[1:]]), "again")
    assert again.verdict == "review", "a dismissal is of that very upload alone"
    assert learn(world.store, "memes", case, lead, "lead") == 1
    return town, board, wrong


def test_a_learned_false_match_raises_nothing_and_hers_does(taught: Any) -> None:
    town, board, wrong = taught
    like = bytes([wrong[0] ^ 3, *wrong[1:]])
    answered = asked(town, board, like, "like")
    assert (answered.verdict, answered.notes) == ("clear", ("known_false_match",))
    hers = code_of(town, jpeg(picture(1)), 4)
    assert asked(town, board, hers, "hers").verdict == "review"
    told = town.query("SELECT actor, body FROM audit_log WHERE action = 'bank.learned'")
    assert len(told) == 1
    assert told[0][0].startswith("reviewer:")
    assert wrong.hex() not in str(town.query("SELECT * FROM audit_log"))


def test_a_lead_teaches_a_bank_from_the_cases_own_page(taught: Any) -> None:
    town, board, wrong = taught
    add_reviewer(town.world, "lou", PASSWORD, role="lead")
    lead = Desk(town, TestClient(create_app(town.world), follow_redirects=False))
    lead.log_in("lou")
    other = bytes([wrong[0], wrong[1] ^ 255, *wrong[2:]])
    case = asked(town, board, other, "other").case
    page = lead.send("/lead/banks/learn", bank="memes", case=str(case))
    assert page.status_code == 422
    assert "only a case that was dismissed" in page.text.lower()
    town.dismiss(case, town.reviewer("ann"))
    assert f"/lead/banks?case={case}" in lead.get(f"/cases/{case}").text
    assert str(case) in lead.get(f"/lead/banks?case={case}").text
    done = lead.send("/lead/banks/learn", bank="memes", case=str(case))
    assert done.headers["location"] == "/lead/banks?learned=1"
    assert "1 picture learned" in lead.get(done.headers["location"]).text
    like = asked(town, board, bytes([other[0] ^ 1, *other[1:]]), "like")
    assert (like.verdict, like.notes) == ("clear", ("known_false_match",))
    assert lead.send("/lead/banks/learn", bank="nothing", case=str(case)).status_code == 422


def test_whoever_registers_the_learned_picture_is_matched(taught: Any) -> None:
    town, board, wrong = taught
    town.query(
        "UPDATE entries SET bank = 'registered' WHERE bank = 'negative'"
    )  # the same codes, as if she had registered them
    assert asked(town, board, bytes([wrong[0] ^ 1, *wrong[1:]]), "now hers").verdict == "review"


def test_what_has_lain_its_time_is_destroyed_and_counts_no_more(taught: Any) -> None:
    town, board, wrong = taught
    town.clock.forward(days=29)
    assert empty_outdated(town.world.store, town.world.blobs, town.clock) == 0
    set_bank(town.world.store, "memes", Changes(keeps=timedelta(days=20), notes="dogs"))
    assert empty_outdated(town.world.store, town.world.blobs, town.clock) == 1
    assert town.query("SELECT count(*) FROM entries WHERE bank = 'negative'") == [(0,)]
    like = bytes([wrong[0] ^ 3, *wrong[1:]])
    assert asked(town, board, like, "like").verdict == "review"
    assert town.query("SELECT count(*) FROM erasures WHERE what = 'entries'") == [(1,)]


def test_a_bank_that_is_given_up_is_destroyed_with_a_receipt(taught: Any) -> None:
    town, board, wrong = taught
    world = town.world
    receipt = give_up_bank(world.store, town.clock, "memes")
    like = bytes([wrong[0] ^ 3, *wrong[1:]])
    assert asked(town, board, like, "like").verdict == "review"
    done = finish(world.store, world.blobs, town.clock, alive, receipt)
    assert done.complete
    assert town.query("SELECT count(*) FROM banks") == [(0,)]
    with world.store.transaction() as unit, pytest.raises(NotFound, match="none yet"):
        bank_named(unit, "memes")


def test_the_command_line_keeps_banks(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", town.url)
    monkeypatch.setenv("CONSENTRY_HOME", str(town.world.settings.home))
    monkeypatch.setattr("services.logs.configure", lambda _: None)

    def said(*words: str) -> str:
        found = CliRunner().invoke(app, ["banks", *words])
        assert found.exit_code == 0, repr(found.exception)
        return found.output

    said("add", "memes", "--days", "90", "--owners", "Lea")
    assert isinstance(CliRunner().invoke(app, ["banks", "add", "memes"]).exception, Conflict)
    said("set", "memes", "--notes", "cats")
    row = {
        "bank": "memes", "kind": "negative", "test": False, "share": 1.0, "seed": 0, "within": {},
        "days": 90, "owners": "Lea", "notes": "cats", "pictures": 0, "would_have": 0,
    }  # fmt: skip
    assert json.loads(said("show", "memes")) == row
    assert json.loads(said("list", "--json")) == row
    refused = CliRunner().invoke(app, ["banks", "set", "memes", "--test"])
    assert isinstance(refused.exception, Invalid), "a negative bank raises nothing to be tried"
    town.register(jpeg(picture(3)))
    case = town.screen(town.platform(), jpeg(picture(3), 60)).case
    town.dismiss(case, town.reviewer(), Ground.WRONG_MATCH)
    town.reviewer("lea", "lead")
    assert "1 picture joined memes" in said("learn", "memes", str(case), "--by", "lea")
    assert "receipt" in said("remove", "memes")
    assert said("list", "--json") == ""
