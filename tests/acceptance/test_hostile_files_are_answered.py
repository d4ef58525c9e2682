"""Whatever bytes come, there is an answer by name, in time, and nothing else is touched."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.domain.screening import Verdict
from pipeline.errors import RefusalReason, Refused
from pipeline.media._nursery import Nursery
from pipeline.media.films import SandboxedFilms
from pipeline.media.limits import ImageLimits
from pipeline.media.sandbox import DecoderPool, SandboxLimits
from pipeline.media.video import Sampling, VideoLimits
from services.bench._giants import giants
from tests.films import film, scenes
from tests.hostile import READ, cut, flipped, many_pictures, stills
from tests.integration.test_sandbox import listening
from tests.pictures import encode, textured
from tests.rogue_decoder import DEADLY
from tests.world import jpeg, picture

IN_TIME = 20.0
"""Seconds that any of these files may take, on a machine that has much else to do."""


@pytest.fixture(scope="module")
def pool():
    made = DecoderPool(ImageLimits(), SandboxLimits(decoders=2, seconds=IN_TIME, memory=1 << 30))
    yield made
    made.close()


@pytest.fixture(scope="module")
def films(pool):
    limits = VideoLimits(seconds=3600.0, frames=2000, streams=4)
    return SandboxedFilms(pool, limits, IN_TIME)


def outcome(call) -> str:
    """``read``, or the reason of a refusal; anything else that is raised is a defect."""
    try:
        call()
    except Refused as refused:
        return refused.reason if refused.message.endswith(".") else refused.message
    return READ


def watch(films, body: bytes):
    for _ in films(io.BytesIO(body), Sampling()):
        pass


def test_every_hostile_picture_has_its_answer_and_nothing_else_is_touched(pool, films, tmp_path):
    planted = tmp_path / "planted.jpg"
    planted.write_bytes(encode(textured(64, 48), "JPEG"))
    os.utime(planted, (1, 1))
    with listening() as (port, came):
        for name, (body, allowed) in stills(str(planted), port).items():
            since = time.monotonic()
            got = outcome(lambda body=body: pool.decode(body))
            assert got in allowed, f"{name}: {got}"
            assert time.monotonic() - since < IN_TIME + 5, name
            outcome(lambda body=body: watch(films, body))
        assert not came.is_set()
    assert planted.stat().st_atime == 1, "somebody has read the planted file"
    assert pool.state().died == 0


@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "WEBP", "AVIF", "HEIF", "TIFF"])
def test_a_picture_that_ends_anywhere_is_read_or_refused_by_name(pool, format):
    body = encode(textured(96, 72), format)
    named = {READ, RefusalReason.TRUNCATED, RefusalReason.CORRUPT, RefusalReason.UNSUPPORTED_TYPE}
    got = {outcome(lambda part=part: pool.decode(part)) for part in cut(body)}
    assert got <= named
    assert got - {READ}


@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "WEBP", "AVIF", "HEIF", "TIFF", "BMP"])
def test_a_picture_with_turned_bits_is_read_or_refused_by_name(pool, format):
    for body in flipped(encode(textured(64, 48), format), 60):
        assert outcome(lambda body=body: pool.decode(body)) in {READ, *RefusalReason}
    assert pool.decode(encode(textured(64, 48), "PNG")).width == 64


def test_a_video_that_ends_anywhere_or_has_turned_bits_is_read_or_refused_by_name(films):
    clip = film(scenes(("coffee", "chelsea"), 1.0, size=(96, 64)))
    for body in flipped(clip, 60):
        assert outcome(lambda body=body: watch(films, body)) in {READ, *RefusalReason}
    assert outcome(lambda: watch(films, clip)) == READ


@pytest.mark.parametrize(
    ("codec", "container", "options"),
    [
        ("libx264", "mp4", {}),
        ("libx264", "mp4", {"movflags": "frag_keyframe+empty_moov"}),
        ("libvpx-vp9", "webm", {}),
        ("mpeg2video", "mpegts", {}),
        ("mpeg4", "avi", {}),
    ],
    ids=["mp4", "mp4 in fragments", "webm", "ts", "avi"],
)
def test_a_video_cut_after_every_hundredth_of_it_is_read_or_refused_by_name(
    films, codec, container, options
):
    frames = scenes(("coffee", "chelsea"), 0.75, 8.0, size=(96, 64))
    clip = film(frames, 8.0, codec=codec, container=container, muxing=options)
    assert outcome(lambda: watch(films, clip)) == READ
    got = [outcome(lambda part=part: watch(films, part)) for part in cut(clip)]
    assert len(got) == 99
    assert set(got) <= {
        READ,
        RefusalReason.TRUNCATED,
        RefusalReason.CORRUPT,
        RefusalReason.UNSUPPORTED_TYPE,
        RefusalReason.NO_VIDEO,
    }
    if (container, options) == ("mp4", {}):
        assert READ not in got, "its table is at its end"
    else:
        assert got[-1] == READ, "what is there is looked at"


@pytest.mark.parametrize("name", giants(60_000))
def test_a_sound_file_that_is_far_too_much_is_read_or_refused_by_name(pool, name):
    body = giants(60_000)[name]()
    films = SandboxedFilms(pool, VideoLimits(frames=5000), IN_TIME)
    seen = []
    got = outcome(lambda: seen.extend(one.time for one in films(io.BytesIO(body), Sampling())))
    allowed = {
        "60000 frames of 1 ms": {READ},
        "60000 frames of 1 ms, length untold": {RefusalReason.TOO_MANY_FRAMES},
        "60000 frames at once": {RefusalReason.TOO_MANY_FRAMES},
        "8K": {READ},
        "16384 by 64": {READ},
        "16400 by 64": {RefusalReason.SIDE_TOO_LONG},
    }
    assert got in allowed[name]
    if name == "60000 frames of 1 ms":
        assert 55 <= len(seen) <= 62


def test_videos_that_promise_too_much_are_refused_by_the_limit_they_pass(films):
    for name, body, allowed in (
        ("more pictures than may be", many_pictures(2100), {RefusalReason.TOO_MANY_FRAMES}),
        ("hours between two frames", film(
            scenes(("coffee",), 0.5, size=(64, 48)), container="matroska", codec="mpeg4",
            times=lambda number: number * 3_600_000,
        ), {RefusalReason.TOO_LONG}),
        ("no picture", audio(), {RefusalReason.NO_VIDEO}),
    ):  # fmt: skip
        assert outcome(lambda body=body: watch(films, body)) in allowed, name


def test_a_name_says_nothing_about_what_a_file_is(pool):
    """There is no extension to be wrong: the bytes alone decide."""
    for format in ("PNG", "WEBP", "TIFF"):
        assert pool.decode(encode(textured(64, 48), format)).mime == f"image/{format.lower()}"


def test_a_picture_of_8k_is_read(pool):
    body = encode(textured(96, 54).repeat(80, 0).repeat(80, 1), "JPEG")
    assert pool.decode(body).width == 7680


def audio() -> bytes:
    """Half a second of silence in an MP4."""
    import av
    import numpy as np

    made = io.BytesIO()
    with av.open(made, "w", format="mp4") as output:
        stream = output.add_stream("aac", rate=8000)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), "fltp", "mono")
        frame.rate = 8000
        output.mux(stream.encode(frame))
        output.mux(stream.encode())
    return made.getvalue()


def test_a_file_that_kills_its_decoders_is_on_record_and_the_service_goes_on(town):
    nest = Nursery("tests.rogue_decoder")
    rogue = DecoderPool(limits=SandboxLimits(decoders=1), nest=lambda: nest)
    town.world = replace(town.world, decode=rogue.decode, sketch=rogue.sketch)
    board = town.platform()
    answer = town.screen(board, jpeg(picture(1)) + DEADLY, "post-1")
    assert answer.verdict is Verdict.REFUSED
    assert answer.refusal is RefusalReason.UNDECODABLE
    assert rogue.state().died == 2
    rows = town.query("SELECT content_id, verdict, refusal FROM screenings")
    assert rows == [("post-1", "refused", "undecodable")]
    assert town.screen(board, jpeg(picture(1))).verdict is Verdict.CLEAR
    rogue.close()
    nest.close()


def test_a_service_reads_no_hostile_byte_itself():
    """Decoders for pictures are in no service's own modules once it has screened one."""
    script = (
        "import sys, io\n"
        "from pipeline.media.limits import ImageLimits\n"
        "from pipeline.media.sandbox import DecoderPool\n"
        "import services.wiring, services.api, services.console, services.files\n"
        "pool = DecoderPool()\n"
        "body = bytes.fromhex(sys.stdin.read())\n"
        "assert pool.decode(body).width == 64\n"
        "assert pool.preview(body).ndim == 2\n"
        "found = {'pipeline.media.image', 'pillow_heif', 'PIL.JpegImagePlugin',"
        " 'PIL.AvifImagePlugin'} & set(sys.modules)\n"
        "assert not found, found\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], input=encode(textured(64, 48), "AVIF").hex(),
        cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
