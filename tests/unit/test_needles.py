"""What is looked for in dumps and files is found wherever it stands, or a leak would pass."""

import numpy as np
import pytest

from tests.needles import Needles

HAY = np.random.default_rng(1).integers(0, 256, 5000, np.uint8).tobytes()


@pytest.mark.parametrize("at", [0, 1, 7, 4095, 4992 - 24])
@pytest.mark.parametrize("length", [8, 32])
def test_a_needle_is_found_at_every_offset(at, length):
    needles = Needles([bytes(range(40)), HAY[at : at + length], bytes(32)])
    assert needles.are_in(HAY)


def test_what_only_begins_alike_is_not_the_needle():
    assert not Needles([HAY[100:108] + bytes(24)]).are_in(HAY)
    assert not Needles([HAY[4990:] + b"beyond the end"]).are_in(HAY)


def test_nothing_is_in_what_is_shorter_than_a_needle():
    assert not Needles([bytes(8)]).are_in(bytes(7))
    assert Needles([bytes(8)]).are_in(bytes(8))
