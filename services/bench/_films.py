"""Short films made of the pictures of scikit-image: scenes that pan and zoom, cut hard."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from functools import cache
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]

SCENES = ("astronaut", "coffee", "chelsea", "rocket", "cat", "colorwheel")
OTHERS = ("immunohistochemistry", "retina", "hubble_deep_field", "brick", "grass", "gravel")


@cache
def still(name: str) -> Picture:
    """One of the pictures that come with scikit-image, as RGB."""
    import skimage.data

    picture = np.asarray(getattr(skimage.data, name)())
    if picture.ndim == 2:
        picture = np.repeat(picture[..., None], 3, axis=2)
    return np.ascontiguousarray(picture[..., :3].astype(np.uint8))


def scenes(
    names: Sequence[str],
    seconds: float = 4.0,
    fps: float = 12.0,
    size: tuple[int, int] = (256, 144),
    seed: int = 1,
) -> Iterator[Picture]:
    """Frames of a film: a camera moves over one picture after the other, ``seconds`` on each."""
    rng = np.random.default_rng(seed)
    width, height = size
    count = round(seconds * fps)
    for name in names:
        picture = still(name)
        high, wide = picture.shape[:2]
        zoom = rng.uniform(0.55, 0.75, 2)
        places = rng.uniform(0, 1, (2, 2))
        for frame in range(count):
            part = frame / max(1, count - 1)
            share = zoom[0] + (zoom[1] - zoom[0]) * part
            x, y = places[0] + (places[1] - places[0]) * part
            w = min(wide, high * width / height) * share
            h = w * height / width
            left, top = (wide - w) * x, (high - h) * y
            matrix = np.array(
                [[width / w, 0, -left * width / w], [0, height / h, -top * height / h]]
            )
            yield np.asarray(
                cv2.warpAffine(picture, matrix, (width, height), flags=cv2.INTER_AREA), np.uint8
            )


def film(
    frames: Iterable[Picture],
    fps: float = 12.0,
    codec: str = "libx264",
    container: str = "mp4",
    bitrate: int | None = None,
    keys: int | None = None,
    times: Callable[[int], int] | None = None,
    pixels: str = "yuv420p",
    prepare: Callable[[Any], None] = lambda _: None,
    muxing: Mapping[str, str] | None = None,
    **options: str,
) -> bytes:
    """Frames as a file. ``times`` gives the stamp of a frame in thousandths of a second."""
    made = io.BytesIO()
    rate = Fraction(fps).limit_denominator(1000)
    if codec == "libx264":
        options = {"preset": "ultrafast", **options}
    if keys:
        options |= {"g": str(keys)}
    with av.open(made, "w", format=container, options=dict(muxing or {})) as output:
        stream: Any = None
        for number, picture in enumerate(frames):
            if stream is None:
                stream = output.add_stream(codec, rate=rate, options=options)
                stream.height, stream.width = picture.shape[:2]
                stream.pix_fmt = pixels
                stream.codec_context.thread_count = 1
                if bitrate:
                    stream.bit_rate = bitrate
                if times:
                    stream.codec_context.time_base = Fraction(1, 1000)
                prepare(stream)
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            if times:
                frame.pts, frame.time_base = times(number), Fraction(1, 1000)
            else:
                frame.pts, frame.time_base = number, 1 / rate
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    return made.getvalue()
