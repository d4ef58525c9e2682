"""Sightings that follow each other as they do in the registered video count; others do not."""

from uuid import UUID

import numpy as np
import pytest

from pipeline.domain.evidence import Owner, Source, gather
from pipeline.domain.ids import CaseId, EntryId, ItemId, PersonId
from pipeline.domain.media import WHOLE
from pipeline.domain.policy import DEFAULT, Known, Review
from pipeline.domain.timeline import Length, Sighting, counts, showings


def owner(number=1, person=None, source=Source.REGISTERED):
    return Owner(
        EntryId(number),
        ItemId(UUID(int=number)),
        PersonId(UUID(int=person or number)),
        "registered" if source is Source.REGISTERED else "upheld",
        source,
        CaseId(UUID(int=9)) if source is Source.UPHELD else None,
    )


def seen(time, entry, of=None, distance=10.0, stream=0):
    """A sighting of the half second of the registered video around ``entry``; None: a still."""
    span = None if entry is None else (entry - 0.25, entry + 0.25)
    slot = 0 if entry is None else int(entry * 4) % 256
    return Sighting(float(time), stream, of or owner(), slot, distance, WHOLE, span)


def shown(sightings, upload=60, rows=200, seconds=100.0, items=(1,)):
    lengths = {ItemId(UUID(int=item)): Length(rows, seconds) for item in items}
    return showings(sightings, {0: [float(at) for at in range(upload)]}, lengths, 31)


@pytest.mark.parametrize("speed", [0.9, 0.95, 1.0, 1.03, 1.07, 1.1])
def test_a_clip_is_placed_at_its_offset_whatever_its_speed(speed):
    clip = range(6, 46)
    (showing,) = shown([seen(at, 20 + speed * at) for at in clip])
    (stretch,) = showing.stretches
    assert stretch.upload == (5.5, 45.5)
    assert stretch.entry == pytest.approx((20 + speed * 5.5, 20 + speed * 45.5), abs=0.5)
    assert (stretch.matched, stretch.sampled) == (40, 40)
    assert showing.upload_share == pytest.approx(40 / 60)
    assert showing.entry_share == pytest.approx(0.4 * speed, abs=0.02)
    assert counts(showing, 60)


def test_sightings_in_no_order_do_not_count():
    rng = np.random.default_rng(4)
    scattered = [seen(at, rng.uniform(0, 100)) for at in range(0, 60, 12)]
    assert all(not counts(one, 60) for one in shown(scattered, rows=200))


def test_one_sighting_alone_raises_nothing_in_a_long_upload_but_is_all_that_a_short_one_has():
    (showing,) = shown([seen(3, 40)])
    assert not counts(showing, 60)
    assert counts(showing, 1)


def test_an_upload_that_rests_on_one_frame_says_as_much_as_one_frame():
    (showing,) = shown([seen(at, 40) for at in range(10, 30)])
    assert showing.support == 1.0
    assert not counts(showing, 60)


def test_a_registered_still_counts_by_the_moments_it_is_shown():
    (showing,) = shown([seen(at, None) for at in (4, 5, 6, 30)], rows=1, seconds=0)
    assert [stretch.upload for stretch in showing.stretches] == [(3.5, 6.5), (29.5, 30.5)]
    assert all(stretch.entry is None for stretch in showing.stretches)
    assert showing.entry_share == 1.0
    assert counts(showing, 60)


def test_missing_moments_do_not_break_a_stretch_and_are_counted():
    times = [at for at in range(10, 20) if at not in (13, 16)]
    (showing,) = shown([seen(at, at + 50) for at in times])
    (stretch,) = showing.stretches
    assert (stretch.matched, stretch.sampled) == (8, 10)


def test_a_film_cut_into_pieces_is_found_piece_by_piece():
    pieces = [seen(at, at + 60) for at in range(5, 12)] + [
        seen(at, at - 20) for at in range(30, 40)
    ]
    (showing,) = shown(pieces)
    assert [stretch.upload for stretch in showing.stretches] == [(4.5, 11.5), (29.5, 39.5)]
    assert [stretch.entry for stretch in showing.stretches] == [
        pytest.approx((64.5, 71.5), abs=0.5),
        pytest.approx((9.5, 19.5), abs=0.5),
    ]


def test_a_hot_frame_that_many_people_s_entries_claim_counts_less():
    crowd = [seen(at, at + 10, owner(person)) for at in (20, 21) for person in range(1, 11)]
    everyone = shown(crowd, items=range(1, 11))
    assert len(everyone) == 10
    assert all(not counts(one, 60) for one in everyone)


def test_one_person_s_several_items_do_not_weaken_each_other():
    hers = [seen(at, at + 10, owner(item, person=1)) for at in (20, 21, 22) for item in (1, 2, 3)]
    assert all(counts(one, 60) for one in shown(hers, items=(1, 2, 3)))


def test_frames_beyond_the_near_radius_count_half():
    assert not counts(shown([seen(at, at + 9, distance=40) for at in (20, 21, 22)])[0], 60)
    assert counts(shown([seen(at, at + 9, distance=40) for at in range(20, 24)])[0], 60)


def test_a_part_of_upheld_content_is_for_a_person_and_all_of_it_is_known():
    upheld = owner(source=Source.UPHELD)
    part = shown([seen(at, at + 10, upheld, distance=2) for at in range(20)])[0]
    whole = shown([seen(at, at, upheld, distance=2) for at in range(60)], seconds=60.0)[0]
    assert isinstance(DEFAULT.judge(gather([part.hit("pdq", "x")])), Review)
    assert isinstance(DEFAULT.judge(gather([whole.hit("pdq", "x")])), Known)


def test_the_order_of_sightings_does_not_matter():
    clip = [seen(at, 20 + at, distance=at % 5) for at in range(6, 26)]
    assert shown(clip) == shown(clip[::-1])
