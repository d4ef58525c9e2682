"""Pictures that look alike and are not the same, drawn by formula, kind by kind.

Each kind comes in families: pictures of one family share a template, a place, a sheet or a set of
parts, and differ in what makes them other pictures. Families are drawn by themselves, so that pairs
within one are as hard as the kind allows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from services.bench.alterations import Picture

_WIDTH, _HEIGHT = 400, 300


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of lookalikes: its name, how many pictures a family has, and how one is drawn.

    ``draw(family, member)`` takes two generators: of the whole family, the same for all of its
    members, and of this member. ``same`` says why a person has to look where members are, but for
    a detail, one picture.
    """

    name: str
    members: int
    draw: Callable[[np.random.Generator, np.random.Generator, int], Picture]
    same: str | None = None

    @property
    def pairs(self) -> int:
        """Ordered pairs of two members of one family."""
        return self.members * (self.members - 1)

    def families(self, pairs: int, seed: int) -> Iterator[list[Picture]]:
        """As many families as it takes to have at least so many pairs."""
        for family in range(-(-pairs // self.pairs)):
            yield [
                self.draw(
                    np.random.default_rng([seed, family]),
                    np.random.default_rng([seed, family, member + 1]),
                    member,
                )
                for member in range(self.members)
            ]


def _texture(rng: np.random.Generator, width: int, height: int, cells: int = 8) -> Picture:
    """Smooth colours of a few scales, as a wall, a crowd or a lawn has them."""
    total = np.full((height, width, 3), 128.0)
    for scale in (1, 2, 4):
        coarse = rng.normal(0, 50 / scale, (cells * scale, cells * scale, 3))
        total += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(np.clip(total, 0, 255), np.uint8)


def _write(canvas: Picture, rng: np.random.Generator, at: tuple[int, int], size: float) -> None:
    words = "".join(rng.choice(list("ABCDEFGHIKLMNOPRSTU "), 16))
    for colour, thickness in (((0.0,) * 3, 6), ((255.0,) * 3, 2)):
        cv2.putText(canvas, words, at, 0, size, colour, thickness, cv2.LINE_AA)


def _meme(family: np.random.Generator, member: np.random.Generator, _at: int) -> Picture:
    """One picture under other words."""
    canvas = _texture(family, _WIDTH, _HEIGHT)
    _write(canvas, member, (15, 40), 0.9)
    _write(canvas, member, (15, _HEIGHT - 20), 1.0)
    return canvas


def _place(family: np.random.Generator, member: np.random.Generator, at: int) -> Picture:
    """One place from other standpoints: things at depths move apart as a photographer walks by.

    Standpoints lie a step or more from one another; light differs, and people come and go.
    """
    ground, sky = _texture(family, 900, 300, 12), _texture(family, 900, 200, 3)
    things = [
        (float(family.uniform(-8, 8)), float(family.uniform(2.5, 12)), _texture(family, 90, 120, 4))
        for _ in range(16)
    ]
    walked, turned = at - 4.5 + member.uniform(-0.2, 0.2), member.uniform(-60, 60)
    left = int(np.clip(250 + 12 * walked + turned, 0, 499))
    canvas = np.empty((_HEIGHT, _WIDTH, 3), np.uint8)
    canvas[: _HEIGHT // 2] = cv2.resize(sky[:, left : left + 400], (_WIDTH, _HEIGHT // 2))
    canvas[_HEIGHT // 2 :] = cv2.resize(ground[:, left : left + 400], (_WIDTH, _HEIGHT // 2))
    for x, depth, face in sorted(things, key=lambda thing: -thing[1]):
        wide, tall = int(300 / depth), int(480 / depth)
        middle = int(_WIDTH / 2 + 380 * (x - walked) / depth - turned)
        seen = np.asarray(cv2.resize(face, (wide, tall)), np.uint8)
        _paste(canvas, seen, middle - wide // 2, _HEIGHT * 3 // 5 - tall // 2)
    for _ in range(int(member.integers(1, 5))):
        person = _texture(member, 26, 90, 3)
        _paste(canvas, person, int(member.integers(0, _WIDTH)), int(member.integers(150, 220)))
    lit = canvas * member.uniform(0.75, 1.2) + member.normal(0, 3, canvas.shape)
    return np.clip(lit, 0, 255).astype(np.uint8)


def _paste(canvas: Picture, part: Picture, left: int, top: int) -> None:
    """Put a part onto the canvas, as far as it lies on it."""
    right, bottom = left + part.shape[1], top + part.shape[0]
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(right, _WIDTH), min(bottom, _HEIGHT)
    if x0 < x1 and y0 < y1:
        canvas[y0:y1, x0:x1] = part[y0 - top : y1 - top, x0 - left : x1 - left]


def _logo(family: np.random.Generator, member: np.random.Generator, _at: int) -> Picture:
    """Marks of one style: the same colours and ground, other figures."""
    canvas = np.full((_HEIGHT, _HEIGHT, 3), 255, np.uint8)
    colours = [tuple(float(v) for v in family.integers(0, 220, 3)) for _ in range(3)]
    for colour in colours:
        first, second = (tuple(int(v) for v in member.integers(40, 260, 2)) for _ in range(2))
        if member.random() < 0.5:
            cv2.circle(canvas, first, int(member.integers(25, 90)), colour, -1, cv2.LINE_AA)
        else:
            cv2.rectangle(canvas, first, second, colour, -1)
    return canvas


def _square_code(_family: np.random.Generator, member: np.random.Generator, _at: int) -> Picture:
    """Codes of squares: the same corners, other contents."""
    cells = (member.random((29, 29)) < 0.5).astype(np.uint8) * 255
    for top, left in ((0, 0), (0, 22), (22, 0)):
        cells[top : top + 7, left : left + 7] = 0
        cells[top + 1 : top + 6, left + 1 : left + 6] = 255
        cells[top + 2 : top + 5, left + 2 : left + 5] = 0
    framed = np.pad(np.kron(cells, np.ones((9, 9), np.uint8)), 24, constant_values=255)
    return np.repeat(framed[..., None], 3, axis=2)


def _page(family: np.random.Generator, member: np.random.Generator, _at: int) -> Picture:
    """Pages of one layout: the same heading, margins and lines, other words."""
    page = np.full((420, _HEIGHT, 3), 250, np.uint8)
    step, margin = int(family.integers(13, 19)), int(family.integers(15, 40))
    heading = tuple(float(value) for value in family.integers(0, 200, 3))
    cv2.rectangle(page, (0, 0), (_HEIGHT, int(family.integers(20, 60))), heading, -1)
    for top in range(80, 410, step):
        words = " ".join(
            "".join(member.choice(list("etaoinshrdlu"), int(member.integers(2, 9))))
            for _ in range(int(member.integers(3, 8)))
        )
        cv2.putText(page, words[:40], (margin, top), 0, 0.38, (30, 30, 30), 1, cv2.LINE_AA)
    return page


KINDS = (
    Kind("memes of one template", 25, _meme,
         "all but the words is one picture: it cannot be told from a copy with a caption, and"
         " finding those is what is promised"),
    Kind("photos of one place", 10, _place),
    Kind("logos of one style", 25, _logo),
    Kind("codes of squares", 25, _square_code),
    Kind("pages of one layout", 25, _page),
)  # fmt: skip
"""What people take for one another, or what programs do."""
