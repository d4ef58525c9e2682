from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.domain.media import Frame, Side, Turn, View
from pipeline.domain.shrink import reduce, shrink
from pipeline.signals import pdq
from tests import pictures

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "pdq.json").read_text())
PEER = importlib.util.find_spec("pdqhash")
PDQ = pdq.build()

UPLOAD_OF = {
    Turn.NONE: lambda a: a,
    Turn.ROTATE_90: lambda a: np.rot90(a, -1),
    Turn.ROTATE_180: lambda a: np.rot90(a, 2),
    Turn.ROTATE_270: lambda a: np.rot90(a, 1),
    Turn.FLIP_X: np.flipud,
    Turn.FLIP_Y: np.fliplr,
    Turn.FLIP_PLUS_1: lambda a: a.transpose(1, 0, 2),
    Turn.FLIP_MINUS_1: lambda a: np.rot90(a.transpose(1, 0, 2), 2),
}
"""What the words of each turn mean: to the right, as people say it."""


def registered(*pixels: np.ndarray) -> tuple[list[str], list[int]]:
    signals = PDQ.compute([Frame(rgb) for rgb in pixels], Side.REGISTERED)
    return [code.tobytes().hex() for code in signals.codes], signals.quality.tolist()


def bits(one: np.ndarray, other: np.ndarray) -> int:
    return int(np.bitwise_count(one ^ other).sum())


def picture(kind: str, width: int, height: int, seed: int = 0) -> np.ndarray:
    make = pictures.KINDS[kind]
    return make(width, height) if kind in ("flat", "checkers") else make(width, height, seed)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: f"{v['kind']}-{v['width']}x{v['height']}")
def test_codes_and_quality_are_the_reference_s(vector: dict) -> None:
    rgb = picture(vector["kind"], vector["width"], vector["height"], vector["seed"])
    codes, quality = registered(rgb)
    assert (codes, quality) == ([vector["pdq"]], [vector["quality"]])


@pytest.mark.parametrize("vector", VECTORS[::5], ids=lambda v: f"{v['kind']}-{v['width']}")
def test_dihedral_coefficients_give_the_reference_s_eight_codes(vector: dict) -> None:
    rgb = picture(vector["kind"], vector["width"], vector["height"], vector["seed"])
    _, coefficients = pdq.reference(rgb)
    codes = pdq.codes_from_dct(pdq.dihedral(coefficients))
    assert [code.tobytes().hex() for code in codes] == vector["dihedral"]


@pytest.mark.skipif(
    PEER is None and os.environ.get("CONSENTRY_CI") != "1", reason="pdqhash is not installed"
)
@given(
    kind=st.sampled_from(sorted(pictures.KINDS)),
    width=st.integers(5, 500),
    height=st.integers(5, 500),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=100, deadline=None)
def test_bits_and_quality_equal_the_living_reference(
    kind: str, width: int, height: int, seed: int
) -> None:
    import pdqhash

    rgb = np.ascontiguousarray(picture(kind, width, height, seed))
    vector, quality = pdqhash.compute(rgb)
    assert registered(rgb) == ([np.packbits(vector).tobytes().hex()], [quality])


def test_the_eight_codes_undo_what_their_words_say() -> None:
    worst = 0
    for seed in range(4):
        rgb = pictures.textured(400, 300, seed)
        meant = PDQ.compute([Frame(rgb)], Side.REGISTERED).codes[0]
        for turn, made in UPLOAD_OF.items():
            upload = np.ascontiguousarray(made(rgb))
            signals = PDQ.compute([Frame(upload)], Side.QUERY)
            told = [view.turn for view in signals.views]
            assert told == list(Turn)
            distances = [bits(code, meant) for code in signals.codes]
            assert told[int(np.argmin(distances))] is turn
            worst = max(worst, min(distances))
    assert worst <= 2


def test_a_query_view_keeps_its_name_beside_each_turn() -> None:
    view = View("inner picture", ((0.1, 0.1), (0.9, 0.1), (0.9, 0.9), (0.1, 0.9)))
    signals = PDQ.compute([Frame(pictures.textured(), view=view)], Side.QUERY)
    assert [v.name for v in signals.views] == ["inner picture"] * 8
    assert [v.corners for v in signals.views] == [view.corners] * 8


def test_a_batch_gives_what_its_frames_give_alone() -> None:
    batch = [picture(kind, 200 + 30 * i, 150, i) for i, kind in enumerate(pictures.KINDS)]
    codes, quality = registered(*batch)
    alone = [registered(rgb) for rgb in batch]
    assert codes == [one[0][0] for one in alone]
    assert quality == [one[1][0] for one in alone]


def test_an_empty_batch_gives_no_rows() -> None:
    for side in Side:
        assert len(PDQ.compute([], side)) == 0


@pytest.mark.parametrize("size", [(1, 1), (4, 300), (300, 4)])
def test_a_side_below_five_pixels_has_no_quality_and_no_bits(size: tuple[int, int]) -> None:
    codes, quality = registered(pictures.textured(500, 500)[: size[1], : size[0]])
    assert (codes, quality) == (["0" * 64], [0])


def test_a_flat_picture_is_named_by_its_quality() -> None:
    _, quality = registered(pictures.flat(), pictures.gradient(), pictures.textured())
    assert quality[0] == 0
    assert quality[1] < PDQ.minimum_quality <= quality[2]


@given(
    width=st.integers(64, 600),
    height=st.integers(64, 600),
    kind=st.sampled_from(["textured", "shapes", "text_like"]),
)
@settings(max_examples=40, deadline=None)
def test_the_product_stays_as_near_the_reference_as_the_second_look_assumes(
    width: int, height: int, kind: str
) -> None:
    rgb = picture(kind, width, height)
    grid, coefficients = pdq.reference(rgb)
    fast = pdq.to64_of_rgb(rgb)
    assert np.abs(fast - grid).max() < pdq._GRID_DRIFT
    assert np.abs(pdq.dct16(fast) - coefficients).max() < pdq._DCT_DRIFT


def ruled(width: int, height: int) -> np.ndarray:
    """A white page with lines: the reference's sums drift most along it."""
    page = np.full((height, width, 3), 255, np.uint8)
    page[:, ::97] = 0
    page[::61] = 0
    return page


def test_what_is_kept_allows_for_the_largest_drift_that_was_seen() -> None:
    rgb = ruled(3000, 2000)
    grid, coefficients = pdq.reference(rgb)
    fast = pdq.to64_of_rgb(rgb)
    assert pdq._GRID_DRIFT < np.abs(fast - grid).max() < pdq._DRAWN * pdq._GRID_DRIFT
    drift = np.abs(pdq.dct16(fast) - coefficients).max()
    assert pdq._DCT_DRIFT < drift < pdq._DRAWN * pdq._DCT_DRIFT
    (code,), _ = registered(rgb)
    assert code == pdq.codes_from_dct(coefficients[None])[0].tobytes().hex()


@pytest.mark.parametrize("length", [5, 63, 64, 65, 128, 129, 640, 4001])
def test_every_grid_line_is_a_mean(length: int) -> None:
    for band in pdq.bands(length):
        assert 0 <= band.low < band.high <= length
        assert np.allclose(band.weights.sum(axis=-1), 1, atol=1e-6)
        assert (band.weights >= 0).all()


def test_slices_and_stacks_of_one_luma_plane_give_the_same_grids() -> None:
    rgb = pictures.textured(400, 300)
    grey = pdq.luma(rgb)
    part = pdq.to64(grey[20:280, 40:390])
    assert np.allclose(part, pdq.to64_of_rgb(rgb[20:280, 40:390]), atol=1e-3)
    both = pdq.to64(np.stack([grey, grey[::-1]]))
    assert np.allclose(both[0], pdq.to64(grey), atol=1e-4)
    assert np.allclose(both[1], pdq.to64(np.ascontiguousarray(grey[::-1])), atol=1e-4)


def test_up_to_sixteen_megapixels_every_pixel_is_hashed() -> None:
    plain = np.zeros((4000, 4000, 3), np.uint8)
    assert reduce(plain) is plain
    assert reduce(np.zeros((4000, 4001, 3), np.uint8)).shape == (2047, 2048, 3)


def exact_area_mean(rgb: np.ndarray, height: int, width: int) -> np.ndarray:
    def overlap(old: int, new: int) -> list[list[int]]:
        return [
            [max(0, min((j + 1) * old, (i + 1) * new) - max(j * old, i * new)) for i in range(old)]
            for j in range(new)
        ]

    down = np.array(overlap(rgb.shape[0], height), dtype=object)
    across = np.array(overlap(rgb.shape[1], width), dtype=object)
    area = rgb.shape[0] * rgb.shape[1]
    channels = [down @ rgb[..., c].astype(object) @ across.T for c in range(3)]
    return np.stack([(2 * c + area) // (2 * area) for c in channels], axis=-1).astype(np.uint8)


@given(
    width=st.integers(1, 70),
    height=st.integers(1, 70),
    longer=st.integers(1, 40),
    seed=st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_a_smaller_picture_is_the_exact_area_mean_rounded_half_up(
    width: int, height: int, longer: int, seed: int
) -> None:
    rgb = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    small = shrink(rgb, longer)
    if max(width, height) <= longer:
        assert small is rgb
    else:
        assert max(small.shape[:2]) == longer
        assert np.array_equal(small, exact_area_mean(rgb, *small.shape[:2]))
