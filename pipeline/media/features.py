"""Local features: the second stage, for people who opted in to it.

ORB finds corners and describes each by 256 bits that survive turning, scaling and dimming. Two
pictures' features give a placement (an affine map, by RANSAC) of one in the other, whatever
was cropped, covered or put around it. Features of two photographs of one person agree in places,
too, so that a placement is believed only with the PDQ code of the aligned region
(``pipeline.domain.alignment.Acceptance``).

Descriptors can be inverted into a picture, far better where their places are known: they are sealed
like face templates, their places apart from them, and kept only for people who opted in. A
registered picture is described as it is and mirrored, because ORB is blind to mirrors; an upload
only as it is. An index holds the strongest descriptors of either, never a place.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.domain.alignment import Alignment, Placement, Region
from pipeline.domain.media import Frame
from pipeline.domain.signal import Metric, Space
from pipeline.errors import Tampered
from pipeline.media._planes import working_copy
from pipeline.media.probes import cut, largest_inside

WORKING_SIDE = 640
"""Features are found on a copy of at most this side squared."""

SPACE = Space("orb", "1", Metric.HAMMING, 256)
"""Where descriptors are compared. Two of the same corner lie 10 to 60 bits apart."""

INDEXED = 256
"""Descriptors of a registered picture that an index holds, of each of its two orientations."""

ASKED = 300
"""Descriptors of an upload that an index is asked."""

RADIUS = 40
"""Within how many bits a descriptor nominates an entry. Alignment looks further, at two only."""

_HEADER = struct.Struct("<4sHff")
_DESCRIBED, _PLACED = b"ORBd", b"ORBp"
_SMALLEST = 448
_CELLS = 5
_LEAST = 6


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """Corners and their descriptors: intimate data, they do not print.

    ``points`` float32 (n, 2) are pixels of a copy of ``size`` (width, height), ``descriptors``
    uint8 (n, 32). The strongest of every part of the picture come first.
    """

    points: NDArray[np.float32] = field(repr=False)
    descriptors: NDArray[np.uint8] = field(repr=False)
    size: tuple[float, float]

    def __len__(self) -> int:
        return len(self.points)

    def apart(self) -> tuple[bytes, bytes]:
        """Descriptors and places as they are sealed, each by itself: 32 and 4 bytes a corner."""
        places = np.rint(np.clip(self.points / np.array(self.size), 0, 1) * 65535).astype("<u2")
        return (
            _HEADER.pack(_DESCRIBED, len(self), *self.size) + self.descriptors.tobytes(),
            _HEADER.pack(_PLACED, len(self), *self.size) + places.tobytes(),
        )

    @staticmethod
    def joined(descriptors: bytes, places: bytes) -> Features:
        """What ``apart`` wrote; raises ``Tampered`` for anything else."""
        size, described = _opened(descriptors, _DESCRIBED, np.dtype(np.uint8), 32)
        its, placed = _opened(places, _PLACED, np.dtype("<u2"), 2)
        if its != size or len(placed) != len(described):
            raise Tampered("descriptors and places are not of one picture; restore both")
        points = (placed / 65535 * np.array(size)).astype(np.float32)
        return Features(points, described, size)


@dataclass(frozen=True, slots=True, eq=False)
class Described:
    """A registered picture's features, as it is and mirrored."""

    plain: Features = field(repr=False)
    mirrored: Features = field(repr=False)


def features_of(frame: Frame, most: int = 1200) -> Features:
    """An upload's features, at most ``most``, spread over the picture."""
    return _found(_grey(frame), most)


def describe(frame: Frame, most: int = 700) -> Described:
    """A registered picture's features, to be sealed: about 36 bytes each, twice ``most``."""
    grey = _grey(frame)
    return Described(_found(grey, most), _found(np.ascontiguousarray(grey[:, ::-1]), most))


def align(query: Features, registered: Features, *, mirrored: bool = False) -> Alignment | None:
    """The placement of a registered picture in an upload; None where features find none.

    ``mirrored`` says that ``registered`` describes the picture's mirror image; the placement is of
    the picture itself.
    """
    found = _aligned(query, registered)
    if found is None or not mirrored:
        return found
    flip = np.array([[-1.0, 0, 1], [0, 1, 0], [0, 0, 1]])
    return Alignment(found.placement @ flip, found.inliers, found.hull)


def check(
    frame: Frame,
    alignment: Alignment,
    regions: Mapping[int, Region],
    distances: Callable[[Sequence[Frame], Sequence[int]], Sequence[int]],
) -> Alignment:
    """The alignment with the nearest code of the best-covered registered crops.

    ``distances(frames, slots)`` hashes frames as the registered side is hashed and returns how far
    each is from the registered code of its slot, in bits.
    """
    slots = largest_inside(alignment.placement, regions)
    if not slots:
        return alignment
    parts = cut(frame, alignment.placement, [regions[slot] for slot in slots])
    nearest, slot = min(zip(distances(parts, slots), slots, strict=True))
    left, top, right, bottom = regions[slot]
    share = (right - left) * (bottom - top)
    return replace(alignment, slot=slot, distance=nearest, share=share)


def _grey(frame: Frame) -> NDArray[np.uint8]:
    """The picture at the working size; small ones are enlarged, for ORB needs pixels to turn in."""
    grey = working_copy(frame.rgb, WORKING_SIDE).grey
    scale = _SMALLEST / (grey.shape[0] * grey.shape[1]) ** 0.5
    if scale <= 1:
        return grey
    larger = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    return np.asarray(larger, dtype=np.uint8)


def _found(grey: NDArray[np.uint8], most: int) -> Features:
    """Corners in every part of the picture: a busy corner must not take them all."""
    orb = cv2.ORB_create(  # type: ignore[attr-defined]
        nfeatures=most * 3, scaleFactor=1.2, nlevels=8, fastThreshold=5
    )
    keypoints = orb.detect(grey, None)
    kept = _spread(keypoints, grey.shape, most)
    keypoints, described = orb.compute(grey, kept)
    # OpenCV returns None for the descriptors of no corners, and others by scale, not by worth.
    if not len(keypoints):
        described = np.zeros((0, 32), np.uint8)
    points = np.array([keypoint.pt for keypoint in keypoints], np.float32).reshape(-1, 2)
    order = _by_worth(keypoints, grey.shape)
    size = (float(grey.shape[1]), float(grey.shape[0]))
    return Features(points[order], np.asarray(described, np.uint8)[order], size)


def _spread(
    keypoints: Sequence[cv2.KeyPoint], shape: tuple[int, ...], most: int
) -> list[cv2.KeyPoint]:
    """The strongest of each cell of a grid, cell by cell in turn, until there are enough."""
    if len(keypoints) <= most:
        return list(keypoints)
    return [keypoints[at] for at in _by_worth(keypoints, shape)[:most]]


def _by_worth(keypoints: Sequence[cv2.KeyPoint], shape: tuple[int, ...]) -> NDArray[np.intp]:
    """Rows of corners: the strongest of each cell of a grid, then the second of each, and so on."""
    places = np.array([keypoint.pt for keypoint in keypoints]).reshape(-1, 2)
    strength = np.array([keypoint.response for keypoint in keypoints])
    cell = (places / (shape[1], shape[0]) * _CELLS).astype(int) @ (1, _CELLS)
    order = np.lexsort((-strength, cell))
    # Rank within the cell: how many stronger ones its cell has.
    first = np.searchsorted(cell[order], np.arange(_CELLS**2))
    rank = np.empty(len(order), int)
    rank[order] = np.arange(len(order)) - first[cell[order]]
    return np.lexsort((-strength, rank))


def _aligned(query: Features, registered: Features) -> Alignment | None:
    if len(query) < _LEAST or len(registered) < _LEAST:
        return None
    pairs = _matches(query.descriptors, registered.descriptors)
    if len(pairs) < _LEAST:
        return None
    source, target = registered.points[pairs[:, 1]], query.points[pairs[:, 0]]
    cv2.setRNGSeed(0)
    matrix: Any
    matrix, good = cv2.estimateAffine2D(
        source,
        target,
        method=cv2.RANSAC,
        ransacReprojThreshold=4.0,
        maxIters=3000,
        confidence=0.999,
    )
    if matrix is None:
        return None
    agreeing = np.unique(source[good.ravel() == 1], axis=0)
    placement = _in_fractions(np.asarray(matrix), registered.size, query.size)
    if len(agreeing) < _LEAST or not _plausible(placement, registered.size, query.size):
        return None
    hull = cv2.contourArea(cv2.convexHull(agreeing)) / (registered.size[0] * registered.size[1])
    return Alignment(placement, len(agreeing), float(hull))


def _matches(query: NDArray[np.uint8], registered: NDArray[np.uint8]) -> NDArray[np.intp]:
    """Pairs (n, 2) of rows: each feature's nearest, where it is clearly nearer than the next."""
    found = cv2.BFMatcher(cv2.NORM_HAMMING).knnMatch(query, registered, k=2)
    return np.array(
        [
            (best.queryIdx, best.trainIdx)
            for best, second in (pair for pair in found if len(pair) == 2)
            if best.distance <= 72 and best.distance < 0.85 * second.distance
        ],
        dtype=np.intp,
    ).reshape(-1, 2)


def _in_fractions(
    matrix: NDArray[np.float64], source: tuple[float, float], target: tuple[float, float]
) -> Placement:
    whole = np.vstack([matrix, [0, 0, 1]])
    scaled = np.diag([1 / target[0], 1 / target[1], 1]) @ whole @ np.diag([*source, 1.0])
    return np.asarray(scaled)


def _plausible(
    placement: Placement, source: tuple[float, float], target: tuple[float, float]
) -> bool:
    """Not mirrored, not collapsed, not sheared or stretched beyond what people do."""
    linear = np.diag(target) @ placement[:2, :2] @ np.diag([1 / source[0], 1 / source[1]])
    if np.linalg.det(linear) <= 0:
        return False
    strongest, weakest = np.linalg.svd(linear, compute_uv=False)
    return bool(weakest > 0.08 and strongest < 12 and strongest / weakest < 2.2)


def _opened(
    sealed: bytes, magic: bytes, kind: np.dtype[Any], width: int
) -> tuple[tuple[float, float], NDArray[Any]]:
    if len(sealed) < _HEADER.size or sealed[:4] != magic:
        raise Tampered("these bytes are no local features; restore the entry from a backup")
    _, count, across, down = _HEADER.unpack_from(sealed)
    if len(sealed) != _HEADER.size + count * width * kind.itemsize:
        raise Tampered("local features are cut short; restore the entry from a backup")
    table = np.frombuffer(sealed, kind, count * width, _HEADER.size).reshape(count, width)
    return (across, down), table.copy()
