"""Registered-side crops: a fixed list in whole numbers, that a browser can repeat."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.domain.ids import SLOTS
from pipeline.domain.media import WHOLE, Frame, Side, View
from pipeline.errors import Invalid
from pipeline.media.crops import (
    CROPS,
    LEAST_SIDE,
    REGIONS,
    rectangle,
    registered_crops,
    slot_of_view,
)
from pipeline.signals import pdq


def picture(height=400, width=600):
    rng = np.random.default_rng([height, width])
    return np.kron(
        rng.integers(0, 256, (height // 20 + 1, width // 20 + 1, 3)), np.ones((20, 20, 1))
    )[:height, :width].astype(np.uint8)


def test_the_list_never_changes_under_codes_that_are_stored():
    for slots, digest in ((90, "797313a43112e55c"), (106, "1843373c1a7d5979")):
        written = ";".join(",".join(map(str, crop)) for crop in CROPS[:slots])
        assert hashlib.sha256(written.encode()).hexdigest()[:16] == digest
    assert len(CROPS) == 106, "write down the digest of what was added at the end"


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_crop_of_nine_tenths_anywhere_is_an_eightieth_of_a_side_from_a_listed_one(x, y):
    left, top = round(100 * x), round(100 * y)
    tenth = [crop for crop in CROPS if crop[2] - crop[0] == crop[3] - crop[1] == 900]
    assert min(max(abs(crop[0] - left), abs(crop[1] - top)) for crop in tenth) <= 13


def test_slot_0_is_the_whole_and_no_crop_is_listed_twice():
    assert CROPS[0] == (0, 0, 1000, 1000)
    assert len(set(CROPS)) == len(CROPS) <= SLOTS


@given(st.integers(1, 40_000), st.integers(1, 40_000))
def test_rectangles_round_half_up_and_stay_inside(width, height):
    for crop in CROPS:
        left, top, right, bottom = rectangle(crop, width, height)
        assert 0 <= left <= right <= width
        assert 0 <= top <= bottom <= height
        # Half up, said in another way: twice the position, less the exact one, in (-1, 1].
        for position, side, share in zip(
            (left, top, right, bottom), (width, height) * 2, crop, strict=True
        ):
            assert -1000 < 2 * (position * 1000 - side * share) <= 1000


def test_crops_are_the_full_resolution_pixels_untouched():
    pixels = picture()
    for frame in registered_crops(Frame(pixels)):
        left, top, right, bottom = rectangle(CROPS[slot_of_view(frame.view)], 600, 400)
        assert (frame.rgb == pixels[top:bottom, left:right]).all()
        assert np.shares_memory(frame.rgb, pixels)


def test_crops_of_a_large_photo_are_cut_from_what_pdq_makes_of_it():
    pixels = np.zeros((4000, 4001, 3), np.uint8)
    pixels[:, 2000:] = 200
    frames = registered_crops(Frame(pixels))
    assert (frames[0].width, frames[0].height) == (2048, 2047)
    assert max(frame.width for frame in frames) == 2048
    assert (frames[1].width, frames[1].height) == (1843, 2047)


def test_a_beginning_of_the_list_gives_the_same_codes_in_the_same_slots():
    frame = Frame(picture())
    few, all_of_them = registered_crops(frame, 20), registered_crops(frame)
    assert [f.view for f in few] == [f.view for f in all_of_them[:20]]
    with pytest.raises(Invalid, match="at least one code"):
        registered_crops(frame, 0)


def test_crops_too_small_to_say_anything_are_left_out_but_never_the_whole():
    frames = registered_crops(Frame(picture(80, 120)))
    assert slot_of_view(frames[0].view) == 0
    assert all(min(f.width, f.height) >= LEAST_SIDE for f in frames)
    assert 1 < len(frames) < len(CROPS)
    assert [f.view for f in registered_crops(Frame(picture(20, 30)))] == [WHOLE]


def test_a_view_that_is_no_registered_crop_has_no_slot():
    stray = View("stray", ((0.1, 0.1), (0.3, 0.1), (0.3, 0.2), (0.1, 0.2)))
    with pytest.raises(Invalid, match="no registered crop"):
        slot_of_view(stray)


@pytest.mark.parametrize("slot", [1, 2, 3, 4, 21, 22])
def test_a_copy_cut_as_a_crop_is_cut_is_found_at_once(slot):
    data = pytest.importorskip("skimage.data")
    pixels = np.ascontiguousarray(data.coffee())
    signal = pdq.build()
    stored = signal.compute(registered_crops(Frame(pixels)), Side.REGISTERED)
    left, top, right, bottom = (
        round(v * s) for v, s in zip(REGIONS[slot], (600, 400) * 2, strict=True)
    )
    asked = signal.compute([Frame(pixels[top:bottom, left:right])], Side.REGISTERED).codes[0]
    distances = np.bitwise_count(stored.codes ^ asked).sum(1)
    assert slot_of_view(stored.views[int(distances.argmin())]) == slot
    assert distances.min() <= 4
    assert distances[0] > 31, "the whole alone must not match, or this shows nothing"
