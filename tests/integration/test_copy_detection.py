"""A copy-detection pack through the whole path: opted in to, sealed, found, judged, destroyed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from PIL import Image

from pipeline.domain.case import CaseKind
from pipeline.domain.policy import DEFAULT
from pipeline.domain.screening import Verdict
from pipeline.errors import Misconfigured
from pipeline.journeys.register import Registration, register
from pipeline.journeys.see_copies import vectors_of
from pipeline.journeys.withdraw import ask, finish
from pipeline.packs import _copies
from services.wiring import alive
from tests.copies import pack_folder
from tests.integration.test_nothing_in_clear import _dump, _spellings
from tests.needles import Needles
from tests.world import Town, jpeg, picture

SIZE = (320, 240)


@pytest.fixture
def make(make_town: Callable[..., Town], tmp_path: Path) -> Callable[..., Town]:
    """A deployment that looks with the pack, and with nothing else that could find a copy."""
    _copies.install(pack_folder(tmp_path / "given"), tmp_path / "home" / "packs")
    only = {
        **DEFAULT.document(),
        "version": "vectors-only",
        "review": {
            "any_of": [
                {"within": {"signal": "bytes", "bank": "registered", "distance": 0}},
                {"alike": {"signal": "thumbs", "bank": "registered", "similarity": 0.9}},
            ]
        },
    }
    file = tmp_path / "policy.json"
    file.write_text(json.dumps(only), encoding="utf-8")
    return lambda role="test": make_town(role, copies=("thumbs",), policy_file=file)


def joined(town: Town, *images: Image.Image, features: bool = True) -> Registration:
    world = town.world
    done = register(
        world.store, world.pins, town.clock, world.decode, world.signals,
        [(f"image {at}", jpeg(image)) for at, image in enumerate(images)],
        world.generic, features=features, copies=world.copies().models,
    )  # fmt: skip
    town.live.catch_up()
    return done


def vectors_in(town: Town) -> int:
    return town.live.codes(town.world.copy_spaces[0])


def test_a_copy_that_the_network_knows_reaches_a_person(make) -> None:
    town = make()
    joined(town, picture(5, SIZE), picture(6, SIZE))
    answer = town.screen(town.platform(), jpeg(picture(5, SIZE), 40))
    assert answer.verdict is Verdict.REVIEW
    (match,) = answer.matches
    assert (match.signal, match.threshold) == ("thumbs", 0.9)
    assert match.distance > 0.9
    assert "1 in 10,000 other pictures is this alike" in str(match.witness)
    assert town.query("SELECT kind FROM cases") == [(CaseKind.HASH.value,)], "it is no face"


def test_a_mirrored_copy_is_found_and_strangers_are_not(make) -> None:
    town = make()
    joined(town, picture(5, SIZE))
    board = town.platform()
    mirrored = picture(5, SIZE).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    (match,) = town.screen(board, jpeg(mirrored)).matches
    assert match.view == "whole, mirrored"
    for seed in range(20, 26):
        assert town.screen(board, jpeg(picture(seed, SIZE))).verdict is Verdict.CLEAR


def test_without_the_opt_in_no_vector_is_kept_and_none_computed(make, monkeypatch) -> None:
    town = make()
    joined(town, picture(5, SIZE), features=False)
    assert vectors_in(town) == 0
    assert town.query("SELECT count(*) FROM entries WHERE layout = 'vector'") == [(0,)]
    monkeypatch.setattr(
        _copies.Whole, "vectors", lambda *_: pytest.fail("nobody has asked for vectors")
    )
    assert town.screen(town.platform(), jpeg(picture(5, SIZE), 40)).verdict is Verdict.CLEAR


def test_an_upheld_copy_of_a_network_is_never_known_by_it(make) -> None:
    town = make()
    joined(town, picture(5, SIZE))
    board, ada = town.platform(), town.reviewer()
    town.uphold(town.screen(board, jpeg(picture(5, SIZE), 40)).case, ada)
    assert vectors_in(town) == 1, "the upheld upload's vector joined nobody's bank"
    again = town.screen(board, jpeg(picture(5, SIZE), 41))
    assert again.verdict is Verdict.KNOWN, "its hashes say so"
    assert {match.signal for match in again.matches} == {"pdq", "phash"}


def test_whoever_leaves_takes_her_vectors_out_of_every_process_and_of_the_database(make) -> None:
    town = make()
    other = make("second")
    done = joined(town, picture(5, SIZE))
    other.live.catch_up()
    assert (vectors_in(town), vectors_in(other)) == (1, 1)
    board, body = town.platform(), jpeg(picture(5, SIZE), 40)
    world = town.world
    receipt = ask(world.store, world.pins, town.clock, done.case_number, done.pin)
    assert other.screen(board, body).verdict is Verdict.CLEAR, "whether it has heard or not"
    town.live.catch_up()
    other.live.catch_up()
    assert (vectors_in(town), vectors_in(other)) == (0, 0)
    assert finish(world.store, world.blobs, town.clock, alive, receipt).complete
    assert town.query("SELECT count(*) FROM entries") == [(0,)]


def test_a_process_that_starts_later_holds_the_vectors_too(make) -> None:
    town = make()
    joined(town, picture(5, SIZE))
    late = make("late")
    assert vectors_in(late) == 1
    answer = late.screen(late.platform(), jpeg(picture(5, SIZE), 40))
    assert answer.verdict is Verdict.REVIEW


def test_no_vector_stands_in_clear_in_a_dump_or_in_the_files_of_the_database(make) -> None:
    town = make()
    body = jpeg(picture(5, SIZE))
    joined(town, picture(5, SIZE))
    town.screen(town.platform(), jpeg(picture(5, SIZE), 40))
    (model,) = town.world.copies().models
    vector = model.vectors([town.world.decode(body).frames[0]])[0]
    code = vector.astype("<f4").tobytes()
    dump = _dump(town.url)
    parts = [code[at : at + 32] for at in range(0, len(code), 32)]
    assert not Needles(needle for part in parts for needle in _spellings(part)).are_in(dump)
    with psycopg.connect(town.url, autocommit=True) as connection:
        connection.execute("CHECKPOINT")
        row = connection.execute("SHOW data_directory").fetchone()
    assert row is not None
    pieces = Needles(code[at : at + 8] for at in range(0, len(code), 8))
    for file in Path(row[0]).rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            assert not pieces.are_in(content), file.name
    (kept,) = vectors_of([model], town.world.decode(body).frames[0])
    assert str(vector[0]) not in f"{kept!r}", "nor is it printed"


def test_a_pack_without_calibration_and_without_a_rule_is_refused_with_what_to_add(
    make_town, tmp_path
) -> None:
    folder = pack_folder(tmp_path / "given", calibration=None)
    _copies.install(folder, tmp_path / "home" / "packs")
    town = make_town(copies=("thumbs",))
    with pytest.raises(Misconfigured, match=r"not calibrated.*alike"):
        town.world.screener(town.live)
