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

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.errors import Refused
from pipeline.media import _containers
from pipeline.media.image import decode_image
from pipeline.media.limits import ImageLimits
from pipeline.media.showing import bounded, derivative


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """A piece of a task's answer: uint8 arrays of any shape, and facts that JSON can hold."""

    arrays: tuple[NDArray[np.uint8], ...] = field(repr=False)
    facts: Mapping[str, Any] = field(default_factory=dict)


Task = Callable[[BinaryIO, Mapping[str, Any]], Iterator[Made]]
"""Raises ``Refused``; anything else it raises means that the file cannot be decoded."""


def image(file: BinaryIO, options: Mapping[str, Any]) -> Iterator[Made]:
    """The canonical picture."""
    limits = ImageLimits(**options["limits"])
    media = decode_image(_all(file, limits), limits)
    yield Made(tuple(frame.rgb for frame in media.frames), {"mime": media.mime})


def preview(file: BinaryIO, options: Mapping[str, Any]) -> Iterator[Made]:
    """The blurred grey derivative."""
    yield Made((derivative(_first(file, options)),))


def smaller(file: BinaryIO, options: Mapping[str, Any]) -> Iterator[Made]:
    """The canonical picture with no side longer than ``side``."""
    yield Made((bounded(_first(file, options), int(options["side"])),))


TASKS: Mapping[str, Task] = {"image": image, "preview": preview, "smaller": smaller}


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
    for broken in (b"\xff\xd8\xff\xe0", b"GIF89a", b"\x89PNG\r\n\x1a\n" + bytes(64)):
        with suppress(Refused):
            list(image(BytesIO(broken), _PLAIN))


_PLAIN: Mapping[str, Any] = {"limits": {}}
_KINDS: tuple[tuple[str, Mapping[str, Any]], ...] = (
    ("JPEG", {}), ("JPEG", {"progressive": True}), ("PNG", {}), ("GIF", {}), ("WEBP", {}),
    ("BMP", {}), ("TIFF", {"compression": "tiff_lzw"}), ("AVIF", {"speed": 10}),
    ("HEIF", {"quality": 40}), ("JPEG2000", {}),
)  # fmt: skip
