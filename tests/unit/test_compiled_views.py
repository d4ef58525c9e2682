"""The compiled loops behind views say what whole arrays of NumPy and OpenCV say."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.media import _planes, _rectangles
from tests import pictures, plain_views

SIDES = st.integers(20, 130)
SEEDS = st.integers(0, 2**31)


def grey_of(kind: str, width: int, height: int, seed: int) -> np.ndarray:
    rgb = getattr(pictures, kind)(width, height, seed=seed % 1000)
    return np.ascontiguousarray(rgb[..., 1])


KINDS = st.sampled_from(["textured", "shapes", "gradient", "text_like"])


def with_a_picture_in_it(grey: np.ndarray, seed: int) -> np.ndarray:
    """Another picture with straight edges somewhere within."""
    rng = np.random.default_rng(seed)
    height, width = grey.shape
    tall, wide = (int(side * rng.uniform(0.3, 0.8)) for side in (height, width))
    top, left = int(rng.integers(0, height - tall)), int(rng.integers(0, width - wide))
    within = np.ascontiguousarray(pictures.textured(wide, tall, seed=seed % 997)[..., 0])
    found = grey.copy()
    found[top : top + tall, left : left + wide] = within
    return found


@settings(max_examples=60, deadline=None)
@given(KINDS, SIDES, SIDES, SEEDS)
def test_a_tile_is_the_product_with_all_its_weights(kind, width, height, seed):
    luma = grey_of(kind, width, height, seed).astype(np.float32)
    rng = np.random.default_rng(seed)
    across, down = (np.sort(rng.uniform(0, side, (6, 2)), axis=1) for side in (width, height))
    boxes = [(0.0, 0.0, float(width), float(height))]
    boxes += [
        (left, top, right, bottom)
        for (left, right), (top, bottom) in zip(across.tolist(), down.tolist(), strict=True)
        if right - left > 2 and bottom - top > 2
    ]
    zoom = (float(rng.uniform(0.5, 12)), float(rng.uniform(0.5, 12)))
    mine = _planes.tiles(luma, boxes, zoom).astype(int)
    plain = plain_views.tiles(luma, boxes, zoom).astype(int)
    # The order of a sum decides a rounding now and then.
    assert np.abs(mine - plain).max() <= 1
    assert np.count_nonzero(mine != plain) <= 1e-3 * mine.size


@settings(max_examples=60, deadline=None)
@given(KINDS, SIDES, SIDES, SEEDS)
def test_rectangles_are_those_of_whole_arrays(kind, width, height, seed):
    grey = with_a_picture_in_it(grey_of(kind, width, height, seed), seed)
    assert _rectangles.rectangles(grey) == plain_views.rectangles(grey)


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 12), st.integers(2, 60), SEEDS)
def test_planes_of_a_few_lines_have_the_same_sums(width, height, seed):
    grey = np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)
    sums, lines = _rectangles._lines(grey, height)
    plain = plain_views._sums(grey)
    assert np.array_equal(sums, plain)
    assert np.array_equal(lines, plain_views._lines(plain, height))
