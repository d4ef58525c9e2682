"""Detector, alignment and recogniser put together: the ``FaceModel`` of an installed pack."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.domain.likeness import Likeness
from pipeline.domain.media import Frame
from pipeline.domain.signal import Space
from pipeline.packs import Face, Faces, Looks
from pipeline.packs._align import chip, places
from pipeline.packs._card import batch_for, free_bytes, inside
from pipeline.packs._found import FaceDetector, Floats, Found, Pixels
from pipeline.packs._manifest import NOT_CALIBRATED, Manifest, Recogniser
from pipeline.packs._passes import Passes
from pipeline.packs._runtime import Network, on_card
from pipeline.packs._together import Together

MAX_FACES = 32
SMALLEST_FACE = 40


class Embedder(Protocol):
    """Turns aligned faces into vectors."""

    networks: tuple[Network, ...]
    """What is run, where its time can be measured."""

    def embed(self, chips: Sequence[Pixels]) -> Floats:
        """One row a chip (RGB, uint8, square), of any length."""
        ...


class PackModel:
    """A pack's ``FaceModel``. Embeds the faces of all frames in common batches.

    At most ``max_faces`` of a frame get a template, the largest and most confident; the others are
    counted in ``Faces.left_out``. ``smallest`` is the shortest face searched for, in the frame's
    pixels; None searches only the picture as the detector's first pass sees it. ``wait`` is how
    many seconds at most a face waits on a card for those of other threads (``Together``).
    """

    def __init__(
        self,
        manifest: Manifest,
        detector: FaceDetector,
        embedder: Embedder,
        *,
        max_faces: int = MAX_FACES,
        smallest: int | None = SMALLEST_FACE,
        wait: float = 0.0,
    ) -> None:
        self.manifest = manifest
        self._detector = detector
        self._embedder: Embedder = embedder
        self._max_faces = max_faces
        self._batch = manifest.recogniser.max_batch
        if on_card():
            each = inside(manifest.recogniser.input_size)
            self._batch = batch_for(free_bytes(), each, self._batch)
            if wait > 0:
                self._embedder = Together(embedder, self._batch, wait)
        self._flip = manifest.recogniser.flip_average
        self._places = places(manifest.recogniser.template, manifest.recogniser.input_size)
        looking = manifest.detector
        self._passes = Passes(detector, looking.long_side, looking.minimum_face, smallest)

    @property
    def space(self) -> Space:
        """Where the templates live."""
        return self.manifest.space

    @property
    def likeness(self) -> Likeness | None:
        """See the contract."""
        said = self.manifest.calibration
        return None if said is None else Likeness(said.review, said.strong)

    def words(self, similarity: float) -> str:
        """See the contract."""
        said = self.manifest.calibration
        return NOT_CALIBRATED if said is None else said.words(similarity)

    @property
    def networks(self) -> tuple[Network, ...]:
        """The networks whose time can be measured, detector's first."""
        return (*self._detector.networks, *self._embedder.networks)

    def find(self, frames: Sequence[Frame]) -> tuple[list[Found], list[int]]:
        """The faces of each frame, best first and bounded, and how many were left out of each."""
        every = self._passes.find([frame.rgb for frame in frames])
        orders = [np.argsort(-(found.sides * found.scores), kind="stable") for found in every]
        kept = [
            found.at(order[: self._max_faces]) for found, order in zip(every, orders, strict=True)
        ]
        return kept, [len(all_) - len(some) for all_, some in zip(every, kept, strict=True)]

    def align(self, frames: Sequence[Frame], found: Sequence[Found]) -> list[Pixels]:
        """The chips of all faces of all frames, in order."""
        return [
            chip(frame.rgb, landmarks, self._places)
            for frame, faces in zip(frames, found, strict=True)
            for landmarks in faces.landmarks
        ]

    def embed(self, chips: Sequence[Pixels]) -> Floats:
        """Templates of aligned faces: float32 (n, dim), rows of length one."""
        rows = [np.zeros((0, self.space.width), np.float32)]
        for at in range(0, len(chips), self._batch):
            batch = chips[at : at + self._batch]
            vectors = _unit(self._embedder.embed(batch))
            if self._flip:
                mirrored = [np.ascontiguousarray(face[:, ::-1]) for face in batch]
                vectors = _unit(vectors + _unit(self._embedder.embed(mirrored)))
            rows.append(vectors)
        return np.concatenate(rows)

    def templates(self, frames: Sequence[Frame]) -> list[Faces]:
        """The faces of each frame; see the contract."""
        found, left_out = self.find(frames)
        chips = self.align(frames, found)
        vectors = self.embed(chips)
        answers, at = [], 0
        for faces, missing in zip(found, left_out, strict=True):
            rows = range(at, at + len(faces))
            answers.append(
                Faces(
                    tuple(
                        _face(faces, row - at, looks(faces, row - at, chips[row]), vectors[row])
                        for row in rows
                    ),
                    missing,
                )
            )
            at += len(faces)
        return answers


class OnnxEmbedder:
    """A recogniser of a pack: chips in, the network's first output out."""

    def __init__(self, folder: Path, recogniser: Recogniser) -> None:
        self.network = Network(folder / recogniser.file)
        self.networks: tuple[Network, ...] = (self.network,)
        self._recogniser = recogniser

    def embed(self, chips: Sequence[Pixels]) -> Floats:
        """See ``Embedder``."""
        wanted = self._recogniser
        batch = cv2.dnn.blobFromImages(
            list(chips),
            1.0 / wanted.std,
            mean=(wanted.mean,) * 3,
            swapRB=wanted.channel_order == "bgr",
        )
        return next(iter(self.network(batch).values()))


def looks(found: Found, row: int, aligned: Pixels) -> Looks:
    """How well a face can be seen, from its points and its chip."""
    left_eye, right_eye, nose = found.landmarks[row, :3].astype(np.float64)
    across = right_eye - left_eye
    width = float(across @ across)
    # The nose's place along the line between the eyes: 0 in the middle, 0.5 under an eye.
    aside = abs(float((nose - (left_eye + right_eye) / 2) @ across)) / width if width else 0.5
    edge = len(aligned) // 6
    grey = cv2.cvtColor(aligned[edge:-edge, edge:-edge], cv2.COLOR_RGB2GRAY)
    _, deviation = cv2.meanStdDev(cv2.Laplacian(grey, cv2.CV_16S))
    return Looks(
        size=float(found.sides[row]),
        brightness=float(cv2.mean(grey)[0]),
        sharpness=float(deviation[0, 0]),
        turned=2 * aside,
    )


def _face(found: Found, row: int, seen: Looks, template: NDArray[np.float32]) -> Face:
    left, top, right, bottom = (float(edge) for edge in found.boxes[row])
    return Face(
        (left, top, right, bottom), found.landmarks[row], float(found.scores[row]), seen, template
    )


def _unit(vectors: Floats) -> Floats:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, np.finfo(np.float32).tiny), np.float32)
