"""Faces of every size: once over the whole picture made small, then in tiles of it made larger.

The first pass shrinks the picture to the detector's long side and sees the large faces. Each later
pass sees it twice as large, in overlapping tiles, and looks for the next smaller octave of faces,
down to ``smallest`` pixels of the original. So a face of 40 pixels is found in 12 megapixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from pipeline.packs._found import NOBODY, FaceDetector, Found, Pixels, distinct, together

OCTAVE = 2.0
OVERLAP = 2.6
"""How much tiles overlap, in smallest faces: an octave's largest face and a margin around it."""
TILES_AT_ONCE = 16
COVERED = 0.5
PLAIN = 4.0
"""A tile whose grey deviates by less than this has no face that anybody could recognise."""


@dataclass(frozen=True, slots=True)
class Passes:
    """A detector that is shown every picture at all the sizes it needs.

    ``smallest`` is the shortest face searched for, in pixels of the original; None leaves out the
    passes after the first.
    """

    detector: FaceDetector
    long_side: int
    minimum_face: int
    smallest: int | None

    def find(self, pictures: Sequence[Pixels]) -> list[Found]:
        """The faces of each RGB picture, in its own pixels."""
        scales = [min(1.0, self.long_side / max(picture.shape[:2])) for picture in pictures]
        seen = [_resized(picture, scale) for picture, scale in zip(pictures, scales, strict=True)]
        first = self.detector.detect(seen, largest=None)
        found = [
            _in_original(faces, picture, small)
            for faces, picture, small in zip(first, pictures, seen, strict=True)
        ]
        return [
            self._with_smaller(faces, picture, scale)
            for faces, picture, scale in zip(found, pictures, scales, strict=True)
        ]

    def _with_smaller(self, first: Found, picture: Pixels, scale: float) -> Found:
        if self.smallest is None:
            return first
        goal, parts = min(1.0, self.minimum_face / self.smallest), [first]
        while scale < goal:
            scale = min(goal, scale * OCTAVE)
            parts.append(self._octave(picture, scale))
        return _merged(parts) if len(parts) > 1 else first

    def _octave(self, picture: Pixels, scale: float) -> Found:
        resized = _resized(picture, scale)
        overlap = int(OVERLAP * self.minimum_face)
        tiles = [
            (left, top, tile)
            for left, top, tile in _tiles(resized, self.long_side, overlap)
            if float(cv2.meanStdDev(cv2.cvtColor(tile, cv2.COLOR_RGB2GRAY))[1][0, 0]) >= PLAIN
        ]
        parts = []
        for at in range(0, len(tiles), TILES_AT_ONCE):
            batch = tiles[at : at + TILES_AT_ONCE]
            answers = self.detector.detect(
                [tile for _, _, tile in batch], largest=OCTAVE * self.minimum_face
            )
            parts += [
                answer.moved(1.0, left, top)
                for (left, top, _), answer in zip(batch, answers, strict=True)
            ]
        return _in_original(together(parts), picture, resized)


def _tiles(picture: Pixels, side: int, overlap: int) -> Iterator[tuple[int, int, Pixels]]:
    """Tiles with their left and top edges; neighbours share ``overlap`` pixels."""
    height, width = picture.shape[:2]
    for top in _starts(height, side, overlap):
        for left in _starts(width, side, overlap):
            yield left, top, picture[top : top + side, left : left + side]


def _starts(length: int, side: int, overlap: int) -> list[int]:
    """Where tiles begin along one edge: evenly spread, the last one ending at the end."""
    if length <= side:
        return [0]
    count = -(-(length - overlap) // (side - overlap))
    return [round(at * (length - side) / (count - 1)) for at in range(count)]


def _resized(picture: Pixels, scale: float) -> Pixels:
    if scale == 1.0:
        return picture
    height, width = picture.shape[:2]
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))


def _in_original(found: Found, picture: Pixels, seen: Pixels) -> Found:
    """Faces of a resized picture in the original's pixels."""
    if picture.shape == seen.shape or not len(found):
        return found
    across = picture.shape[1] / seen.shape[1], picture.shape[0] / seen.shape[0]
    factor = np.array(across, np.float32)
    return Found(found.boxes * np.tile(factor, 2), found.scores, found.landmarks * factor)


def _merged(parts: Sequence[Found]) -> Found:
    """One face once: what an earlier pass found whole, a later one may have found in part."""
    every = together(parts)
    if not len(every):
        return NOBODY
    passes = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    order = np.lexsort((-every.scores, passes))
    return every.at(distinct(every.boxes, order, COVERED))
