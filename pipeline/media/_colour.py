"""Whatever a decoder gives, to sRGB on white: profiles, palettes, transparency, deep pixels."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image, ImageCms

_LARGEST_PROFILE = 4 * 1024 * 1024
_BITS_PER_SAMPLE = 258


def to_srgb(image: Image.Image) -> Image.Image:
    """A loaded image of any mode as an RGB image in sRGB, transparency flattened on white."""
    profile = image.info.get("icc_profile")
    colour, alpha = _apart(image)
    rgb = _managed(colour, profile if isinstance(profile, bytes) else None)
    if alpha is None or alpha.getextrema() == (255, 255):
        return rgb
    white = Image.new("RGB", rgb.size, "white")
    white.paste(rgb, mask=alpha)
    return white


def _apart(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Colour as L, RGB, CMYK or LAB in 8 bits, and the opacity as L where there is any."""
    mode = image.mode
    if mode in ("I", "F") or mode.startswith("I;16"):
        return _eight_bits(image)
    if mode in ("RGB", "L") and _is_deep_png(image):
        image.info["transparency"] = _high_byte(image.info["transparency"])
    if mode == "LA":
        return image.getchannel("L"), image.getchannel("A")
    if mode in ("RGBA", "PA", "RGBa", "La") or "transparency" in image.info:
        whole = image if mode == "RGBA" else _opacity_told(image)
        # convert drops the opacity without blending, so that the profile sees the true colours.
        return whole.convert("RGB"), whole.getchannel("A")
    if mode == "1":
        return image.convert("L"), None
    if mode in ("L", "RGB", "CMYK", "LAB"):
        return image, None
    return image.convert("RGB"), None


def _opacity_told(image: Image.Image) -> Image.Image:
    if image.mode == "La":
        return image.convert("LA").convert("RGBA")
    return image.convert("RGBA")


def _eight_bits(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Deep grey to L by shifting, as Pillow's own conversion would clip everything above 255."""
    values = np.asarray(image)
    if image.mode == "F":
        whole = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
        scale = 255.0 if whole.size and whole.max() <= 1 else 1.0
        return Image.fromarray(np.clip(whole * scale, 0, 255).astype(np.uint8)), None
    shift = max(_bits(image) - 8, 0)
    wide = values.astype(np.int64)
    grey = Image.fromarray(np.clip(wide >> shift, 0, 255).astype(np.uint8))
    clear = image.info.get("transparency")
    if not isinstance(clear, int):
        return grey, None
    return grey, Image.fromarray(np.where(wide == clear, 0, 255).astype(np.uint8))


def _bits(image: Image.Image) -> int:
    tags: Any = getattr(image, "tag_v2", None)
    told = tags.get(_BITS_PER_SAMPLE) if tags is not None else None
    return int(told[0]) if told else 16


def _is_deep_png(image: Image.Image) -> bool:
    """Whether a 16-bit colour PNG names a transparent colour: in 16 bits, of pixels now in 8."""
    clear = image.info.get("transparency")
    return isinstance(clear, tuple) and max(clear) > 255


def _high_byte(clear: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(value >> 8 for value in clear)


def _managed(colour: Image.Image, profile: bytes | None) -> Image.Image:
    if colour.mode == "LAB":
        return _lab().apply(colour)
    transform = None
    if profile is not None and len(profile) <= _LARGEST_PROFILE:
        transform = _transform(_Profile(hashlib.sha256(profile).digest(), profile))
    if transform is None:
        return colour if colour.mode == "RGB" else colour.convert("RGB")
    if transform.mode == "RGB":
        colour = colour if colour.mode == "RGB" else colour.convert("RGB")
    elif transform.mode != colour.mode:
        return colour.convert("RGB")
    return transform.apply(colour)


@dataclass(frozen=True, slots=True)
class _Profile:
    """A profile that a cache knows by its digest."""

    digest: bytes
    body: bytes = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class _Transform:
    """From pixels of ``mode`` to sRGB; ``table`` is None where that changes nothing to speak of."""

    mode: str
    table: ImageCms.ImageCmsTransform | None

    def apply(self, colour: Image.Image) -> Image.Image:
        if self.table is None:
            return colour
        done = ImageCms.applyTransform(colour, self.table)
        return colour.convert("RGB") if done is None else done


@lru_cache(maxsize=32)
def _transform(profile: _Profile) -> _Transform | None:
    """How to read a profile's colours; None, which means sRGB, where it is broken or no input.

    Whether a profile is sRGB is asked of what it does to colours and not of its name, which anybody
    can write into a profile that turns the picture into something else.
    """
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile.body))
        mode = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}.get(source.profile.xcolor_space.strip())
        if mode is None:
            return None
        table = ImageCms.buildTransform(source, _srgb(), mode, "RGB")
        if mode == "RGB":
            before = _colours()
            after = ImageCms.applyTransform(before, table)
            if after is not None and _far(before, after) <= 1:
                return _Transform(mode, None)
        return _Transform(mode, table)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError, AttributeError):
        return None


@lru_cache(maxsize=1)
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


@lru_cache(maxsize=1)
def _lab() -> _Transform:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    return _Transform("LAB", ImageCms.buildTransform(lab, _srgb(), "LAB", "RGB"))


@lru_cache(maxsize=1)
def _colours() -> Image.Image:
    """Every combination of 16 levels a channel: 4096 colours."""
    levels = np.linspace(0, 255, 16).astype(np.uint8)
    cube = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1)
    return Image.fromarray(cube.reshape(64, 64, 3))


def _far(one: Image.Image, other: Image.Image) -> int:
    return int(np.abs(np.asarray(one, np.int16) - np.asarray(other, np.int16)).max())
