"""Pictures for tests: generated, the same on every machine, in every mode and format."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageDraw

RGB = NDArray[np.uint8]


def textured(width: int = 320, height: int = 240, seed: int = 0) -> RGB:
    """Noise at several scales, like a photograph's spectrum: PDQ quality well above 50."""
    rng = np.random.default_rng(seed)
    total = np.zeros((height, width, 3))
    for cells, strength in ((3, 60.0), (6, 45.0), (12, 35.0), (24, 25.0), (48, 12.0)):
        coarse = rng.normal(0.0, strength, (cells + 1, cells + 1, 3))
        total += _bilinear(coarse, height, width)
    return np.clip(np.rint(total + 128), 0, 255).astype(np.uint8)


def shapes(width: int = 320, height: int = 240, seed: int = 0) -> RGB:
    """Filled ellipses and rectangles of plain colours on a plain ground."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", (width, height), _colour(rng))
    draw = ImageDraw.Draw(image)
    for index in range(24):
        x, y = int(rng.integers(0, width)), int(rng.integers(0, height))
        w, h = int(rng.integers(8, width // 2 + 9)), int(rng.integers(8, height // 2 + 9))
        paint = draw.ellipse if index % 2 else draw.rectangle
        paint((x - w // 2, y - h // 2, x + w // 2, y + h // 2), fill=_colour(rng))
    return np.asarray(image)


def gradient(width: int = 320, height: int = 240, seed: int = 0) -> RGB:
    """A smooth slope of colour, which has next to nothing to say: PDQ quality below 50."""
    rng = np.random.default_rng(seed)
    corners = rng.uniform(60, 190, (2, 2, 3))
    return np.rint(_bilinear(corners, height, width)).astype(np.uint8)


def flat(width: int = 320, height: int = 240, grey: int = 127) -> RGB:
    """One colour everywhere."""
    return np.full((height, width, 3), grey, np.uint8)


def text_like(width: int = 320, height: int = 240, seed: int = 0) -> RGB:
    """Dark runs of words in lines on white."""
    rng = np.random.default_rng(seed)
    page = np.full((height, width, 3), 255, np.uint8)
    for top in range(height // 20, height - height // 20, max(height // 16, 3)):
        x = width // 20
        while x < width - width // 20:
            run = int(rng.integers(width // 40 + 1, width // 8 + 2))
            page[top : top + max(height // 32, 1), x : min(x + run, width - width // 20)] = 30
            x += run + max(width // 60, 1)
    return page


def checkers(width: int = 320, height: int = 240, cells: int = 7) -> RGB:
    """Black and white squares: symmetric, so that many coefficients are equal or nought."""
    rows = np.arange(height) * cells // height
    columns = np.arange(width) * cells // width
    board = ((rows[:, None] + columns[None, :]) % 2 * 255).astype(np.uint8)
    return np.repeat(board[..., None], 3, axis=2)


KINDS = {
    "textured": textured,
    "shapes": shapes,
    "gradient": gradient,
    "flat": flat,
    "text_like": text_like,
    "checkers": checkers,
}


def encode(image: RGB | Image.Image, format: str = "PNG", **options: Any) -> bytes:
    """Bytes of a picture in one of Pillow's formats; HEIF too."""
    if format == "HEIF":
        import pillow_heif

        pillow_heif.register_heif_opener()
    source = image if isinstance(image, Image.Image) else Image.fromarray(image)
    out = io.BytesIO()
    source.save(out, format, **options)
    return out.getvalue()


def grey(rgb: RGB) -> RGB:
    """The same picture without its colour, still in three channels."""
    return np.asarray(Image.fromarray(rgb).convert("L").convert("RGB"))


def oriented(rgb: RGB, orientation: int, format: str = "JPEG", **more: Any) -> bytes:
    """A file whose stored pixels are laid so that its EXIF orientation brings ``rgb`` back.

    ``more`` are further options of its format.
    """
    stored = {
        1: lambda a: a,
        2: np.fliplr,
        3: lambda a: np.rot90(a, 2),
        4: np.flipud,
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
        8: lambda a: np.rot90(a, -1),
    }[orientation](rgb)
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"quality": 95, "subsampling": 0} if format == "JPEG" else {"lossless": True}
    return encode(np.ascontiguousarray(stored), format, exif=exif.tobytes(), **options, **more)


def png_header(width: int, height: int, depth: int = 8, colour: int = 2) -> bytes:
    """A PNG that promises a size and holds a few bytes."""
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"IDAT", zlib.compress(b"\0" * 64))


def png(rows: NDArray[Any], colour: int, chunks: tuple[tuple[bytes, bytes], ...] = ()) -> bytes:
    """A PNG written by hand from uint8 or uint16 samples (height, width[, channels])."""
    depth = rows.dtype.itemsize * 8
    height, width = rows.shape[:2]
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    lines = rows.astype(rows.dtype.newbyteorder(">"))
    body = b"".join(b"\0" + line.tobytes() for line in lines)
    extra = b"".join(_chunk(name, data) for name, data in chunks)
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", head)
        + extra
        + _chunk(b"IDAT", zlib.compress(body))
        + _chunk(b"IEND", b"")
    )


def many_scans(count: int, width: int = 64, height: int = 64) -> bytes:
    """A progressive JPEG whose last scan is repeated ``count`` times."""
    plain = encode(textured(width, height), "JPEG", progressive=True)
    last = plain.rfind(b"\xff\xda")
    scan = plain[last : plain.rfind(b"\xff\xd9")]
    return plain[:last] + scan * count + b"\xff\xd9"


DISPLAY_P3 = (
    (0.51512, 0.24120, -0.00105),
    (0.29198, 0.69225, 0.04189),
    (0.15710, 0.06657, 0.78407),
)
ADOBE = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
"""Colorants of two colour spaces under D50."""


def display_p3() -> bytes:
    """An ICC profile with Display P3's primaries and a gamma of 2.2, written by hand."""
    return matrix_profile(DISPLAY_P3, gamma_curve(2.2))


def matrix_profile(
    colorants: tuple[tuple[float, ...], ...], *curves: bytes, text: bytes = b"CC0\0"
) -> bytes:
    """An ICC profile of three colorants under D50, with one curve for all or one for each.

    ``text`` is its copyright, by which it may be made as long as one likes.
    """
    columns = dict(zip((b"rXYZ", b"gXYZ", b"bXYZ"), colorants, strict=True))
    columns[b"wtpt"] = (0.96420, 1.0, 0.82491)
    tags = {name: b"XYZ " + bytes(4) + _fixed(xyz) for name, xyz in columns.items()}
    each = curves if len(curves) == 3 else curves * 3
    tags |= dict(zip((b"rTRC", b"gTRC", b"bTRC"), each, strict=True))
    tags[b"desc"] = b"desc" + bytes(4) + struct.pack(">I", 3) + b"P3\0" + bytes(79)
    tags[b"cprt"] = b"text" + bytes(4) + text
    return _profile(b"RGB ", tags)


def gamma_curve(gamma: float) -> bytes:
    """A profile's curve of one exponent, kept in 256ths."""
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)


def sampled_curve(values: NDArray[Any]) -> bytes:
    """A profile's curve by equally spaced values of 0 to 1."""
    entries = np.rint(values * 65535).astype(">u2").tobytes()
    return b"curv" + bytes(4) + struct.pack(">I", len(values)) + entries


def parametric_curve(kind: int, *numbers: float) -> bytes:
    """A profile's curve by one of ICC's five formulas: 0 for an exponent, 3 for sRGB's."""
    return b"para" + bytes(4) + struct.pack(">HH", kind, 0) + _fixed(numbers)


def grey_gamma(gamma: float = 1.0) -> bytes:
    """An ICC profile for grey pictures with one exponent."""
    curve = gamma_curve(gamma)
    white = b"XYZ " + bytes(4) + _fixed((0.96420, 1.0, 0.82491))
    desc = b"desc" + bytes(4) + struct.pack(">I", 2) + b"G\0" + bytes(79)
    tags = {b"kTRC": curve, b"wtpt": white, b"desc": desc, b"cprt": b"text" + bytes(4) + b"CC0\0"}
    return _profile(b"GRAY", tags)


def srgb() -> bytes:
    """An ordinary sRGB profile."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def _profile(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    table, data, start = b"", b"", 128 + 4 + 12 * len(tags)
    for name, body in tags.items():
        padded = body + bytes(-len(body) % 4)
        table += name + struct.pack(">II", start + len(data), len(body))
        data += padded
    head = bytearray(128)
    head[0:4] = struct.pack(">I", start + len(data))
    head[8:12] = b"\x02\x40\x00\x00"
    head[12:24] = b"mntr" + space + b"XYZ "
    head[36:40] = b"acsp"
    head[68:80] = _fixed((0.96420, 1.0, 0.82491))
    return bytes(head) + struct.pack(">I", len(tags)) + table + data


def _fixed(numbers: tuple[float, ...]) -> bytes:
    return b"".join(struct.pack(">i", round(number * 65536)) for number in numbers)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _colour(rng: np.random.Generator) -> tuple[int, int, int]:
    red, green, blue = (int(value) for value in rng.integers(0, 256, 3))
    return red, green, blue


def _bilinear(coarse: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    """A coarse grid stretched over the picture, in float64."""
    y = np.linspace(0, coarse.shape[0] - 1, height)
    x = np.linspace(0, coarse.shape[1] - 1, width)
    top = np.minimum(y.astype(int), coarse.shape[0] - 2)
    left = np.minimum(x.astype(int), coarse.shape[1] - 2)
    down, across = (y - top)[:, None, None], (x - left)[None, :, None]
    wide = coarse[:, left] * (1 - across) + coarse[:, left + 1] * across
    return wide[top] * (1 - down) + wide[top + 1] * down
