"""Registering: what is kept, what is refused and why."""

from __future__ import annotations

import pytest
from PIL import Image

from pipeline.domain.generic import GenericBank
from pipeline.domain.media import Side
from pipeline.errors import Conflict, Invalid
from pipeline.journeys.register import (
    add_item,
    codes_of,
    normal_case_number,
    register,
    shown_case_number,
)
from pipeline.media.crops import CROPS
from tests.world import Town, jpeg, picture


def registered(town: Town, *images: tuple[str, bytes]):
    world = town.world
    return register(
        world.store, world.pins, town.clock, world.decode, world.signals, images, world.generic
    )


def test_each_image_is_told_what_protects_it_or_why_nothing_does(town: Town) -> None:
    done = registered(
        town,
        ("good", jpeg(picture(1))),
        ("grey", jpeg(Image.new("RGB", (300, 200), "grey"))),
        ("text", b"not an image"),
    )
    good, grey, text = done.outcomes
    assert good.signals == ("pdq", "phash")
    assert "too plain" in (grey.problem or "")
    assert text.problem
    assert town.query("SELECT count(DISTINCT item) FROM entries") == [(1,)]


def test_nothing_is_stored_when_no_image_can_be_registered(town: Town) -> None:
    with pytest.raises(Invalid, match="grey: too plain"):
        registered(town, ("grey", jpeg(Image.new("RGB", (300, 200), "grey"))))
    with pytest.raises(Invalid, match="none was given"):
        registered(town)
    assert town.query("SELECT count(*) FROM persons") == [(0,)]


def test_crops_are_kept_with_the_whole_under_pdq_and_the_whole_alone_under_phash(
    town: Town,
) -> None:
    registered(town, ("good", jpeg(picture(1, (640, 480)))))
    slots = dict(town.query("SELECT space, slots FROM entries"))
    assert slots["phash/1"] == 1
    assert len(CROPS) // 2 < slots["pdq/1"] <= len(CROPS)


def test_a_picture_like_many_others_is_refused_with_that_reason(town: Town) -> None:
    frame = town.world.decode(jpeg(picture(1))).frames[0]
    signal = town.world.signals[0]
    common = GenericBank(signal.compute([frame], Side.QUERY).codes)
    codes, why = codes_of(signal, frame, common)
    assert codes is None
    assert "many other pictures" in why


def test_the_pin_and_the_case_number_are_new_each_time_and_the_pin_does_not_print(
    town: Town,
) -> None:
    one, two = (registered(town, ("x", jpeg(picture(seed)))) for seed in (1, 2))
    assert one.case_number != two.case_number
    assert one.pin != two.pin
    assert one.pin not in repr(one)
    kept = town.query("SELECT pin FROM persons")
    assert all(row[0].startswith("$argon2id$") for row in kept)


@pytest.mark.parametrize(
    "typed", ["abcd-1o2i-3456", "ABCD 1021 3456", " abcd1021l456 ".replace("l", "3")]
)
def test_a_case_number_is_read_however_it_is_written(typed: str) -> None:
    assert normal_case_number(typed) == "ABCD10213456"
    assert shown_case_number(normal_case_number(typed)) == "ABCD-1021-3456"


def test_nothing_can_be_added_for_a_person_who_has_left(town: Town) -> None:
    registered(town, ("x", jpeg(picture(1))))
    ((person,),) = town.query("UPDATE persons SET withdrawn_at = now() RETURNING id")
    frame = town.world.decode(jpeg(picture(2))).frames[0]
    signal = town.world.signals[1]
    with pytest.raises(Conflict), town.world.store.transaction() as unit:
        add_item(unit, person, [signal.compute([frame], Side.REGISTERED)])
