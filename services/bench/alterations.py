"""What people do to a picture before they upload it again: a catalogue of named alterations.

Every alteration is a function of the picture, a random generator and a scene (other pictures, a
face), and gives the same pixels for the same seed. Pictures are uint8 RGB (height, width, 3).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial, reduce
from zlib import crc32

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Picture = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """What alterations borrow: unrelated pictures, and a face (RGB) to paste over another."""

    others: tuple[Picture, ...] = field(repr=False)
    face: Picture = field(repr=False)


Change = Callable[[Picture, np.random.Generator, Scene], Picture]


@dataclass(frozen=True, slots=True)
class Alteration:
    """A named thing that people do, in a group of its like."""

    name: str
    group: str
    change: Change = field(repr=False)

    def apply(self, picture: Picture, scene: Scene, seed: int) -> Picture:
        """The altered picture; the same for the same picture, scene and seed."""
        rng = np.random.default_rng([seed, crc32(self.name.encode())])
        return np.ascontiguousarray(self.change(picture, rng, scene))


def catalogue() -> tuple[Alteration, ...]:
    """All alterations, in the order in which a report lists them."""
    return tuple(
        Alteration(name, group, change)
        for group, members in _GROUPS.items()
        for name, change in members.items()
    )


# Codecs and sizes


def _jpeg(picture: Picture, _: np.random.Generator, __: Scene, *, quality: int) -> Picture:
    return _recoded(picture, ".jpg", [cv2.IMWRITE_JPEG_QUALITY, quality])


def _webp(picture: Picture, _: np.random.Generator, __: Scene, *, quality: int) -> Picture:
    return _recoded(picture, ".webp", [cv2.IMWRITE_WEBP_QUALITY, quality])


def _recoded(picture: Picture, kind: str, options: list[int]) -> Picture:
    _, coded = cv2.imencode(kind, np.ascontiguousarray(picture[:, :, ::-1]), options)
    return _picture(np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR))[:, :, ::-1])


def _resize(
    picture: Picture, _: np.random.Generator, __: Scene, *, across: float, down: float
) -> Picture:
    height, width = picture.shape[:2]
    return _sized(picture, max(16, round(width * across)), max(16, round(height * down)))


def _thumbnail(picture: Picture, _: np.random.Generator, __: Scene, *, longer: int) -> Picture:
    height, width = picture.shape[:2]
    scale = longer / max(height, width)
    return _sized(picture, max(16, round(width * scale)), max(16, round(height * scale)))


def _sized(picture: Picture, width: int, height: int) -> Picture:
    smaller = width * height < picture.shape[0] * picture.shape[1]
    how = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    return _picture(cv2.resize(picture, (width, height), interpolation=how))


# Crops


def _crop(picture: Picture, rng: np.random.Generator, _: Scene, *, share: float) -> Picture:
    """Keep ``1 - share`` of each side, anywhere."""
    height, width = picture.shape[:2]
    keep_down, keep_across = round(height * (1 - share)), round(width * (1 - share))
    top = int(rng.integers(0, height - keep_down + 1))
    left = int(rng.integers(0, width - keep_across + 1))
    return picture[top : top + keep_down, left : left + keep_across]


def _crop_side(
    picture: Picture, _: np.random.Generator, __: Scene, *, side: str, share: float
) -> Picture:
    height, width = picture.shape[:2]
    down, across = round(height * share), round(width * share)
    return {
        "left": picture[:, across:],
        "right": picture[:, : width - across],
        "top": picture[down:],
        "bottom": picture[: height - down],
    }[side]


def _square(picture: Picture, _: np.random.Generator, __: Scene) -> Picture:
    height, width = picture.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return picture[top : top + side, left : left + side]


# Turns


def _mirror(picture: Picture, _: np.random.Generator, __: Scene) -> Picture:
    return picture[:, ::-1]


def _upside_down(picture: Picture, _: np.random.Generator, __: Scene) -> Picture:
    return picture[::-1]


def _quarter(picture: Picture, _: np.random.Generator, __: Scene, *, turns: int) -> Picture:
    return _picture(np.rot90(picture, turns))


def _rotate(
    picture: Picture, rng: np.random.Generator, _: Scene, *, degrees: float, zoomed: bool
) -> Picture:
    """Turned either way: on black with all of it visible, or zoomed until no corner shows."""
    height, width = picture.shape[:2]
    angle = degrees * (1 if rng.random() < 0.5 else -1)
    sine, cosine = np.sin(np.deg2rad(degrees)), np.cos(np.deg2rad(degrees))
    if zoomed:
        share = 1 / (cosine + max(width / height, height / width) * sine)
        size = (int(width * share), int(height * share))
    else:
        size = (int(height * sine + width * cosine), int(height * cosine + width * sine))
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), angle, 1)
    matrix[:, 2] += (size[0] / 2 - width / 2, size[1] / 2 - height / 2)
    return _picture(cv2.warpAffine(picture, matrix, size, flags=cv2.INTER_LINEAR))


# Grounds: borders, bars, captions


def _framed(
    picture: Picture,
    top: float,
    right: float,
    bottom: float,
    left: float,
    colour: tuple[int, int, int],
) -> Picture:
    """The picture with bars in shares of its longer side."""
    longer = max(picture.shape[:2])
    above, below, before, after = (round(longer * share) for share in (top, bottom, left, right))
    return _picture(
        cv2.copyMakeBorder(picture, above, below, before, after, cv2.BORDER_CONSTANT, value=colour)
    )


def _border(
    picture: Picture,
    _: np.random.Generator,
    __: Scene,
    *,
    share: float,
    colour: tuple[int, int, int],
) -> Picture:
    return _framed(picture, share, share, share, share, colour)


def _letterbox(picture: Picture, _: np.random.Generator, __: Scene, *, aspect: float) -> Picture:
    """Black bars until the picture has an aspect ratio (width to height)."""
    height, width = picture.shape[:2]
    wide, tall = max(width, round(height * aspect)), max(height, round(width / aspect))
    canvas = np.zeros((tall, wide, 3), np.uint8)
    return _placed(canvas, picture, (wide - width) // 2, (tall - height) // 2)


def _blurred_fill(picture: Picture, _: np.random.Generator, __: Scene) -> Picture:
    """The picture on a blurred and darkened blow-up of itself, 9:16 or 16:9."""
    height, width = picture.shape[:2]
    wide, tall = (
        (width, round(width * 16 / 9)) if width >= height else (round(height * 1.6), height)
    )
    scale = max(wide / width, tall / height)
    large = cv2.resize(picture, None, fx=scale, fy=scale)
    top, left = (large.shape[0] - tall) // 2, (large.shape[1] - wide) // 2
    canvas = large[top : top + tall, left : left + wide]
    canvas = cv2.GaussianBlur(canvas, (0, 0), max(wide, tall) / 40)
    canvas = (canvas * 0.8).astype(np.uint8)
    return _placed(_picture(canvas), picture, (wide - width) // 2, (tall - height) // 2)


def _polaroid(picture: Picture, _: np.random.Generator, __: Scene) -> Picture:
    framed = _framed(picture, 0.05, 0.05, 0.2, 0.05, (246, 244, 238))
    return _framed(framed, 0.04, 0.04, 0.04, 0.04, (120, 90, 60))


def _caption(
    picture: Picture, rng: np.random.Generator, _: Scene, *, where: str, dark: bool
) -> Picture:
    """A bar above or below with one or two lines of text."""
    width = picture.shape[1]
    lines = int(rng.integers(1, 3))
    letter = max(10, width // 18)
    bar = np.full((round(letter * (0.8 + 1.3 * lines)), width, 3), 12 if dark else 255, np.uint8)
    for line in range(lines):
        at = (width // 30, round(letter * (0.3 + 1.3 * line)))
        bar = _written(bar, _WORDS[int(rng.integers(len(_WORDS)))], at, letter, _ink(dark))
    parts = [bar, picture] if where == "top" else [picture, bar]
    return np.concatenate(parts)


def _ink(dark: bool) -> tuple[int, int, int]:
    return (240, 240, 240) if dark else (15, 15, 15)


_WORDS = (
    "when you see it you cannot unsee it",
    "nobody: absolutely nobody:",
    "she does not know this is online",
    "share before they delete this",
    "found this today, thoughts?",
)


def _written(
    picture: Picture,
    words: str,
    at: tuple[int, int],
    letter: int,
    ink: tuple[int, int, int],
    rim: int = 0,
) -> Picture:
    image = Image.fromarray(np.ascontiguousarray(picture))
    font = ImageFont.load_default(letter)
    ImageDraw.Draw(image).text(at, words, fill=ink, font=font, stroke_width=rim, stroke_fill=0)
    return np.array(image, dtype=np.uint8)


# Things laid over the picture


def _impact(picture: Picture, rng: np.random.Generator, _: Scene) -> Picture:
    """Large white letters with black rims over the top and the bottom."""
    height, width = picture.shape[:2]
    letter = max(12, width // 13)
    for down in (0.03, 0.97 - 1.2 * letter / height):
        words = _WORDS[int(rng.integers(len(_WORDS)))].upper()[:22]
        at = (width // 20, int(height * down))
        picture = _written(picture, words, at, letter, (255, 255, 255), max(1, letter // 14))
    return picture


def _text_line(picture: Picture, rng: np.random.Generator, _: Scene) -> Picture:
    height, width = picture.shape[:2]
    at = (width // 12, int(height * rng.uniform(0.2, 0.8)))
    return _written(picture, "@somebodys_leaks", at, max(10, width // 16), (255, 255, 255), 1)


def _watermark(picture: Picture, _: np.random.Generator, __: Scene) -> Picture:
    """The same words all over, a third opaque."""
    height, width = picture.shape[:2]
    letter = max(10, width // 20)
    marked = picture
    for row in range(5):
        for column in range(3):
            at = (int(width * (column / 3 + (row % 2) * 0.1)), int(height * row / 5))
            marked = _written(marked, "stockphoto", at, letter, (255, 255, 255))
    return _blended(picture, marked, 0.35)


def _logo(picture: Picture, rng: np.random.Generator, _: Scene) -> Picture:
    """A two-coloured disc with letters in a corner, 14% of the shorter side."""
    height, width = picture.shape[:2]
    size = max(12, round(min(height, width) * 0.14))
    left = size // 3 if rng.random() < 0.5 else width - size - size // 3
    top = size // 3 if rng.random() < 0.5 else height - size - size // 3
    marked = np.ascontiguousarray(picture).copy()
    middle = (left + size // 2, top + size // 2)
    cv2.circle(marked, middle, size // 2, (230, 40, 60), -1, cv2.LINE_AA)
    cv2.circle(marked, middle, size // 3, (255, 255, 255), -1, cv2.LINE_AA)
    return _written(marked, "tv", (left + size // 3, top + size // 4), size // 3, (20, 20, 20))


def _bar(picture: Picture, rng: np.random.Generator, _: Scene) -> Picture:
    """A black bar, as over eyes."""
    height, width = picture.shape[:2]
    marked = picture.copy()
    top = int(height * rng.uniform(0.15, 0.55))
    left = int(width * rng.uniform(0.1, 0.4))
    marked[top : top + round(height * 0.09), left : left + round(width * 0.45)] = 0
    return marked


def _sticker(picture: Picture, rng: np.random.Generator, _: Scene, *, share: float) -> Picture:
    """A round yellow face over a share of the area."""
    height, width = picture.shape[:2]
    radius = int((share * height * width / np.pi) ** 0.5)
    x = int(rng.uniform(radius * 0.9, max(radius, width - radius * 0.9)))
    y = int(rng.uniform(radius * 0.9, max(radius, height - radius * 0.9)))
    marked = np.ascontiguousarray(picture).copy()
    cv2.circle(marked, (x, y), radius, (255, 205, 40), -1, cv2.LINE_AA)
    for eye in (-1, 1):
        at = (x + eye * radius // 3, y - radius // 4)
        cv2.circle(marked, at, max(1, radius // 8), (60, 40, 20), -1, cv2.LINE_AA)
    mouth = (radius // 2, radius // 3)
    cv2.ellipse(marked, (x, y + radius // 6), mouth, 0, 0, 180, (60, 40, 20), max(1, radius // 12))
    return marked


def _mosaic(picture: Picture, rng: np.random.Generator, _: Scene) -> Picture:
    """A pixelated patch of 12% of the area."""
    height, width = picture.shape[:2]
    tall, wide = round(height * 0.35), round(width * 0.35)
    top, left = int(rng.integers(0, height - tall)), int(rng.integers(0, width - wide))
    patch = picture[top : top + tall, left : left + wide]
    coarse = cv2.resize(patch, (6, 6), interpolation=cv2.INTER_AREA)
    marked = picture.copy()
    marked[top : top + tall, left : left + wide] = cv2.resize(
        coarse, (wide, tall), interpolation=cv2.INTER_NEAREST
    )
    return marked


def _pasted_face(picture: Picture, rng: np.random.Generator, scene: Scene) -> Picture:
    """Somebody's face, feathered, over about 6% of the picture."""
    height, width = picture.shape[:2]
    tall = round((0.08 * height * width) ** 0.5)
    wide = round(tall * scene.face.shape[1] / scene.face.shape[0])
    tall, wide = min(tall, height), min(wide, width)
    top = int((height - tall) * rng.uniform(0.1, 0.6))
    left = int((width - wide) * rng.uniform(0.2, 0.8))
    mask = np.zeros((tall, wide), np.float32)
    cv2.ellipse(mask, (wide // 2, tall // 2), (wide * 2 // 5, tall * 2 // 5), 0, 0, 360, 1, -1)
    mask = cv2.GaussianBlur(mask, (0, 0), max(1, wide / 20))[..., None]
    marked = picture.copy()
    under = marked[top : top + tall, left : left + wide]
    face = _sized(scene.face, wide, tall)
    marked[top : top + tall, left : left + wide] = face * mask + under * (1 - mask)
    return marked


# Light and colour


def _light(
    picture: Picture, _: np.random.Generator, __: Scene, *, gain: float = 1.0, lift: float = 0.0
) -> Picture:
    return _bytes((picture.astype(np.float32) - 128) * gain + 128 + lift)


def _gamma(picture: Picture, _: np.random.Generator, __: Scene, *, power: float) -> Picture:
    curve = _bytes(255 * (np.arange(256) / 255) ** power)
    return curve[picture]


def _saturation(picture: Picture, _: np.random.Generator, __: Scene, *, gain: float) -> Picture:
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[..., None].astype(np.float32)
    return _bytes(grey + (picture - grey) * gain)


def _mixed(
    picture: Picture, _: np.random.Generator, __: Scene, *, matrix: tuple[tuple[float, ...], ...]
) -> Picture:
    """Each new channel as a mix of the old ones."""
    return _bytes(picture.astype(np.float32) @ np.array(matrix, np.float32).T)


_SEPIA = ((0.393, 0.769, 0.189), (0.349, 0.686, 0.168), (0.272, 0.534, 0.131))
_WARM = ((1.12, 0.02, 0.0), (0.0, 1.03, 0.0), (0.0, 0.0, 0.82))
_COLD = ((0.85, 0.0, 0.0), (0.0, 1.0, 0.03), (0.0, 0.05, 1.15))


def _faded(picture: Picture, rng: np.random.Generator, scene: Scene) -> Picture:
    """A film filter: lifted blacks, less contrast, a little warmth, dark corners."""
    height, width = picture.shape[:2]
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    corner = (1 - 0.35 * np.clip(x * x + y * y, 0, 2) / 2)[..., None]
    warm = _mixed(_light(picture, rng, scene, gain=0.8, lift=14), rng, scene, matrix=_WARM)
    return _bytes(warm * corner)


def _blur(picture: Picture, _: np.random.Generator, __: Scene, *, share: float) -> Picture:
    return _picture(cv2.GaussianBlur(picture, (0, 0), max(picture.shape[:2]) * share))


def _sharpen(picture: Picture, _: np.random.Generator, __: Scene) -> Picture:
    soft = cv2.GaussianBlur(picture, (0, 0), 2)
    return _bytes(picture * 2.0 - soft)


def _noise(picture: Picture, rng: np.random.Generator, _: Scene, *, deviation: float) -> Picture:
    return _bytes(picture + rng.normal(0, deviation, picture.shape))


# Screens and collages


def _phone_screenshot(picture: Picture, rng: np.random.Generator, _: Scene) -> Picture:
    """A post in an app on a phone: status bar, name, the picture, buttons, a line of text."""
    wide = 720
    shown = _sized(picture, wide, round(wide * picture.shape[0] / picture.shape[1]))
    dark = bool(rng.random() < 0.5)
    tall = max(1480, shown.shape[0] + 420)
    canvas = np.full((tall, wide, 3), 0 if dark else 255, np.uint8)
    ink = _ink(dark)
    canvas = _written(canvas, "12:41", (36, 18), 30, ink)
    cv2.rectangle(canvas, (640, 24), (690, 46), ink, 3)
    cv2.circle(canvas, (60, 150), 34, (200, 80, 120), -1, cv2.LINE_AA)
    canvas = _written(canvas, "somebody  ·  2 h", (112, 130), 30, ink)
    canvas = _placed(canvas, shown, 0, 210)
    below = 210 + shown.shape[0]
    canvas = canvas.copy()
    for at in (50, 120, 190):
        cv2.circle(canvas, (at, below + 48), 20, ink, 3, cv2.LINE_AA)
    return _written(canvas, "1,204 likes", (30, below + 90), 28, ink)


def _chat_screenshot(picture: Picture, rng: np.random.Generator, _: Scene) -> Picture:
    """A chat with the picture in a message, smaller than the screen, among others."""
    wide, tall = 720, 1280
    ground = np.array([(236, 229, 221), (11, 20, 26), (255, 255, 255)][int(rng.integers(3))])
    canvas = np.full((tall, wide, 3), ground, np.uint8)
    dark = bool(ground.mean() < 100)
    cv2.rectangle(canvas, (0, 0), (wide, 110), (7, 94, 84), -1)
    canvas = _written(canvas, "group of friends", (120, 40), 34, (255, 255, 255)).copy()
    for top, words in ((150, "did you see this"), (1130, "where is this from")):
        cv2.rectangle(
            canvas, (24, top), (430, top + 80), (60, 80, 70) if dark else (220, 248, 198), -1
        )
        canvas = _written(canvas, words, (44, top + 22), 28, _ink(dark)).copy()
    scale = min(520 / picture.shape[1], 820 / picture.shape[0])
    shown = _sized(picture, round(picture.shape[1] * scale), round(picture.shape[0] * scale))
    return _placed(canvas, shown, 170, 270)


def _desktop(picture: Picture, _: np.random.Generator, scene: Scene) -> Picture:
    """A browser window on a desktop whose wallpaper is another picture."""
    canvas = _sized(scene.others[0], 1440, 900).copy()
    canvas[90:840, 150:1290] = 250
    canvas[90:140, 150:1290] = 222
    canvas = _written(canvas, "https://example.org/thread/8812", (260, 102), 22, (60, 60, 60))
    scale = min(1000 / picture.shape[1], 620 / picture.shape[0])
    shown = _sized(picture, round(picture.shape[1] * scale), round(picture.shape[0] * scale))
    return _placed(canvas, shown, 720 - shown.shape[1] // 2, 160)


def _collage(
    picture: Picture, rng: np.random.Generator, scene: Scene, *, across: int, down: int, gap: int
) -> Picture:
    """A grid of equal cells; the picture fills one, stretched by at most the others' shape."""
    height, width = picture.shape[:2]
    cells = [_sized(_fitting(other, width / height), width, height) for other in scene.others]
    count = across * down
    mine = int(rng.integers(count))
    chosen = [picture if at == mine else cells[at % len(cells)] for at in range(count)]
    canvas = np.full(
        (down * height + (down - 1) * gap, across * width + (across - 1) * gap, 3), 255, np.uint8
    )
    for at, cell in enumerate(chosen):
        left, top = (at % across) * (width + gap), (at // across) * (height + gap)
        canvas[top : top + height, left : left + width] = cell
    return canvas


def _fitting(picture: Picture, aspect: float) -> Picture:
    """The middle of a picture with an aspect ratio (width to height)."""
    height, width = picture.shape[:2]
    wide, tall = min(width, int(height * aspect)), min(height, int(width / aspect))
    top, left = (height - tall) // 2, (width - wide) // 2
    return picture[top : top + tall, left : left + wide]


def _picture_in_picture(
    picture: Picture, rng: np.random.Generator, scene: Scene, *, share: float
) -> Picture:
    """The picture, at a share of the side, anywhere on another."""
    height, width = picture.shape[:2]
    canvas = _sized(_fitting(scene.others[1], width / height), width, height)
    small = _sized(picture, round(width * share), round(height * share))
    left = int(rng.integers(0, width - small.shape[1] + 1))
    top = int(rng.integers(0, height - small.shape[0] + 1))
    return _placed(canvas, small, left, top)


def _perspective(
    picture: Picture, rng: np.random.Generator, _: Scene, *, lean: float, ground: int
) -> Picture:
    """Seen from the side: each corner moves inwards by up to a share of the side."""
    height, width = picture.shape[:2]
    source = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    moves = rng.uniform(lean / 3, lean, (4, 2)) * (width, height)
    target = source + moves * np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]])
    turn = cv2.getPerspectiveTransform(source, target.astype(np.float32))
    colour = (ground, ground, ground)
    return _picture(cv2.warpPerspective(picture, turn, (width, height), borderValue=colour))


def _filmed_screen(picture: Picture, rng: np.random.Generator, scene: Scene) -> Picture:
    """A screen photographed at a slant in a dim room: bezel, moiré, glare, blur, noise, JPEG."""
    screen = _framed(picture, 0.03, 0.03, 0.04, 0.03, (14, 14, 16))
    room = _framed(screen, 0.12, 0.14, 0.16, 0.12, (62, 54, 48))
    slanted = _perspective(room, rng, scene, lean=0.06, ground=55).astype(np.float32)
    height, width = slanted.shape[:2]
    y, x = np.mgrid[0:height, 0:width]
    moire = 1 + 0.05 * np.sin(x * 0.9 + y * 0.07) * np.sin(y * 0.8 - x * 0.05)
    glare = 38 * np.exp(-(((x / width - 0.7) / 0.25) ** 2 + ((y / height - 0.3) / 0.3) ** 2))
    shot = slanted * moire[..., None] * 0.9 + glare[..., None]
    shot = cv2.GaussianBlur(_bytes(shot), (0, 0), max(height, width) / 900)
    return _jpeg(_noise(_picture(shot), rng, scene, deviation=5), rng, scene, quality=70)


# Building blocks


def _placed(canvas: Picture, picture: Picture, left: int, top: int) -> Picture:
    laid = canvas.copy()
    laid[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return laid


def _blended(picture: Picture, other: Picture, share: float) -> Picture:
    return _bytes(picture * (1 - share) + other.astype(np.float32) * share)


def _bytes(values: NDArray[np.floating]) -> Picture:
    return np.asarray(np.clip(np.rint(values), 0, 255), dtype=np.uint8)


def _picture(values: object) -> Picture:
    return np.ascontiguousarray(values, dtype=np.uint8)


def _then(*changes: Change) -> Change:
    """Several changes, one after another."""

    def change(picture: Picture, rng: np.random.Generator, scene: Scene) -> Picture:
        return reduce(
            lambda shown, one: np.ascontiguousarray(one(shown, rng, scene)), changes, picture
        )

    return change


_BLACK, _WHITE, _PINK = (0, 0, 0), (255, 255, 255), (250, 170, 200)
_POST = partial(_jpeg, quality=60)

_GROUPS: dict[str, dict[str, Change]] = {
    "codec": {
        **{f"JPEG {quality}": partial(_jpeg, quality=quality) for quality in (90, 50, 30, 10)},
        **{f"WebP {quality}": partial(_webp, quality=quality) for quality in (80, 40, 10)},
    },
    "size": {
        "half size": partial(_resize, across=0.5, down=0.5),
        "one and a half": partial(_resize, across=1.5, down=1.5),
        "thumbnail 160": partial(_thumbnail, longer=160),
        "stretched 25%": partial(_resize, across=1.25, down=1.0),
        "squeezed 20%": partial(_resize, across=0.8, down=1.0),
    },
    "light and colour": {
        "brighter": partial(_light, lift=40.0),
        "darker": partial(_light, lift=-40.0),
        "more contrast": partial(_light, gain=1.5),
        "less contrast": partial(_light, gain=0.6),
        "gamma 0.6": partial(_gamma, power=0.6),
        "gamma 1.6": partial(_gamma, power=1.6),
        "saturated": partial(_saturation, gain=1.8),
        "greyscale": partial(_saturation, gain=0.0),
        "sepia": partial(_mixed, matrix=_SEPIA),
        "warm filter": partial(_mixed, matrix=_WARM),
        "cold filter": partial(_mixed, matrix=_COLD),
        "faded filter": _faded,
        "blur": partial(_blur, share=0.004),
        "strong blur": partial(_blur, share=0.01),
        "sharpened": _sharpen,
        "noise": partial(_noise, deviation=14.0),
        "strong noise": partial(_noise, deviation=35.0),
    },
    "turn": {
        "mirrored": _mirror,
        "upside down": _upside_down,
        "quarter turn": partial(_quarter, turns=1),
        "half turn": partial(_quarter, turns=2),
        "three quarter turn": partial(_quarter, turns=3),
    },
    "rotation with corners": {
        f"rotated {degrees}°": partial(_rotate, degrees=degrees, zoomed=False)
        for degrees in (2, 5, 10, 15)
    },
    "rotation zoomed": {
        f"rotated {degrees}°, zoomed": partial(_rotate, degrees=degrees, zoomed=True)
        for degrees in (2, 5, 10, 15)
    },
    "crop": {f"crop {share}%": partial(_crop, share=share / 100) for share in (5, 10, 20, 30, 50)},
    "crop of a side": {
        "left 10% off": partial(_crop_side, side="left", share=0.10),
        "top 15% off": partial(_crop_side, side="top", share=0.15),
        "right 20% off": partial(_crop_side, side="right", share=0.20),
        "bottom 30% off": partial(_crop_side, side="bottom", share=0.30),
        "square crop": _square,
    },
    "border": {
        "black border 5%": partial(_border, share=0.05, colour=_BLACK),
        "white border 10%": partial(_border, share=0.10, colour=_WHITE),
        "pink border 15%": partial(_border, share=0.15, colour=_PINK),
        "letterbox 9:16": partial(_letterbox, aspect=9 / 16),
        "letterbox 21:9": partial(_letterbox, aspect=21 / 9),
        "blurred fill": _blurred_fill,
        "polaroid": _polaroid,
    },
    "caption": {
        "caption above": partial(_caption, where="top", dark=False),
        "caption below": partial(_caption, where="bottom", dark=False),
        "dark caption below": partial(_caption, where="bottom", dark=True),
    },
    "overlay": {
        "large letters": _impact,
        "line of text": _text_line,
        "watermark": _watermark,
        "logo": _logo,
        "black bar": _bar,
        "mosaic 12%": _mosaic,
    },
    "sticker": {f"sticker {share}%": partial(_sticker, share=share / 100) for share in (5, 10, 20)},
    "screenshot": {
        "phone screenshot": _phone_screenshot,
        "chat screenshot": _chat_screenshot,
        "browser on a desktop": _desktop,
    },
    "collage": {
        "collage 2x2": partial(_collage, across=2, down=2, gap=12),
        "collage 2x2, no gap": partial(_collage, across=2, down=2, gap=0),
        "side by side": partial(_collage, across=2, down=1, gap=0),
        "one above another": partial(_collage, across=1, down=2, gap=10),
    },
    "picture in picture": {
        f"picture in picture {share}%": partial(_picture_in_picture, share=share / 100)
        for share in (70, 50, 30)
    },
    "camera": {
        "perspective on black": partial(_perspective, lean=0.08, ground=0),
        "perspective on white": partial(_perspective, lean=0.14, ground=255),
        "filmed screen": _filmed_screen,
    },
    "face": {"pasted face": _pasted_face},
    "three at once": {
        "crop 5%, caption, JPEG": _then(
            partial(_crop, share=0.05), partial(_caption, where="top", dark=False), _POST
        ),
        "mirrored, warm, JPEG 30": _then(
            _mirror, partial(_mixed, matrix=_WARM), partial(_jpeg, quality=30)
        ),
        "border, text, JPEG": _then(partial(_border, share=0.06, colour=_BLACK), _text_line, _POST),
        "screenshot, half size, JPEG": _then(
            _phone_screenshot, partial(_resize, across=0.5, down=0.5), _POST
        ),
        "letterbox, logo, JPEG": _then(partial(_letterbox, aspect=9 / 16), _logo, _POST),
        "crop 10%, mirrored, JPEG": _then(partial(_crop, share=0.10), _mirror, _POST),
        "sticker, crop 5%, JPEG": _then(
            partial(_sticker, share=0.05), partial(_crop, share=0.05), _POST
        ),
        "rotated 5°, caption, JPEG": _then(
            partial(_rotate, degrees=5, zoomed=False),
            partial(_caption, where="bottom", dark=False),
            _POST,
        ),
        "greyscale, collage, JPEG": _then(
            partial(_saturation, gain=0.0), partial(_collage, across=2, down=2, gap=12), _POST
        ),
        "mirrored, filmed, half size": _then(
            _mirror, _filmed_screen, partial(_resize, across=0.5, down=0.5)
        ),
        "crop 20%, logo, mirrored": _then(partial(_crop, share=0.20), _logo, _mirror),
    },
}
