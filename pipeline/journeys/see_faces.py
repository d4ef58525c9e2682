"""The faces in an upload, where they can matter, and whose they are like.

A face alone is no reason to look: only in an intimate upload are templates computed. They live in
memory for the length of one screening; of a face that matched nobody nothing is written, logged or
kept, and an ordinary photo of an enrolled person raises nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np

from pipeline.domain.evidence import Hit, Owner, Stretch
from pipeline.domain.ids import EntryId, entry_of, slot_of
from pipeline.domain.likeness import FACES
from pipeline.domain.media import Corners, Frame, Media, Rating, Upload, View
from pipeline.domain.policy import Policy
from pipeline.domain.signal import Metric, Signals, Space
from pipeline.errors import Misconfigured
from pipeline.gates import Gate, Verdict, first_answer
from pipeline.indexes import Hits
from pipeline.journeys.restore_index import LiveIndexes
from pipeline.packs import Box, Face, FaceModel, Faces


@dataclass(frozen=True, slots=True)
class FacesSeen:
    """The faces of one upload, a batch of templates a pack.

    ``notes`` say what was not looked at.
    """

    asked: tuple[Signals, ...] = field(default=(), repr=False)
    notes: tuple[str, ...] = ()
    shown: Mapping[View, Stretch] = field(default_factory=lambda: MappingProxyType({}))
    """Of a video: when whoever a view shows is in the picture."""


NOT_LOOKED = FacesSeen()
"""Of an upload whose faces were not looked at."""

UNRATED = FacesSeen(notes=("faces_not_looked_at:unknown_rating",))
"""Of one that nobody has rated, where the policy says to leave it alone."""


_UNSEEN = Media((), "", 0, 0)


@dataclass(frozen=True, slots=True)
class FacesFound:
    """Enrolled faces that are alike, before anybody's name was looked up."""

    batches: tuple[tuple[Signals, Hits], ...] = ()
    truncated: bool = False
    shown: Mapping[View, Stretch] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def entries(self) -> set[EntryId]:
        """The entries that were hit."""
        return {entry_of(int(label)) for _, hits in self.batches for label in hits.label}


class FaceEye:
    """Looks at faces with all packs of a deployment."""

    def __init__(self, models: Sequence[FaceModel], gates: Sequence[Gate], policy: Policy) -> None:
        """``gates`` are asked in order; the platform's own rating comes first.

        Raises ``Misconfigured`` when the policy names no thresholds for a pack.
        """
        self._models, self._gates, self._policy = tuple(models), tuple(gates), policy
        for model in models:
            if model.space.name not in policy.faces.thresholds:
                raise Misconfigured(
                    f"the pack {model.space.name} is not calibrated, and the policy names no"
                    " thresholds for it under faces; calibrate it with: consentry packs calibrate"
                    f" {model.space.name}, or name review and strong there"
                )

    def under(self, policy: Policy) -> FaceEye:
        """The same eye under another policy."""
        return FaceEye(self._models, self._gates, policy)

    @property
    def packs(self) -> tuple[tuple[FaceModel, float], ...]:
        """The packs with the cosine from which a person looks, to follow faces in a video."""
        return tuple((model, self._review(model.space)) for model in self._models)

    @property
    def spaces(self) -> tuple[Space, ...]:
        """Where the packs' templates live."""
        return tuple(model.space for model in self._models)

    def rate(self, upload: Upload, media: Media) -> Verdict:
        """Whether the upload is intimate, by the first gate that knows."""
        return first_answer(self._gates, upload, media)

    def may_look(self, upload: Upload) -> bool:
        """Whether faces of this upload may be looked at, as far as that is known before decoding.

        Small faces need every pixel there is; where none is looked at, a sketch will do.
        """
        if not self._models:
            return False
        rating = Rating.UNKNOWN
        for gate in self._gates:
            if gate.looks:
                return True
            rating = gate.rate(upload, _UNSEEN).rating
            if rating is not Rating.UNKNOWN:
                break
        return rating is not Rating.NOT_INTIMATE and self._policy.faces.look(rating)

    def look(self, upload: Upload, media: Media) -> FacesSeen:
        """The faces of an upload in which they can matter; nothing is computed of any other."""
        if not self._models:
            return NOT_LOOKED
        rating = self.rate(upload, media).rating
        if rating is Rating.NOT_INTIMATE:
            return NOT_LOOKED
        if not self._policy.faces.look(rating):
            return UNRATED
        return self.read(media.frames)

    def read(self, frames: Sequence[Frame]) -> FacesSeen:
        """The faces of all frames, whatever they show: ask ``rate`` and the policy first."""
        asked, left_out = [], 0
        for model in self._models:
            each = model.templates(frames)
            left_out = max(left_out, sum(faces.left_out for faces in each))
            seen = [
                (face, _view(frame, faces, at))
                for frame, faces in zip(frames, each, strict=True)
                for at, face in enumerate(faces)
            ]
            if seen:
                asked.append(signals_of(model.space, seen))
        return FacesSeen(tuple(asked), (f"faces_left_out:{left_out}",) if left_out else ())

    def search(self, live: LiveIndexes, seen: FacesSeen) -> FacesFound:
        """Enrolled faces alike enough for a person to look; raises ``IndexNotReady``."""
        batches = [
            (signals, live.search(signals.space, signals.codes, self._review(signals.space)))
            for signals in seen.asked
        ]
        return FacesFound(
            tuple((signals, hits) for signals, hits in batches if len(hits)),
            any(hits.truncated for _, hits in batches),
            seen.shown,
        )

    def believe(self, found: FacesFound, owners: Mapping[EntryId, Owner]) -> tuple[Hit, ...]:
        """Hits on templates in force, each with its likeness in words."""
        said = {model.space.name: model for model in self._models}
        return tuple(
            Hit(
                signals.space.name,
                float(cosine),
                signals.views[int(query)],
                slot_of(int(label)),
                owners[entry_of(int(label))],
                witness=self._words(said[signals.space.name], float(cosine)),
                stretches=_when(found.shown, signals.views[int(query)], float(cosine)),
                metric=Metric.INNER_PRODUCT,
            )
            for signals, near in found.batches
            for query, label, cosine in zip(near.query, near.label, near.distance, strict=True)
            if entry_of(int(label)) in owners and owners[entry_of(int(label))].bank == FACES
        )

    def _review(self, space: Space) -> float:
        return self._policy.faces.thresholds[space.name].review

    def _words(self, model: FaceModel, cosine: float) -> str:
        strong = cosine >= self._policy.faces.thresholds[model.space.name].strong
        grade = "a face very like hers" if strong else "a face like hers"
        return f"{grade}: {model.words(cosine)}"


def together(parts: Sequence[FacesSeen]) -> FacesSeen:
    """What was seen in several parts of one upload."""
    return FacesSeen(
        tuple(signals for part in parts for signals in part.asked),
        tuple(dict.fromkeys(note for part in parts for note in part.notes)),
        {view: when for part in parts for view, when in part.shown.items()},
    )


def _when(shown: Mapping[View, Stretch], view: View, cosine: float) -> tuple[Stretch, ...]:
    return (replace(shown[view], distance=cosine),) if view in shown else ()


def signals_of(space: Space, seen: Iterable[tuple[Face, View]]) -> Signals:
    """Templates of one pack as a batch."""
    faces = tuple(seen)
    return Signals(
        space,
        np.stack([face.template for face, _ in faces]).astype(np.float32),
        np.array([face.quality for face, _ in faces], np.uint8),
        tuple(view for _, view in faces),
    )


def _view(frame: Frame, faces: Faces, at: int) -> View:
    name = "the face" if len(faces) == 1 else f"face {at + 1} of {len(faces)}"
    return View(name, corners_in(frame, faces[at].box))


def corners_in(frame: Frame, box: Box) -> Corners:
    """A box as fractions of the frame it lies in."""
    left, right = (min(1.0, max(0.0, x / frame.width)) for x in (box[0], box[2]))
    top, bottom = (min(1.0, max(0.0, y / frame.height)) for y in (box[1], box[3]))
    return ((left, top), (right, top), (right, bottom), (left, bottom))
