"""What every signal promises, asked of every member found. Members that need a pack are asked too
when they can be built without one; otherwise they say what is missing."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline import plugins
from pipeline.domain.media import WHOLE, Frame, Side, Turn
from pipeline.domain.signal import Metric
from pipeline.errors import ConsentryError
from pipeline.signals import SignalType
from tests import pictures


@pytest.fixture(params=plugins.names("signals"))
def signal(request: pytest.FixtureRequest) -> SignalType:
    try:
        built: SignalType = plugins.build("signals", request.param)
    except (ConsentryError, TypeError) as missing:
        pytest.skip(f"{request.param} needs more than its name: {missing}")
    return built


def frames(*seeds: int) -> list[Frame]:
    return [Frame(pictures.textured(300, 200, seed)) for seed in seeds]


@pytest.mark.parametrize("side", Side)
def test_an_empty_batch_gives_no_rows(signal: SignalType, side: Side) -> None:
    assert len(signal.compute([], side)) == 0


@pytest.mark.parametrize("side", Side)
def test_codes_fit_their_space(signal: SignalType, side: Side) -> None:
    found = signal.compute(frames(0, 1), side)
    assert found.space == signal.space
    if signal.space.metric is Metric.HAMMING:
        assert found.codes.dtype == np.uint8
        assert found.codes.shape == (len(found), signal.space.width // 8)
    else:
        assert found.codes.dtype == np.float32
        assert found.codes.shape == (len(found), signal.space.width)
        assert np.allclose(np.linalg.norm(found.codes, axis=1), 1, atol=1e-5)
    assert found.quality.dtype == np.uint8
    assert (found.quality <= 100).all()
    assert 0 <= signal.minimum_quality <= 100


def test_a_hash_gives_one_row_a_frame_where_it_is_registered(signal: SignalType) -> None:
    if signal.space.metric is not Metric.HAMMING:
        pytest.skip("a frame holds as many faces as it holds")
    found = signal.compute(frames(0, 1, 2), Side.REGISTERED)
    assert found.views == (WHOLE,) * 3


def test_the_query_side_asks_with_what_is_registered_among_its_rows(signal: SignalType) -> None:
    batch = frames(3)
    registered = signal.compute(batch, Side.REGISTERED)
    asked = signal.compute(batch, Side.QUERY)
    upright = [row for row, view in enumerate(asked.views) if view.turn is Turn.NONE]
    assert np.array_equal(asked.codes[upright], registered.codes)


def test_a_frame_s_rows_do_not_depend_on_its_batch(signal: SignalType) -> None:
    together = signal.compute(frames(0, 1), Side.REGISTERED)
    alone = [signal.compute(frames(seed), Side.REGISTERED) for seed in (0, 1)]
    assert np.array_equal(together.codes, np.concatenate([one.codes for one in alone]))


@pytest.mark.parametrize("side", Side)
def test_pixels_are_left_as_they_were(signal: SignalType, side: Side) -> None:
    rgb = pictures.textured()
    before = rgb.copy()
    rgb.flags.writeable = False
    signal.compute([Frame(rgb)], side)
    assert np.array_equal(rgb, before)


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (64, 64)])
def test_small_pictures_are_answered(signal: SignalType, size: tuple[int, int]) -> None:
    for side in Side:
        found = signal.compute([Frame(pictures.textured(*size))], side)
        assert found.codes.shape[0] == len(found.views)


def test_codes_do_not_print(signal: SignalType) -> None:
    found = signal.compute(frames(0), Side.REGISTERED)
    for code in found.codes:
        assert code.tobytes().hex() not in repr(found)
    assert "codes" not in repr(found)
