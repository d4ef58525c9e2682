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
from pipeline.packs._halves import GRID, Halves

OCTAVE = 2.0
OVERLAP = 2.6
"""How much tiles overlap, in smallest faces: an octave's largest face and a margin around it."""
TILES_AT_ONCE = 16
COVERED = 0.5
PLAIN = 4.0
"""A tile whose colours deviate by less than this has no face that anybody could recognise."""


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
        halves = [Halves(picture) for picture in pictures]
        scales = [min(1.0, self.long_side / max(picture.shape[:2])) for picture in pictures]
        seen = [half.resized(scale) for half, scale in zip(halves, scales, strict=True)]
        parts = [
            [_in_original(faces, half, small)]
            for faces, half, small in zip(
                self.detector.detect(seen, largest=None), halves, seen, strict=True
            )
        ]
        for found, half, scale in zip(parts, halves, scales, strict=True):
            found += [self._octave(half, larger) for larger in self._larger(scale)]
        return [_merged(found) if len(found) > 1 else found[0] for found in parts]

    def _larger(self, first: float) -> list[float]:
        """The scales of the passes after the first, rising, no two more than an octave apart."""
        scale = 0.0 if self.smallest is None else min(1.0, self.minimum_face / self.smallest)
        scales = []
        while scale > first:
            scales.append(scale)
            scale /= OCTAVE
        return scales[::-1]

    def _octave(self, halves: Halves, scale: float) -> Found:
        """The faces of one octave; tiles of all of the picture that is not plain."""
        picture = halves.resized(scale)
        overlap = int(OVERLAP * self.minimum_face)
        tiles = [
            tile
            for tile in _tiles(picture, self.long_side, overlap)
            if not _is_plain(tile[2].whole)
        ]
        parts = []
        for at in range(0, len(tiles), TILES_AT_ONCE):
            batch = tiles[at : at + TILES_AT_ONCE]
            answers = self.detector.detect(
                [tile for _, _, tile in batch], largest=OCTAVE * self.minimum_face
            )
            parts += [
                answer.moved(left, top)
                for (left, top, _), answer in zip(batch, answers, strict=True)
            ]
        return _in_original(together(parts), halves, picture)


def _is_plain(tile: Pixels) -> bool:
    # A few rows tell a lively tile; only what looks plain in them is looked at more closely.
    return all(float(cv2.meanStdDev(tile[::step])[1].max()) < PLAIN for step in (32, 4))


def _tiles(picture: Halves, side: int, overlap: int) -> Iterator[tuple[int, int, Halves]]:
    """Tiles with their left and top edges; neighbours share ``overlap`` pixels."""
    width, height = picture.size
    for top in _starts(height, side, overlap):
        for left in _starts(width, side, overlap):
            right, bottom = min(left + side, width), min(top + side, height)
            yield left, top, picture.part(left, top, right, bottom)


def _starts(length: int, side: int, overlap: int) -> list[int]:
    """Where tiles begin along one edge: evenly spread on the grid, the last one to the end."""
    if length <= side:
        return [0]
    # A start is moved by less than the grid, which neighbours must not lose of their overlap.
    count = -(-(length - overlap) // (side - overlap - GRID))
    last = -(-(length - side) // GRID)
    return [GRID * round(at * last / (count - 1)) for at in range(count)]


def _in_original(found: Found, picture: Halves, seen: Halves) -> Found:
    """Faces of a resized picture in the original's pixels."""
    if picture.size == seen.size or not len(found):
        return found
    factor = np.divide(picture.size, seen.size).astype(np.float32)
    return Found(found.boxes * np.tile(factor, 2), found.scores, found.landmarks * factor)


def _merged(parts: Sequence[Found]) -> Found:
    """One face once: what an earlier pass found whole, a later one may have found in part."""
    every = together(parts)
    if not len(every):
        return NOBODY
    passes = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    order = np.lexsort((-every.scores, passes))
    return every.at(distinct(every.boxes, order, COVERED))
