"""Policies of platforms: set, refused, told apart by version, in force everywhere, tried before."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pipeline.domain.ids import PlatformId
from pipeline.domain.media import Side, Upload
from pipeline.domain.policy import DEFAULT
from pipeline.errors import Invalid
from pipeline.journeys.policies import (
    VersionChanged,
    set_operators,
    set_terms,
    try_terms,
)
from pipeline.journeys.screen_upload import Hashed
from services.cli import app
from tests.integration.api import Program, make_program, program
from tests.world import Town, jpeg, picture

__all__ = ["make_program", "program"]

HALF = {"signals": {"pdq": {"distance": 16, "false_positive_rate": 1e-9}}}


def put(program: Program, document: Any, version: int, **headers: str) -> Any:
    headers = {"if-match": f'"{version}"', **headers}
    return program.client.put("/v1/policy", json=document, headers=headers)


def set_for(town: Town, platform: PlatformId, document: Any, seen: int = 0) -> None:
    set_terms(town.world.store, town.clock, town.world.policy, platform, document, seen, "test")
    town.world.policies.refresh()


def code_off_by(town: Town, bits: int, seed: int = 1) -> bytes:
    """The PDQ code of a picture with so many bits turned."""
    pdq = next(one for one in town.world.signals if one.space.name == "pdq")

    code = bytearray(
        pdq.compute(town.world.decode(jpeg(picture(seed))).frames, Side.QUERY).codes[0]
    )
    for bit in range(bits):
        code[bit // 8] ^= 1 << (bit % 8)
    return bytes(code)


def test_a_policy_is_set_read_and_kept_with_its_versions(program: Program) -> None:
    fresh = program.client.get("/v1/policy")
    assert fresh.headers["etag"] == '"0"'
    assert fresh.json()["policy"] == DEFAULT.version
    done = put(program, {**HALF, "blocks": ["known", "review", "refused"]}, 0)
    assert (done.status_code, done.headers["etag"]) == (200, '"1"')
    said = done.json()
    assert said["policy"] == f"{DEFAULT.version}+1"
    assert {"bank": "registered", "signal": "pdq", "distance": 16.0, "second_witness": False,
            "false_positive_rate": 1e-9} in said["in_force"]  # fmt: skip
    assert said["bounds"]["registered"]["pdq"] == {"least": 16.0, "most": 31.0}
    assert put(program, {}, 1).status_code == 200
    listed = program.client.get("/v1/policy/versions", params={"limit": 1}).json()
    assert [one["version"] for one in listed["items"]] == [2]
    rest = program.client.get("/v1/policy/versions", params={"cursor": listed["next"]}).json()
    assert [(one["version"], one["set_by"]) for one in rest["items"]] == [(1, "you")]
    assert rest["items"][0]["terms"]["blocks"] == ["review", "known", "refused"]


def test_whoever_comes_second_with_the_same_version_is_refused(program: Program) -> None:
    assert put(program, HALF, 0).status_code == 200
    second = put(program, {}, 0)
    assert (second.status_code, second.json()["code"]) == (412, "version_changed")
    assert program.client.put("/v1/policy", json={}).status_code == 422, "If-Match is needed"


@pytest.mark.parametrize(
    "document",
    [
        {"signals": {"pdq": {"distance": 5}}},
        {"signals": {"pdq": {"distance": 60}}},
        {"blocks": []},
        {"known": {}},
        {"unknown": "look_at_faces"},
        {"queue": "nowhere"},
        {"deadline_hours": 1},
    ],
)
def test_a_policy_beyond_the_operators_bounds_is_refused_and_changes_nothing(
    program: Program, document: Any
) -> None:
    assert put(program, document, 0).status_code == 422
    assert program.client.get("/v1/policy").json()["version"] == 0
    tried = program.client.post("/v1/policy:try", json={"policy": document})
    assert tried.status_code == 422


def test_a_policy_judges_its_platforms_uploads_alone_and_each_answer_names_it(
    make_program: Callable[..., Program],
) -> None:
    board = make_program("board")
    other = make_program("other", url=str(board.client.base_url))
    town = board.town
    town.register(jpeg(picture(1)))
    code = code_off_by(town, 24)
    assert put(board, HALF, 0).status_code == 200
    town.world.policies.refresh()
    mine, theirs = board.hashes(code).json(), other.hashes(code).json()
    assert (mine["verdict"], mine["policy"]) == ("clear", "default-1+1")
    assert (theirs["verdict"], theirs["policy"]) == ("review", "default-1")
    assert (mine["blocks"], theirs["blocks"]) == (False, True)
    again = board.client.get(f"/v1/screenings/{mine['screening']}").json()
    assert (again["policy"], again["blocks"]) == ("default-1+1", False)
    assert board.hashes(code_off_by(town, 12)).json()["verdict"] == "review"


def test_a_policy_is_in_force_in_every_process_within_a_second(
    make_town: Callable[..., Town],
) -> None:
    one, other = make_town(), make_town()
    board = one.platform()
    set_terms(one.world.store, one.clock, one.world.policy, board, HALF, 0, "test")
    began = time.monotonic()
    while other.world.rules(board).version == "default-1" and time.monotonic() - began < 20:
        time.sleep(0.01)
    assert other.world.rules(board).version == "default-1+1"
    assert one.world.rules(one.platform("another")).version == "default-1"


def test_what_blocks_and_where_and_until_when_cases_wait_is_the_platforms_to_say(
    town: Town,
) -> None:
    town.rules(queues=[{"name": "night", "kinds": ["enrolment"]}])
    board = town.platform()
    wanted = {"blocks": ["known"], "queue": "night", "deadline_hours": 36}
    set_for(town, board, wanted)
    town.register(jpeg(picture(1)))
    answered = town.screen(board, jpeg(picture(1), 60))
    assert (answered.verdict, answered.blocks) == ("review", False)
    ((queue, hours),) = town.query(
        "SELECT queue, extract(epoch FROM deadline - opened_at) / 3600 FROM cases"
    )
    assert (queue, round(hours)) == ("night", 36)
    town.rules(queues=[])
    assert town.query("SELECT queue FROM cases") == [("main",)], "no case waits where nobody looks"


def test_the_operators_policy_is_in_force_without_a_restart_and_draws_terms_in(
    town: Town,
) -> None:
    board = town.platform()
    town.register(jpeg(picture(1)))
    document = {**DEFAULT.document(), "bounds": {"signals": {"pdq": {"least": 8, "most": 40}}}}
    world = town.world
    set_operators(world.store, town.clock, world.policy, document, 0, "test")
    set_for(town, board, {"signals": {"pdq": {"distance": 38}}})
    assert town.world.rules(board).version == "default-1.1+1"
    assert town.world.rules(board).radius("pdq") == 38
    with pytest.raises(VersionChanged):
        set_operators(world.store, town.clock, world.policy, DEFAULT.document(), 0, "test")
    set_operators(world.store, town.clock, world.policy, DEFAULT.document(), 1, "test")
    world.policies.refresh()
    assert (world.rules(board).version, world.rules(board).radius("pdq")) == ("default-1.2+1", 31)
    loose = {**DEFAULT.document(), "known": {"within": {
        "signal": "pdq", "bank": "upheld", "distance": 31}}}  # fmt: skip
    with pytest.raises(Invalid, match="no repeat"):
        set_operators(world.store, town.clock, world.policy, loose, 2, "test")
    set_by = town.query("SELECT actor, action FROM audit_log WHERE action = 'policy.set'")
    assert set_by == [("test", "policy.set")] * 3


def test_a_dry_run_counts_what_other_terms_would_have_raised(
    make_town: Callable[..., Town],
) -> None:
    town = make_town()
    world = town.world
    bounds = {"signals": {"pdq": {"least": 8, "most": 47}}}
    operators = {**DEFAULT.document(), "bounds": bounds}
    set_operators(world.store, town.clock, world.policy, operators, 0, "test")
    world.policies.refresh()
    board, town_screener = town.platform(), world.screener(town.live)
    town.register(jpeg(picture(1)))
    for number, bits in enumerate((10, 20, 28, 34, 36, 40, 44)):
        upload = Upload(f"upload-{number}")
        hashed = Hashed("pdq", code_off_by(town, bits), 100)
        town_screener.screen_hashes(board, upload, [hashed])
    town_screener.screen_hashes(board, Upload("far"), [Hashed("pdq", code_off_by(town, 0, 5), 100)])

    def tried(distance: float, last: int = 100) -> Any:
        document = {"signals": {"pdq": {"distance": distance}}}
        return try_terms(world.store, world.policy, board, document, last)

    assert (tried(31).more, tried(31).fewer, tried(31).tried) == (0, 0, 8)
    wider = tried(40)
    assert (wider.more, wider.more_cases, wider.fewer) == (3, 3, 0)
    assert wider.beyond == {"pdq": 8}, "31 bits is how far all of an upload was asked for"
    assert tried(40, last=3).more == 1
    assert (tried(18).fewer, tried(18).doubtful) == (0, 2)
    assert town.query("SELECT count(*) FROM cases") == [(3,)], "nobody was asked to look"
    kept = "".join(str(row) for row in town.query("SELECT near FROM screenings"))
    people = [str(one) for row in town.query("SELECT person, item FROM entries") for one in row]
    assert not any(name in kept for name in people)
    town.query("UPDATE screenings SET near = NULL")
    assert (tried(40).tried, tried(40).not_recorded) == (0, 8)


def test_the_command_line_shows_sets_tries_and_lists_policies(
    town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", town.url)
    monkeypatch.setenv("CONSENTRY_HOME", str(town.world.settings.home))
    # Logs would go to the runner's own standard output, which is closed when it ends.
    monkeypatch.setattr("services.logs.configure", lambda _: None)
    run, file = CliRunner(), tmp_path / "policy.json"
    board = town.platform()
    town.screen(board, jpeg(picture(2)))

    def said(*arguments: str) -> str:
        found = run.invoke(app, ["policy", *arguments])
        assert found.exit_code == 0, found.output + repr(found.exception)
        return found.output

    own = said("show", "--document")
    assert json.loads(own) == DEFAULT.document()
    file.write_text(own)
    assert "default-1.1 is in force" in said("set", str(file))
    file.write_text(json.dumps(HALF))
    assert "default-1.1+1 is in force" in said("set", str(file), "--platform", "board")
    shown = said("show", "--platform", "board")
    assert "version 1" in shown
    assert "1e-09" in shown
    assert "of 1 uploads 0 more" in said("try", str(file), "--platform", "board")
    assert json.loads(said("try", str(file), "--platform", "board", "--json"))["tried"] == 1
    assert [json.loads(line)["version"] for line in said("history").splitlines()] == [1]
    late = run.invoke(app, ["policy", "set", str(file), "--platform", "board", "--version", "0"])
    assert isinstance(late.exception, VersionChanged)
