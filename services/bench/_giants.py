"""Files that are sound and far too much: a million frames, 8K, a picture as wide as a street."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import av
import cv2
import numpy as np

_CLUSTER = bytes.fromhex("1f43b675")
_DURATION = bytes.fromhex("448988")
_SEGMENT = bytes.fromhex("18538067")
_BLOCKS = 30_000
"""In one cluster: a block says its time in 16 bits."""


def giants(frames: int) -> Mapping[str, Callable[[], bytes]]:
    """Makers of files by name; ``frames`` is how many the longest has."""
    return {
        f"{frames} frames of 1 ms": lambda: frames_of_1_ms(frames),
        f"{frames} frames of 1 ms, length untold": lambda: frames_of_1_ms(frames, told=False),
        f"{frames} frames at once": lambda: frames_of_1_ms(frames, step=0),
        "8K": lambda: large_film(7680, 4320),
        "16384 by 64": lambda: large_film(16384, 64),
        "16400 by 64": lambda: large_film(16400, 64, codec="mjpeg", container="matroska"),
    }


def frames_of_1_ms(number: int, *, step: int = 1, told: bool = True) -> bytes:
    """One small frame shown so many times, ``step`` thousandths of a second apart.

    Written here, block by block: nothing is encoded but the one frame.
    """
    made = io.BytesIO()
    with av.open(made, "w", format="matroska") as output:
        stream: Any = output.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 16, 16, "yuv420p"
        stream.codec_context.thread_count = 1
        shades = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, 2)
        (coded,) = stream.encode(av.VideoFrame.from_ndarray(shades, "rgb24"))
        body = bytes(coded)
        output.mux(coded)
    head = bytearray(made.getvalue())
    del head[head.index(_CLUSTER) :]
    segment = head.index(_SEGMENT) + 4
    head[segment : segment + 8] = b"\x01" + b"\xff" * 7  # as long as it goes on
    seconds = head.index(_DURATION) + len(_DURATION)
    head[seconds : seconds + 8] = np.array(number * step if told else 0, ">f8").tobytes()
    block = np.dtype(
        [("id", "u1"), ("size", ">u4"), ("track", "u1"), ("time", ">i2"), ("flags", "u1"),
         ("body", "V", len(body))]
    )  # fmt: skip
    pieces = [bytes(head)]
    for first in range(0, number, _BLOCKS):
        some = np.zeros(min(_BLOCKS, number - first), block)
        some["id"], some["track"], some["flags"] = 0xA3, 0x81, 0x80
        some["size"] = 0x10000000 | (block.itemsize - 5)
        some["time"] = np.arange(len(some)) * step
        some["body"] = np.void(body)
        inner = b"\xe7\x84" + (first * step).to_bytes(4, "big") + some.tobytes()
        pieces += [_CLUSTER, b"\x01", len(inner).to_bytes(7, "big"), inner]
    return b"".join(pieces)


def large_film(
    width: int, height: int, codec: str = "libx264", container: str = "mp4", frames: int = 2
) -> bytes:
    """A few frames of a picture with something on it."""
    coarse = np.random.default_rng(1).integers(0, 256, (9, 16, 3), np.uint8)
    picture = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    made = io.BytesIO()
    with av.open(made, "w", format=container) as output:
        options = {"preset": "ultrafast"} if codec == "libx264" else {}
        stream: Any = output.add_stream(codec, rate=Fraction(2), options=options)
        pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.width, stream.height, stream.pix_fmt = width, height, pixels
        stream.codec_context.thread_count = 1
        frame = av.VideoFrame.from_ndarray(np.asarray(picture, np.uint8), "rgb24")
        for number in range(frames):
            frame.pts = number
            frame.time_base = Fraction(1, 2)
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    return made.getvalue()
