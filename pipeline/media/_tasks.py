"""What a decoder can be asked to do, by name: pure functions of a file, run nowhere but there.

A task reads the file that it is given and yields what it made, piece by piece; each piece goes out
before the next is asked for. It must import at the top of its module whatever it needs: once the
decoder is locked, nothing can be opened any more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from io import SEEK_END, BytesIO
from typing import Any, BinaryIO

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.errors import Refused
from pipeline.media import _animation, _containers  # noqa: F401 - video asks for it late
from pipeline.media.image import canonical_picture, decode_image
from pipeline.media.limits import ImageLimits
from pipeline.media.moments import Sampling, VideoLimits
from pipeline.media.showing import bounded, derivative
from pipeline.media.strip import Wanted
from pipeline.media.strip import strip as pictures_of
from pipeline.media.video import read_video


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """A piece of a task's answer: uint8 arrays of any shape, and facts that JSON can hold.

    An RGB picture may stand for its array: it then goes out without being copied to one first.
    """

    arrays: tuple[NDArray[np.uint8] | Image.Image, ...] = field(repr=False)
    facts: Mapping[str, Any] = field(default_factory=dict)
    last: bool = False
    """Known to be the only one or the last one."""


Task = Callable[[BinaryIO, Mapping[str, Any]], Iterator[Made]]
"""Raises ``Refused``; anything else it raises means that the file cannot be decoded."""


def image(file: BinaryIO, options: Mapping[str, Any]) -> Iterator[Made]:
    """The canonical picture."""
    limits = ImageLimits(**options["limits"])
    made = canonical_picture(_all(file, limits), limits)
    yield Made((made.picture,), {"mime": made.mime}, last=True)


def sketch(file: BinaryIO, options: Mapping[str, Any]) -> Iterator[Made]:
    """The canonical picture, of a large JPEG at a fraction of its size, and the file's own size."""
    limits = ImageLimits(**options["limits"])
    made = canonical_picture(_all(file, limits), limits, sketch=True)
    width, height = made.of or made.picture.size
    yield Made((made.picture,), {"mime": made.mime, "width": width, "height": height}, last=True)


def preview(file: BinaryIO, options: Mapping[str, Any]) -> Iterator[Made]:
    """The blurred grey derivative."""
    yield Made((derivative(_first(file, options)),), last=True)


def smaller(file: BinaryIO, options: Mapping[str, Any]) -> Iterator[Made]:
    """The canonical picture with no side longer than ``side``."""
    yield Made((bounded(_first(file, options), int(options["side"])),), last=True)


def video(file: BinaryIO, options: Mapping[str, Any]) -> Iterator[Made]:
    """The moments of a video, each with its luma plane or, of an animation, its picture."""
    asked = options["sampling"]
    sampling = {**asked, **{name: tuple(map(tuple, asked[name])) for name in ("spans", "seen")}}
    sampling["filled"] = tuple(asked["filled"]) if asked["filled"] else None
    coloured = bool(sampling["colour"])
    for moment in read_video(file, Sampling(**sampling), VideoLimits(**options["limits"])):
        frame = moment.frame
        planes: tuple[NDArray[np.uint8], ...] = (
            (frame.rgb,) if frame.luma is None else (frame.luma,)
        )
        if frame.luma is not None and coloured:
            planes = (frame.luma, np.ascontiguousarray(frame.rgb))
        facts = {"time": moment.time, "stream": moment.stream, "done": moment.done}
        facts["part"] = moment.part.value
        yield Made(planes, facts)


def strip(file: BinaryIO, options: Mapping[str, Any]) -> Iterator[Made]:
    """A few pictures of a video, for people's eyes."""
    limits = VideoLimits(**options["limits"])
    for shown in pictures_of(file, Wanted(**options["wanted"]), limits):
        facts = {"time": shown.time, "seconds": shown.seconds, "streams": shown.streams}
        yield Made((np.ascontiguousarray(shown.pixels),), facts)


TASKS: Mapping[str, Task] = {
    "image": image,
    "sketch": sketch,
    "preview": preview,
    "smaller": smaller,
    "video": video,
    "strip": strip,
}


def _all(file: BinaryIO, limits: ImageLimits) -> bytes:
    """The file, and at most one byte more than it may have: enough to refuse it by name."""
    size = file.seek(0, SEEK_END)
    file.seek(0)
    return file.read(min(size, limits.bytes + 1))


def _first(file: BinaryIO, options: Mapping[str, Any]) -> NDArray[np.uint8]:
    limits = ImageLimits(**options["limits"])
    return decode_image(_all(file, limits), limits).frames[0].rgb


def warm() -> None:
    """Decode a small picture of every kind, so that nothing is left to be loaded later."""
    Image.init()
    _containers.register_heif()
    for format, options in _KINDS:
        made = BytesIO()
        picture = Image.new("RGB", (16, 16), "teal")
        try:
            picture.save(made, format, **options)
        except (OSError, KeyError):  # a build of Pillow without this encoder may still decode
            continue
        list(image(BytesIO(made.getvalue()), _PLAIN))
    Image.new("RGB", (16, 16)).save(BytesIO(), "PPM")
    for broken in (b"\xff\xd8\xff\xe0", b"GIF89a", b"\x89PNG\r\n\x1a\n" + bytes(64)):
        with suppress(Refused):
            list(image(BytesIO(broken), _PLAIN))
    _warm_film()


def _warm_film() -> None:
    """Decode a film of a few frames in every way: PyAV loads parts of itself when first used."""
    made = BytesIO()
    with av.open(made, "w", format="mp4") as output:
        stream = output.add_stream("mpeg4", rate=5)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        stream.codec_context.thread_count = 1
        for shade in range(20):
            flat = np.full((32, 32, 3), 10 * shade, np.uint8)
            output.mux(stream.encode(av.VideoFrame.from_ndarray(flat, "rgb24")))
        output.mux(stream.encode())
    for sampling in (
        Sampling(colour=16),
        Sampling(long=1, gap=0.5),
        Sampling(rate=None, spans=((1.0, 2.0),)),
    ):
        list(read_video(made, sampling))
    for wanted in (Wanted(1.0, before=2, after=2), Wanted(99.0, blurred=False)):
        list(pictures_of(made, wanted))


_PLAIN: Mapping[str, Any] = {"limits": {}}
_KINDS: tuple[tuple[str, Mapping[str, Any]], ...] = (
    ("JPEG", {}), ("JPEG", {"progressive": True}), ("PNG", {}), ("GIF", {}), ("WEBP", {}),
    ("BMP", {}), ("TIFF", {"compression": "tiff_lzw"}), ("AVIF", {"speed": 10}),
    ("HEIF", {"quality": 40}), ("JPEG2000", {}),
)  # fmt: skip
