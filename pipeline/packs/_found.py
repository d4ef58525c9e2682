"""What a detector says of a picture, and the sorting out of boxes that say the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.packs._halves import Halves, Pixels
from pipeline.packs._runtime import Network
from pipeline.packs._sampling import best

__all__ = ["NOBODY", "FaceDetector", "Floats", "Found", "Pixels", "distinct", "together", "unlike"]

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """Faces as columns: ``boxes`` (n, 4), ``scores`` (n,), ``landmarks`` (n, 5, 2), in pixels."""

    boxes: Floats = field(repr=False)
    scores: Floats = field(repr=False)
    landmarks: Floats = field(repr=False)

    def __len__(self) -> int:
        return len(self.boxes)

    def at(self, rows: NDArray[np.intp]) -> Found:
        """Some of the faces, in the order asked for."""
        return Found(self.boxes[rows], self.scores[rows], self.landmarks[rows])

    def moved(self, right: float, down: float) -> Found:
        """The same faces, shifted."""
        shift = np.array([right, down], np.float32)
        return Found(self.boxes + np.tile(shift, 2), self.scores, self.landmarks + shift)

    @property
    def sides(self) -> Floats:
        """The shorter side of each box."""
        sides: Floats = np.minimum(
            self.boxes[:, 2] - self.boxes[:, 0], self.boxes[:, 3] - self.boxes[:, 1]
        )
        return sides


NOBODY = Found(
    np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros((0, 5, 2), np.float32)
)


class FaceDetector(Protocol):
    """Finds faces in pictures of bounded size."""

    networks: tuple[Network, ...]
    """What is run, where its time can be measured."""

    def detect(self, pictures: Sequence[Halves], *, largest: float | None) -> list[Found]:
        """The faces of each RGB picture; faces with sides beyond ``largest`` may be passed over."""
        ...


def together(parts: Sequence[Found]) -> Found:
    """Several answers as one."""
    if not parts:
        return NOBODY
    return Found(
        np.concatenate([part.boxes for part in parts]),
        np.concatenate([part.scores for part in parts]),
        np.concatenate([part.landmarks for part in parts]),
    )


def unlike(
    boxes: NDArray[np.floating], scores: Floats, overlap: float, groups: NDArray[np.int32]
) -> NDArray[np.intp]:
    """Rows of the boxes that overlap no better box of their group by more than ``overlap`` (IoU).

    Best first; groups, numbered from 0, never meet.
    """
    order = np.argsort(-scores, kind="stable")
    kept: NDArray[np.intp] = best(boxes.astype(np.float64), order, overlap, groups)
    return kept


def distinct(boxes: Floats, order: NDArray[np.intp], overlap: float) -> NDArray[np.intp]:
    """Rows in ``order`` without those that share too much with an earlier one.

    What two boxes share is measured in the smaller one's area.
    """
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    kept: list[int] = []
    while order.size:
        first, rest = int(order[0]), order[1:]
        kept.append(first)
        low = np.maximum(boxes[rest, :2], boxes[first, :2])
        high = np.minimum(boxes[rest, 2:], boxes[first, 2:])
        shared = np.prod(np.maximum(high - low, 0), axis=1)
        order = rest[shared <= overlap * np.minimum(areas[rest], areas[first])]
    return np.array(kept, np.intp)
