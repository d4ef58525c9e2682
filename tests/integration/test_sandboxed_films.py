"""Videos are read in the sandbox as they would be read here, whatever they were coded with."""

from __future__ import annotations

import io
import os

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import RefusalReason, Refused
from pipeline.media.films import SandboxedFilms
from pipeline.media.sandbox import DecoderPool, SandboxLimits
from pipeline.media.video import Sampling, VideoLimits, read_video
from tests.films import film, scenes, still


@pytest.fixture(scope="module")
def films():
    decoders = DecoderPool(limits=SandboxLimits(decoders=1))
    yield SandboxedFilms(decoders, VideoLimits(), 60.0)
    decoders.close()


def gif() -> bytes:
    made = io.BytesIO()
    frames = [Image.fromarray(still(name)[:96, :96]) for name in ("brick", "coffee")]
    frames[0].save(made, "GIF", save_all=True, append_images=frames[1:], duration=400)
    return made.getvalue()


@pytest.mark.parametrize(
    ("codec", "container"),
    [
        ("libx264", "mp4"),
        ("libvpx-vp9", "webm"),
        ("libx265", "matroska"),
        ("libsvtav1", "mp4"),
        ("mpeg4", "avi"),
        (None, None),
    ],
)
@pytest.mark.parametrize("colour", [0, 64])
def test_the_sandbox_shows_what_would_be_seen_here(films, codec, container, colour):
    body = film(scenes(("coffee",), 1.0), codec=codec, container=container) if codec else gif()
    sampling = Sampling(colour=colour)
    there = list(films(as_file(body), sampling))
    here = list(read_video(io.BytesIO(body), sampling))
    assert [(one.time, one.stream, one.done) for one in there] == [
        (one.time, one.stream, one.done) for one in here
    ]
    for mine, theirs in zip(here, there, strict=True):
        assert np.array_equal(mine.frame.rgb, theirs.frame.rgb)
        assert (mine.frame.luma is None) == (theirs.frame.luma is None)
        if mine.frame.luma is not None:
            assert np.array_equal(mine.frame.luma, theirs.frame.luma)


def as_file(body: bytes):
    file = os.fdopen(os.memfd_create("film"), "w+b")
    file.write(body)
    file.flush()
    return file


def test_spans_and_refusals_come_through(films):
    body = film(scenes(("coffee", "chelsea"), 2.0))
    found = list(films(as_file(body), Sampling(rate=None, spans=((1.0, 1.5), (3.0, 3.2)))))
    assert all(1.0 <= one.time <= 1.5 or 3.0 <= one.time <= 3.2 for one in found)
    assert {round(one.time) for one in found} == {1, 2, 3} or len(found) >= 9
    with pytest.raises(Refused) as refusal:
        list(films(as_file(b"#EXTM3U\nfile:///etc/passwd"), Sampling()))
    assert refusal.value.reason is RefusalReason.UNSUPPORTED_TYPE
