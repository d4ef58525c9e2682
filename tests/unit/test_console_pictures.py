"""What a reviewer's browser is given of an upload before she holds the key."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.media.showing import PREVIEW_CELLS, bounded, derivative
from tests.pictures import checkers, textured


@pytest.mark.parametrize("size", [(1600, 1200), (600, 1800), (64, 48), (1, 1), (3000, 2)])
def test_a_derivative_is_grey_and_small_and_keeps_the_shape(size: tuple[int, int]) -> None:
    made = derivative(textured(*size))
    height, width = made.shape
    assert max(width, height) == min(480, max(size))
    # A thin picture cannot keep its shape below one pixel.
    assert width / height == pytest.approx(size[0] / size[1], rel=0.1) or 1 in made.shape


def test_a_derivative_holds_no_detail_finer_than_its_cells() -> None:
    made = np.asarray(derivative(checkers(480, 480, cells=96)), float)
    assert np.ptp(made[40:-40, 40:-40]) < 8, "squares of 5 pixels have become one grey"
    spectrum = np.abs(np.fft.rfft2(derivative(textured(480, 480, seed=3)))) ** 2
    spectrum[0, 0] = 0
    fine = spectrum[PREVIEW_CELLS:-PREVIEW_CELLS, PREVIEW_CELLS:].sum()
    assert fine < 1e-3 * spectrum.sum()


def test_a_large_upload_is_shown_smaller_and_a_small_one_as_it_is() -> None:
    assert bounded(textured(3000, 1500), 2048).shape == (1024, 2048, 3)
    small = textured(320, 240)
    assert np.array_equal(bounded(small, 2048), small)
