"""The ways of looking at an upload: the whole, and the parts that might be somebody's picture.

The whole is the frame itself, so that its codes are exact. The parts come from one small working
copy: each is a frame of 64x64 grey pixels, which a perceptual hash reads as it is, with the view
that says where in the upload it lies, so that the evidence can be drawn.

A budget says which families of views may be taken and how many. They are given up in the reverse
of ``ORDER``: quarters and centres first, then halves, turned ones, rectangles, seams, tilted ones,
bands, captions, and last the plain borders.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pipeline.domain.media import GUESSES, Corners, Frame, View
from pipeline.errors import Invalid
from pipeline.media._bands import bands
from pipeline.media._planes import (
    WORKING_SIDE,
    Box,
    Quad,
    WorkingCopy,
    quad_tiles,
    tiles,
    turned_tiles,
    working_copy,
)
from pipeline.media._quads import quads
from pipeline.media._rectangles import rectangles
from pipeline.media._seams import seams
from pipeline.media._sharpness import sharp_part
from pipeline.media._trims import PLAIN, WRITTEN_ON, Rect, trims
from pipeline.media.crops import CENTRES


class Family(StrEnum):
    """A way of finding parts. The value is the name a reviewer reads."""

    BORDERS = "without its border"
    CAPTIONS = "without its caption"
    BANDS = "a block of content"
    QUADS = "a tilted picture, straightened"
    SEAMS = "a part of a collage"
    RECTANGLES = "a picture in the picture"
    TURNS = "turned back"
    HALVES = "a half"
    CENTRES = "the middle"
    QUARTERS = "a quarter"


ORDER = tuple(Family)
"""From the family that finds most for its cost to the one that finds least."""

_ANGLES = (3, 6, 9, 12, 15)
"""Degrees. PDQ bears a turn of one and a half."""
_DRAWN = 0.6
"""The share of flat pixels from which a picture is taken for drawn: nobody levels the horizon of
one, and its few figures look like those of another from many sides."""
_GENEROUS = 1.012
"""By how much a part may reach beyond the rim: less than PDQ notices, and a centre more fits."""
_LEAST_SIDE = 32
_LEAST_SHARE = 0.015


@dataclass(frozen=True, slots=True)
class ViewBudget:
    """Which families may be taken, how many views at most, and how large the working copy is."""

    families: tuple[Family, ...] = ORDER[: ORDER.index(Family.CENTRES)]
    most: int = 28
    side: int = WORKING_SIDE

    def __post_init__(self) -> None:
        if self.most < 1:
            raise Invalid("a view budget allows at least one view, the whole")
        if self.side < 64:
            raise Invalid("a working copy has a side of at least 64 pixels")

    def found_only(self) -> ViewBudget:
        """Without guesses, which every one of a video's frames would pay for."""
        found = tuple(family for family in self.families if family.value not in GUESSES)
        return replace(self, families=found)

    def reduced(self) -> ViewBudget:
        """The next smaller budget: without its last family; the whole alone has none left."""
        kept = tuple(family for family in ORDER if family in self.families)[:-1]
        return replace(self, families=kept)


def budget_of(families: int) -> ViewBudget:
    """The first so many families of ``ORDER``; raises ``Invalid`` when there are not as many."""
    if not 0 <= families <= len(ORDER):
        raise Invalid(f"there are {len(ORDER)} families of views; take from 0 to that many")
    usual = ViewBudget()
    most = usual.most if families <= len(usual.families) else THOROUGH.most
    return ViewBudget(ORDER[:families], most if families else 1)


USUAL = ViewBudget()
THOROUGH = ViewBudget(families=ORDER, most=64)
WHOLE_ONLY = ViewBudget(families=(), most=1)


def query_views(frame: Frame, budget: ViewBudget = USUAL) -> tuple[Frame, ...]:
    """The frame itself, then the parts that the budget allows, as grey frames of 64x64 pixels.

    Views are in the order of their families and deterministic. Each ``View.corners`` is in
    fractions of the frame's own width and height.
    """
    if not budget.families or min(frame.width, frame.height) < _LEAST_SIDE:
        return (frame,)
    copy = working_copy(frame.rgb if frame.luma is None else frame.luma, budget.side, frame.of)
    whole: Box = (0, 0, copy.width, copy.height)
    names: list[str] = []
    boxes: list[Box] = []
    tilted: list[Quad] = []
    turned: list[Quad] = []
    guessing = any(family.value in GUESSES for family in budget.families)
    drawn = guessing and _drawn(copy.grey)
    for family in (family for family in ORDER if family in budget.families):
        if drawn and family.value in GUESSES:
            continue
        if family is Family.QUADS:
            tilted = quads(copy.rgb)
        elif family is Family.TURNS:
            turned = list(_turned_back(copy.width, copy.height))
        else:
            for box in _FINDERS[family](copy):
                room = 1 + len(boxes) + len(tilted) < budget.most
                if room and _worth(box, [whole, *boxes], copy):
                    names.append(family.value)
                    boxes.append(box)
    if Family.QUADS in budget.families and not tilted:
        found = (box for name, box in zip(names, boxes, strict=True) if name not in GUESSES)
        tilted = _beside_a_caption(copy, found)
    tilted = tilted[: budget.most - 1 - len(boxes)]
    turned = turned[: budget.most - 1 - len(boxes) - len(tilted)]
    views = [View(name, corners_of(box, copy)) for name, box in zip(names, boxes, strict=True)]
    for family, parts in ((Family.QUADS, tilted), (Family.TURNS, turned)):
        views += [View(family.value, _fractions(quad.tolist(), copy)) for quad in parts]
    pixels = np.concatenate(
        [
            tiles(copy.luma, boxes, copy.zoom),
            quad_tiles(copy, tilted),
            turned_tiles(copy, turned),
        ]
    )
    # One plane that is told three times.
    colour = np.broadcast_to(pixels[..., None], (*pixels.shape, 3))
    frames = (Frame(rgb, frame.time, view) for rgb, view in zip(colour, views, strict=True))
    return (frame, *frames)


def corners_of(box: Box, copy: WorkingCopy) -> Corners:
    """Where an upright box lies, in fractions of the upload."""
    left, top, right, bottom = box
    return _fractions([(left, top), (right, top), (right, bottom), (left, bottom)], copy)


def _fractions(points: Iterable[Iterable[float]], copy: WorkingCopy) -> Corners:
    a, b, c, d = ((x / copy.width, y / copy.height) for x, y in points)
    return (a, b, c, d)


def _worth(box: Rect | Box, taken: list[Box], copy: WorkingCopy) -> bool:
    """Whether a box is large enough and not all but taken already."""
    left, top, right, bottom = box
    wide, tall = right - left, bottom - top
    if wide < _LEAST_SIDE or tall < _LEAST_SIDE:
        return False
    if wide * tall < _LEAST_SHARE * copy.width * copy.height:
        return False
    return all(max(abs(a - b) for a, b in zip(box, other, strict=True)) > 1 for other in taken)


def _borders(copy: WorkingCopy) -> Iterator[Box]:
    yield from trims(copy.rgb, PLAIN)
    yield from sharp_part(copy.grey)


def _captions(copy: WorkingCopy) -> Iterator[Box]:
    yield from trims(copy.rgb, WRITTEN_ON)


def _blocks(copy: WorkingCopy) -> Iterator[Box]:
    for block in bands(copy.rgb):
        yield block
        yield from _trimmed_within(copy, block, rounds=1)


def _cells(copy: WorkingCopy) -> Iterator[Box]:
    for cell in seams(copy.grey):
        yield cell
        yield from _trimmed_within(copy, cell, rounds=2)


def _framed(copy: WorkingCopy) -> Iterator[Box]:
    yield from rectangles(copy.grey)


def _centres(copy: WorkingCopy) -> Iterator[Box]:
    for share in (0.9, 0.8, 0.7, 0.6):
        across, down = copy.width * (1 - share) / 2, copy.height * (1 - share) / 2
        yield (across, down, copy.width - across, copy.height - down)


def _halves(copy: WorkingCopy) -> Iterator[Box]:
    """What a sticker or a bar covers in one half is whole in another, and halves are registered."""
    width, height = copy.width, copy.height
    yield from ((left, 0, left + width / 2, height) for left in (0, width / 2))
    yield from ((0, top, width, top + height / 2) for top in (0, height / 2))


def _quarters(copy: WorkingCopy) -> Iterator[Box]:
    wide, tall = copy.width / 2, copy.height / 2
    yield from ((left, top, left + wide, top + tall) for top in (0, tall) for left in (0, wide))


def _trimmed_within(copy: WorkingCopy, rect: Rect, rounds: int) -> list[Rect]:
    """The last trim of a part, in coordinates of the whole."""
    left, top, right, bottom = rect
    found = trims(copy.rgb[top:bottom, left:right], PLAIN, rounds)[-1:]
    return [(left + a, top + b, left + c, top + d) for a, b, c, d in found]


def _beside_a_caption(copy: WorkingCopy, boxes: Iterable[Box]) -> list[Quad]:
    """A tilted picture whose ground ends at a line from rim to rim, as captions begin with."""
    for left, top, right, bottom in boxes:
        if left > 0 or right < copy.width or (top > 0) == (bottom < copy.height):
            continue
        line = round(bottom if top == 0 else top)
        for start, stop in ((0, line), (line, copy.height)):
            if stop - start >= _LEAST_SIDE and (found := quads(copy.rgb[start:stop])):
                return [quad + np.array([0, start], np.float32) for quad in found]
    return []


def _drawn(grey: NDArray[np.uint8]) -> bool:
    """Whether most pixels are exactly like those above and beside them: a page, a mark, a diagram.

    Of seventeen photographs 25% are at most, of marks, pages and codes of squares 70% at least.
    """
    here = grey[1:, 1:]
    alike = (here == grey[:-1, 1:]) & (here == grey[1:, :-1])
    return bool(np.count_nonzero(alike) > _DRAWN * alike.size)


@lru_cache(maxsize=256)
def _turned_back(width: int, height: int) -> tuple[Quad, ...]:
    """Upright parts of a picture that was turned by up to 15 degrees, either way.

    Whoever turns a picture zooms in until no corner of the ground shows: what is left of either
    side is known from the angle and the picture's shape. Turned back, the largest upright part is
    as much of that again, and is cut to the next smaller centre that is registered.
    """
    size = np.array([width, height])
    longer = max(width / height, height / width)
    found = []
    for degrees in _ANGLES:
        angle = np.deg2rad(degrees)
        sine, cosine = np.sin(angle), np.cos(angle)
        left = 1 / (cosine + longer * sine)
        kept = max((one for one in CENTRES if one <= 1000 * left**2 * _GENEROUS), default=0) / 1000
        half = size * min(kept / left or left, left * _GENEROUS) / 2
        for turn in (angle, -angle):
            sine, cosine = np.sin(turn), np.cos(turn)
            arms = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * half
            back = arms @ np.array([[cosine, sine], [-sine, cosine]]) + size / 2
            found.append(back.astype(np.float32))
    return tuple(found)


_FINDERS: dict[Family, Callable[[WorkingCopy], Iterator[Box]]] = {
    Family.BORDERS: _borders,
    Family.CAPTIONS: _captions,
    Family.BANDS: _blocks,
    Family.SEAMS: _cells,
    Family.RECTANGLES: _framed,
    Family.HALVES: _halves,
    Family.CENTRES: _centres,
    Family.QUARTERS: _quarters,
}
