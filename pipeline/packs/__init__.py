"""The family of model packs: networks that turn faces into templates, and their licences.

Copy-detection packs, which turn whole pictures into vectors, are the operator's own folders and
no members of the family: see ``_copies``.

A pack is a folder with a ``manifest.json`` (``_manifest``) and the ONNX files it names, made by
``_install`` from pinned sources. A member is one file with ``RECIPE`` (how the pack is made),
``make`` and ``build(home)``, which returns the ``FaceModel`` of the installed pack. Nothing of an
installed pack ever asks the network.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol, overload

import numpy as np
from numpy.typing import NDArray

from pipeline.domain.likeness import Likeness
from pipeline.domain.media import Frame
from pipeline.domain.signal import Space

Box = tuple[float, float, float, float]
"""Left, top, right and bottom in the frame's pixels."""


@dataclass(frozen=True, slots=True)
class Looks:
    """How well a face can be seen, in numbers that enrolment turns into advice.

    ``size`` is the box's shorter side in the frame's pixels, ``brightness`` the chip's median luma
    (0 to 255), ``sharpness`` the deviation of its Laplacian, ``turned`` 0 when the nose lies in the
    middle between the eyes and about 1 in profile.
    """

    size: float
    brightness: float
    sharpness: float
    turned: float

    @property
    def quality(self) -> int:
        """One number, 0 to 100: the weakest of the four decides."""
        light = min(self.brightness / 50.0, (255.0 - self.brightness) / 25.0)
        weakest = min(self.size / 80.0, light, self.sharpness / 8.0, 1.6 - 1.6 * self.turned)
        return round(100.0 * min(1.0, max(0.0, weakest)))


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """A face in a frame. The template is biometric data: it does not print.

    ``landmarks`` is float32 (5, 2), in the frame's pixels: the eye on the left of the picture, the
    eye on its right, nose, left and right corner of the mouth. ``score`` is the detector's
    confidence, ``template`` float32 of length one, as wide as the model's space.
    """

    box: Box
    landmarks: NDArray[np.float32] = field(repr=False)
    score: float
    looks: Looks
    template: NDArray[np.float32] = field(repr=False)

    @property
    def quality(self) -> int:
        """How much the template can be trusted, 0 to 100."""
        return self.looks.quality


@dataclass(frozen=True, slots=True, eq=False)
class Faces(Sequence[Face]):
    """The faces of one frame, largest and most confident first.

    ``left_out`` counts the faces beyond the model's bound, which have no template.
    """

    found: tuple[Face, ...] = ()
    left_out: int = 0

    def __len__(self) -> int:
        return len(self.found)

    def __iter__(self) -> Iterator[Face]:
        return iter(self.found)

    @overload
    def __getitem__(self, at: int) -> Face: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[Face, ...]: ...
    def __getitem__(self, at: int | slice) -> Face | tuple[Face, ...]:
        return self.found[at]


class FaceModel(Protocol):
    """Finds faces and makes templates, for many frames at once."""

    @property
    def space(self) -> Space:
        """Where the templates live: the pack's name and version, compared by inner product."""
        ...

    @property
    def likeness(self) -> Likeness | None:
        """From which cosines on a person looks; None while the pack is not calibrated."""
        ...

    def templates(self, frames: Sequence[Frame]) -> Sequence[Faces]:
        """The faces of each frame, one ``Faces`` a frame, in the frames' order."""
        ...

    def words(self, similarity: float) -> str:
        """A cosine in words a reviewer understands, by the pack's calibration."""
        ...


class CopyModel(Protocol):
    """Turns whole pictures into vectors that are alike when one is a copy of the other."""

    @property
    def space(self) -> Space:
        """Where the vectors live: the pack's name and version, compared by inner product."""
        ...

    def vectors(self, frames: Sequence[Frame]) -> NDArray[np.float32]:
        """float32 (n, width), rows of length one, a row a frame. Intimate data, like templates."""
        ...

    def words(self, similarity: float) -> str:
        """A cosine in words a reviewer understands, by the pack's calibration."""
        ...
