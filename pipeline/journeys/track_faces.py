"""The faces of a video: who stays in the picture is followed, and compared by her best views.

A frame a second shows one person many times, now sharp, now turned away. Her faces are joined to a
track, and of each track the best views are asked about: the likeness of a video is the best over
its frames. Like all templates of uploads they live in memory for one screening.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from pipeline.domain.evidence import Place, Stretch
from pipeline.domain.media import Frame, View
from pipeline.journeys.see_faces import FacesSeen, corners_in, signals_of
from pipeline.packs import Face, FaceModel

GAP = 6.0
"""Seconds for which somebody may be out of sight and still be the same track."""
VIEWS = 5
MOST_TRACKS = 128
AT_ONCE = 8
MOST_PLACES = 512
"""So many moments of a track are told; of a longer one every other, every fourth, and so on."""


@dataclass(slots=True, eq=False)
class _Track:
    """Somebody in the picture, from one moment to another."""

    latest: Face = field(repr=False)
    first: float
    last: float
    begun: int
    """The frame it began in, by number."""
    ended: int
    seen: int = 0
    best: list[tuple[Face, View]] = field(default_factory=list, repr=False)
    path: list[Place] = field(default_factory=list, repr=False)
    every: int = 1

    def add(self, face: Face, frame: Frame, number: int) -> None:
        time = frame.time or 0.0
        self.latest, self.last, self.ended = face, time, number
        corners = corners_in(frame, face.box)
        if self.seen % self.every == 0:
            (left, top), _, (right, bottom), _ = corners
            sides = (round(side, 4) for side in (left, top, right, bottom))
            self.path.append(Place(round(time, 3), *sides))
        if len(self.path) > MOST_PLACES:
            self.path, self.every = self.path[::2], 2 * self.every
        self.seen += 1
        self.best.append((face, View(f"the face at {time:.1f} s", corners, time=time)))
        self.best.sort(key=lambda one: -one[0].quality)
        del self.best[VIEWS:]


class FaceTracks:
    """Follows the faces of one video, for every pack."""

    def __init__(self, packs: Sequence[tuple[FaceModel, float]]) -> None:
        """``packs`` come with the cosine from which two faces of one video are one person."""
        self._packs = tuple(packs)
        self._tracks: list[list[_Track]] = [[] for _ in packs]
        self._waiting: list[Frame] = []
        self._frames = 0
        self._left_out = 0

    def add(self, frame: Frame) -> None:
        """Look at one more frame; frames come in the order of their times."""
        self._waiting.append(frame)
        if len(self._waiting) == AT_ONCE:
            self._look()

    def seen(self) -> FacesSeen:
        """The best views of everybody, and when each was in the picture."""
        self._look()
        asked, shown = [], dict[View, Stretch]()
        for (model, _), tracks in zip(self._packs, self._tracks, strict=True):
            rows: list[tuple[Face, View]] = []
            for track in tracks:
                when = Stretch(
                    (track.first, track.last),
                    None,
                    track.seen,
                    track.ended - track.begun + 1,
                    0.0,
                    tuple(track.path),
                )
                rows += track.best
                shown |= {view: when for _, view in track.best}
            if rows:
                asked.append(signals_of(model.space, rows))
        notes = (f"faces_left_out:{self._left_out}",) if self._left_out else ()
        return FacesSeen(tuple(asked), notes, shown)

    def _look(self) -> None:
        frames, self._waiting = self._waiting, []
        if not frames:
            return
        for (model, least), tracks in zip(self._packs, self._tracks, strict=True):
            for at, (frame, faces) in enumerate(zip(frames, model.templates(frames), strict=True)):
                self._left_out += faces.left_out
                self._join(tracks, frame, faces, self._frames + at, least)
        self._frames += len(frames)

    def _join(
        self, tracks: list[_Track], frame: Frame, faces: Iterable[Face], number: int, least: float
    ) -> None:
        time, taken = frame.time or 0.0, set[int]()
        for face in faces:
            at = _nearest(tracks, face, time, taken, least)
            if at is None:
                if len(tracks) == MOST_TRACKS:
                    self._left_out += 1
                    continue
                tracks.append(_Track(face, time, time, number, number))
                at = len(tracks) - 1
            taken.add(at)
            tracks[at].add(face, frame, number)


def _nearest(
    tracks: Sequence[_Track], face: Face, time: float, taken: set[int], least: float
) -> int | None:
    """The track that a face goes on with; no track has two faces in one frame.

    The place in the picture says nothing: cuts put others there.
    """
    found: tuple[float, int] | None = None
    for at, track in enumerate(tracks):
        away = time - track.last
        if at in taken or away > GAP:
            continue
        alike = float(np.dot(track.latest.template, face.template))
        if alike >= least and (found is None or alike > found[0]):
            found = (alike, at)
    return None if found is None else found[1]
