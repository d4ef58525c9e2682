"""Picture files that a phone or a computer may hold, generated: every colour mode and orientation.

Shared by the server's tests and the browser's: the same bytes go to both, the codes must agree.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import numpy as np
from PIL import Image

from tests import pictures
from tests.pictures import encode, oriented

_SIZE = (263, 197)


def exact() -> Iterator[tuple[str, bytes]]:
    """Files whose codes must be the same to the bit."""
    plain = pictures.shapes(*_SIZE, 2)
    for orientation in range(1, 9):
        yield f"jpeg, orientation {orientation}", oriented(plain, orientation)
    for orientation in (2, 5, 6, 7, 8):
        yield f"png, orientation {orientation}", oriented(plain, orientation, "PNG")
        yield f"webp, orientation {orientation}", oriented(plain, orientation, "WEBP")
    yield "avif, orientation 6", encode(plain, "AVIF", exif=_exif(6))
    photo = pictures.textured(*_SIZE, 5)
    for quality, subsampling in ((30, 2), (75, 2), (95, 1), (90, 0)):
        yield f"jpeg {quality}", encode(photo, "JPEG", quality=quality, subsampling=subsampling)
    yield "progressive jpeg", encode(photo, "JPEG", progressive=True)
    yield "jpeg with an sRGB profile", encode(plain, "JPEG", icc_profile=pictures.srgb())
    colour, image = Image.fromarray(plain), Image.fromarray(photo)
    yield "grey jpeg", encode(image.convert("L"), "JPEG")
    yield "cmyk jpeg", encode(colour.convert("CMYK"), "JPEG")
    yield from _pngs(plain)
    yield from _others(colour, image)


def coloured() -> Iterator[tuple[str, bytes]]:
    """Files with colour profiles whose codes must be the same to the bit all the same."""
    plain = pictures.shapes(*_SIZE, 2)
    image, photo = Image.fromarray(plain), Image.fromarray(pictures.textured(*_SIZE, 5))
    wide, grey_only = pictures.display_p3(), pictures.grey_gamma(1.7)
    for name, profile in profiles():
        yield f"jpeg in {name}", encode(photo, "JPEG", icc_profile=profile)
        yield f"png in {name}", encode(plain, icc_profile=profile)
    for turn in (3, 5, 6):
        told = {"exif": _exif(turn), "icc_profile": wide}
        yield f"jpeg in Display P3, orientation {turn}", encode(photo, "JPEG", **told)
        yield f"webp in Display P3, orientation {turn}", encode(photo, "WEBP", **told)
    clear = Image.fromarray(_with_opacity(plain))
    palette = image.quantize(32)
    yield "transparent png in Display P3", encode(clear, icc_profile=wide)
    yield "png with a palette in Display P3", encode(palette, icc_profile=wide)
    yield (
        "png with a clear colour in its palette in Display P3",
        encode(palette, transparency=3, icc_profile=wide),
    )
    packed = zlib.compress(wide)
    deep = plain.astype(np.uint16) * 257
    yield "png of 16 bits in P3", pictures.png(deep, 2, ((b"iCCP", b"P3\0\0" + packed),))
    yield "lossless webp in Display P3", encode(image, "WEBP", lossless=True, icc_profile=wide)
    yield (
        "lossless webp with opacity in Display P3",
        encode(clear, "WEBP", lossless=True, icc_profile=wide),
    )
    yield "avif in Display P3", encode(photo, "AVIF", icc_profile=wide)
    yield "grey jpeg in Display P3", encode(photo.convert("L"), "JPEG", icc_profile=wide)
    yield "cmyk jpeg in Display P3", encode(image.convert("CMYK"), "JPEG", icc_profile=wide)
    for gamma in (1.0, 1.7, 2.2):
        told = {"icc_profile": pictures.grey_gamma(gamma)}
        yield f"grey png with a gamma of {gamma}", encode(image.convert("L"), **told)
        yield f"grey jpeg with a gamma of {gamma}", encode(photo.convert("L"), "JPEG", **told)
    yield "transparent grey png with a gamma", encode(clear.convert("LA"), icc_profile=grey_only)
    yield "colour jpeg with a profile for grey", encode(photo, "JPEG", icc_profile=grey_only)
    yield "colour png with a profile for grey", encode(plain, icc_profile=grey_only)


def profiles() -> Iterator[tuple[str, bytes]]:
    """Profiles of three colorants and curves, of every kind of curve that starts at 0."""
    srgb = pictures.parametric_curve(3, 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
    steps = np.linspace(0, 1, 1024)
    sampled = pictures.sampled_curve(np.where(steps < 0.08, steps / 9, steps**2.3))
    gamma, p3 = pictures.gamma_curve(1.8), pictures.DISPLAY_P3
    five = pictures.parametric_curve(4, 2.4, 0.94, 0.06, 0.08, 0.04, 0, 0)
    yield "Display P3", pictures.display_p3()
    yield "Display P3 as phones write it", pictures.matrix_profile(p3, srgb)
    yield "Adobe RGB", pictures.matrix_profile(pictures.ADOBE, pictures.gamma_curve(563 / 256))
    yield "P3 by a table", pictures.matrix_profile(p3, sampled)
    yield "P3 of 3 curves", pictures.matrix_profile(p3, srgb, gamma, sampled)
    yield "P3 by 7 numbers", pictures.matrix_profile(p3, five)
    yield "linear P3", pictures.matrix_profile(p3, b"curv" + bytes(8))
    yield "a long profile", pictures.matrix_profile(p3, srgb, text=bytes(150_000))


def left_to_browsers() -> Iterator[tuple[str, bytes]]:
    """Files with profiles that a browser converts, with other rounding than the server's."""
    plain = pictures.shapes(*_SIZE, 2)
    printer = bytearray(pictures.display_p3())
    printer[12:16] = b"prtr"  # a class that is not known to be converted as others are
    yield "jpeg with a printer's P3", encode(plain, "JPEG", icc_profile=bytes(printer))


def _pngs(plain: pictures.RGB) -> Iterator[tuple[str, bytes]]:
    image = Image.fromarray(plain)
    clear = Image.fromarray(_with_opacity(plain))
    palette = image.quantize(32)
    yield "png", encode(plain)
    yield "png with opacity", encode(clear)
    yield "grey png with opacity", encode(clear.convert("LA"))
    yield "grey png", encode(image.convert("L"))
    yield "png in black and white", encode(image.convert("1"))
    yield "png with a palette", encode(palette)
    yield "png with a clear colour in its palette", encode(palette, transparency=3)
    deep = plain.astype(np.uint16) * 257
    yield "png of 16 bits", pictures.png(deep, 2)
    yield "grey png of 16 bits", pictures.png(deep[..., 0], 0)
    other = Image.fromarray(plain[::-1].copy())
    yield "animated png", encode(plain, save_all=True, append_images=[other])


def _others(colour: Image.Image, photo: Image.Image) -> Iterator[tuple[str, bytes]]:
    palette = colour.quantize(32)
    clear = Image.fromarray(_with_opacity(np.asarray(colour)))
    yield "gif", encode(palette, "GIF")
    yield "gif with a clear colour", encode(palette, "GIF", transparency=3)
    yield "animated gif", encode(palette, "GIF", save_all=True, append_images=[photo.quantize(16)])
    yield "bmp", encode(photo, "BMP")
    yield "webp", encode(photo, "WEBP", quality=70)
    yield "lossless webp", encode(colour, "WEBP", lossless=True)
    yield "webp with opacity", encode(clear, "WEBP", quality=80)
    yield "lossless webp with opacity", encode(clear, "WEBP", lossless=True)
    yield "avif", encode(photo, "AVIF", quality=70)
    yield "avif, full chroma", encode(colour, "AVIF", quality=90, subsampling="4:4:4")
    yield "a few pixels", encode(pictures.textured(5, 5))
    yield "long and thin", encode(pictures.textured(3000, 64, 3))


def _with_opacity(plain: pictures.RGB) -> np.ndarray:
    height, width = plain.shape[:2]
    return np.dstack([plain, pictures.textured(width, height, 7)[..., 0]])


def _exif(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()
