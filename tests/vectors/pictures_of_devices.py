"""Picture files that a phone or a computer may hold, generated: every colour mode and orientation.

Shared by the server's tests and the browser's: the same bytes go to both, the codes must agree.
"""

from __future__ import annotations

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
    """Files with colour profiles, which browsers convert with other rounding."""
    plain = pictures.shapes(*_SIZE, 2)
    yield "jpeg in Display P3", encode(plain, "JPEG", icc_profile=pictures.display_p3())
    yield "png in Display P3", encode(plain, "PNG", icc_profile=pictures.display_p3())
    grey = Image.fromarray(plain).convert("L")
    yield "grey png with a gamma", encode(grey, "PNG", icc_profile=pictures.grey_gamma(2.2))
    clear = Image.fromarray(_with_opacity(plain))
    yield "transparent png in Display P3", encode(clear, "PNG", icc_profile=pictures.display_p3())


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
