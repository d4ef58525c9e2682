"""MTCNN: proposals at many scales, refined twice (Zhang et al., 2016).

The cascade's arithmetic (rounding of boxes, one-based corners, thresholds) is that of the weights'
own publisher, because the weights were trained with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.packs._found import NOBODY, Floats, Found, distinct, unlike
from pipeline.packs._halves import Halves, Stretch
from pipeline.packs._manifest import Detector
from pipeline.packs._runtime import Network
from pipeline.packs._sampling import WINDOW, averaged, planes, proposed, sampled, suspected

SHRINK = 0.709
SAME_AT_ONE_SCALE = 0.5
REFINED, FINAL = 24, 48
AT_ONCE = 32
MAX_PROPOSALS = 1024
"""A picture of noise has thousands of proposals; beyond these, the most likely ones are refined."""


class Mtcnn:
    """The cascade over three networks: proposals, refinement, output with five points."""

    def __init__(self, folder: Path, detector: Detector) -> None:
        self.networks: tuple[Network, ...] = tuple(
            Network(folder / name) for name in detector.files
        )
        self._propose, self._refine, self._finish = self.networks
        self._scores = detector.score
        self._nms = detector.nms
        self._minimum = detector.minimum_face

    def detect(self, pictures: Sequence[Halves], *, largest: float | None = None) -> list[Found]:
        """The faces of each picture; the second and third network see all pictures in one batch."""
        # The networks empty the caches: what lies between them runs together, not by turns.
        every = [list(_levels(picture, self._minimum, largest)) for picture in pictures]
        said = [[(scale, self._propose(level)) for scale, level in levels] for levels in every]
        proposed = [self._proposals(levels) for levels in said]
        boxes = np.concatenate([NOBODY.boxes, *proposed])
        owners = np.repeat(np.arange(len(pictures), dtype=np.int32), [len(b) for b in proposed])
        boxes, owners = self._refined(pictures, boxes, owners)
        return self._finished(pictures, boxes, owners)

    def _proposals(self, levels: Sequence[tuple[float, Mapping[str, Floats]]]) -> Floats:
        """Square boxes (n, 4) where the first network suspects a face, by its answers a scale."""
        parts = []
        for scale, outputs in levels:
            part = suspected(outputs["face"][0, 1], outputs["box"][0], self._scores[0], scale)
            if len(part[0]):
                parts.append(part)
        if not parts:
            return NOBODY.boxes
        level_of = np.repeat(np.arange(len(parts), dtype=np.int32), [len(p[1]) for p in parts])
        boxes, scores, offsets = (np.concatenate(column) for column in zip(*parts, strict=True))
        overlaps = (SAME_AT_ONE_SCALE, self._nms[0])
        squares: Floats = proposed(boxes, scores, offsets, level_of, overlaps, MAX_PROPOSALS)
        return squares

    def _refined(
        self, pictures: Sequence[Halves], boxes: Floats, owners: NDArray[np.int32]
    ) -> tuple[Floats, NDArray[np.int32]]:
        crops, kept = _crops(pictures, boxes, owners, REFINED)
        if not len(kept):
            return NOBODY.boxes, owners[:0]
        outputs = _run(self._refine, crops)
        scores = outputs["face"][:, 1]
        sure = scores > self._scores[1]
        boxes, owners, scores = boxes[kept][sure], owners[kept][sure], scores[sure]
        offsets = outputs["box"][sure]
        kept = unlike(boxes, scores, self._nms[1], owners)
        return _squared(_corrected(boxes[kept], offsets[kept])), owners[kept]

    def _finished(
        self, pictures: Sequence[Halves], boxes: Floats, owners: NDArray[np.int32]
    ) -> list[Found]:
        crops, kept = _crops(pictures, boxes, owners, FINAL)
        if not len(kept):
            return [NOBODY] * len(pictures)
        outputs = _run(self._finish, crops)
        scores = outputs["face"][:, 1]
        sure = scores > self._scores[2]
        boxes, owners, scores = boxes[kept][sure], owners[kept][sure], scores[sure]
        points = outputs["points"][sure].reshape(-1, 2, 5).transpose(0, 2, 1)
        sides = (boxes[:, 2:] - boxes[:, :2] + 1)[:, None, :]
        found = Found(
            _corrected(boxes, outputs["box"][sure]),
            scores,
            np.ascontiguousarray(points * sides + boxes[:, None, :2] - 1),
        )
        order = np.argsort(-scores, kind="stable")
        return [
            found.at(distinct(found.boxes, order[owners[order] == owner], self._nms[2]))
            for owner in range(len(pictures))
        ]


def _levels(picture: Halves, minimum: int, largest: float | None) -> Iterator[tuple[float, Floats]]:
    """The picture at scales at which the window sees faces from ``minimum`` to ``largest``.

    Each level is a batch of one, float32 (1, 3, rows, columns).
    """
    width, height = picture.size
    scale = WINDOW / minimum
    while min(height, width) * scale >= WINDOW and (largest is None or WINDOW / scale < largest):
        source, _ = picture.shrunk(1 / scale)
        size = (int(width * scale + 1), int(height * scale + 1))
        level = cv2.resize(source.pixels, size, interpolation=cv2.INTER_LINEAR)
        batch = np.empty((1, 3, *size[::-1]), np.float32)
        planes(level, batch[0])
        yield scale, batch
        scale *= SHRINK


def _crops(
    pictures: Sequence[Halves], boxes: Floats, owners: NDArray[np.int32], side: int
) -> tuple[Floats, NDArray[np.intp]]:
    """What lies in the boxes, float32 (k, 3, side, side), and the rows with anything in them."""
    sizes = np.array([picture.size for picture in pictures]).reshape(-1, 2)[owners]
    corners = np.trunc(boxes).astype(np.int64)
    # Corners count from one, both ends included.
    low = np.maximum(corners[:, :2], 1) - 1
    high = np.minimum(corners[:, 2:], sizes)
    kept = np.flatnonzero((high > low).all(axis=1))
    crops = np.empty((len(kept), 3, side, side), np.float32)
    edges = np.hstack([low, high])[kept]
    if side < FINAL:
        _sampled_from_halves(pictures, edges, owners[kept], crops)
        return crops, kept
    # The last network's points are what faces are aligned by: its crops are averaged exactly.
    for owner, rows in _runs(owners[kept]):
        there = pictures[owner].there
        averaged(there.picture, edges[rows] + _shift(there), crops[rows])
    return crops, kept


def _sampled_from_halves(
    pictures: Sequence[Halves],
    edges: NDArray[np.int64],
    owners: NDArray[np.int32],
    crops: Floats,
) -> None:
    """Fill crops from their owners' halves, all of one size in one call."""
    sides = np.minimum(edges[:, 2] - edges[:, 0], edges[:, 3] - edges[:, 1])
    # The exponent of a whole number's float is its logarithm, rounded down.
    steps = np.maximum(np.frexp(sides // crops.shape[2])[1] - 1, 0)
    keys = owners.astype(np.int64) << 6 | steps
    order = np.argsort(keys, kind="stable")
    for key, run in _runs(keys[order]):
        rows = order[run]
        there, shrunk = pictures[key >> 6].shrunk(1 << (key & 63))
        part = edges[rows]
        # A half leaves an odd last row or column out.
        high = np.minimum(-(-part[:, 2:] // shrunk), (there.width, there.height))
        low = np.minimum(part[:, :2] // shrunk, high - 1)
        sampled(there.picture, np.hstack([low, high]) + _shift(there), rows, crops)


def _shift(there: Stretch) -> NDArray[np.int64]:
    return np.array([there.left, there.top, there.left, there.top], np.int64)


def _runs(sorted_keys: NDArray[np.integer]) -> Iterator[tuple[int, slice]]:
    """Each number of a sorted column, and where it stands."""
    stops = [*(np.flatnonzero(np.diff(sorted_keys)) + 1).tolist(), len(sorted_keys)]
    start = 0
    for stop in stops if len(sorted_keys) else ():
        yield int(sorted_keys[start]), slice(start, stop)
        start = stop


def _run(network: Network, crops: Floats) -> dict[str, Floats]:
    """A network's outputs for many crops, some at a time: they should stay in the cache."""
    answers = [network(crops[at : at + AT_ONCE]) for at in range(0, len(crops), AT_ONCE)]
    return {name: np.concatenate([answer[name] for answer in answers]) for name in answers[0]}


def _squared(boxes: Floats) -> Floats:
    """Squares around the boxes' middles, as large as their longer sides."""
    sides = boxes[:, 2:] - boxes[:, :2]
    longer = sides.max(axis=1, keepdims=True, initial=0.0)
    low = boxes[:, :2] + (sides - longer) / 2
    return np.hstack([low, low + longer])


def _corrected(boxes: Floats, offsets: Floats) -> Floats:
    """The boxes moved by what a network says, in fractions of their sides."""
    sides = boxes[:, 2:] - boxes[:, :2] + 1
    return boxes + offsets * np.tile(sides, 2)
