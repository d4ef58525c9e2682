"""How an upload is shown while it is revealed: marked with who looks, or drawn as a cartoon."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

_CARTOON_SIDE = 720


def watermarked(picture: Image.Image, pseudonym: str) -> Image.Image:
    """The picture with the reviewer's pseudonym all over it, faint.

    A photo of the screen says whose screen it was.
    """
    return marked(picture, watermark(picture.size, pseudonym))


def marked(picture: Image.Image, layer: Image.Image) -> Image.Image:
    """A picture under a watermark of its own size."""
    return Image.alpha_composite(picture.convert("RGBA"), layer).convert("RGB")


def watermark(shape: tuple[int, int], pseudonym: str) -> Image.Image:
    """What lies over a picture of this width and height; one will do for a whole video."""
    size = max(14, min(shape) // 18)
    font = ImageFont.load_default(size)
    mark = Image.new("RGBA", (size * (len(pseudonym) + 1), size * 2))
    pen = ImageDraw.Draw(mark)
    pen.text((size // 2, size // 2), pseudonym, font=font, fill=(255, 255, 255, 90),
             stroke_width=max(1, size // 14), stroke_fill=(0, 0, 0, 90))  # fmt: skip
    turned = mark.rotate(24, expand=True, resample=Image.Resampling.BICUBIC)
    layer = Image.new("RGBA", shape)
    for row, y in enumerate(range(-turned.height // 2, layer.height, turned.height)):
        shift = (row % 2) * turned.width // 2
        for x in range(-turned.width + shift, layer.width, turned.width):
            layer.paste(turned, (x, y))  # side by side: nothing lies beneath
    return layer


def cartoon(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Flat areas of few colours with drawn edges, at most 720 pixels a side.

    What happens in the picture can be told, skin and faces can't: an alternative for whoever would
    rather not see it as it is.
    """
    scale = _CARTOON_SIDE / max(rgb.shape[:2])
    if scale < 1:
        rgb = np.asarray(
            cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8
        )
    soft = cv2.pyrMeanShiftFiltering(rgb, 12, 28)
    levels = (soft // 48 * 48 + 24).astype(np.uint8)
    grey = cv2.medianBlur(cv2.cvtColor(soft, cv2.COLOR_RGB2GRAY), 5)
    edges = cv2.adaptiveThreshold(grey, 255, cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY, 9, 4)
    return np.asarray(cv2.bitwise_and(levels, levels, mask=edges), np.uint8)
