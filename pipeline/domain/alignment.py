"""Where a registered picture lies in an upload, and when that is believed.

A placement is a projective map, float64 (3, 3), from fractions of the registered picture to
fractions of the upload (x to the right, y down, 1 is the far edge).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipeline.domain.media import WHOLE_CORNERS, Corners, Turn, View

Placement = NDArray[np.float64]
Region = tuple[float, float, float, float]
"""Left, top, right, bottom as fractions of the registered picture."""

_SHOWN_AT: dict[Turn, tuple[int, int, int, int]] = {
    Turn.NONE: (0, 1, 2, 3),
    Turn.ROTATE_90: (1, 2, 3, 0),
    Turn.ROTATE_180: (2, 3, 0, 1),
    Turn.ROTATE_270: (3, 0, 1, 2),
    Turn.FLIP_X: (3, 2, 1, 0),
    Turn.FLIP_Y: (1, 0, 3, 2),
    Turn.FLIP_PLUS_1: (0, 3, 2, 1),
    Turn.FLIP_MINUS_1: (2, 1, 0, 3),
}
"""At which corner of the view (clockwise from its top-left) each registered corner shows."""


@dataclass(frozen=True, slots=True, eq=False)
class Alignment:
    """A registered picture laid over an upload by its local features.

    ``inliers`` features agree with the placement, and their hull covers ``hull`` of the registered
    picture (0 to 1). ``distance`` is in bits of PDQ between the registered code of ``slot`` and
    the same region cut out of the upload; None where no registered crop lies inside the upload.
    That region is ``share`` of the registered picture (0 to 1; 0 where nothing was compared).
    """

    placement: Placement = field(repr=False)
    inliers: int
    hull: float
    slot: int | None = None
    distance: int | None = None
    share: float = 0.0

    @property
    def corners(self) -> Corners:
        """Where the registered picture's four corners lie in the upload."""
        return corners_of(project(self.placement, WHOLE_CORNERS))


@dataclass(frozen=True, slots=True)
class Acceptance:
    """When an alignment is believed: the fewer features agree, the more a code must.

    Few features do where the code of most of the picture agrees well; more of them where some code
    agrees roughly, as of half a picture or under a sticker; very many over a large part whatever
    the code says. Of 3,000 generated strangers, logos with a shape in common had up to 23 features
    and a code within 64 bits, those of most of the picture no nearer than 50; drawings of one
    place had up to 40 features over a large part and no code. Copies laid rightly with fewer than
    40 features had a code of nearly all of the picture within 22. Two photographs of one person
    reach 28 features, so that these alone say nothing.

    ``false_positive_rate`` is the share of unrelated uploads for which it was believed of any
    of the registered pictures it was calibrated on.
    """

    inliers: int = 28
    hull: float = 0.06
    distance: int = 64
    few_inliers: int = 8
    few_distance: int = 28
    few_share: float = 0.6
    many_inliers: int = 50
    large_hull: float = 0.12
    false_positive_rate: float = 0.001

    def believes(self, alignment: Alignment) -> bool:
        """Whether the alignment stands as a second witness. A person still decides."""
        found, hull, distance = alignment.inliers, alignment.hull, alignment.distance
        if found >= self.many_inliers and hull >= self.large_hull:
            return True
        if distance is None or hull < self.hull:
            return False
        if distance <= self.few_distance and alignment.share >= self.few_share:
            return found >= self.few_inliers
        return distance <= self.distance and found >= self.inliers


def nominate(
    rows: NDArray[np.int64], entries: NDArray[np.int64], *, most: int = 4, least: int = 4
) -> tuple[int, ...]:
    """Entries worth aligning, by how many of the upload's features are near one of theirs.

    ``rows`` (n,) are the upload's features and ``entries`` (n,) whose feature each is near. A
    feature that is near those of several entries counts less for each, as letters and logos are.
    """
    if not len(rows):
        return ()
    pairs = np.unique(np.column_stack([rows, entries]), axis=0)
    _, which, shared = np.unique(pairs[:, 0], return_inverse=True, return_counts=True)
    named, at = np.unique(pairs[:, 1], return_inverse=True)
    weight = np.bincount(at, weights=1 / shared[which])
    votes = np.bincount(at)
    order = [int(i) for i in np.argsort(-weight, kind="stable") if votes[i] >= least]
    return tuple(int(named[i]) for i in order[:most])


def placement_of(view: View, region: Region) -> Placement:
    """The placement that a view implies when it shows just this region of the picture."""
    shown = [view.corners[at] for at in _SHOWN_AT[view.turn]]
    left, top, right, bottom = region
    source = ((left, top), (right, top), (right, bottom), (left, bottom))
    return _projective(np.array(source), np.array(shown))


def project(placement: Placement, points: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    """Points (n, 2) of the registered picture as points (n, 2) of the upload."""
    placed = np.column_stack([np.asarray(points, np.float64), np.ones(len(points))]) @ placement.T
    return np.asarray(placed[:, :2] / placed[:, 2:])


def region_corners(placement: Placement, region: Region) -> Corners:
    """Where a region's own top-left, top-right, bottom-right and bottom-left lie in the upload."""
    left, top, right, bottom = region
    return corners_of(
        project(placement, ((left, top), (right, top), (right, bottom), (left, bottom)))
    )


def inside(corners: Corners, slack: float = 0.01) -> bool:
    """Whether all four corners lie in the upload, or outside by no more than ``slack`` of it."""
    return all(-slack <= value <= 1 + slack for corner in corners for value in corner)


def apart(first: Corners, second: Corners) -> float:
    """How far two quadrilaterals lie apart: the largest step of a corner by the first's size."""
    one, other = np.array(first), np.array(second)
    size = np.linalg.norm(one.max(0) - one.min(0)) / 2**0.5
    return float(np.linalg.norm(one - other, axis=1).max() / max(size, 1e-6))


def overlap(first: Region, second: Region) -> float:
    """Intersection over union of two regions, 0 to 1."""
    across = max(0.0, min(first[2], second[2]) - max(first[0], second[0]))
    down = max(0.0, min(first[3], second[3]) - max(first[1], second[1]))
    areas = sum((r[2] - r[0]) * (r[3] - r[1]) for r in (first, second))
    return across * down / max(areas - across * down, 1e-9)


def corners_of(points: NDArray[np.float64]) -> Corners:
    """Four points (4, 2) as corners."""
    a, b, c, d = ((float(x), float(y)) for x, y in points)
    return (a, b, c, d)


def _projective(source: NDArray[np.float64], target: NDArray[np.float64]) -> Placement:
    """The projective map that takes four points to four others."""
    rows, wanted = [], []
    for (x, y), (u, v) in zip(source, target, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        wanted += [u, v]
    solved = np.linalg.lstsq(np.array(rows), np.array(wanted), rcond=None)[0]
    return np.append(solved, 1.0).reshape(3, 3)
