"""How a video is looked at, as everybody may know it who does not decode: see ``video``."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from pipeline.domain.media import Frame
from pipeline.errors import Refused
from pipeline.media._film import sniff_film


@dataclass(frozen=True, slots=True)
class VideoLimits:
    """What a video may ask of us."""

    bytes: int = 4 << 30
    pixels: int = 36_000_000
    side: int = 16_384
    seconds: float = 4 * 3600.0
    frames: int = 1_000_000
    streams: int = 16


@dataclass(frozen=True, slots=True)
class Sampling:
    """How densely a video is looked at: see the module."""

    rate: float | None = 1.0
    """Moments a second; None for every frame."""
    long: float = 20.0
    """Seconds from which key frames come first."""
    gap: float = 2.5
    """Seconds between two moments that are filled in."""
    least: int = 12
    """Moments that even a very short clip gets, at up to four times the rate."""
    colour: int = 0
    """Longer side of the RGB copy that each moment brings, for faces; 0 for none."""
    spans: tuple[tuple[float, float], ...] = ()
    """Where to look, in seconds; everywhere if empty. Whole GOPs are decoded to get there."""
    seen: tuple[tuple[float, ...], ...] = ()
    """Times of the key frames that an earlier reading showed, a stream; they come not again."""
    filled: tuple[int, float] | None = None
    """Stream and time of the last moment that it showed of the gaps between them."""


USUAL = Sampling()
EVERY_FRAME = Sampling(rate=None)


class Part(IntEnum):
    """In which pass a moment was come upon; after the last two a reading can be taken up again."""

    ALL = 0
    KEYS = 1
    GAPS = 2


@dataclass(frozen=True, slots=True, eq=False)
class Moment:
    """One frame that was looked at: its luma plane or, of an animation, its picture.

    ``frame.rgb`` is the RGB copy where one was asked for, else the luma plane in three channels.
    """

    frame: Frame = field(repr=False)
    stream: int
    """Which of the file's video streams, from 0."""
    done: float
    """How much of the work is behind us, 0 to 1; an estimate where the file says no duration."""
    part: Part = Part.ALL

    @property
    def time(self) -> float:
        """Seconds from the start."""
        return self.frame.time or 0.0


@dataclass(frozen=True, slots=True)
class Facts:
    """What a video says of itself, checked against the limits."""

    mime: str
    width: int
    height: int
    seconds: float | None
    streams: int


def film_mime(head: bytes) -> str | None:
    """What kind of video or animation these first bytes begin; None for all else, stills too."""
    try:
        kind = sniff_film(head)
    except Refused:
        return None
    return kind.mime if kind else None
