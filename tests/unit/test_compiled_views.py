"""The compiled loops behind views say what whole arrays of NumPy and OpenCV say."""

import cv2
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.media import _grounds, _planes, _rectangles, _steps
from pipeline.media._jumps import jumps_of
from pipeline.media._seams import seams
from pipeline.media._sharpness import sharp_part
from pipeline.media._trims import PLAIN, WRITTEN_ON, trims
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
    mine = _planes.tiles(luma, boxes, zoom)
    plain = plain_views.tiles(luma, boxes, zoom)
    # The order of a sum decides how a half is rounded.
    assert np.abs(mine - plain).max() <= 0.5 + 1e-3


@settings(max_examples=40, deadline=None)
@given(KINDS, SIDES, SIDES, SEEDS)
def test_a_turned_tile_is_taken_from_a_blurred_half(kind, width, height, seed):
    luma = grey_of(kind, width, height, seed).astype(np.float32)
    rng = np.random.default_rng(seed)
    zoom = (float(rng.uniform(0.5, 12)), float(rng.uniform(0.5, 12)))
    quads = []
    for angle in np.deg2rad(rng.uniform(-20, 20, 3)):
        arms = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * [width / 2, height / 2]
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        middle = rng.uniform(0.4, 0.6, 2) * [width, height]
        quads.append((arms @ turn * rng.uniform(0.3, 1) + middle).astype(np.float32))
    copy = _planes.WorkingCopy(np.zeros((height, width, 3), np.uint8), luma, luma, zoom)
    mine = _planes.turned_tiles(copy, _planes.turns_of(zoom, np.array(quads)), 2)
    plain = np.array([plain_views.turned_tile(luma, zoom, quad) for quad in quads[:2]])
    assert np.abs(mine - plain).max() <= 0.5 + 0.02


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


def altered(kind: str, width: int, height: int, seed: int) -> np.ndarray:
    """A picture with bars of one colour or of a blur at some of its sides, words in one of them."""
    rng = np.random.default_rng(seed)
    rgb = getattr(pictures, kind)(width, height, seed=seed % 1000)
    depths = [int(side * rng.choice([0, 0, 0.05, 0.3])) for side in (height, height, width, width)]
    colour = rng.integers(0, 256, 3).tolist()
    found = cv2.copyMakeBorder(rgb, *depths, cv2.BORDER_CONSTANT, value=colour)
    if rng.random() < 0.3:
        far = cv2.BORDER_REPLICATE
        found = cv2.copyMakeBorder(rgb, *depths, far)
    words = np.flatnonzero(rng.random(len(found)) < 0.1)
    words = words[(words < depths[0]) | (words >= len(found) - depths[1])]
    found[words, 2::3] = 255 - np.array(colour, np.uint8)
    noise = int(rng.choice([0, 4, 12]))
    return np.clip(found + rng.integers(-noise, noise + 1, found.shape), 0, 255).astype(np.uint8)


def part_of(rgb: np.ndarray, seed: int) -> tuple[int, int, int, int]:
    rng = np.random.default_rng(seed)
    left, right = sorted(rng.integers(0, rgb.shape[1] + 1, 2).tolist())
    top, bottom = sorted(rng.integers(0, rgb.shape[0] + 1, 2).tolist())
    return left, top, right, bottom


@settings(max_examples=150, deadline=None)
@given(KINDS, SIDES, SIDES, SEEDS, st.sampled_from([PLAIN, WRITTEN_ON]))
def test_trims_are_those_of_whole_arrays(kind, width, height, seed, strictness):
    rgb = altered(kind, width, height, seed)
    assert trims(rgb, strictness) == plain_views.trims(rgb, strictness)
    part = part_of(rgb, seed)
    assert trims(rgb, strictness, 2, part) == plain_views.trims(rgb, strictness, 2, part)


@settings(max_examples=150, deadline=None)
@given(KINDS, st.integers(2, 600), SIDES, SEEDS)
def test_seams_and_blurred_bars_are_those_of_whole_arrays(kind, width, height, seed):
    wide = grey_of(kind, width, height, seed)
    other = grey_of("textured", width, height, seed + 1)
    for grey in (wide, np.ascontiguousarray(wide.T), np.hstack([wide, other]), altered_grey(wide)):
        jumps = jumps_of(grey)
        assert (
            sorted((_steps.peaks(jumps.upright[0, :-1], jumps.height) + 1).tolist()),
            sorted((_steps.peaks(jumps.level[0, :-1], jumps.width) + 1).tolist()),
        ) == plain_views.lines_of_seams(grey)
        assert sharp_part(jumps) == plain_views.sharp_part(grey)
        assert jumps.drawn == plain_views.drawn(grey)


def altered_grey(grey: np.ndarray) -> np.ndarray:
    """Between bars that have no detail."""
    tall = max(1, len(grey) // 4)
    return cv2.copyMakeBorder(grey, tall, tall, 0, 0, cv2.BORDER_CONSTANT, value=(90,))


def test_parts_of_a_collage_lie_between_its_seams():
    light, dark = pictures.flat(120, 90, 200)[..., 0], pictures.flat(120, 90, 40)[..., 0]
    two = seams(jumps_of(np.hstack([light, dark])))
    assert two == [(0, 0, 120, 90), (120, 0, 240, 90)]


@settings(max_examples=80, deadline=None)
@given(KINDS, SIDES, SIDES, SEEDS)
def test_grounds_are_those_of_whole_arrays(kind, width, height, seed):
    rgb = altered(kind, width, height, seed)
    code, share = plain_views.ground_of_rim(rgb)
    assert _grounds.rim(rgb) == (code, share)
    ground = np.empty(3)
    plain = plain_views.ground_of_corners(rgb)
    assert _grounds.corners(rgb, ground) == (plain is not None)
    assert plain is None or np.allclose(ground, plain, rtol=0, atol=1e-9)
