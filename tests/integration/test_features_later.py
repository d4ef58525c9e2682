"""Local features are opted in to later, or dropped alone: hashes go on, everything else is gone."""

from __future__ import annotations

import html
import json
import re

import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from pipeline.domain.audit import canonical_json
from pipeline.domain.screening import Verdict
from pipeline.errors import Conflict, NotFound
from pipeline.journeys.keep_features import Dropped, drop_features, keep_features, still_holding
from pipeline.journeys.register import Outcome, Registration
from pipeline.journeys.sign_in import sign_in
from pipeline.journeys.withdraw import ask
from pipeline.media import features as orb
from pipeline.packs import _copies
from services import cli
from services.portal import create_app
from tests.copies import pack_folder
from tests.integration.test_local_features_in_the_path import joined, small_in_another
from tests.integration.test_portal import PAGE, signed_in, token
from tests.world import Town, jpeg, picture

SIZE = (480, 360)


def person_of(town: Town, done: Registration):
    world = town.world
    return sign_in(world.store, world.pins, town.clock, done.case_number, done.pin)


def keep(town: Town, done: Registration, *images: bytes) -> tuple[Outcome, ...]:
    world = town.world
    outcomes = keep_features(
        world.store, town.clock, world.decode, world.signals[0], world.copies().models,
        person_of(town, done), [(f"image {at}", body) for at, body in enumerate(images)],
    )  # fmt: skip
    town.live.catch_up()
    return outcomes


def drop(town: Town, done: Registration) -> Dropped:
    world = town.world
    return drop_features(world.store, world.blobs, town.clock, person_of(town, done))


def held(town: Town) -> int:
    return town.live.codes(orb.SPACE)


@pytest.fixture
def part() -> bytes:
    """An upload that only local features find."""
    return jpeg(small_in_another(picture(5, (640, 480))))


def test_the_portal_drops_finer_traces_alone_with_a_receipt_that_checks(town: Town, part) -> None:
    done, board = joined(town, picture(5, (640, 480))), town.platform()
    client = TestClient(create_app(town.world), headers=PAGE, follow_redirects=False)
    signed_in(client, {"case": done.case_number or "", "pin": done.pin or ""})
    page = client.get("/en/case").text
    assert "Finer traces" in page
    assert client.post("/en/case/features", data={"csrf": "no"}).status_code == 403
    csrf = {"csrf": token(page)}
    page = client.post("/en/case/features", data=csrf).text
    assert "The finer traces are deleted" in page
    assert "Delete the finer traces only" not in page
    found = re.search(r"<pre[^>]*>(.*?)</pre>", page, re.S)
    assert found
    receipt = html.unescape(found[1])
    assert "This receipt is real" in client.post("/en/check", data={"receipt": receipt}).text
    again = client.post("/en/case/features", data=csrf)
    assert again.headers["location"] == "/en/case", "asked for twice"
    town.live.catch_up()
    assert held(town) == 0
    assert town.screen(board, part).verdict is Verdict.CLEAR
    assert dict(town.query("SELECT purpose, state FROM consents"))["features"] == "withdrawn"


def test_features_are_added_later_to_the_picture_that_is_brought_again(town: Town, part) -> None:
    image = picture(5, (640, 480))
    done = joined(town, image, picture(6, SIZE), features=False)
    board = town.platform()
    assert town.screen(board, part, "before").verdict is Verdict.CLEAR
    (outcome,) = keep(town, done, jpeg(image))
    assert outcome.problem is None
    assert held(town) > 100
    assert town.screen(board, part, "after").verdict is Verdict.REVIEW
    assert town.query("SELECT count(DISTINCT item) FROM entries") == [(2,)], "no new picture"
    given = dict(town.query("SELECT purpose, state FROM consents"))
    assert given == {"hashes": "given", "features": "given"}
    assert town.query("SELECT count(*) FROM audit_log WHERE action = 'features.kept'") == [(1,)]


def test_what_is_not_hers_or_is_kept_already_is_said_and_nothing_stored(town: Town) -> None:
    done = joined(town, picture(5, SIZE))
    before = held(town)
    other, again, broken = keep(town, done, jpeg(picture(9, SIZE)), jpeg(picture(5, SIZE)), b"no")
    assert "register it first" in str(other.problem)
    assert "kept already" in str(again.problem)
    assert broken.problem
    assert held(town) == before
    assert town.query("SELECT count(*) FROM audit_log WHERE action = 'features.kept'") == [(0,)]


def test_features_are_dropped_alone_with_a_receipt_and_are_gone_from_every_process(
    make_town, tmp_path, part
) -> None:
    _copies.install(pack_folder(tmp_path / "given"), tmp_path / "home" / "packs")
    town, other = make_town(copies=("thumbs",)), make_town("second", copies=("thumbs",))
    image = picture(5, (640, 480))
    done = joined(town, image, features=False)
    assert keep(town, done, jpeg(image))[0].problem is None
    other.live.catch_up()
    (space,) = town.world.copy_spaces
    assert (town.live.codes(space), other.live.codes(space)) == (1, 1)
    board = town.platform()
    case = town.screen(board, part).case
    assert case is not None
    dropped = drop(town, done)
    # Whether the other process has heard of it or not, it answers right.
    assert other.screen(board, part).verdict is Verdict.CLEAR
    town.live.catch_up()
    other.live.catch_up()
    assert still_holding(town.world.store, dropped) == 0
    for one in (town, other):
        assert (held(one), one.live.codes(space)) == (0, 0)
    assert town.query("SELECT count(*) FROM features") == [(0,)]
    assert town.query("SELECT DISTINCT space FROM entries ORDER BY 1") == [("pdq/1",), ("phash/1",)]
    assert town.screen(board, jpeg(image, 50)).verdict is Verdict.REVIEW, "hashes go on"
    assert town.query("SELECT state FROM cases WHERE id = %s", case) == [("withdrawn",)]
    assert dict(town.query("SELECT purpose, state FROM consents")) == {
        "hashes": "given",
        "features": "withdrawn",
    }
    statement = canonical_json(dropped.document()).encode()
    assert town.world.secrets.verify(statement, dropped.signature)
    assert str(person_of(town, done)) not in statement.decode(), "a receipt names nobody"
    assert (dropped.pictures, dropped.entries) == (1, 3), "two orientations and a vector"


def test_who_dropped_them_may_opt_in_again(town: Town, part) -> None:
    image = picture(5, (640, 480))
    done = joined(town, image)
    drop(town, done)
    with pytest.raises(NotFound, match="no features are kept"):
        drop(town, done)
    assert keep(town, done, jpeg(image))[0].problem is None
    assert town.screen(town.platform(), part).verdict is Verdict.REVIEW


def test_others_keep_theirs(town: Town, part) -> None:
    image = picture(5, (640, 480))
    hers, _ = joined(town, picture(6, SIZE)), joined(town, image)
    drop(town, hers)
    town.live.catch_up()
    assert town.screen(town.platform(), part).verdict is Verdict.REVIEW


def test_whoever_is_leaving_neither_adds_nor_drops(town: Town) -> None:
    done = joined(town, picture(5, SIZE))
    world, person = town.world, person_of(town, done)
    ask(world.store, world.pins, town.clock, done.case_number, done.pin)
    with pytest.raises(Conflict, match="withdrawn already"):
        drop_features(world.store, world.blobs, town.clock, person)
    with pytest.raises(Conflict, match="nothing can be added"):
        keep_features(
            world.store, town.clock, world.decode, world.signals[0], (), person,
            [("image", jpeg(picture(5, SIZE)))],
        )  # fmt: skip


def test_a_helpline_does_both_on_the_command_line(town: Town, tmp_path, monkeypatch) -> None:
    image = picture(5, SIZE)
    done = joined(town, image, features=False)
    file = tmp_path / "image.jpg"
    file.write_bytes(jpeg(image))
    monkeypatch.setenv("DATABASE_URL", town.url)
    monkeypatch.setenv("CONSENTRY_HOME", str(town.world.settings.home))
    monkeypatch.setenv("CONSENTRY_PIN", done.pin)
    run = CliRunner().invoke
    said = run(cli.app, ["features", "add", done.case_number, "--image", str(file)])
    assert said.exit_code == 0, said.output
    assert "small parts of it are found now" in said.output
    said = run(cli.app, ["features", "drop", done.case_number, "--json"])
    assert said.exit_code == 0, said.output
    receipt = json.loads(said.stdout)
    assert (receipt["form"], receipt["processes_to_confirm"]) == ("consentry-features/1", 0)
