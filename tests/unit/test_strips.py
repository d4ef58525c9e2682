"""A video as pictures around a moment: which ones, how blurred, what becomes of odd files."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import Refused
from pipeline.media.strip import Shown, Wanted, strip
from tests.films import film

FPS = 10.0


def ramp(count: int = 40) -> bytes:
    """A film whose pictures get lighter: the number of a picture can be read from its shade."""
    shades = (np.full((48, 64, 3), 20 + 5 * at, np.uint8) for at in range(count))
    return film(shades, fps=FPS, crf="10", keys=10)


@pytest.fixture(scope="module")
def clip() -> bytes:
    return ramp()


def seen(body: bytes, **wanted: object) -> list[Shown]:
    return list(strip(io.BytesIO(body), Wanted(**wanted)))  # type: ignore[arg-type]


def numbers(shown: list[Shown]) -> list[int]:
    return [round((float(one.pixels.mean()) - 20) / 5) for one in shown]


def test_a_strip_begins_at_its_moment_and_ends_when_enough_are_given(clip: bytes) -> None:
    shown = seen(clip, at=1.5, after=3)
    assert numbers(shown) == [15, 16, 17]
    assert [one.time for one in shown] == pytest.approx([1.5, 1.6, 1.7])
    assert shown[0].seconds == pytest.approx(4.0, abs=0.11)
    assert shown[0].streams == 1


def test_frames_before_a_moment_are_the_last_before_it(clip: bytes) -> None:
    assert numbers(seen(clip, at=2.2, before=3, after=2)) == [19, 20, 21, 22, 23]
    assert numbers(seen(clip, at=0.1, before=3, after=1)) == [0, 1]
    times = seen(clip, at=1.0, after=2)
    again = seen(clip, at=float(f"{times[1].time:.6f}"), before=1, after=1)
    assert numbers(again) == [10, 11], "a time that came back rounded names the same frame"


def test_a_rate_leaves_frames_out(clip: bytes) -> None:
    assert numbers(seen(clip, at=0.0, after=5, rate=2.0)) == [0, 5, 10, 15, 20]


def test_beyond_the_end_comes_the_nearest_picture_before(clip: bytes) -> None:
    (last,) = seen(clip, at=900.0, after=4)
    assert last.time <= 4.0
    assert numbers([last])[0] >= 30


def test_blurred_pictures_are_grey_and_small_and_clear_ones_bounded(clip: bytes) -> None:
    noisy = np.random.default_rng(1).integers(0, 255, (12, 400, 600, 3), np.uint8)
    body = film(iter(noisy), fps=FPS)
    (blurred,) = seen(body, at=0.5)
    assert blurred.pixels.ndim == 2
    assert max(blurred.pixels.shape) <= 480
    assert blurred.pixels.std() < 12 < seen(body, at=0.5, blurred=False)[0].pixels.std()
    (clear,) = seen(body, at=0.5, blurred=False, side=300)
    assert clear.pixels.shape == (200, 300, 3)


def test_an_animation_is_shown_like_a_video() -> None:
    made = io.BytesIO()
    frames = [Image.new("RGB", (64, 48), (shade, shade, shade)) for shade in (40, 120, 200)]
    frames[0].save(made, "GIF", save_all=True, append_images=frames[1:], duration=500)
    shown = seen(made.getvalue(), at=0.6, after=2, blurred=False)
    assert [round(float(one.pixels.mean()), -1) for one in shown] == [200]
    assert [one.time for one in seen(made.getvalue(), at=0, after=9)] == [0.0, 0.5, 1.0]


def test_what_is_no_video_is_refused_and_a_damaged_one_shows_what_is_left(clip: bytes) -> None:
    with pytest.raises(Refused):
        seen(b"\xff\xd8\xff\xe0" + bytes(100), at=0)
    damaged = bytearray(clip)
    middle = len(damaged) * 2 // 3
    damaged[middle : middle + 200] = bytes(200)
    assert numbers(seen(bytes(damaged), at=0.0, after=2)) == [0, 1]
