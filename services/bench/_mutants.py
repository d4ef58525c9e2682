"""Small files of every kind, and what becomes of them in hostile hands."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import av
import numpy as np
from numpy.random import Generator
from PIL import Image

_SIDE = 96


def seeds(rng: Generator) -> dict[str, bytes]:
    """Sound files, a few kilobytes each: stills, animations and videos."""
    pictures = [_picture(rng) for _ in range(4)]
    made = {
        "jpeg": _still(pictures[0], "JPEG", quality=80, exif=_exif()),
        "progressive jpeg": _still(pictures[1], "JPEG", progressive=True),
        "cmyk jpeg": _still(pictures[2].convert("CMYK"), "JPEG"),
        "png": _still(pictures[0], "PNG"),
        "png with palette": _still(pictures[1].convert("P"), "PNG"),
        "deep png": _still(pictures[2].convert("I;16"), "PNG"),
        "gif": _still(pictures[3], "GIF"),
        "moving gif": _moving(pictures, "GIF"),
        "webp": _still(pictures[0], "WEBP"),
        "lossless webp": _still(pictures[1].convert("RGBA"), "WEBP", lossless=True),
        "moving webp": _moving(pictures, "WEBP"),
        "moving png": _moving(pictures, "PNG"),
        "avif": _still(pictures[2], "AVIF", speed=10),
        "tiff": _still(pictures[0], "TIFF", compression="tiff_lzw"),
        "tiff with jpeg": _still(pictures[1], "TIFF", compression="jpeg"),
        "bmp": _still(pictures[3].resize((32, 32)), "BMP"),
        "jpeg 2000": _still(pictures[0], "JPEG2000"),
        "heif": _heif(pictures[1]),
        "mp4": _film(pictures, "libx264", "mp4", preset="ultrafast"),
        "webm": _film(pictures, "libvpx-vp9", "webm"),
        "avi": _film(pictures, "mpeg4", "avi"),
        "mpeg": _film(pictures, "mpeg2video", "mpegts"),
        "matroska": _film(pictures, "mjpeg", "matroska", pixels="yuvj420p"),
    }
    return {name: body for name, body in made.items() if body}


def mutant(rng: Generator, bodies: Sequence[bytes]) -> tuple[str, bytes]:
    """One of the files, harmed in one to four ways: the last way's name, and the bytes."""
    body = bytearray(bodies[int(rng.integers(len(bodies)))])
    name = ""
    for _ in range(int(rng.integers(1, 5))):
        way = WAYS[int(rng.integers(len(WAYS)))]
        name = way.__name__.strip("_").replace("_", " ")
        body = way(rng, body, bodies) or bytearray(b"\0")
    return name, bytes(body)


def _flipped_bits(rng: Generator, body: bytearray, _: Sequence[bytes]) -> bytearray:
    for place in rng.integers(0, len(body), int(rng.integers(1, 24))):
        body[int(place)] ^= 1 << int(rng.integers(8))
    return body


def _flipped_head(rng: Generator, body: bytearray, _: Sequence[bytes]) -> bytearray:
    for place in rng.integers(0, min(len(body), 256), int(rng.integers(1, 6))):
        body[int(place)] ^= int(rng.integers(1, 256))
    return body


def _cut_short(rng: Generator, body: bytearray, _: Sequence[bytes]) -> bytearray:
    return body[: int(rng.integers(1, len(body) + 1))]


def _left_out(rng: Generator, body: bytearray, _: Sequence[bytes]) -> bytearray:
    start, length = _span(rng, body)
    return body[:start] + body[start + length :]


def _repeated(rng: Generator, body: bytearray, _: Sequence[bytes]) -> bytearray:
    start, length = _span(rng, body)
    return body[:start] + body[start : start + length] * int(rng.integers(2, 9)) + body[start:]


def _overwritten(rng: Generator, body: bytearray, _: Sequence[bytes]) -> bytearray:
    start, length = _span(rng, body)
    body[start : start + length] = bytes([int(rng.choice([0, 255, 0x41]))]) * length
    return body


def _extreme_number(rng: Generator, body: bytearray, _: Sequence[bytes]) -> bytearray:
    """Sizes, counts and places are numbers of two or four bytes somewhere in the first part."""
    place = int(rng.integers(0, min(len(body), 2048)))
    number = [
        b"\xff\xff",
        b"\0\0",
        b"\x7f\xff\xff\xff",
        b"\xff\xff\xff\xff",
        b"\x80\0\0\0",
        b"\0\1",
    ]
    chosen = number[int(rng.integers(len(number)))]
    body[place : place + len(chosen)] = chosen
    return body


def _crossed(rng: Generator, body: bytearray, bodies: Sequence[bytes]) -> bytearray:
    """The beginning of one file, the end of another."""
    other = bodies[int(rng.integers(len(bodies)))]
    return body[: int(rng.integers(1, len(body) + 1))] + other[int(rng.integers(len(other))) :]


def _appended(rng: Generator, body: bytearray, bodies: Sequence[bytes]) -> bytearray:
    return body + bodies[int(rng.integers(len(bodies)))]


Way = Callable[[Generator, bytearray, Sequence[bytes]], bytearray]
WAYS: tuple[Way, ...] = (
    _flipped_bits, _flipped_head, _cut_short, _left_out, _repeated, _overwritten, _extreme_number,
    _crossed, _appended,
)  # fmt: skip


def _span(rng: Generator, body: bytearray) -> tuple[int, int]:
    start = int(rng.integers(0, len(body)))
    return start, int(rng.integers(1, max(2, min(512, len(body) - start) + 1)))


def _picture(rng: Generator) -> Image.Image:
    coarse = rng.integers(0, 256, (7, 9, 3), np.uint8)
    return Image.fromarray(coarse).resize((_SIDE, _SIDE * 3 // 4), Image.Resampling.BICUBIC)


def _exif() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def _still(picture: Image.Image, format: str, **options: Any) -> bytes:
    made = io.BytesIO()
    try:
        picture.save(made, format, **options)
    except (OSError, KeyError):  # this build of Pillow cannot write it
        return b""
    return made.getvalue()


def _heif(picture: Image.Image) -> bytes:
    import pillow_heif

    made = io.BytesIO()
    pillow_heif.from_pillow(picture).save(made, quality=50)
    return made.getvalue()


def _moving(pictures: Sequence[Image.Image], format: str) -> bytes:
    rest = list(pictures[1:])
    return _still(pictures[0], format, save_all=True, append_images=rest, duration=120)


def _film(
    pictures: Sequence[Image.Image], codec: str, container: str, pixels: str = "yuv420p", **how: str
) -> bytes:
    made = io.BytesIO()
    with av.open(made, "w", format=container) as output:
        stream: Any = output.add_stream(codec, rate=Fraction(10), options=how)
        stream.width, stream.height, stream.pix_fmt = _SIDE, _SIDE * 3 // 4, pixels
        stream.codec_context.thread_count = 1
        for number in range(16):
            picture = np.asarray(pictures[number // 4].rotate(number, expand=False))
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    return made.getvalue()
