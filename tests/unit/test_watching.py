"""Moments of a video are asked whole, and their parts only where they could have changed."""

from dataclasses import replace
from functools import cache
from typing import Any, cast

import cv2
import numpy as np
import pytest

from pipeline import plugins
from pipeline.domain import policy
from pipeline.domain.ids import SLOTS
from pipeline.domain.media import Frame, Side
from pipeline.indexes import Index
from pipeline.journeys import watch as watching
from pipeline.journeys.watch import Watch, halved
from pipeline.media.moments import Moment
from pipeline.media.views import USUAL
from pipeline.signals.pdq import build
from services.bench.video import Shelf
from tests.films import SCENES, scenes, still

SIGNAL = build()


@cache
def shelf() -> Shelf:
    """One picture is in force."""
    found = Shelf(SIGNAL, cast(Index, plugins.build("indexes", "hamming", SIGNAL.space)))
    codes = SIGNAL.compute([Frame(still("chelsea"))], Side.REGISTERED).codes
    found.index.add(np.array([1 * SLOTS]), codes)
    return found


def watch() -> Watch:
    return Watch(SIGNAL, None, policy.DEFAULT, cast(Any, shelf()), USUAL, 2_000_000)


def shown(picture, time: float, stream: int = 0) -> Moment:
    luma = np.ascontiguousarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY))
    rgb = np.broadcast_to(luma[..., None], (*luma.shape, 3))
    return Moment(Frame(rgb, time, luma=luma), stream, 0.0)


def with_inset(inner, share: float = 0.3):
    """A wall with a small picture on it."""
    made = np.full((360, 640, 3), 230, np.uint8)
    made[300:, 500:] = cv2.resize(still("coffee"), (140, 60))
    wide, high = round(640 * share), round(640 * share * inner.shape[0] / inner.shape[1])
    made[30 : 30 + high, 60 : 60 + wide] = cv2.resize(inner, (wide, high), interpolation=3)
    return made


@pytest.fixture
def asked(monkeypatch):
    """The times of the moments whose parts were asked."""
    times: list[float | None] = []

    def noted(frame, budget):
        times.append(frame.time)
        return query_views(frame, budget)

    query_views = watching.query_views
    monkeypatch.setattr(watching, "query_views", noted)
    return times


def test_a_moment_that_looks_like_the_one_before_is_not_asked_for_its_parts_again(asked):
    rng, watch_, still_ = np.random.default_rng(1), watch(), still("astronaut").astype(np.int16)
    for second in range(8):
        noise = rng.integers(-2, 3, still_.shape)
        watch_.look(shown(np.clip(still_ + noise, 0, 255).astype(np.uint8), 2.0 * second))
    assert asked == [0.0]
    watch_.look(shown(still("coffee"), 16.0))
    assert asked == [0.0, 16.0]
    assert len(watch_.telling[0]) == 9, "and it was looked at, every time"


def test_no_part_is_believed_unchanged_for_long_and_none_by_another_stream(asked):
    watch_ = watch()
    for time in (0.0, 15.0, 15.5, 40.0):
        watch_.look(shown(still("astronaut"), time))
    watch_.look(replace(shown(still("astronaut"), 40.0), stream=1))
    assert asked == [0.0, 15.5, 40.0, 40.0]


def test_a_small_picture_that_comes_onto_a_wall_which_stays_is_found():
    watch_ = watch()
    others = [name for name in SCENES if name not in ("chelsea", "cat")]  # the same picture
    near = [
        watch_.look(shown(with_inset(still(name)), float(time)))
        for time, name in enumerate([*others, "chelsea", "chelsea", "coffee"])
    ]
    assert near == [False] * len(others) + [True, True, False]


@pytest.mark.parametrize("size", [(1920, 1080), (1080, 1918), (642, 2562), (640, 360)])
def test_a_halved_moment_says_what_the_whole_one_says(size):
    apart = []
    for number, picture in enumerate(scenes(SCENES[:4], 1.0, 1.0, size, seed=7)):
        moment = shown(picture, float(number))
        small = halved(moment.frame)
        assert 640 <= max(small.width, small.height) < 1282
        whole, said = (SIGNAL.compute([one], Side.QUERY) for one in (moment.frame, small))
        apart.append(int(np.bitwise_count(whole.codes ^ said.codes).sum(1).max()))
    assert max(apart) <= 4
    assert np.mean(apart) <= 2
