"""A video as a stream of moments: never whole in memory, every video stream, honest times.

*How a video is hashed.* PDQ of the decoded **luma plane (Y)** as it is, unconverted and turned
upright by the file's display matrix: a browser reads the same plane with ``VideoFrame.copyTo``
and gets the same bits. The registered side hashes every frame and keeps a code for each stretch of
frames that lie within 8 bits of the stretch's first (``domain.film.prune``); the query side looks
at a few frames a second and, where those match nothing, at their parts. Frames of an animated
GIF, WebP or AVIF are pictures with a time: they have no luma plane and are hashed like stills.

*What is looked at.* ``Sampling`` says how densely. Without a rate every frame is. With one, a file
shorter than ``long`` is decoded whole and yields a moment each ``1 / rate`` seconds, more often
where it is only seconds long, and one at each cut. A longer file is read twice: its key frames
first, which costs a fortieth, then the gaps between them that are longer than ``gap``, by seeking.
Moments of one pass come in order of time; those of the second pass fall between those of the first.

*Memory.* One decoded frame, the codec's own references (up to 16 frames), and 8 bytes a key frame.

*Hostile files.* The demuxer is chosen here, by the first bytes, from a list without playlists, and
is given an open file and never a name: nothing that a file names is opened. Limits have names.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from typing import Any, BinaryIO, cast

import av
import numpy as np
from av.error import FFmpegError
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from pipeline.domain.media import Frame
from pipeline.errors import RefusalReason, Refused
from pipeline.media._film import FilmKind, sniff_film
from pipeline.media.moments import EVERY_FRAME, USUAL, Facts, Moment, Part, Sampling, VideoLimits

__all__ = [
    "EVERY_FRAME", "USUAL", "Facts", "Moment", "Sampling", "VideoLimits", "facts_of", "read_video",
]  # fmt: skip

av.logging.set_level(av.logging.PANIC)

CUT = 24.0
"""Mean difference of the luma of two frames, of 255, from which they are two scenes."""

_MOST_BETWEEN = 250
"""Frames after which one is looked at whatever its time says: times can be made up."""

_MOST_KEYS_BETWEEN = 25
"""The same for key frames that come too soon to be decoded."""

_LARGEST_GIF = 64 << 20

_QUICK = {"skip_loop_filter": "all"}
"""Key frames are decoded a sixth faster without the smoothing filter; PDQ sees next to nothing of
it. Frames between them build on each other and keep it."""

_RETRIES = 64
"""Packets in a row that cannot be decoded before the rest of the file is given up."""


def read_video(
    file: BinaryIO, sampling: Sampling = USUAL, limits: VideoLimits | None = None
) -> Iterator[Moment]:
    """The moments of a video, from an open, seekable file.

    Raises ``Refused`` and nothing else, at the first moment or at any later one.
    """
    limits = limits or VideoLimits()
    kind = _kind(file, limits)
    if kind.animation:
        from pipeline.media import _animation

        yield from _animation.read_animation(file, kind, sampling, limits)
        return
    seen = 0
    try:
        for moment in _passes(file, kind, sampling, limits):
            seen += 1
            yield moment
    except Refused:
        raise
    except MemoryError:
        raise Refused(
            RefusalReason.UNDECODABLE, "The video does not fit in memory; send a smaller one."
        ) from None
    except Exception as error:  # decoders raise whatever they like; a caller sees only refusals
        raise _refusal(error) from error
    if not seen:
        raise Refused(
            RefusalReason.CORRUPT, "No frame of the video can be decoded; save it again and resend."
        )


def facts_of(file: BinaryIO, limits: VideoLimits | None = None) -> Facts:
    """What the file says of itself, without decoding a frame. Raises ``Refused``."""
    limits = limits or VideoLimits()
    kind = _kind(file, limits)
    if kind.animation:
        from pipeline.media import _animation

        return _animation.animation_facts(file, kind, limits)
    try:
        with _opened(file, kind) as container:
            streams = _streams(container, limits)
            first = streams[0].codec_context
            seconds = _seconds(container, streams)
            return Facts(kind.mime, first.width, first.height, seconds, len(streams))
    except Refused:
        raise
    except Exception as error:
        raise _refusal(error) from error


def _kind(file: BinaryIO, limits: VideoLimits) -> FilmKind:
    size = file.seek(0, 2)
    file.seek(0)
    if not size:
        raise Refused(RefusalReason.EMPTY, "The file is empty; send the video's bytes.")
    if size > limits.bytes:
        raise Refused(
            RefusalReason.TOO_MANY_BYTES,
            f"The file has more than {limits.bytes} bytes; send a smaller one.",
        )
    head = file.read(1 << 16)
    if head.startswith(b"GIF8"):  # its second picture may begin anywhere
        head += file.read(_LARGEST_GIF)
    kind = sniff_film(head)
    file.seek(0)
    if kind is None:
        raise Refused(
            RefusalReason.UNSUPPORTED_TYPE,
            "The file is not a video of a known kind; send MP4, MOV, WebM, Matroska, AVI, MPEG, "
            "Ogg, FLV, ASF, GIF, WebP or AVIF.",
        )
    return kind


def _opened(file: BinaryIO, kind: FilmKind) -> Any:
    file.seek(0)
    # Opening decodes a frame, as long as a look takes, to learn what these two say at their head.
    known = kind.format in ("mov", "matroska")
    return av.open(
        file,
        format=kind.format,
        # Whatever a file names beside itself stays closed.
        container_options={"protocol_whitelist": "", "format_whitelist": kind.format},
        options={"skip_frame": "all"} if known else {},
        metadata_errors="replace",
    )


def _streams(container: Any, limits: VideoLimits) -> list[VideoStream]:
    """The video streams, within limits and ready to decode with one thread."""
    streams = list(container.streams.video)
    if len(container.streams) > limits.streams:
        raise Refused(
            RefusalReason.TOO_MANY_STREAMS,
            f"The file has more than {limits.streams} streams; send one without the others.",
        )
    usable = [stream for stream in streams if stream.codec_context is not None]
    if not usable:
        raise Refused(
            RefusalReason.NO_VIDEO, "The file has no video stream; send one that has pictures."
        )
    for stream in usable:
        context = stream.codec_context
        if context.width and context.height:
            within_size(context.width, context.height, limits)
        context.thread_count = 1
    seconds = _seconds(container, usable)
    if seconds is not None and seconds > limits.seconds:
        raise _too_long(limits)
    return usable


def within_size(width: int, height: int, limits: VideoLimits) -> None:
    """Raises ``Refused`` for frames with too long a side or too many pixels."""
    if max(width, height) > limits.side:
        raise Refused(
            RefusalReason.SIDE_TOO_LONG,
            f"A side is longer than {limits.side} pixels; send a smaller video.",
        )
    if width * height > limits.pixels:
        raise Refused(
            RefusalReason.TOO_MANY_PIXELS,
            f"A frame has more than {limits.pixels} pixels; send a smaller video.",
        )


def _seconds(container: Any, streams: list[VideoStream]) -> float | None:
    """The longest duration that is claimed anywhere; None where nothing is."""
    claimed = [float(container.duration) / av.time_base] if container.duration else []
    claimed += [float(s.duration * s.time_base) for s in streams if s.duration and s.time_base]
    sensible = [seconds for seconds in claimed if math.isfinite(seconds) and seconds > 0]
    return max(sensible, default=None)


def _passes(
    file: BinaryIO, kind: FilmKind, sampling: Sampling, limits: VideoLimits
) -> Iterator[Moment]:
    with _opened(file, kind) as container:
        streams = _streams(container, limits)
        seconds = _seconds(container, streams)
        if sampling.spans:
            yield from _Reading(container, streams, sampling, limits, seconds).spans()
            return
        if sampling.rate is None or seconds is None or seconds <= sampling.long:
            yield from _Reading(container, streams, sampling, limits, seconds).everything()
            return
        for stream in streams:
            stream.codec_context.options = dict(_QUICK)
        reading = _Reading(container, streams, sampling, limits, seconds)
        if sampling.filled is None:
            yield from reading.key_frames()
    gaps = reading.gaps()
    if gaps:
        with _opened(file, kind) as container:
            streams = _streams(container, limits)
            again = _Reading(container, streams, sampling, limits, seconds)
            yield from again.between(gaps)


class _Reading:
    """One pass through a file."""

    def __init__(
        self,
        container: Any,
        streams: list[VideoStream],
        sampling: Sampling,
        limits: VideoLimits,
        seconds: float | None,
    ) -> None:
        self._container, self._streams = container, streams
        self._sampling, self._limits, self._seconds = sampling, limits, seconds
        start = container.start_time
        self._start = start / av.time_base if start is not None else None
        self._clocks = {stream.index: _Clock(stream) for stream in streams}
        self._number = {stream.index: at for at, stream in enumerate(streams)}
        known = (*map(list, sampling.seen), *([] for _ in streams))
        self._seen: list[list[float]] = list(known[: len(streams)])
        self._keys: dict[int, tuple[float, int]] = {}
        """When the last key frame was decoded, a stream, and how many were passed by since."""
        self._stamped = True
        self._decoded = 0

    def everything(self) -> Iterator[Moment]:
        """All frames are decoded; those that ``sampling`` asks for are yielded."""
        choices = {index: _Choice(self._sampling, self._seconds) for index in self._clocks}
        for stream, frame in self._frames():
            time = self._time(stream, frame)
            luma = _luma(frame)
            if choices[stream.index].takes(time, luma):
                yield self._moment(stream, frame, luma, time, 0.0, 1.0)

    def spans(self) -> Iterator[Moment]:
        """Only what lies within the spans, reached by seeking where that can be done."""
        for stream in self._streams:
            for low, high in self._sampling.spans:
                step = 1 / self._sampling.rate if self._sampling.rate else 0.0
                due = low
                for frame, time in self._from(stream, low):
                    if time > high:
                        break
                    if time >= due:
                        due = max(due + step, time) if step else time
                        yield self._moment(stream, frame, _luma(frame), time, 1.0, 0.0)

    def key_frames(self) -> Iterator[Moment]:
        """Only key frames are decoded; no two closer than half the gap, but at cuts."""
        for stream in self._streams:
            stream.codec_context.skip_frame = "NONKEY"
        last: dict[int, tuple[float, NDArray[np.uint8]]] = {}
        shown = [times[-1] if times else -1.0 for times in self._seen]
        self._go_on_from(min(shown))
        for stream, frame in self._frames(keys_only=True):
            time = self._time(stream, frame)
            luma = _luma(frame)
            small = _thumbnail(luma)
            before = last.get(stream.index)
            if time <= shown[self._number[stream.index]]:
                last[stream.index] = (time, small)
                continue
            rate = self._sampling.rate or 1.0
            if before and time - before[0] < 1 / rate and not _is_cut(before[1], small):
                continue
            last[stream.index] = (time, small)
            self._seen[self._number[stream.index]].append(time)
            yield self._moment(stream, frame, luma, time, 0.0, 0.5, Part.KEYS)

    def _go_on_from(self, time: float) -> None:
        """Skip what an earlier reading showed; a file that cannot be sought is read from 0."""
        if time > 0:
            with suppress(FFmpegError):
                self._container.seek(int((time + self._offset()) * av.time_base), backward=True)

    def gaps(self) -> list[tuple[int, float, float]]:
        """Stream, from and to (seconds) of what no key frame showed."""
        found = []
        for at, seen in enumerate(self._seen):
            times = sorted(seen)
            end = self._seconds or 0.0
            edges = [*(times or [0.0]), end]
            found += [
                (at, low, high)
                for low, high in pairwise(edges)
                if high - low > self._sampling.gap + 0.5
            ]
        return found

    def between(self, gaps: list[tuple[int, float, float]]) -> Iterator[Moment]:
        """Moments every ``gap`` seconds within gaps, reached by seeking to the key frame before."""
        filled = self._sampling.filled
        for number, low, high in gaps:
            if filled and (number, high) <= filled:
                continue
            stream = self._streams[number]
            stream.codec_context.skip_frame = "NONREF"
            steps = max(1, math.ceil((high - low) / self._sampling.gap) - 1)
            due = [low + (high - low) * (step + 1) / (steps + 1) for step in range(steps)]
            if filled and number == filled[0]:
                due = [at for at in due if at > filled[1]]
                if not due:
                    continue
            for frame, time in self._from(stream, low):
                if time > high:
                    break
                if due and time >= due[0]:
                    while due and time >= due[0]:
                        due.pop(0)
                    yield self._moment(stream, frame, _luma(frame), time, 0.5, 0.5, Part.GAPS)
                if not due:
                    break

    def _from(self, stream: VideoStream, low: float) -> Iterator[tuple[VideoFrame, float]]:
        """A stream's frames from the key frame before ``low`` on; none where it cannot be sought.

        Such a file was still read through its key frames.
        """
        try:
            begin = int((low + self._offset()) / float(stream.time_base or 1))
            self._container.seek(begin, stream=stream, backward=True)
        except FFmpegError:
            return
        self._clocks[stream.index] = _Clock(stream)
        for _, frame in self._frames(only=stream):
            yield frame, self._time(stream, frame)

    def _frames(
        self, *, keys_only: bool = False, only: VideoStream | None = None
    ) -> Iterator[tuple[VideoStream, VideoFrame]]:
        """Decoded frames; what is damaged is passed over, as players do."""
        broken = 0
        packets = self._container.demux([only] if only else self._streams)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except FFmpegError:
                return  # the container ends here, whatever it promised
            stream = cast(VideoStream, packet.stream)
            if keys_only and packet.size and (not packet.is_keyframe or self._too_soon(packet)):
                continue
            try:
                frames = [cast(VideoFrame, frame) for frame in packet.decode()]
            except FFmpegError:
                broken += 1
                if broken > _RETRIES:
                    return
                continue
            if frames:
                broken = 0
            for frame in frames:
                self._decoded += 1
                if self._decoded > self._limits.frames:
                    raise Refused(
                        RefusalReason.TOO_MANY_FRAMES,
                        f"The video has more than {self._limits.frames} frames; send a part.",
                    )
                within_size(frame.width, frame.height, self._limits)
                yield stream, frame

    def _too_soon(self, packet: Packet[VideoStream]) -> bool:
        """Whether a key frame follows the last decoded one too closely to be worth decoding.

        A film of nothing but key frames is not decoded whole, nor a million frames of 1 ms.
        """
        if packet.pts is None:
            return False
        stream, time = packet.stream_index, packet.pts * float(packet.time_base)
        last, passed = self._keys.get(stream, (-math.inf, 0))
        soon = 0 <= time - last < 0.25 / (self._sampling.rate or 1.0)
        if soon and passed < _MOST_KEYS_BETWEEN:
            self._keys[stream] = (last, passed + 1)
            return True
        self._keys[stream] = (time, 0)
        return False

    def _offset(self) -> float:
        return self._start or 0.0

    def _time(self, stream: VideoStream, frame: VideoFrame) -> float:
        time = self._clocks[stream.index].of(frame, self._offset())
        if time > self._limits.seconds:
            raise _too_long(self._limits)
        return time

    def _moment(
        self,
        stream: VideoStream,
        frame: VideoFrame,
        luma: NDArray[np.uint8] | None,
        time: float,
        base: float,
        share: float,
        part: Part = Part.ALL,
    ) -> Moment:
        turns = round(frame.rotation / 90) % 4
        plane = None if luma is None else np.ascontiguousarray(np.rot90(luma, turns))
        colour = self._sampling.colour
        if plane is None or colour:
            rgb = np.rot90(_rgb(frame, colour if plane is not None else 0), turns)
        else:
            rgb = np.broadcast_to(plane[..., None], (*plane.shape, 3))
        done = min(1.0, time / self._seconds) if self._seconds else 0.0
        shown = Frame(rgb, time, luma=plane)
        # Without stamps, times are counted from where reading began: nobody can go on from there.
        self._stamped &= frame.pts is not None
        part = part if self._stamped else Part.ALL
        return Moment(shown, self._number[stream.index], base + share * done, part)


class _Clock:
    """Seconds from the start of one stream's frames, whatever their stamps say."""

    def __init__(self, stream: VideoStream) -> None:
        rate = stream.average_rate or stream.guessed_rate
        self._step = 1 / float(rate) if rate and float(rate) > 0 else 0.04
        self._last: float | None = None

    def of(self, frame: VideoFrame, offset: float) -> float:
        """Stamps go on from the last one where there is none, and never go back."""
        stamped = frame.pts is not None and frame.time_base is not None
        time = float(frame.pts * frame.time_base) - offset if stamped else math.nan  # type: ignore[operator]
        if not math.isfinite(time):
            time = 0.0 if self._last is None else self._last + self._step
        time = max(time, 0.0, self._last or 0.0)
        self._last = time
        return time


class _Choice:
    """Which frames of a stream are looked at, where all are decoded."""

    def __init__(self, sampling: Sampling, seconds: float | None) -> None:
        rate = sampling.rate
        if rate is not None and seconds:
            rate = max(rate, min(4 * rate, sampling.least / seconds))
        self._rate = rate
        self._due = -math.inf
        self._since = 0
        self._small: NDArray[np.uint8] | None = None

    def takes(self, time: float, luma: NDArray[np.uint8] | None) -> bool:
        """Whether this frame is looked at. Every frame must be shown, in order."""
        if self._rate is None:
            return True
        before, self._small = self._small, _thumbnail(luma)
        self._since += 1
        cut = before is not None and self._since >= 3 and _is_cut(before, self._small)
        if time < self._due and not cut and self._since < _MOST_BETWEEN:
            return False
        self._since = 0
        due = self._due + 1 / self._rate
        self._due = due if due > time else time + 1 / self._rate
        return True


def _luma(frame: VideoFrame) -> NDArray[np.uint8] | None:
    """The luma plane of 8 bits (height, width), as it was coded; None for RGB and palettes."""
    format = frame.format
    if format.is_rgb or format.has_palette:
        return None
    if format.components[0].bits != 8 or not format.is_planar:
        frame = frame.reformat(format="yuv420p", threads=1)
    plane = frame.planes[0]
    lines = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    return np.asarray(lines[: frame.height, : frame.width], np.uint8)


def _rgb(frame: VideoFrame, side: int) -> NDArray[np.uint8]:
    longer = max(frame.width, frame.height)
    shrink = side / longer if side and longer > side else 1.0
    made = frame.reformat(
        width=max(1, round(frame.width * shrink)),
        height=max(1, round(frame.height * shrink)),
        format="rgb24",
        interpolation="AREA",
        threads=1,
    )
    return np.asarray(made.to_ndarray(), np.uint8)


def _thumbnail(luma: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
    if luma is None:
        return np.zeros((16, 16), np.uint8)
    rows = np.linspace(0, luma.shape[0] - 1, 16).astype(np.intp)
    columns = np.linspace(0, luma.shape[1] - 1, 16).astype(np.intp)
    return luma[rows[:, None], columns]


def _is_cut(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> bool:
    return float(np.abs(before.astype(np.int16) - after).mean()) > CUT


def _too_long(limits: VideoLimits) -> Refused:
    return Refused(
        RefusalReason.TOO_LONG,
        f"The video lasts longer than {limits.seconds / 3600:g} hours; send it in parts.",
    )


def _refusal(error: Exception) -> Refused:
    if isinstance(error, av.error.EOFError):
        return Refused(RefusalReason.TRUNCATED, "The file ends before the video does; resend it.")
    return Refused(RefusalReason.CORRUPT, "The video is damaged; save it again and resend.")
