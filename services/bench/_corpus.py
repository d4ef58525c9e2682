"""Pictures to measure on: bundled photographs, an operator's folder, and generated strangers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import Misconfigured
from services.bench.alterations import Picture, Scene

_PHOTOGRAPHS = (
    "astronaut.png",
    "camera.png",
    "chelsea.png",
    "coffee.png",
    "coins.png",
    "hubble_deep_field.jpg",
    "ihc.png",
    "motorcycle_left.png",
    "retina.jpg",
    "rocket.jpg",
)
_FRESH = ("brick.png", "clock_motion.png", "gravel.png", "moon.png")
_FRESH_ARRAYS = ("aero.npz", "ascent.npz")
"""Pictures that nothing was tuned on: they report. The arrays come with PyWavelets."""

_STRANGERS = (
    "cell.png",
    "color.png",
    "grass.png",
    "horse.png",
    "logo.png",
    "page.png",
    "text.png",
)
_PIXELS = 400_000


@dataclass(frozen=True, slots=True, eq=False)
class Corpus:
    """``tuned`` and ``reported`` are registered, half by half; ``strangers`` never are."""

    tuned: tuple[tuple[str, Picture], ...] = field(repr=False)
    reported: tuple[tuple[str, Picture], ...] = field(repr=False)
    strangers: tuple[tuple[str, Picture], ...] = field(repr=False)
    scene: Scene = field(repr=False)
    described: str


def corpus(images: Path | None, seed: int, *, most: int | None = None) -> Corpus:
    """The bundled photographs, or a folder's split in halves by turns, and unrelated pictures.

    Raises ``Misconfigured`` when the folder holds fewer than eight readable pictures, or when
    scikit-image, which brings the bundled ones, is not installed.
    """
    named = _of_folder(images) if images is not None else _bundled()
    strangers = [*_skimage(_STRANGERS), *generated(seed)]
    if images is not None:
        cut = max(3, len(named) // 5)
        strangers, named = [*named[:cut], *strangers], named[cut:]
        tuned, reported = named[::2], named[1::2]
        source = f"{len(named)} pictures of {images.name}, half and half"
    else:
        tuned, reported = named, _fresh()
        source = f"{len(tuned)} bundled pictures to tune on, {len(reported)} fresh ones to report"
    scene = Scene(tuple(_scenery(strangers)), _face())
    return Corpus(
        tuple(tuned[:most]),
        tuple(reported[:most]),
        tuple(strangers),
        scene,
        f"{source}, {len(strangers)} strangers that are never registered",
    )


def generated(seed: int) -> Iterator[tuple[str, Picture]]:
    """Strangers that look like one another or like nothing: the false-positive side.

    Black frames, gradients, pages of text, memes of one template, logos, codes of squares,
    near-duplicate stock scenes.
    """
    rng = np.random.default_rng(seed)
    for level in (0, 128, 255):
        yield f"plain {level}", np.full((480, 640, 3), level, np.uint8)
    for at in range(6):
        yield f"gradient {at}", _gradient(rng)
    for at in range(12):
        yield f"page of text {at}", _page(rng)
    for at in range(12):
        yield f"meme {at}", _meme(rng)
    for at in range(10):
        yield f"logo {at}", _logo(rng)
    for at in range(8):
        yield f"square code {at}", _square_code(rng)
    for at in range(24):
        yield f"stock scene {at}", stock_scene(rng)


def stock_scene(rng: np.random.Generator) -> Picture:
    """One place on different days: the same hills, with other light, clouds and people."""
    height, width = 480, 640
    y = np.linspace(0, 1, height)[:, None]
    sky = np.array([120, 170, 230]) * rng.uniform(0.7, 1.1) + rng.normal(0, 10, 3)
    canvas = np.repeat((sky + y[..., None] * rng.uniform(10, 60)), width, axis=1)
    x = np.arange(width)
    for layer, base in enumerate((0.45, 0.6, 0.8)):
        ridge = base + 0.06 * np.sin(x / (70 + 30 * layer) + layer * 2.1)
        ground = np.array([60, 110, 50]) * (1 - 0.2 * layer) * rng.uniform(0.8, 1.2)
        canvas[(y > ridge[None])] = ground
    canvas += _clouds(rng, height, width)[..., None] * (y < 0.5)[..., None] * 60
    for _ in range(int(rng.integers(1, 5))):
        centre = (int(rng.uniform(60, width - 60)), int(rng.uniform(330, 440)))
        colour = tuple(float(value) for value in rng.integers(0, 255, 3))
        cv2.ellipse(canvas, centre, (int(rng.uniform(10, 30)), 45), 0, 0, 360, colour, -1)
        cv2.circle(canvas, (centre[0], centre[1] - 58), 14, (205, 160, 130), -1)
    return np.clip(canvas + rng.normal(0, 4, canvas.shape), 0, 255).astype(np.uint8)


def _clouds(rng: np.random.Generator, height: int, width: int) -> NDArray[np.float64]:
    """Smooth noise of several scales, around zero."""
    total = np.zeros((height, width))
    for cells in (4, 8, 16, 32):
        coarse = rng.normal(0, 1, (cells, cells))
        total += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC) / cells * 4
    return total


def _gradient(rng: np.random.Generator) -> Picture:
    y, x = np.mgrid[0:1:480j, 0:1:640j]
    angle = rng.uniform(0, 2 * np.pi)
    along = (x * np.cos(angle) + y * np.sin(angle))[..., None]
    shades = rng.uniform(0, 255, 3) + along * rng.uniform(-200, 200, 3)
    return np.asarray(np.clip(shades, 0, 255), dtype=np.uint8)


def _page(rng: np.random.Generator) -> Picture:
    page = np.full((640, 480, 3), 250, np.uint8)
    for line in range(int(rng.integers(14, 30))):
        words = " ".join(
            "".join(rng.choice(list("etaoinshrdlu"), int(rng.integers(2, 9)))) for _ in range(7)
        )
        cv2.putText(page, words[:44], (30, 40 + line * 20), 0, 0.5, (30, 30, 30), 1, cv2.LINE_AA)
    return page


def _meme(rng: np.random.Generator) -> Picture:
    """One template with other words: those who share it share most of its pixels."""
    template = np.random.default_rng(5)
    canvas = stock_scene(template)
    for at, top in enumerate((60, 450)):
        words = "".join(rng.choice(list("ABCDEFGHIKLMNOPRSTU "), 18))
        cv2.putText(canvas, words, (30, top), 0, 1.2 + 0.2 * at, (0, 0, 0), 8, cv2.LINE_AA)
        cv2.putText(canvas, words, (30, top), 0, 1.2 + 0.2 * at, (255, 255, 255), 3, cv2.LINE_AA)
    return canvas


def _logo(rng: np.random.Generator) -> Picture:
    canvas = np.full((500, 500, 3), 255, np.uint8)
    for _ in range(int(rng.integers(2, 5))):
        colour = tuple(float(value) for value in rng.integers(0, 255, 3))
        first, second = (tuple(int(v) for v in rng.integers(80, 420, 2)) for _ in range(2))
        if rng.random() < 0.5:
            cv2.circle(canvas, first, int(rng.integers(40, 140)), colour, -1, cv2.LINE_AA)
        else:
            cv2.rectangle(canvas, first, second, colour, -1)
    return canvas


def _square_code(rng: np.random.Generator) -> Picture:
    cells = (rng.random((29, 29)) < 0.5).astype(np.uint8) * 255
    for top, left in ((0, 0), (0, 22), (22, 0)):
        cells[top : top + 7, left : left + 7] = 0
        cells[top + 1 : top + 6, left + 1 : left + 6] = 255
        cells[top + 2 : top + 5, left + 2 : left + 5] = 0
    framed = np.pad(np.kron(cells, np.ones((14, 14), np.uint8)), 40, constant_values=255)
    return np.repeat(framed[..., None], 3, axis=2)


def _bundled() -> list[tuple[str, Picture]]:
    found = list(_skimage(_PHOTOGRAPHS))
    group = resources.files("insightface").joinpath("data/images/t1.jpg")
    if group.is_file():
        found += [("t1.jpg", _read(np.frombuffer(group.read_bytes(), np.uint8)))]
    return found


def _fresh() -> list[tuple[str, Picture]]:
    found = list(_skimage(_FRESH))
    folder = resources.files("pywt").joinpath("data")
    for name in _FRESH_ARRAYS:
        with resources.as_file(folder.joinpath(name)) as path, np.load(path) as arrays:
            grey = arrays[arrays.files[0]].astype(np.uint8)
        found.append((name, np.repeat(grey[..., None], 3, axis=2)))
    return found


def _skimage(names: tuple[str, ...]) -> Iterator[tuple[str, Picture]]:
    try:
        folder = resources.files("skimage").joinpath("data")
    except ModuleNotFoundError:
        raise Misconfigured(
            "the bundled pictures come with scikit-image; install consentry[demo] or name a folder"
        ) from None
    for name in names:
        yield name, _read(np.frombuffer(folder.joinpath(name).read_bytes(), np.uint8))


def _of_folder(folder: Path) -> list[tuple[str, Picture]]:
    found = []
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in (".jpg", ".jpeg", ".png", ".webp") and path.is_file():
            coded = np.frombuffer(path.read_bytes(), np.uint8)
            if len(coded) and cv2.imdecode(coded, cv2.IMREAD_COLOR) is not None:
                found.append((path.name, _read(coded)))
    if len(found) < 8:
        raise Misconfigured(f"{folder} holds {len(found)} readable pictures; give at least eight")
    return found


def _read(coded: NDArray[np.uint8]) -> Picture:
    """Colour pixels of at most 0.4 megapixels: enough for every method here, and quick."""
    decoded = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR))[:, :, ::-1]
    scale = (_PIXELS / (decoded.shape[0] * decoded.shape[1])) ** 0.5
    if scale < 1:
        decoded = cv2.resize(
            np.ascontiguousarray(decoded), None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA
        )
    return np.ascontiguousarray(decoded, dtype=np.uint8)


def _scenery(strangers: list[tuple[str, Picture]]) -> Iterator[Picture]:
    """What collages are filled up with: the first strangers that have something to show."""
    busy = [picture for _, picture in strangers if picture.std() > 25]
    yield from busy[:3]


def _face() -> Picture:
    """A face out of a bundled public-domain portrait."""
    ((_, portrait),) = _skimage(("astronaut.png",))
    return np.ascontiguousarray(portrait[60:200, 165:285])
