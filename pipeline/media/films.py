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
from pipeline.media.moments import Moment, Part, Sampling, VideoLimits
from pipeline.media.sandbox import DecoderPool
from pipeline.media.sandbox import Part as Piece
from pipeline.media.showing import PREVIEW_SIDE
from pipeline.media.strip import Shown, Wanted


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

    def strip(self, file: BinaryIO, wanted: Wanted) -> Iterator[Shown]:
        """See ``media.strip``. Raises ``Refused``, and ``Unavailable`` without a decoder."""
        options = {"wanted": asdict(wanted), "limits": asdict(self.limits)}
        seconds = self.decoders.limits.seconds
        parts = self.decoders.stream("strip", file, options, seconds=seconds)
        for number, part in enumerate(parts):
            if number >= wanted.before + wanted.after:
                raise _garbled()
            yield _shown(part, wanted)


def _shown(part: Piece, wanted: Wanted) -> Shown:
    time, seconds, streams = (part.facts.get(name) for name in ("time", "seconds", "streams"))
    if (
        not isinstance(time, int | float)
        or not math.isfinite(time)
        or not (seconds is None or (isinstance(seconds, int | float) and math.isfinite(seconds)))
        or not isinstance(streams, int)
        or len(part.arrays) != 1
        or part.arrays[0].ndim != (2 if wanted.blurred else 3)
        or max(part.arrays[0].shape[:2]) > max(wanted.side, PREVIEW_SIDE)
    ):
        raise _garbled()
    return Shown(part.arrays[0], float(time), seconds, streams)


def _moment(part: Piece) -> Moment:
    """What a decoder says, believed no further than it can be checked."""
    time, stream, done = (part.facts.get(name) for name in ("time", "stream", "done"))
    kind = part.facts.get("part")
    if (
        not isinstance(time, int | float)
        or not isinstance(stream, int)
        or not isinstance(done, int | float)
        or not math.isfinite(time)
        or not 0 <= done <= 1
        or not isinstance(kind, int)
        or kind not in tuple(Part)
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
    return Moment(frame, stream, float(done), Part(kind))


def _garbled() -> Refused:
    return Refused(
        RefusalReason.UNDECODABLE,
        "No decoder here can read this video; save it with another program and send it again.",
    )
