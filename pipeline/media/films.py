"""Videos as the sandbox gives them: moments read by a process that has nothing to lose."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from io import BytesIO
from typing import BinaryIO

import numpy as np

from pipeline.domain.media import Frame
from pipeline.errors import RefusalReason, Refused
from pipeline.media.sandbox import DecoderPool, Part
from pipeline.media.video import Moment, Sampling, VideoLimits


@dataclass(frozen=True, slots=True)
class SandboxedFilms:
    """``read_video``, elsewhere. A decoder is taken for as long as the video is looked at."""

    decoders: DecoderPool
    limits: VideoLimits
    seconds: float
    """Of the clock, spent waiting for moments of one video."""

    def __call__(self, file: BinaryIO, sampling: Sampling) -> Iterator[Moment]:
        """See ``read_video``. Raises ``Refused``, and ``Unavailable`` without a decoder."""
        options = {"sampling": asdict(sampling), "limits": asdict(self.limits)}
        source = file.getvalue() if isinstance(file, BytesIO) else file
        for part in self.decoders.stream("video", source, options, seconds=self.seconds):
            yield _moment(part)


def _moment(part: Part) -> Moment:
    """What a decoder says, believed no further than it can be checked."""
    time, stream, done = (part.facts.get(name) for name in ("time", "stream", "done"))
    if (
        not isinstance(time, int | float)
        or not isinstance(stream, int)
        or not isinstance(done, int | float)
        or not math.isfinite(time)
        or not 0 <= done <= 1
        or not 1 <= len(part.arrays) <= 2
    ):
        raise _garbled()
    first, last = part.arrays[0], part.arrays[-1]
    if first.ndim == 2:
        rgb = (
            last if len(part.arrays) == 2 else np.broadcast_to(first[..., None], (*first.shape, 3))
        )
        frame = Frame(rgb, float(time), luma=first)
    else:
        frame = Frame(first, float(time))
    if frame.rgb.ndim != 3 or frame.rgb.shape[2] != 3:
        raise _garbled()
    return Moment(frame, stream, float(done))


def _garbled() -> Refused:
    return Refused(
        RefusalReason.UNDECODABLE,
        "No decoder here can read this video; save it with another program and send it again.",
    )
