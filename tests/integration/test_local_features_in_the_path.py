"""Local features through the whole path: opted in to, sealed, found, judged, destroyed."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from pipeline.domain import policy as policies
from pipeline.domain.evidence import Source
from pipeline.domain.screening import Verdict
from pipeline.domain.witness import Witness
from pipeline.journeys.align_features import NAME
from pipeline.journeys.register import register
from pipeline.journeys.withdraw import ask, finish
from pipeline.media import features as orb
from services.wiring import alive
from tests.world import Town, jpeg, picture

SIZE = (640, 480)


def joined(town: Town, *images: Image.Image, features: bool = True):
    world = town.world
    done = register(
        world.store, world.pins, town.clock, world.decode, world.signals,
        [(f"image {at}", jpeg(image)) for at, image in enumerate(images)],
        world.generic, features=features,
    )  # fmt: skip
    town.live.catch_up()
    return done


def small_in_another(image: Image.Image) -> Image.Image:
    """A quarter of the picture, stuck into somebody else's: beyond the reach of hashes."""
    ground = picture(77, (900, 700))
    ground.paste(image.crop((150, 90, 520, 400)).resize((330, 277)), (320, 260))
    return ground


def test_a_copy_that_no_hash_finds_reaches_a_person_for_whoever_opted_in(town: Town) -> None:
    image = picture(5, SIZE)
    joined(town, image)
    answer = town.screen(town.platform(), jpeg(small_in_another(image)))
    assert answer.verdict is Verdict.REVIEW
    (match,) = answer.matches
    assert (match.signal, match.witness) == (NAME, Witness.ALIGNMENT.value)
    assert match.distance <= match.threshold
    assert match.threshold in (64, 256), "a code agrees, or very many features do"
    ((view,),) = town.query("SELECT view FROM case_hits")
    x, y = np.array(view["corners"]).T
    assert x.min() == pytest.approx((320 - 150 * 330 / 370) / 900, abs=0.02)
    assert y.max() == pytest.approx((260 + 390 * 277 / 310) / 700, abs=0.02)


def test_without_the_opt_in_nothing_is_kept_of_features_and_nothing_computed(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = picture(5, SIZE)
    joined(town, image, features=False)
    assert town.query("SELECT count(*) FROM features") == [(0,)]
    assert town.query("SELECT purpose FROM consents") == [("hashes",)]
    monkeypatch.setattr(
        "pipeline.journeys.align_features.features_of",
        lambda frame: pytest.fail("features cost time, and nobody has asked for them"),
    )
    board = town.platform()
    assert town.screen(board, jpeg(small_in_another(image))).verdict is Verdict.CLEAR
    assert town.screen(board, jpeg(image, 50)).verdict is Verdict.REVIEW, "hashes work as ever"


def test_opting_in_is_a_consent_of_its_own_and_audited(town: Town) -> None:
    joined(town, picture(5, SIZE))
    given = dict(town.query("SELECT purpose, text_version FROM consents WHERE state = 'given'"))
    assert set(given) == {"hashes", "features"}
    assert given["features"] != given["hashes"]
    ((body,),) = town.query("SELECT body FROM audit_log WHERE action = 'person.registered'")
    assert '"features":true' in re.sub(r"\s", "", str(body).replace("'", '"').replace("T", "t"))


def test_a_mirrored_part_is_found_and_placed_the_right_way_round(town: Town) -> None:
    image = picture(5, SIZE)
    joined(town, image)
    turned = small_in_another(image).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    answer = town.screen(town.platform(), jpeg(turned))
    assert [match.signal for match in answer.matches] == [NAME]
    ((view,),) = town.query("SELECT view FROM case_hits")
    corners = np.array(view["corners"])
    assert corners[0, 0] > corners[1, 0], "its left edge lies to the right"


def test_strangers_reach_nobody(town: Town) -> None:
    joined(town, *(picture(seed, SIZE) for seed in (5, 6)))
    board = town.platform()
    for seed in range(20, 26):
        assert town.screen(board, jpeg(picture(seed, SIZE))).verdict is Verdict.CLEAR


def test_what_hashes_vouch_for_is_not_aligned_as_well(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = picture(5, SIZE)
    joined(town, image)
    monkeypatch.setattr(
        "pipeline.journeys.align_features.align",
        lambda *_, **__: pytest.fail("the hashes have said it already"),
    )
    answer = town.screen(town.platform(), jpeg(image, 50))
    assert {match.signal for match in answer.matches} == {"pdq", "phash"}


def test_features_alone_are_always_for_a_person_even_once_upheld(town: Town) -> None:
    image = picture(5, SIZE)
    joined(town, image)
    board, ada = town.platform(), town.reviewer()
    body = jpeg(small_in_another(image))
    town.uphold(town.screen(board, body).case, ada)
    assert town.query("SELECT DISTINCT source FROM entries WHERE space = 'orb/1'") == [
        (Source.REGISTERED.value,)
    ]
    other = small_in_another(image).rotate(8, fillcolor="white")
    again = town.screen(board, jpeg(other))
    assert again.verdict in (Verdict.REVIEW, Verdict.CLEAR)
    assert NAME not in str(policies.DEFAULT.known.document())


def test_a_dismissed_alignment_never_comes_back_for_the_same_upload(town: Town) -> None:
    image = picture(5, SIZE)
    joined(town, image)
    board, body = town.platform(), jpeg(small_in_another(image))
    town.dismiss(town.screen(board, body).case, town.reviewer())
    assert town.screen(board, body).verdict is Verdict.CLEAR


def test_whoever_leaves_takes_her_features_out_of_every_process_and_of_the_database(
    make_town,
) -> None:
    town = make_town()
    other = make_town("second")
    image = picture(5, SIZE)
    done = joined(town, image)
    other.live.catch_up()
    board, body = town.platform(), jpeg(small_in_another(image))
    world = town.world
    receipt = ask(world.store, world.pins, town.clock, done.case_number, done.pin)
    # Whether the other process has heard of it or not, it answers right.
    assert other.screen(board, body).verdict is Verdict.CLEAR
    town.live.catch_up()
    other.live.catch_up()
    assert (town.live.codes(orb.SPACE), other.live.codes(orb.SPACE)) == (0, 0)
    ended = finish(world.store, world.blobs, town.clock, alive, receipt)
    assert ended.complete
    assert town.query("SELECT count(*) FROM features") == [(0,)]
    assert town.query("SELECT count(*) FROM entries") == [(0,)]


def test_a_process_that_starts_later_holds_the_descriptors_too(make_town) -> None:
    image = picture(5, SIZE)
    town = make_town()
    joined(town, image)
    late = make_town("late")
    assert late.live.codes(orb.SPACE) == town.live.codes(orb.SPACE) > 100
    answer = late.screen(late.platform(), jpeg(small_in_another(image)))
    assert answer.verdict is Verdict.REVIEW


def test_an_operator_whose_policy_leaves_features_out_is_not_bothered_by_them(
    make_town, tmp_path
) -> None:
    town = make_town()
    image = picture(5, SIZE)
    joined(town, image)
    without = policies.parse(
        {
            **policies.DEFAULT.document(),
            "version": "no-features",
            "review": {"within": {"signal": "pdq", "bank": "registered", "distance": 31}},
        }
    )
    town.world = replace(town.world, policy=without)
    assert town.screen(town.platform(), jpeg(small_in_another(image))).verdict is Verdict.CLEAR
