"""Moving a crop's edges makes true copies collapse to their code; it only orders candidates."""

import numpy as np
import pytest

from pipeline.domain.media import WHOLE, Frame, Side, Turn, View
from pipeline.media.crops import REGIONS
from pipeline.media.refine import Refiner
from pipeline.signals import pdq
from tests.pictures import textured

SIGNAL = pdq.build()


def code_of(rgb):
    return SIGNAL.compute([Frame(rgb)], Side.REGISTERED).codes[0]


def against(code):
    def distances(frames):
        seen = SIGNAL.compute(frames, Side.REGISTERED).codes
        return [int(np.bitwise_count(row ^ code).sum()) for row in seen]

    return distances


def nearest(upload, code, view=WHOLE):
    frame = Frame(np.ascontiguousarray(upload))
    start = against(code)([frame])[0]
    return start, Refiner(frame).nearest(view, REGIONS[0], against(code), start)


def bordered(rgb, share=0.05):
    """The picture with a strip of another at each side: the view is too large on all four."""
    height, width = rgb.shape[:2]
    across, down = int(width * share), int(height * share)
    ground = textured(width + 2 * across, height + 2 * down, 99)
    ground[down : down + height, across : across + width] = rgb
    return ground


def test_a_view_that_is_a_little_too_large_comes_down_to_the_code():
    picture = textured(320, 240, 3)
    start, refined = nearest(bordered(picture), code_of(picture))
    assert start > 31
    assert refined <= 24
    assert refined < start - 20


def test_a_stranger_hardly_moves():
    code = code_of(textured(320, 240, 3))
    for seed in range(20, 26):
        start, refined = nearest(textured(320, 240, seed), code)
        assert refined > 64
        assert start - refined < 60


def test_a_true_copy_comes_before_strangers_that_began_nearer():
    picture = textured(320, 240, 3)
    _, copy = nearest(bordered(picture, 0.08), code_of(picture))
    strangers = [nearest(textured(320, 240, s), code_of(picture))[1] for s in range(20, 24)]
    assert copy < min(strangers)


def test_a_turned_upload_is_moved_in_its_own_directions():
    picture = textured(320, 240, 3)
    code = code_of(picture)
    upload = np.ascontiguousarray(np.rot90(bordered(picture, 0.06), -1))
    frame = Frame(upload)
    view = View("whole", WHOLE.corners, Turn.ROTATE_90)
    asked = SIGNAL.compute([frame], Side.QUERY)
    start = min(int(np.bitwise_count(row ^ code).sum()) for row in asked.codes)
    assert Refiner(frame).nearest(view, REGIONS[0], against(code), start) < start - 15


def test_what_is_near_already_is_not_moved():
    frame = Frame(textured(320, 240, 3))

    def never(_frames):
        pytest.fail("nothing is computed of what is near enough")

    assert Refiner(frame).nearest(WHOLE, REGIONS[0], never, 10) == 10
