"""Videos are read in the sandbox as they would be read here, whatever they were coded with."""

from __future__ import annotations

import io
import os
import socket

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import RefusalReason, Refused, Unavailable
from pipeline.media._lending import lent
from pipeline.media._wire import ASKED, RANGE
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


class Afar(io.RawIOBase):
    """A file that only this process can read."""

    def __init__(self, body: bytes) -> None:
        self.file, self.longest = io.BytesIO(body), 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return self.file.seek(offset, whence)

    def readinto(self, buffer) -> int:
        self.longest = max(self.longest, len(buffer))
        return self.file.readinto(buffer)


@pytest.mark.parametrize("container", ["mp4", "matroska", None])
def test_a_file_that_only_the_service_can_read_is_read_for_the_decoder_by_ranges(
    films, container, monkeypatch
):
    body = film(scenes(("coffee", "chelsea"), 4.0), container=container) if container else gif()
    body += bytes(3 << 20)
    sampling = Sampling(long=5.0, gap=1.0, spans=())
    here = list(read_video(io.BytesIO(body), sampling))
    monkeypatch.setattr(os, "memfd_create", None)  # nothing of it is copied to memory
    source = Afar(body)
    file = io.BufferedReader(source, 4096)
    there = list(films(file, sampling))
    assert [one.time for one in there] == [one.time for one in here]
    assert all(
        np.array_equal(one.frame.rgb, other.frame.rgb)
        for one, other in zip(there, here, strict=True)
    )
    assert source.longest <= RANGE
    colour = list(films(file, Sampling(colour=64)))
    assert colour[0].frame.rgb.shape[1] <= 64 or container is None


def test_trouble_in_reading_is_the_service_s_and_no_fault_of_the_file(films):
    class Failing(Afar):
        def readinto(self, buffer) -> int:
            if self.file.tell() > len(body) // 2:
                raise Unavailable("the disk does not answer")
            return super().readinto(memoryview(buffer)[:4096])

    body = film(scenes(("coffee", "chelsea"), 2.0), container="matroska")
    with pytest.raises(Unavailable, match="the disk"):
        list(films(Failing(body + bytes(1 << 20)), Sampling(long=1.0)))
    assert list(films(as_file(body), Sampling())), "the decoder lives, or another does"


@pytest.mark.parametrize(
    "asked",
    [(0, 0), (0, RANGE + 1), (90, 20), (101, 1), (1 << 63, 1 << 63), (2**64 - 1, 1), b"short"],
    ids=str,
)
def test_a_decoder_gets_no_byte_that_is_not_the_file_s(asked):
    with lent(io.BufferedReader(Afar(bytes(100)))) as loan:
        line = socket.socket(fileno=os.dup(loan.descriptor))
        with line:
            line.sendall(ASKED.pack(90, 10))
            assert len(line.recv(100)) == 10
            line.sendall(asked if isinstance(asked, bytes) else ASKED.pack(*asked))
            line.shutdown(socket.SHUT_WR)
            assert line.recv(100) == b""
    assert loan.trouble == []


def test_spans_and_refusals_come_through(films):
    body = film(scenes(("coffee", "chelsea"), 2.0))
    found = list(films(as_file(body), Sampling(rate=None, spans=((1.0, 1.5), (3.0, 3.2)))))
    assert all(1.0 <= one.time <= 1.5 or 3.0 <= one.time <= 3.2 for one in found)
    assert {round(one.time) for one in found} == {1, 2, 3} or len(found) >= 9
    with pytest.raises(Refused) as refusal:
        list(films(as_file(b"#EXTM3U\nfile:///etc/passwd"), Sampling()))
    assert refusal.value.reason is RefusalReason.UNSUPPORTED_TYPE
