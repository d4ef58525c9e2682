"""Faces of a video's moments, linked into tracks: one person seen over some time.

Two faces of neighbouring moments belong together when they lie over each other, or when their
templates are alike. A track is judged by its best likeness and by its mean: one blurred frame does
not hide anybody, and one chance frame accuses nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Box = tuple[float, float, float, float]
"""Left, top, right, bottom, in fractions of the picture."""

GAP = 3.0
"""Seconds for which a face may be out of sight and still be the same track."""

_OVER = 0.3
"""Share of both boxes, together, that they have in common when one lies over the other."""


@dataclass(frozen=True, slots=True, eq=False)
class SeenFace:
    """A face at one moment. Its template, float32 (width,) of length one, does not print."""

    time: float
    box: Box
    template: NDArray[np.float32] = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """One face over time, in order."""

    faces: tuple[SeenFace, ...]

    @property
    def span(self) -> tuple[float, float]:
        """From and to, in seconds."""
        return (self.faces[0].time, self.faces[-1].time)


@dataclass(frozen=True, slots=True)
class Likeness:
    """How like an enrolled template a track is: the best of its faces, and their mean."""

    best: float
    mean: float
    faces: int


def link(faces: Iterable[SeenFace], same: float) -> tuple[Track, ...]:
    """Faces of one stream as tracks; ``same`` is the cosine from which two templates are alike.

    Each face joins the track that it fits best, at most one face of a moment each.
    """
    tracks: list[list[SeenFace]] = []
    by_time: dict[float, list[SeenFace]] = {}
    for face in faces:
        by_time.setdefault(face.time, []).append(face)
    for time in sorted(by_time):
        fits = sorted(
            (
                (-_fit(track[-1], face, same), at, number)
                for number, face in enumerate(by_time[time])
                for at, track in enumerate(tracks)
                if time - track[-1].time <= GAP
            ),
        )
        used, placed = set(), set()
        for worth, at, number in fits:
            if worth < 0 and at not in used and number not in placed:
                tracks[at].append(by_time[time][number])
                used.add(at)
                placed.add(number)
        tracks += [[face] for number, face in enumerate(by_time[time]) if number not in placed]
    return tuple(Track(tuple(track)) for track in tracks)


def likeness(track: Track, enrolled: Sequence[NDArray[np.float32]]) -> Likeness:
    """A track against one person's templates; of several the nearest counts, each time."""
    against = np.stack(enrolled)
    each = np.stack([face.template for face in track.faces]) @ against.T
    nearest = each.max(axis=1)
    return Likeness(float(nearest.max()), float(nearest.mean()), len(track.faces))


def alike(found: Likeness, strong: float, review: float) -> bool:
    """Whether a person should look: one strong face in a track that is like her on the whole.

    A track of a single face has only that one, which must then be strong.
    """
    return found.best >= strong and found.mean >= min(review, strong) * 0.8


def _fit(before: SeenFace, now: SeenFace, same: float) -> float:
    """How well a face goes on with a track; 0 for not at all."""
    cosine = float(before.template @ now.template)
    over = _overlap(before.box, now.box)
    if cosine >= same or (over >= _OVER and cosine >= same / 2):
        return max(0.0, cosine) + over
    return 0.0


def _overlap(first: Box, second: Box) -> float:
    """Intersection over union."""
    wide = min(first[2], second[2]) - max(first[0], second[0])
    tall = min(first[3], second[3]) - max(first[1], second[1])
    if wide <= 0 or tall <= 0:
        return 0.0
    shared = wide * tall
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (first, second))
    return shared / (areas - shared)
