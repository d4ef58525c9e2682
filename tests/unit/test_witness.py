"""Two stages: near codes stand alone, codes further off need somebody who says the same."""

import itertools
from dataclasses import replace
from uuid import UUID

import numpy as np
import pytest

from pipeline.domain.alignment import Acceptance, Alignment, nominate
from pipeline.domain.entry import Layout
from pipeline.domain.evidence import Hit, Owner, Source
from pipeline.domain.ids import EntryId, ItemId, PersonId
from pipeline.domain.media import GUESSES, WHOLE, Turn, View
from pipeline.domain.witness import (
    Calibrated,
    Thresholds,
    Witness,
    asks_wide,
    candidates,
    decide,
    parse,
    stands_alone,
)
from pipeline.errors import Invalid
from pipeline.media.crops import CROPS, REGIONS

PERSON = PersonId(UUID(int=7))
LEFT_HALF, UPPER_HALF = CROPS.index((0, 0, 500, 1000)), CROPS.index((0, 0, 1000, 500))


def make_hit(distance=20, *, entry=1, slot=0, view=WHOLE, signal="pdq"):
    owner = Owner(
        EntryId(entry), ItemId(UUID(int=entry)), PERSON, "registered", Source.REGISTERED, None
    )
    return Hit(signal, distance, view, slot, owner)


def view_of(left, top, right, bottom, turn=Turn.NONE):
    return View("part", ((left, top), (right, top), (right, bottom), (left, bottom)), turn)


def make_alignment(inliers=30, hull=0.3, distance=20, share=1.0):
    return Alignment(np.eye(3), inliers, hull, 0, distance, share)


WIDE = Thresholds(wide=Calibrated(64, 1e-6))


def decided(*hits, **more):
    return decide(hits, REGIONS, WIDE, **more)


@pytest.mark.parametrize("distance", [0, 30, 31])
def test_a_near_code_stands_alone(distance):
    (finding,) = decided(make_hit(distance))
    assert (finding.witness, finding.threshold.bits) == (Witness.NEAR, 31)


def guessed(distance, slot=0):
    return make_hit(
        distance, slot=slot, view=replace(view_of(0.1, 0.1, 0.9, 0.9), name="turned back")
    )


def test_a_guess_never_stands_alone_and_is_looked_at_again():
    assert decided(guessed(0)) == ()
    assert candidates([guessed(20)], REGIONS, WIDE) == (guessed(20),)
    assert candidates([guessed(5), make_hit(28)], REGIONS, WIDE) == (), "the other stands for it"
    (finding,) = decided(guessed(5), make_hit(28))
    assert (finding.witness, finding.hit.distance) == (Witness.NEAR, 28)
    parts = {EntryId(1): [make_hit(50, slot=4), make_hit(56, slot=7)]}
    (finding,) = decided(guessed(20), parts=parts)
    assert finding.witness is Witness.PARTS


def test_a_small_crop_never_stands_alone_but_a_stretch_of_a_video_does():
    small = CROPS.index((0, 0, 350, 350))
    assert decided(make_hit(3, slot=small)) == ()
    assert candidates([make_hit(3, slot=small)], REGIONS, WIDE) == (make_hit(3, slot=small),)
    assert decided(make_hit(3, slot=CROPS.index((0, 0, 500, 1000))))
    stretch = make_hit(3, slot=small)
    stretch = replace(stretch, owner=replace(stretch.owner, layout=Layout.FRAMES))
    assert stands_alone(stretch, 31, REGIONS), "its slots are no crops"


@pytest.mark.parametrize("distance", [32, 64, 65, 90])
def test_a_code_further_off_says_nothing_alone(distance):
    assert decided(make_hit(distance)) == ()


def test_two_other_parts_in_their_places_are_a_second_witness():
    parts = {EntryId(1): [make_hit(50, slot=4), make_hit(56, slot=7), make_hit(57, slot=9)]}
    (finding,) = decided(make_hit(60), parts=parts)
    assert finding.witness is Witness.PARTS
    assert [hit.slot for hit in finding.agreeing] == [4, 7]


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [make_hit(10, slot=4)],
        [make_hit(10, slot=4), make_hit(12, slot=4)],
        [make_hit(10, slot=4), make_hit(57, slot=7)],
    ],
    ids=["none", "one", "one twice", "one near and one too far"],
)
def test_fewer_than_two_parts_are_no_witness(parts):
    assert decided(make_hit(60), parts={EntryId(1): parts}) == ()


def test_parts_of_another_entry_are_no_witness():
    parts = {EntryId(2): [make_hit(1, slot=4), make_hit(1, slot=7)]}
    assert decided(make_hit(60), parts=parts) == ()


def test_parts_do_not_help_a_hit_beyond_the_wide_radius():
    parts = {EntryId(1): [make_hit(1, slot=4), make_hit(1, slot=7)]}
    assert decided(make_hit(65), parts=parts) == ()


def test_two_views_that_place_the_picture_alike_are_a_witness():
    left = make_hit(50, slot=LEFT_HALF, view=view_of(0.1, 0.1, 0.5, 0.9))
    whole = make_hit(40, slot=0, view=view_of(0.1, 0.1, 0.9, 0.9))
    (finding,) = decided(whole, left)
    assert (finding.witness, finding.agreeing) == (Witness.PLACES, (left,))


@pytest.mark.parametrize(
    "other",
    [
        make_hit(50, slot=LEFT_HALF, view=view_of(0.5, 0.1, 0.9, 0.9)),
        make_hit(50, slot=UPPER_HALF, view=view_of(0.1, 0.1, 0.5, 0.9)),
        make_hit(50, slot=LEFT_HALF, view=view_of(0.1, 0.1, 0.5, 0.9, Turn.FLIP_Y)),
        make_hit(50, slot=0, view=view_of(0.1, 0.1, 0.9, 0.89)),
        make_hit(60, slot=LEFT_HALF, view=view_of(0.1, 0.1, 0.5, 0.9)),
    ],
    ids=["elsewhere", "another half", "mirrored", "nearly the same view", "too far"],
)
def test_two_views_that_disagree_are_no_witness(other):
    assert decided(make_hit(40, view=view_of(0.1, 0.1, 0.9, 0.9)), other) == ()


def test_a_mirrored_copy_places_its_left_half_at_the_right():
    whole = make_hit(40, view=View("whole", turn=Turn.FLIP_Y))
    left = make_hit(50, slot=LEFT_HALF, view=view_of(0.5, 0.0, 1.0, 1.0, Turn.FLIP_Y))
    (finding,) = decided(whole, left)
    assert finding.witness is Witness.PLACES


def test_another_signal_on_the_same_view_is_a_witness_and_on_another_view_none():
    (finding,) = decided(make_hit(50), make_hit(60, signal="phash"))
    assert (finding.witness, finding.hit.signal) == (Witness.SIGNAL, "pdq")
    assert decided(make_hit(50), make_hit(61, signal="phash")) == ()
    elsewhere = make_hit(9, signal="phash", view=view_of(0, 0, 0.5, 0.5))
    assert decided(make_hit(50), elsewhere) == ()
    turned = make_hit(9, signal="phash", view=View("whole", turn=Turn.FLIP_X))
    assert decided(make_hit(50), turned) == ()


def test_a_signal_that_was_never_calibrated_is_no_witness():
    assert decided(make_hit(50), make_hit(0, signal="weather")) == ()


def test_believed_local_features_find_an_entry_without_any_code():
    (finding,) = decided(alignments={EntryId(3): make_alignment()})
    assert (finding.entry, finding.witness, finding.hit) == (3, Witness.ALIGNMENT, None)
    assert finding.alignment.corners == ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))


@pytest.mark.parametrize(
    ("inliers", "hull", "distance", "share", "believed"),
    [
        (28, 0.06, 64, 0.12, True),
        (27, 0.06, 64, 1.0, False),
        (28, 0.05, 0, 1.0, False),
        (28, 0.06, 65, 1.0, False),
        (8, 0.06, 28, 0.6, True),
        (7, 0.5, 0, 1.0, False),
        (8, 0.05, 0, 1.0, False),
        (8, 0.06, 29, 1.0, False),
        (27, 0.5, 0, 0.59, False),
        (49, 0.5, None, 0.0, False),
        (49, 0.5, 65, 1.0, False),
        (50, 0.12, None, 0.0, True),
        (50, 0.12, 128, 1.0, True),
        (60, 0.03, None, 0.0, False),
    ],
)
def test_the_fewer_features_agree_the_more_the_code_must(inliers, hull, distance, share, believed):
    assert Acceptance().believes(make_alignment(inliers, hull, distance, share)) is believed


def test_a_policy_from_before_a_threshold_existed_takes_what_is_built_in():
    document = Thresholds().document()
    for name in ("few_inliers", "few_distance", "few_share"):
        del document["acceptance"][name]
    assert parse(document) == Thresholds()


def test_findings_do_not_depend_on_the_order_of_hits():
    hits = [
        make_hit(40, view=view_of(0.1, 0.1, 0.9, 0.9)),
        make_hit(50, slot=LEFT_HALF, view=view_of(0.1, 0.1, 0.5, 0.9)),
        make_hit(12, entry=2),
        make_hit(30, entry=3, slot=4),
        make_hit(50, entry=3),
    ]
    answers = {decide(order, REGIONS, WIDE) for order in itertools.permutations(hits)}
    (answer,) = answers
    assert [(finding.entry, finding.witness) for finding in answer] == [
        (2, Witness.NEAR),
        (3, Witness.NEAR),
        (1, Witness.PLACES),
    ]


def test_only_entries_without_a_near_code_get_a_second_look_and_only_a_few():
    hits = [make_hit(20), make_hit(50), make_hit(40, entry=2), make_hit(45, entry=2)]
    hits += [make_hit(60 - entry, entry=entry) for entry in range(3, 12)]
    chosen = candidates(hits, REGIONS, WIDE)
    assert [hit.entry for hit in chosen] == [2, 11, 10, 9]
    assert candidates([make_hit(40, signal="phash")], REGIONS, Thresholds()) == ()


def test_the_whole_asks_widely_in_all_eight_ways_and_parts_only_as_they_are():
    assert all(asks_wide(View(turn=turn)) for turn in Turn)
    part = [turn for turn in Turn if asks_wide(view_of(0, 0, 0.5, 0.5, turn))]
    assert part == [Turn.NONE]
    assert not any(asks_wide(View(name, turn=turn)) for turn in Turn for name in GUESSES), "never"


def test_thresholds_from_before_there_were_faint_ones_ask_nothing_faint():
    document = Thresholds().document()
    assert document["faint"]["false_positive_rate"] <= 1e-6
    assert parse(document).faint == Thresholds().faint
    del document["faint"]
    assert parse(document).faint is None
    assert parse(document).document() == document


def test_thresholds_travel_as_a_document_with_their_rates():
    tuned = Thresholds(wide=Calibrated(58, 3e-7), acceptance=Acceptance(inliers=11))
    assert parse(tuned.document()) == tuned
    assert tuned.document()["wide"] == {"bits": 58, "false_positive_rate": 3e-7}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda d: d.pop("wide"),
        lambda d: d.update(extra=1),
        lambda d: d["near"].update(bits=99),
        lambda d: d["near"].pop("bits"),
        lambda d: d.update(signals=3),
        lambda d: d.update(least_parts=0),
    ],
    ids=["missing", "unknown", "near beyond wide", "no bits", "signals", "no parts"],
)
def test_documents_that_say_nothing_clear_are_refused(spoil):
    document = Thresholds().document()
    spoil(document)
    with pytest.raises(Invalid):
        parse(document)


def test_entries_are_nominated_by_features_that_are_theirs_alone():
    rows = np.array([*range(6), *range(6, 12), *range(6, 12), 0, 0])
    entries = np.array([5] * 6 + [6] * 6 + [7] * 6 + [5, 5])
    assert nominate(rows, entries) == (5, 6, 7)
    assert nominate(rows, entries, most=1) == (5,)
    assert nominate(rows[:3], entries[:3]) == ()
    assert nominate(rows[:0], entries[:0]) == ()
