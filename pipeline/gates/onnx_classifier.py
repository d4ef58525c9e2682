"""An image classifier of the operator's choice, as an ONNX file, asked about every frame.

Consentry brings no such model along. The operator names the file, how its input is made, which of
its outputs mean *intimate*, and from which probability on.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pipeline.domain.media import Frame, Media, Rating, Upload
from pipeline.errors import Misconfigured
from pipeline.gates import Gate, Verdict
from pipeline.packs._runtime import Network

AT_ONCE = 16


class Settings(BaseModel):
    """What the operator says of the model.

    The input is float32, ``(pixel - mean) / std`` per channel, ``side`` by ``side`` pixels. The
    upload is intimate when the ``intimate`` labels' probabilities add up to ``threshold`` in any
    frame. ``activation`` says what to apply to the output first.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    model: Path
    side: int = Field(ge=16, le=2048)
    layout: Literal["nchw", "nhwc"] = "nchw"
    channels: Literal["rgb", "bgr"] = "rgb"
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (255.0, 255.0, 255.0)
    fit: Literal["stretch", "crop"] = "stretch"
    activation: Literal["none", "softmax", "sigmoid"] = "none"
    labels: tuple[str, ...] = Field(min_length=1)
    intimate: tuple[str, ...] = Field(min_length=1)
    threshold: float = Field(gt=0, le=1)

    @model_validator(mode="after")
    def _labels_exist(self) -> Settings:
        if unknown := set(self.intimate) - set(self.labels):
            raise ValueError(f"intimate names no labels: {', '.join(sorted(unknown))}")
        if 0 in self.std:
            raise ValueError("std must not be 0")
        return self


def build(**settings: object) -> Gate:
    """The gate for ``Settings``; raises ``Misconfigured`` naming the one that is wrong."""
    try:
        return OnnxClassifier(Settings.model_validate(settings))
    except ValidationError as wrong:
        first = wrong.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "its settings"
        raise Misconfigured(f"gate onnx_classifier, {where}: {first['msg']}") from None


class OnnxClassifier:
    """Asks the model about each frame and believes the most suspicious one."""

    def __init__(self, settings: Settings) -> None:
        if not settings.model.is_file():
            raise Misconfigured(f"gate onnx_classifier: there is no file {settings.model}")
        self._settings = settings
        self._network = Network(settings.model)
        digest = hashlib.sha256(settings.model.read_bytes()).hexdigest()
        self._name = f"onnx_classifier/{settings.model.stem}-{digest[:12]}"
        self._columns = [settings.labels.index(label) for label in settings.intimate]
        self._mean = np.array(settings.mean, np.float32)
        self._std = np.array(settings.std, np.float32)
        self._fixed = isinstance(self._network.input_shape[0], int)
        # A wrong layout or label count shows now, not at the first upload.
        self._probabilities([np.zeros((settings.side, settings.side, 3), np.uint8)])

    @property
    def name(self) -> str:
        """See ``Gate``."""
        return self._name

    @property
    def looks(self) -> bool:
        """See ``Gate``."""
        return True

    def rate(self, upload: Upload, media: Media) -> Verdict:  # noqa: ARG002
        """See ``Gate``."""
        if not media.frames:
            return Verdict(Rating.UNKNOWN, self._name, "the upload has no frames")
        pictures = [_fitted(frame, self._settings) for frame in media.frames]
        likely = self._probabilities(pictures)[:, self._columns].sum(axis=1)
        worst = int(np.argmax(likely))
        time = media.frames[worst].time
        where = "" if time is None else f" at {time:.1f} s"
        found = likely[worst] >= self._settings.threshold
        return Verdict(
            Rating.INTIMATE if found else Rating.NOT_INTIMATE,
            self._name,
            f"the classifier gives {likely[worst]:.2f} for intimate{where}; "
            f"{self._settings.threshold:g} counts",
        )

    def _probabilities(self, pictures: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Rows of probabilities (n, labels), after the activation."""
        step = 1 if self._fixed else AT_ONCE
        answers = []
        for at in range(0, len(pictures), step):
            batch = np.stack(pictures[at : at + step]).astype(np.float32)
            batch = (batch - self._mean) / self._std
            if self._settings.layout == "nchw":
                batch = np.ascontiguousarray(batch.transpose(0, 3, 1, 2))
            answers.append(self._answer(batch))
        return np.concatenate(answers)

    def _answer(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        wanted = (len(batch), len(self._settings.labels))
        try:
            said = next(iter(self._network(batch).values()))
        except Exception as wrong:
            # onnxruntime's exceptions have no public common root.
            raise Misconfigured(
                f"gate onnx_classifier: the model does not take {batch.shape}; check side and "
                f"layout ({type(wrong).__name__})"
            ) from None
        if said.shape != wanted:
            raise Misconfigured(
                f"gate onnx_classifier: the model answers {said.shape}, not {wanted}; check labels"
            )
        likely = _activated(said, self._settings.activation)
        if not np.isfinite(likely).all() or likely.min() < -1e-3 or likely.max() > 1 + 1e-3:
            raise Misconfigured(
                "gate onnx_classifier: the model does not answer probabilities; check activation"
            )
        return likely


def _activated(said: NDArray[np.float32], activation: str) -> NDArray[np.float32]:
    if activation == "softmax":
        raised = np.exp(said - said.max(axis=1, keepdims=True))
        return np.asarray(raised / raised.sum(axis=1, keepdims=True), np.float32)
    if activation == "sigmoid":
        # Clipped where float32 has long reached 0 and 1, so that nothing overflows.
        return np.asarray(1 / (1 + np.exp(-np.clip(said, -60, 60))), np.float32)
    return said


def _fitted(frame: Frame, settings: Settings) -> NDArray[np.uint8]:
    """The frame as the model wants it: whole and stretched, or the middle square of it."""
    picture = frame.rgb
    if settings.fit == "crop":
        edge = min(frame.width, frame.height)
        top, left = (frame.height - edge) // 2, (frame.width - edge) // 2
        picture = picture[top : top + edge, left : left + edge]
    size = (settings.side, settings.side)
    shrinks = picture.shape[0] > settings.side or picture.shape[1] > settings.side
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    small = np.asarray(cv2.resize(picture, size, interpolation=how), np.uint8)
    return small if settings.channels == "rgb" else np.ascontiguousarray(small[:, :, ::-1])
