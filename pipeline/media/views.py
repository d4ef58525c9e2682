"""The ways of looking at an upload: the whole, and the parts that might be somebody's picture.

The whole is the frame itself, so that its codes are exact. The parts come from one small working
copy: each is a frame of 64x64 grey pixels, which a perceptual hash reads as it is, with the view
that says where in the upload it lies, so that the evidence can be drawn.

A budget says which families of views may be taken and how many. They are given up in the reverse
of ``ORDER``: quarters and centres first, then halves, turned ones, rectangles, seams, tilted ones,
bands, captions, and last the plain borders.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache

import numpy as np

from pipeline.domain.media import GUESSES, Corners, Frame, View
from pipeline.errors import Invalid
from pipeline.media._bands import bands
from pipeline.media._jumps import Jumps, jumps_of
from pipeline.media._planes import (
    WORKING_SIDE,
    Box,
    Quad,
    Turns,
    WorkingCopy,
    Zoom,
    quad_tiles,
    tiles,
    turned_tiles,
    turns_of,
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
_UPRIGHT = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])
"""Where corners lie from the middle: top-left, top-right, bottom-right, bottom-left."""
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
    look = _Look(copy, jumps_of(copy.grey))
    guesses = not look.jumps.drawn
    families = [
        family
        for family in ORDER
        if family in budget.families and (guesses or family.value not in GUESSES)
    ]
    names: list[str] = []
    boxes: list[Box] = []
    tilted: list[Quad] = []
    taken: list[Box] = [(0, 0, copy.width, copy.height)]
    for family in families:
        if family is Family.QUADS:
            tilted = quads(copy.rgb)
        elif family is not Family.TURNS:
            for box in _FINDERS[family](look):
                if len(taken) + len(tilted) < budget.most and _worth(box, taken, copy):
                    names.append(family.value)
                    boxes.append(box)
                    taken.append(box)
    if Family.QUADS in families and not tilted:
        found = (box for name, box in zip(names, boxes, strict=True) if name not in GUESSES)
        tilted = _beside_a_caption(copy, found)
    tilted = tilted[: budget.most - len(taken)]
    views = [View(name, corners_of(box, copy)) for name, box in zip(names, boxes, strict=True)]
    views += [
        View(Family.QUADS.value, _fractions(quad, copy.width, copy.height)) for quad in tilted
    ]
    parts = [tiles(copy.luma, boxes, copy.zoom), quad_tiles(copy, tilted)]
    if Family.TURNS in families:
        turns, back = _turned_back(copy.width, copy.height, copy.zoom)
        parts.append(turned_tiles(copy, turns, budget.most - 1 - len(views)))
        views += back[: len(parts[-1])]
    pixels = np.concatenate(parts)
    # One plane that is told three times.
    colour = np.broadcast_to(pixels[..., None], (*pixels.shape, 3))
    frames = (Frame(rgb, frame.time, view) for rgb, view in zip(colour, views, strict=True))
    return (frame, *frames)


def corners_of(box: Box, copy: WorkingCopy) -> Corners:
    """Where an upright box lies, in fractions of the upload."""
    left, right = box[0] / copy.width, box[2] / copy.width
    top, bottom = box[1] / copy.height, box[3] / copy.height
    return ((left, top), (right, top), (right, bottom), (left, bottom))


def _fractions(quad: Quad, width: int, height: int) -> Corners:
    a, b, c, d = ((x / width, y / height) for x, y in quad.tolist())
    return (a, b, c, d)


def _worth(box: Rect | Box, taken: list[Box], copy: WorkingCopy) -> bool:
    """Whether a box is large enough and not all but taken already."""
    left, top, right, bottom = box
    wide, tall = right - left, bottom - top
    if wide < _LEAST_SIDE or tall < _LEAST_SIDE:
        return False
    if wide * tall < _LEAST_SHARE * copy.width * copy.height:
        return False
    for a, b, c, d in taken:
        if (
            abs(left - a) <= 1
            and abs(top - b) <= 1
            and abs(right - c) <= 1
            and abs(bottom - d) <= 1
        ):
            return False
    return True


@dataclass(frozen=True, slots=True)
class _Look:
    """What parts are found in: the working copy, and where its neighbours differ."""

    copy: WorkingCopy
    jumps: Jumps


def _borders(look: _Look) -> Iterator[Box]:
    yield from trims(look.copy.rgb, PLAIN)
    yield from sharp_part(look.jumps)


def _captions(look: _Look) -> Iterator[Box]:
    yield from trims(look.copy.rgb, WRITTEN_ON)


def _blocks(look: _Look) -> Iterator[Box]:
    for block in bands(look.copy.rgb):
        yield block
        yield from trims(look.copy.rgb, PLAIN, rounds=1, part=block)


def _cells(look: _Look) -> Iterator[Box]:
    for cell in seams(look.jumps):
        yield cell
        yield from trims(look.copy.rgb, PLAIN, rounds=2, part=cell)[-1:]


def _framed(look: _Look) -> Iterator[Box]:
    yield from rectangles(look.copy.grey)


def _centres(look: _Look) -> Iterator[Box]:
    width, height = look.copy.width, look.copy.height
    for share in (0.9, 0.8, 0.7, 0.6):
        across, down = width * (1 - share) / 2, height * (1 - share) / 2
        yield (across, down, width - across, height - down)


def _halves(look: _Look) -> Iterator[Box]:
    """What a sticker or a bar covers in one half is whole in another, and halves are registered."""
    width, height = look.copy.width, look.copy.height
    yield from ((left, 0, left + width / 2, height) for left in (0, width / 2))
    yield from ((0, top, width, top + height / 2) for top in (0, height / 2))


def _quarters(look: _Look) -> Iterator[Box]:
    wide, tall = look.copy.width / 2, look.copy.height / 2
    yield from ((left, top, left + wide, top + tall) for top in (0, tall) for left in (0, wide))


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


@lru_cache(maxsize=128)
def _turned_back(width: int, height: int, zoom: Zoom) -> tuple[Turns, tuple[View, ...]]:
    """Upright parts of a picture that was turned by up to 15 degrees, either way, and their views.

    Whoever turns a picture zooms in until no corner of the ground shows: what is left of either
    side is known from the angle and the picture's shape. Turned back, the largest upright part is
    as much of that again, and is cut to the next smaller centre that is registered.
    """
    longer = max(width / height, height / width)
    turns, shares = [], []
    for degrees in _ANGLES:
        sine, cosine = _sine_and_cosine(degrees)
        left = 1 / (cosine + longer * sine)
        kept = max((one for one in CENTRES if one <= 1000 * left**2 * _GENEROUS), default=0) / 1000
        for turn in (1, -1):
            turns.append([(cosine, turn * sine), (-turn * sine, cosine)])
            shares.append(min(kept / left or left, left * _GENEROUS))
    size = np.array([width, height])
    arms = np.array(shares)[:, None, None] * _UPRIGHT * size / 2
    quads = (arms @ np.array(turns) + size / 2).astype(np.float32)
    views = (View(Family.TURNS.value, _fractions(quad, width, height)) for quad in quads)
    return turns_of(zoom, quads), tuple(views)


def _sine_and_cosine(degrees: float) -> tuple[float, float]:
    return math.sin(math.radians(degrees)), math.cos(math.radians(degrees))


_FINDERS: dict[Family, Callable[[_Look], Iterator[Box]]] = {
    Family.BORDERS: _borders,
    Family.CAPTIONS: _captions,
    Family.BANDS: _blocks,
    Family.SEAMS: _cells,
    Family.RECTANGLES: _framed,
    Family.HALVES: _halves,
    Family.CENTRES: _centres,
    Family.QUARTERS: _quarters,
}
