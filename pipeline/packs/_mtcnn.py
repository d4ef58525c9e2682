"""MTCNN: proposals at many scales, refined twice (Zhang et al., 2016).

The cascade's arithmetic (rounding of boxes, one-based corners, thresholds) is that of the weights'
own publisher, because the weights were trained with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.packs._found import NOBODY, Floats, Found, Pixels, distinct, unlike
from pipeline.packs._halves import Halves
from pipeline.packs._manifest import Detector
from pipeline.packs._runtime import Network
from pipeline.packs._sampling import likely, sampled

WINDOW, STEP = 12, 2
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

    def detect(self, pictures: Sequence[Pixels], *, largest: float | None = None) -> list[Found]:
        """The faces of each picture; the second and third network see all pictures in one batch."""
        halves = [Halves(picture) for picture in pictures]
        proposed = [self._proposals(half, largest) for half in halves]
        boxes = np.concatenate([NOBODY.boxes, *proposed])
        owners = np.repeat(np.arange(len(halves), dtype=np.int32), [len(b) for b in proposed])
        boxes, owners = self._refined(halves, boxes, owners)
        return self._finished(halves, boxes, owners)

    def _proposals(self, halves: Halves, largest: float | None) -> Floats:
        """Square boxes (n, 4) where the first network suspects a face of any size."""
        parts = []
        for scale, level in _levels(halves, self._minimum, largest):
            batch = cv2.dnn.blobFromImage(level)
            outputs = self._propose(batch)
            face = outputs["face"][0, 1]
            places = likely(face, self._scores[0])
            if not len(places):
                continue
            rows, columns = places.T
            corners = STEP * places[:, ::-1] + 1
            boxes = np.hstack([corners, corners + WINDOW - 1]) / scale
            parts.append(
                (np.floor(boxes), face[rows, columns], outputs["box"][0][:, rows, columns].T)
            )
        if not parts:
            return NOBODY.boxes
        level_of = np.repeat(np.arange(len(parts), dtype=np.int32), [len(p[1]) for p in parts])
        boxes = np.concatenate([part[0] for part in parts]).astype(np.float32)
        scores = np.concatenate([part[1] for part in parts])
        offsets = np.concatenate([part[2] for part in parts])
        kept = unlike(boxes, scores, SAME_AT_ONE_SCALE, level_of)
        kept = kept[unlike(boxes[kept], scores[kept], self._nms[0], np.zeros(len(kept), np.int32))]
        kept = kept[np.argsort(-scores[kept], kind="stable")[:MAX_PROPOSALS]]
        sides = boxes[kept, 2:] - boxes[kept, :2]
        return _squared(boxes[kept] + offsets[kept] * np.tile(sides, 2))

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


def _levels(halves: Halves, minimum: int, largest: float | None) -> Iterator[tuple[float, Pixels]]:
    """The picture at scales at which the window sees faces from ``minimum`` to ``largest``."""
    height, width = halves.whole.shape[:2]
    scale = WINDOW / minimum
    while min(height, width) * scale >= WINDOW and (largest is None or WINDOW / scale < largest):
        source, _ = halves.shrunk(1 / scale)
        size = (int(width * scale + 1), int(height * scale + 1))
        level = cv2.resize(source, size, interpolation=cv2.INTER_LINEAR)
        yield scale, np.asarray(level, np.uint8)
        scale *= SHRINK


def _crops(
    pictures: Sequence[Halves], boxes: Floats, owners: NDArray[np.int32], side: int
) -> tuple[Floats, NDArray[np.intp]]:
    """What lies in the boxes, float32 (k, 3, side, side), and the rows with anything in them."""
    sizes = np.array([half.whole.shape[1::-1] for half in pictures]).reshape(-1, 2)[owners]
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
    for crop, owner, (left, top, right, bottom) in zip(
        crops, owners[kept].tolist(), edges.tolist(), strict=True
    ):
        part = pictures[owner].whole[top:bottom, left:right]
        crop[:] = cv2.resize(part, (side, side), interpolation=cv2.INTER_AREA).transpose(2, 0, 1)
    return crops, kept


def _sampled_from_halves(
    pictures: Sequence[Halves],
    edges: NDArray[np.int64],
    owners: NDArray[np.int32],
    crops: Floats,
) -> None:
    """Fill crops from their owners' halves, all of one size in one call."""
    sides = np.minimum(edges[:, 2] - edges[:, 0], edges[:, 3] - edges[:, 1])
    steps = np.maximum(np.floor(np.log2(sides / crops.shape[2])), 0).astype(np.int64)
    for owner, step in {*zip(owners.tolist(), steps.tolist(), strict=True)}:
        rows = np.flatnonzero((owners == owner) & (steps == step))
        source, shrunk = pictures[owner].shrunk(1 << step)
        low, high = edges[rows, :2] // shrunk, -(-edges[rows, 2:] // shrunk)
        # A half leaves an odd last row or column out.
        high = np.minimum(high, source.shape[1::-1])
        parts = np.hstack([np.minimum(low, high - 1), high])
        sampled(np.ascontiguousarray(source), parts, rows, crops)


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
