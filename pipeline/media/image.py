"""Hostile bytes to one canonical picture, or a refusal with its reason by name.

Canonical: EXIF orientation applied, colour profile to sRGB, transparency on white, RGB uint8. That
is what a browser shows, so what people see is what is hashed. Everything stays in memory. Limits on
bytes, sides, pixels and progressive scans are checked on headers, before a pixel is decoded.

Left as it is: orientation in XMP, PNG's ``gAMA`` and ``cHRM``, and HEIF and AVIF colour given as
``nclx`` numbers rather than as a profile.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass, field

import numpy as np
from PIL import AvifImagePlugin, Image, UnidentifiedImageError

from pipeline.domain.media import Frame, Media
from pipeline.errors import RefusalReason, Refused
from pipeline.media import _colour, _containers
from pipeline.media.limits import DEFAULT_LIMITS, MOST_PIXELS, ImageLimits, within_bytes

Image.MAX_IMAGE_PIXELS = MOST_PIXELS // 2
"""Pillow's own backstop, at twice this: it holds where a plug-in allocates before we see a size."""

AvifImagePlugin.DEFAULT_MAX_THREADS = 1

_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_LYING = {
    Image.Transpose.TRANSPOSE,
    Image.Transpose.TRANSVERSE,
    Image.Transpose.ROTATE_90,
    Image.Transpose.ROTATE_270,
}
SKETCH_SIDE = 600
"""A sketch has as many pixels as a square of this side, or more, and no side under half of it."""

_UNKNOWN = re.compile(r"unsupported|not supported|unknown|not available|unimplemented", re.I)


def decode_image(
    body: bytes, limits: ImageLimits = DEFAULT_LIMITS, *, sketch: bool = False
) -> Media:
    """The canonical picture in ``body``; of an animation, its first frame.

    A ``sketch`` of a large JPEG is made from a part of its coefficients, at a half, a quarter or
    an eighth of its sides (see ``SKETCH_SIDE``): five times as quick for a camera's picture.
    Everything else is decoded whole.

    Frames are RGB uint8 (height, width, 3), C-contiguous and read-only. Raises ``Refused`` and
    nothing else, whatever the bytes are.
    """
    made = canonical_picture(body, limits, sketch=sketch)
    frame = Frame(np.ascontiguousarray(np.asarray(made.picture)), of=made.of)
    return Media((frame,), made.mime, *(made.of or made.picture.size))


@dataclass(frozen=True, slots=True)
class Canonical:
    """A canonical picture as Pillow holds it."""

    picture: Image.Image = field(repr=False)
    mime: str
    of: tuple[int, int] | None
    """Of a sketch, the width and height of the whole."""


def canonical_picture(
    body: bytes, limits: ImageLimits = DEFAULT_LIMITS, *, sketch: bool = False
) -> Canonical:
    """What ``decode_image`` makes its frame of; it raises the same."""
    within_bytes(len(body), limits)
    kind = _containers.sniff(body)
    try:
        picture, of = _canonical(body, kind, limits, sketch=sketch)
    except Refused:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_many_pixels(limits) from None
    except MemoryError:
        raise Refused(
            RefusalReason.TOO_MUCH_MEMORY,
            "The picture takes more memory than a decoder may have; send a smaller one.",
        ) from None
    except Exception as error:  # decoders raise whatever they like; a caller sees only refusals
        raise _refusal(body, kind, error) from error
    return Canonical(picture, kind.mime, of)


def _canonical(
    body: bytes, kind: _containers.Kind, limits: ImageLimits, *, sketch: bool
) -> tuple[Image.Image, tuple[int, int] | None]:
    """The file's picture; and, of a sketch, the width and height that the file has, upright."""
    if kind is _containers.HEIF:
        _containers.register_heif()
    with Image.open(io.BytesIO(body), formats=(kind.format,)) as image:
        _within_size(image.size, limits)
        whole = image.size
        if kind is _containers.JPEG:
            _within_scans(body, image.width * image.height, limits)
            if sketch:
                factor = _sketched_by(*whole)
                image.draft(None, (whole[0] // factor, whole[1] // factor))
        upright = _UPRIGHT.get(_orientation(image))
        drafted = image.size != whole
        image.load()
        _within_size(image.size, limits)
        canonical = _colour.to_srgb(image)
    if upright is not None:
        canonical = canonical.transpose(upright)
    if not drafted:
        return canonical, None
    return canonical, (whole[1], whole[0]) if upright in _LYING else whole


def _sketched_by(width: int, height: int) -> int:
    """By how much the sides of a JPEG of this size are divided."""
    return next(
        factor
        for factor in (8, 4, 2, 1)
        if factor == 1
        or (
            width * height >= (SKETCH_SIDE * factor) ** 2
            and 2 * min(width, height) >= SKETCH_SIDE * factor
        )
    )


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1 where there is none or where it cannot be read.

    HEIF and TIFF come upright from their decoders, which take the tag away.
    """
    raw = image.info.get("exif")
    if not isinstance(raw, bytes):
        return 1
    exif = Image.Exif()
    try:
        exif.load(raw)
        value = exif.get(_ORIENTATION, 1)
    except Exception:  # a broken tag turns nothing, as in browsers
        return 1
    return value if isinstance(value, int) else 1


def _within_size(size: tuple[int, int], limits: ImageLimits) -> None:
    width, height = size
    if max(width, height) > limits.side:
        raise Refused(
            RefusalReason.SIDE_TOO_LONG,
            f"A side is longer than {limits.side} pixels; send a smaller picture.",
        )
    if width * height > limits.pixels:
        raise _too_many_pixels(limits)
    if min(width, height) < 1:
        raise Refused(RefusalReason.CORRUPT, "The picture has no pixels; save it again.")


def _within_scans(body: bytes, pixels: int, limits: ImageLimits) -> None:
    most = min(limits.scans, limits.scan_pixels // pixels)
    # Counting the bytes is quick and never too low; embedded files can make it too high.
    if _containers.starts_of_scans(body) > most and _containers.jpeg_scans(body).scans > most:
        raise Refused(
            RefusalReason.CORRUPT,
            f"The JPEG has more than {most} scans, which no camera or program writes; "
            "save it again as an ordinary JPEG.",
        )


def _too_many_pixels(limits: ImageLimits) -> Refused:
    return Refused(
        RefusalReason.TOO_MANY_PIXELS,
        f"The picture has more than {limits.pixels} pixels; send a smaller one.",
    )


def _refusal(body: bytes, kind: _containers.Kind, error: Exception) -> Refused:
    if _containers.is_cut_short(body, kind):
        return Refused(
            RefusalReason.TRUNCATED, "The file ends before the picture does; send all of it."
        )
    if isinstance(error, NotImplementedError) or (
        not isinstance(error, UnidentifiedImageError) and _UNKNOWN.search(str(error))
    ):
        return Refused(
            RefusalReason.UNDECODABLE,
            f"This kind of {kind.format} cannot be decoded here; send it as JPEG or PNG.",
        )
    return Refused(
        RefusalReason.CORRUPT, f"The {kind.format} file is damaged; save it again and resend."
    )
