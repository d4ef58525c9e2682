"""What was uploaded, and the pixels that were made of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import overload

import numpy as np
from numpy.typing import NDArray

Corners = tuple[tuple[float, float], tuple[float, float], tuple[float, float], tuple[float, float]]
"""Where a view's own top-left, top-right, bottom-right and bottom-left lie in the upload, as
fractions of its width and height (x to the right, y down)."""

WHOLE_CORNERS: Corners = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))


class Rating(StrEnum):
    """What the platform itself says of an upload's content."""

    INTIMATE = "intimate"
    NOT_INTIMATE = "not_intimate"
    UNKNOWN = "unknown"


class Side(StrEnum):
    """Which side of a match pixels are on: what a person registered, or what was uploaded."""

    REGISTERED = "registered"
    QUERY = "query"


class Turn(StrEnum):
    """The eight ways to lay a picture on a table, in the order of PDQ's dihedral hashes.

    Each value says how the upload differs from the picture it is compared with.
    """

    NONE = "as it is"
    ROTATE_90 = "rotated 90 degrees"
    ROTATE_180 = "rotated 180 degrees"
    ROTATE_270 = "rotated 270 degrees"
    FLIP_X = "upside down"
    FLIP_Y = "mirrored"
    FLIP_PLUS_1 = "transposed"
    FLIP_MINUS_1 = "transposed and rotated 180 degrees"


@dataclass(frozen=True, slots=True)
class View:
    """A way of looking at an upload: a part of it, straightened, in one of eight orientations."""

    name: str = "whole"
    corners: Corners = WHOLE_CORNERS
    turn: Turn = Turn.NONE
    time: float | None = None
    """Of a face in a video, the moment at which it lay there; seconds from the start."""

    @property
    def words(self) -> str:
        """The view in words a reviewer understands, as ``whole, mirrored``."""
        return self.name if self.turn is Turn.NONE else f"{self.name}, {self.turn.value}"


WHOLE = View()

WAYS = len(Turn)


@dataclass(frozen=True, slots=True, eq=False)
class TurnedViews(Sequence[View]):
    """Some of the eight ways in which some views can be laid: each is made when it is asked for.

    An upload has a hundred of them and asks about one or none. Row i is ``views[rows[i] // 8]``
    in the ``Turn`` that comes at ``rows[i] % 8``.
    """

    views: tuple[View, ...]
    rows: NDArray[np.intp]

    @classmethod
    def every(cls, views: Sequence[View]) -> TurnedViews:
        """Views, each as it is, and each in all other ways."""
        return cls(tuple(views), np.arange(WAYS * len(views)))

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, at: int) -> View: ...

    @overload
    def __getitem__(self, at: slice) -> tuple[View, ...]: ...

    def __getitem__(self, at: int | slice) -> View | tuple[View, ...]:
        if isinstance(at, slice):
            return tuple(map(self._made, self.rows[at].tolist()))
        return self._made(int(self.rows[at]))

    def __iter__(self) -> Iterator[View]:
        return map(self._made, self.rows.tolist())

    def _made(self, row: int) -> View:
        view, turn = self.views[row // WAYS], row % WAYS
        return view if not turn else View(view.name, view.corners, _WAYS[turn], view.time)

    def those(self, kept: NDArray[np.bool_]) -> TurnedViews:
        """Only the rows that are ``kept``."""
        return TurnedViews(self.views, self.rows[kept])

    def where(self, told: Sequence[bool]) -> NDArray[np.bool_]:
        """For each row what is ``told`` of its view."""
        return np.array(told, np.bool_)[self.rows // WAYS]

    @property
    def as_they_are(self) -> NDArray[np.bool_]:
        """Which rows are not turned."""
        return np.asarray(self.rows % WAYS == 0, np.bool_)


_WAYS = tuple(Turn)


def whole(views: Sequence[View]) -> NDArray[np.bool_]:
    """Which views are of all of an upload, however it lies."""
    if isinstance(views, TurnedViews):
        return views.where([view.corners == WHOLE_CORNERS for view in views.views])
    return np.array([view.corners == WHOLE_CORNERS for view in views], np.bool_)


def as_it_is(views: Sequence[View]) -> NDArray[np.bool_]:
    """Which views are all of an upload, and not turned."""
    if isinstance(views, TurnedViews):
        return views.where([view == WHOLE for view in views.views]) & views.as_they_are
    return np.array([view == WHOLE for view in views], np.bool_)


def those(views: Sequence[View], kept: NDArray[np.bool_]) -> Sequence[View]:
    """The views that are ``kept``, in order."""
    if isinstance(views, TurnedViews):
        return views.those(kept)
    return tuple(view for view, keep in zip(views, kept, strict=True) if keep)


GUESSES = frozenset({"turned back", "a half", "the middle", "a quarter"})
"""The names of views that are tried on every upload, though nothing in it speaks for them."""


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture: RGB, uint8, (height, width, 3), canonical colour and orientation.

    ``time`` is seconds from the start of a video, None for a still. ``view`` says which part of
    the upload these pixels show. ``luma`` (height, width) is a video's own luma plane, which PDQ
    reads in the place of ``rgb``. ``of`` is the width and height of the picture that a sketch was
    made of; None where these are all of its pixels.
    """

    rgb: NDArray[np.uint8] = field(repr=False)
    time: float | None = None
    view: View = WHOLE
    luma: NDArray[np.uint8] | None = field(default=None, repr=False)
    of: tuple[int, int] | None = None

    @property
    def width(self) -> int:
        """Width in pixels."""
        return int(self.rgb.shape[1])

    @property
    def height(self) -> int:
        """Height in pixels."""
        return int(self.rgb.shape[0])


@dataclass(frozen=True, slots=True, eq=False)
class Media:
    """A decoded upload: its frames (one, for a still image), and what the file said it was.

    ``width`` and ``height`` are the file's own; a quick decode may give smaller frames.
    """

    frames: tuple[Frame, ...] = field(repr=False)
    mime: str
    width: int
    height: int

    @property
    def reduced(self) -> bool:
        """Whether the frames have fewer pixels than the file."""
        return any(frame.of is not None for frame in self.frames)


@dataclass(frozen=True, slots=True)
class Upload:
    """What a platform says about the bytes it asks us to screen."""

    content_id: str
    uploader: str | None = None
    rating: Rating = Rating.UNKNOWN
