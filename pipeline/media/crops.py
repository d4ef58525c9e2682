"""The crops of a registered picture whose codes are kept beside the code of the whole.

A copy that was cropped is found by the code of a crop like it. The list is fixed and its
arithmetic is whole numbers, so that a browser computes the same crops and the same bits: a side
that is given in thousandths of ``n`` pixels lies at ``(n * thousandths + 500) // 1000``, and
the crop is hashed from the picture's own pixels without any resizing. A picture that PDQ makes
smaller (above 16 megapixels, see ``domain.shrink``) is made smaller once, and cut then.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pipeline.domain.alignment import Region
from pipeline.domain.ids import SLOTS
from pipeline.domain.media import WHOLE, Corners, Frame, View
from pipeline.domain.shrink import reduce
from pipeline.errors import Invalid

Thousandths = tuple[int, int, int, int]
"""Left, top, right, bottom in thousandths of the width and the height."""

LEAST_SIDE = 64
"""A crop with a shorter side, in pixels, is left out; its slot stays empty."""


def _fractions(crop: Thousandths) -> Region:
    left, top, right, bottom = crop
    return (left / 1000, top / 1000, right / 1000, bottom / 1000)


def _centre(share: int) -> Thousandths:
    low = (1000 - share) // 2
    return (low, low, low + share, low + share)


def _grid(share: int, steps: int) -> list[Thousandths]:
    """Crops of one size, row by row, at ``steps`` evenly spaced places along each axis."""
    places = [(1000 - share) * at // (steps - 1) for at in range(steps)]
    return [(left, top, left + share, top + share) for top in places for left in places]


def _sides(share: int) -> list[Thousandths]:
    """What is left when one side is cut off: the left, right, upper and lower part."""
    rest = 1000 - share
    return [(0, 0, share, 1000), (rest, 0, 1000, 1000), (0, 0, 1000, share), (0, rest, 1000, 1000)]


def _strips(share: int) -> list[Thousandths]:
    """The middle at full height and at full width: squares of 4:3, 3:2 and 16:9 pictures."""
    low = (1000 - share) // 2
    return [(low, 0, low + share, 1000), (0, low, 1000, low + share)]


WHOLE_CROP: Thousandths = (0, 0, 1000, 1000)

CENTRES = (950, 900, 800, 700, 600, 500)
"""The thousandths of each side that the centres among the crops keep."""


def _listed() -> tuple[Thousandths, ...]:
    """All crops, none twice, those that find most first: every beginning of the list is of use.

    The small ones are there for the second witness: what a sticker or a crop spares. What was added
    later stands at the end.
    """
    wanted = [WHOLE_CROP]
    wanted += [side for share in (900, 800, 700, 600, 500) for side in _sides(share)]
    wanted += [_centre(share) for share in CENTRES]
    wanted += [side for share in (950, 850) for side in _sides(share)]
    wanted += [strip for share in (750, 667, 562) for strip in _strips(share)]
    wanted += _grid(950, 3) + _grid(900, 3) + _grid(800, 3) + _grid(350, 5)
    # A copy that lacks a tenth of each side anywhere lies within 1.25% of one of these.
    wanted += _grid(900, 5)
    return tuple(dict.fromkeys(wanted))


CROPS = _listed()
"""Slot 0 is the whole. A slot never changes in place, because stored codes were made with it; the
list may grow at its end: what was registered before has fewer slots."""

REGIONS: Mapping[int, Region] = MappingProxyType(
    {slot: _fractions(crop) for slot, crop in enumerate(CROPS)}
)
"""Each slot's crop as fractions of the registered picture."""


def registered_crops(frame: Frame, most: int = len(CROPS)) -> tuple[Frame, ...]:
    """The frame's crops in the order of their slots, the whole first; ``View.name`` is the crop's.

    Raises ``Invalid`` when fewer than one crop is asked for. Crops with a side under
    ``LEAST_SIDE`` pixels are left out, so that ``slot_of_view`` tells the slot, not the place.
    """
    if most < 1:
        raise Invalid("a registered picture has at least one code, that of the whole")
    rgb = reduce(frame.rgb)
    height, width = rgb.shape[:2]
    return tuple(
        Frame(rgb[top:bottom, left:right], frame.time, _view(slot))
        for slot, (left, top, right, bottom) in enumerate(
            rectangle(crop, width, height) for crop in CROPS[:most]
        )
        if slot == 0 or min(right - left, bottom - top) >= LEAST_SIDE
    )


def rectangle(crop: Thousandths, width: int, height: int) -> tuple[int, int, int, int]:
    """Left, top, right, bottom in whole pixels, each rounded half up."""
    left, top, right, bottom = crop
    return (
        (width * left + 500) // 1000,
        (height * top + 500) // 1000,
        (width * right + 500) // 1000,
        (height * bottom + 500) // 1000,
    )


def view_of_slot(slot: int) -> View:
    """What a slot of a registered picture shows; raises ``Invalid`` outside of the list."""
    if not 0 <= slot < len(CROPS):
        raise Invalid(f"a crop's slot is 0 to {len(CROPS) - 1}")
    return _view(slot)


def slot_of_view(view: View) -> int:
    """The slot of a registered crop's view; raises ``Invalid`` for a view of another kind."""
    slot = _SLOT_OF_CORNERS.get(view.corners)
    if slot is None:
        raise Invalid("this view is no registered crop; take views from registered_crops")
    return slot


def _corners(slot: int) -> Corners:
    left, top, right, bottom = REGIONS[slot]
    return ((left, top), (right, top), (right, bottom), (left, bottom))


def _view(slot: int) -> View:
    return WHOLE if slot == 0 else View("a registered crop", _corners(slot))


_SLOT_OF_CORNERS: Mapping[Corners, int] = {_corners(slot): slot for slot in range(len(CROPS))}
assert len(CROPS) <= SLOTS
