"""Animated GIF, WebP, AVIF and PNG: pictures with a time, one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
from PIL import Image

from pipeline.domain.media import Frame
from pipeline.errors import RefusalReason, Refused
from pipeline.media import _colour
from pipeline.media._film import FilmKind
from pipeline.media.moments import Facts, Moment, Sampling, VideoLimits
from pipeline.media.video import within_size

_SLOWEST, _QUICKEST = 60.0, 0.02
_USUAL = 0.1
"""Seconds that browsers show a frame which says that it lasts none."""


def read_animation(
    file: BinaryIO, kind: FilmKind, sampling: Sampling, limits: VideoLimits
) -> Iterator[Moment]:
    """The pictures of an animation that ``sampling`` asks for; see ``video.read_video``.

    A picture is looked at when it differs from the last one that was, at most four a ``rate``.
    """
    time, due, seen = 0.0, 0.0, 0
    try:
        with Image.open(file, formats=(kind.format,)) as image:
            within_size(image.width, image.height, limits)
            frames = int(getattr(image, "n_frames", 1))
            _within_frames(frames, limits)
            for number in range(frames):
                try:
                    image.seek(number)
                    image.load()
                except (EOFError, OSError, SyntaxError, ValueError):
                    break  # what comes before the damage was shown, so it is looked at
                lasts = _lasts(image)
                within = not sampling.spans or any(
                    low <= time + lasts and time <= high for low, high in sampling.spans
                )
                if within and (sampling.rate is None or time >= due or time + lasts > due):
                    rgb = np.ascontiguousarray(np.asarray(_colour.to_srgb(image.copy())))
                    yield Moment(Frame(rgb, time), 0, (number + 1) / frames)
                    seen += 1
                    due = time + (1 / (4 * sampling.rate) if sampling.rate else 0.0)
                time += lasts
                _within_seconds(time, limits)
    except Refused:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise Refused(
            RefusalReason.TOO_MANY_PIXELS, "The animation has too many pixels; send a smaller one."
        ) from None
    except Exception as error:
        raise _corrupt(kind) from error
    if not seen:
        raise _corrupt(kind)


def animation_facts(file: BinaryIO, kind: FilmKind, limits: VideoLimits) -> Facts:
    """What an animation says of itself; its duration is known only once it has been read."""
    try:
        with Image.open(file, formats=(kind.format,)) as image:
            within_size(image.width, image.height, limits)
            return Facts(kind.mime, image.width, image.height, None, 1)
    except Refused:
        raise
    except Exception as error:
        raise _corrupt(kind) from error


def _within_frames(frames: int, limits: VideoLimits) -> None:
    if frames > limits.frames:
        raise Refused(
            RefusalReason.TOO_MANY_FRAMES,
            f"The animation has more than {limits.frames} frames; send a part.",
        )


def _within_seconds(seconds: float, limits: VideoLimits) -> None:
    if seconds > limits.seconds:
        raise Refused(
            RefusalReason.TOO_LONG,
            f"The animation lasts longer than {limits.seconds / 3600:g} hours; send it in parts.",
        )


def _lasts(image: Image.Image) -> float:
    said = image.info.get("duration")
    seconds = float(said) / 1000 if isinstance(said, int | float) else 0.0
    return min(seconds, _SLOWEST) if seconds >= _QUICKEST else _USUAL


def _corrupt(kind: FilmKind) -> Refused:
    return Refused(
        RefusalReason.CORRUPT, f"The {kind.format} file is damaged; save it again and resend."
    )
