"""The compiled loops behind an upload's codes say what whole arrays of NumPy say."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.domain.generic import GenericBank
from pipeline.domain.media import (
    WHOLE,
    WHOLE_CORNERS,
    Frame,
    Side,
    Turn,
    TurnedViews,
    View,
    as_it_is,
    those,
    whole,
)
from pipeline.domain.witness import ask_wide, asks_wide
from pipeline.media.generic import CompiledBank
from pipeline.media.grey import with_grey
from pipeline.signals import pdq
from tests import pictures

HALF = ((0.0, 0.0), (0.5, 0.0), (0.5, 0.5), (0.0, 0.5))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 5), st.integers(0, 2**31), st.booleans())
def test_codes_in_all_ways_are_those_of_turned_coefficients(count, seed, coarse):
    rng = np.random.default_rng(seed)
    mirrored = rng.normal(0, 50, (count, 4, 16, 16)).astype(np.float32)
    if coarse:  # where many equal the median
        mirrored = np.rint(mirrored / 40)
    plain, left_right, upside_down, both = np.moveaxis(mirrored, 1, 0)
    turned = [one.swapaxes(-1, -2) for one in (plain, left_right, upside_down, both)]
    ways = [plain, turned[1], both, turned[2], upside_down, left_right, turned[0], turned[3]]
    expected = pdq.codes_from_dct(np.stack(ways, axis=1))
    assert np.array_equal(pdq.codes_in_all_ways(mirrored), expected)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.floats(1, 200))
def test_quality_is_the_sum_of_whole_percents(seed, spread):
    rng = np.random.default_rng(seed)
    grids = np.clip(rng.normal(128, spread, (3, 64, 64)), 0, 255).astype(np.float32)
    grids[1] = np.rint(grids[1])
    assert np.array_equal(pdq.quality(grids), pdq._quality(*pdq._gradients(grids)))


def test_a_plane_told_three_times_has_the_codes_of_three_planes():
    signal = pdq.build()
    tile = np.ascontiguousarray(pictures.textured(64, 64)[..., 0])
    view = View("a part", ((0.0, 0.0), (0.5, 0.0), (0.5, 0.5), (0.0, 0.5)))
    told = Frame(np.broadcast_to(tile[..., None], (64, 64, 3)), None, view)
    copied = Frame(np.repeat(tile[..., None], 3, axis=2), None, view)
    one, other = (signal.compute([frame], Side.QUERY) for frame in (told, copied))
    assert np.array_equal(one.codes, other.codes)
    assert np.array_equal(one.quality, other.quality)
    assert [view.turn for view in one.views] == list(Turn)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(["textured", "shapes", "text_like"]), st.integers(0, 2**31))
def test_parts_have_the_codes_of_products_and_of_mirrored_grids(kind, seed):
    rng = np.random.default_rng(seed)
    planes = np.stack(
        [
            np.clip(
                getattr(pictures, kind)(64, 64, seed=seed % 1000 + one)[..., 0]
                + rng.normal(0, 2, (64, 64)),
                0,
                255,
            ).astype(np.uint8)
            for one in range(3)
        ]
    )
    frames = [
        Frame(np.broadcast_to(plane[..., None], (64, 64, 3)), None, View("a part", HALF))
        for plane in planes
    ]
    found = pdq.build().compute(frames, Side.QUERY)
    grids = np.stack([pdq.luma(np.repeat(plane[..., None], 3, 2)) for plane in planes])
    products = pdq.dct16(pdq._mirrored(grids)).reshape(-1, 4, 256)
    expected = pdq.codes_in_all_ways(products)
    apart = np.bitwise_count(found.codes ^ expected.reshape(-1, 32)).sum(1)
    # Two coefficients that lie as near to one another as sums are rounded may change places.
    ordered = np.sort(products, axis=-1)
    settled = (ordered[..., 128] - ordered[..., 127] > 1e-2).all(1)
    assert not apart.reshape(3, 8)[settled].any()
    assert apart.max() <= 2
    assert np.array_equal(found.quality[::8], pdq.quality(grids))


@pytest.mark.parametrize("size", [(800, 502), (801, 502), (700, 699), (640, 1200)])
def test_a_sketch_has_the_codes_of_its_unrounded_luma(size):
    for seed in range(3):
        rgb = pictures.textured(*size, seed=seed)
        of = (2 * size[0] - seed % 2, 2 * size[1] - seed // 2)
        found = pdq.build().compute([Frame(rgb, of=of)], Side.QUERY)
        four = pdq.mirrored_grids(rgb, of)
        expected = pdq.codes_in_all_ways(pdq.dct16(four)[None])[0]
        assert np.bitwise_count(found.codes ^ expected).sum(1).max() <= 2
        assert abs(int(found.quality[0]) - int(pdq.quality(four[0]))) <= 1
        grey = pdq.build().compute(with_grey([Frame(rgb, of=of)]), Side.QUERY)
        assert np.array_equal(found.codes, grey.codes)


def test_only_sketches_are_given_grey_beside_their_colours():
    rgb = pictures.textured(90, 70)
    exact, sketch = with_grey([Frame(rgb), Frame(rgb, of=(180, 140))])
    assert exact.luma is None
    assert np.array_equal(sketch.luma, cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 9), st.integers(0, 300), st.integers(0, 256), st.integers(0, 2**31))
def test_a_compiled_bank_says_what_the_bank_says(asked, held, within, seed):
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 256, (held, 32), dtype=np.uint8)
    questions = rng.integers(0, 256, (asked, 32), dtype=np.uint8)
    for row in range(min(asked, held)):  # some that are as far from a code as is asked, or further
        bits = np.unpackbits(codes[row])
        bits[rng.permutation(256)[: min(within + row % 2, 256)]] ^= 1
        questions[row] = np.packbits(bits)
    plain, compiled = GenericBank(codes), CompiledBank(codes)
    assert np.array_equal(plain.generic(questions, within), compiled.generic(questions, within))


def test_views_that_are_made_when_asked_for_are_those_that_are_made_at_once():
    views = (
        WHOLE,
        View("a half", HALF),
        View("a part", HALF, time=2.0),
        View("bare", WHOLE_CORNERS),
    )
    plain = tuple(replace(view, turn=turn) for view in views for turn in Turn)
    asked = TurnedViews.every(views)
    assert tuple(asked) == plain
    assert [asked[row] for row in range(len(asked))] == list(plain)
    assert asked[3:11] == plain[3:11]
    assert asked[-1] == plain[-1]
    kept = np.random.default_rng(1).random(len(plain)) < 0.4
    assert tuple(those(asked, kept)) == those(plain, kept)
    for told in (whole, as_it_is, ask_wide):
        assert np.array_equal(told(asked), told(plain))
    assert [asks_wide(view) for view in plain] == ask_wide(asked).tolist()
    with pytest.raises(IndexError):
        asked[len(plain)]
