"""Three hours and many megabytes of film: what is held is a frame and a range, not a film."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from pipeline.domain.screening import Verdict
from pipeline.journeys.screen_film import Projector
from pipeline.media.films import SandboxedFilms
from pipeline.media.moments import Sampling, VideoLimits
from pipeline.media.sandbox import DecoderPool, SandboxLimits
from tests.integration.test_films import answer, projector, send
from tests.world import Town

HOURS = 3
FRAMES = HOURS * 3600
PADDING = 9000
"""Bytes behind each frame that mean nothing: 92 MiB in all."""

DECODER = 48 << 20
"""By which a decoder may grow: FFmpeg's table of the file, a frame, and a range of 256 KiB."""

WORKER = 32 << 20
"""By which a worker may grow: times of the moments it saw, a range, and a frame."""


@pytest.fixture(scope="module")
def long_film() -> bytes:
    """Three hours at a frame a second, muxed without encoding more than three of them.

    They are too plain to be asked for: what is looked at here is memory, not matching.
    """
    made, coded = io.BytesIO(), []
    with av.open(made, "w", format="matroska") as output:
        stream: Any = output.add_stream("mpeg4", rate=1, options={"g": "3"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.thread_count = 1
        stream.codec_context.max_b_frames = 0
        for shade in (90, 90, 90):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), shade, np.uint8), "rgb24")
            coded += [(bytes(packet), packet.is_keyframe) for packet in stream.encode(frame)]
        assert [is_key for _, is_key in coded] == [True, False, False]
        padding = bytes(PADDING)
        for number in range(FRAMES):
            body, is_key = coded[number % len(coded)]
            packet = av.Packet(body + padding)
            packet.stream, packet.is_keyframe = stream, is_key
            packet.pts = packet.dts = number
            packet.time_base = Fraction(1)
            output.mux(packet)
    return made.getvalue()


@pytest.fixture
def alone() -> Iterator[DecoderPool]:
    pool = DecoderPool(limits=SandboxLimits(decoders=1))
    yield pool
    pool.close()


def resident(process: int | str, what: str) -> int:
    """VmRSS or VmHWM of a process, in bytes."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition(f"{what}:")[2].split()[0]) << 10


def shared_memory() -> int:
    """Bytes of the memory files that this process holds open: they are in no VmRSS."""
    held = 0
    for file in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            if str(file.readlink()).startswith("/memfd:"):
                held += file.stat().st_size
    return held


def test_three_hours_and_a_large_file_are_looked_at_within_a_bound(
    town: Town, long_film: bytes, alone: DecoderPool
) -> None:
    assert len(long_film) > 90 << 20
    accepted = send(town, long_film)
    alone.warm()
    (decoder,) = alone.idle_processes()
    before, held, seen = resident(decoder, "VmHWM"), [], []
    read = SandboxedFilms(alone, VideoLimits(), 300.0)
    made: Projector = projector(town)
    # Every packet is read and every key frame decoded; fewer are hashed than an operator would.
    made._sampling = Sampling(rate=1 / 20, gap=25.0)

    def watched(file: Any, sampling: Any) -> Iterator[Any]:
        for number, moment in enumerate(read(file, sampling)):
            if number % 8 == 0:
                held.append(shared_memory())
            seen.append(moment.time)
            yield moment

    made._read = watched
    Path("/proc/self/clear_refs").write_text("5")  # the worker's peak is counted from here
    start = resident("self", "VmRSS")
    assert made.work(lambda _: 0.0)
    grown = resident("self", "VmHWM") - start
    answered = answer(town, accepted)
    assert answered is not None
    assert answered.verdict is Verdict.CLEAR
    assert max(np.diff([0.0, *seen, FRAMES])) < 25, "all of it was looked at"
    assert seen == sorted(seen)
    assert alone.idle_processes() == (decoder,)
    of_decoder = resident(decoder, "VmHWM") - before
    print(f"decoder {of_decoder >> 20} MiB, worker {grown >> 20} MiB, {max(held) >> 10} KiB shared")
    assert of_decoder < DECODER
    assert grown < WORKER
    assert max(held) < 4 << 20
