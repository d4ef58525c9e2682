"""A video for people's eyes: a few pictures around a moment, made anew, never the file itself.

A player asks for one strip after another. Nothing of a strip is the uploaded bytes: each picture is
a decoded frame, bounded or blurred and grey. There is no sound.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import Refused
from pipeline.media.moments import Moment, Sampling, VideoLimits
from pipeline.media.showing import PREVIEW_SIDE, bounded, derivative

MOST = 24
"""Pictures that a strip has at most on either side of its moment."""

_SAME = 1e-4
"""Seconds by which a moment that came back from a page may be off."""

_AHEAD = 60.0
"""Seconds after a moment within which its pictures are looked for."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which pictures: up to ``after`` from ``at`` on, and the last ``before`` of those before it.

    ``rate`` is in pictures a second of the video, None for every frame. Those before the moment
    are looked for in the ``reach`` seconds before it. ``side`` bounds clear pictures in pixels.
    """

    at: float
    before: int = 0
    after: int = 1
    rate: float | None = None
    reach: float = 2.0
    stream: int = 0
    blurred: bool = True
    side: int = 1280

    @property
    def sampling(self) -> Sampling:
        """How the video is read for it."""
        low = max(0.0, self.at - (self.reach if self.before else _SAME))
        side = PREVIEW_SIDE if self.blurred else self.side
        return Sampling(rate=self.rate, spans=((low, self.at + _AHEAD),), colour=side)


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """One picture of a strip: grey (height, width) when blurred, else RGB (height, width, 3)."""

    pixels: NDArray[np.uint8] = field(repr=False)
    time: float
    """Seconds from the start."""
    seconds: float | None
    """How long the whole video says it lasts."""
    streams: int
    """How many video streams the file has."""


def strip(file: BinaryIO, wanted: Wanted, limits: VideoLimits | None = None) -> Iterator[Shown]:
    """The pictures that are wanted, in order of time; at least one. Raises ``Refused``.

    Beyond the end, and where a file cannot be sought, the nearest picture before comes instead.
    """
    from pipeline.media.video import facts_of, read_video  # only a decoder loads the codecs

    facts = facts_of(file, limits)

    def shown(moment: Moment) -> Shown:
        rgb = moment.frame.rgb
        made = derivative(rgb) if wanted.blurred else bounded(rgb, wanted.side)
        return Shown(made, moment.time, facts.seconds, facts.streams)

    kept: deque[Shown] = deque(maxlen=wanted.before or None)
    given = 0
    try:
        for moment in read_video(file, wanted.sampling, limits):
            if moment.stream < wanted.stream:
                continue
            if moment.stream > wanted.stream:
                break
            if moment.time < wanted.at - _SAME:
                if wanted.before:
                    kept.append(shown(moment))
                continue
            yield from kept
            kept.clear()
            yield shown(moment)
            given += 1
            if given >= wanted.after:
                return
    except Refused:  # what comes before the damage is shown; without any, the file is read anew
        if given:
            return
    yield from kept
    if not given and not kept:
        yield shown(_nearest(file, wanted, limits))


def _nearest(file: BinaryIO, wanted: Wanted, limits: VideoLimits | None) -> Moment:
    """The last picture up to the moment, or the first of all, of those that key frames show."""
    from pipeline.media.video import read_video

    found: Moment | None = None
    usual = Sampling(colour=PREVIEW_SIDE if wanted.blurred else wanted.side)
    for moment in read_video(file, usual, limits):
        if moment.stream != wanted.stream and found is not None:
            continue
        nearer = found is None or found.time < moment.time <= wanted.at
        if nearer:
            found = moment
    assert found is not None  # read_video refuses a file without a picture
    return found
