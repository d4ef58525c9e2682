"""The compiled loops behind an upload's codes say what whole arrays of NumPy say."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.domain.media import Frame, Side, Turn, View
from pipeline.signals import pdq
from tests import pictures


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
