"""An insightface model folder that the operator is licensed for, through insightface's own classes.

insightface publishes its models for non-commercial research; whoever has another licence points
``packs install insightface --from FOLDER`` at the folder with a detector (SCRFD) and a recogniser
(ArcFace). Its import takes seconds and only happens when such a pack is made or opened.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import Misconfigured
from pipeline.packs import FaceModel, _golden, _manifest, _runtime
from pipeline.packs._found import NOBODY, Floats, Found, Pixels
from pipeline.packs._halves import Halves
from pipeline.packs._install import Made, opened
from pipeline.packs._manifest import Build, Detector, Licence, Manifest, Recogniser
from pipeline.packs._model import MAX_FACES, SMALLEST_FACE, PackModel
from pipeline.packs._sources import Progress

RECIPE: Manifest | None = None
DETECTOR, RECOGNISER = "detector.onnx", "recogniser.onnx"
LONG_SIDE, MINIMUM_FACE = 640, 20
TEMPLATE_SIDE = 112
LEAST_DIM = 2
TEMPLATE = (
    (38.2946, 51.6963),
    (73.5318, 51.5014),
    (56.0252, 71.7366),
    (41.5493, 92.3655),
    (70.7299, 92.2041),
)
"""Where ArcFace expects the five points in its chip of 112 pixels."""


def make(given: str | Path | None, progress: Progress) -> Made:
    """The folder's detector and recogniser, tried out."""
    if given is None or not Path(given).is_dir():
        raise Misconfigured("the insightface pack is made of your own folder; name it with --from")
    folder = Path(given)
    if _is_second_format(folder):
        raise Misconfigured(
            f"{folder.name} is in insightface's second package format, which Consentry does not "
            "read; take the plain ONNX files of the same models"
        )
    progress("looking at the networks", 0, 0)
    detectors, recognisers = [], []
    for path in sorted(folder.glob("*.onnx")):
        kind = _loaded(path)
        if _is_detector(kind):
            detectors.append((path, kind))
        elif _is_recogniser(kind):
            recognisers.append((path, kind))
    if len(detectors) != 1 or len(recognisers) != 1:
        raise Misconfigured(
            f"{folder.name} must have one SCRFD detector with landmarks and one ArcFace "
            f"recogniser; it has {len(detectors)} and {len(recognisers)}"
        )
    return _made(folder.name, detectors[0][0].read_bytes(), *recognisers[0])


def build(
    home: Path,
    *,
    max_faces: int = MAX_FACES,
    smallest: int | None = SMALLEST_FACE,
    wait: float = 0.0,
) -> FaceModel:
    """The installed pack's model; see ``PackModel`` for the options."""
    manifest, folder = opened("insightface", home)
    return PackModel(
        manifest,
        ScrfdDetector(_loaded(folder / DETECTOR), manifest.detector),
        ArcFaceEmbedder(_loaded(folder / RECOGNISER)),
        max_faces=max_faces,
        smallest=smallest,
        wait=wait,
    )


class ScrfdDetector:
    """insightface's SCRFD, one picture at a time: its graphs have no batches."""

    networks: tuple[_runtime.Network, ...] = ()

    def __init__(self, scrfd: Any, detector: Detector) -> None:
        self._scrfd = scrfd
        self._size = (detector.long_side, detector.long_side)
        scrfd.prepare(0, det_thresh=detector.score[0], nms_thresh=detector.nms[0])

    def detect(self, pictures: Sequence[Halves], *, largest: float | None = None) -> list[Found]:
        """The faces of each picture, of whatever size."""
        del largest  # one look finds all sizes
        return [self._one(picture.whole) for picture in pictures]

    def _one(self, picture: Pixels) -> Found:
        boxes, points = self._scrfd.detect(
            np.ascontiguousarray(picture[:, :, ::-1]), input_size=self._size
        )
        usable = np.isfinite(boxes).all(axis=1) & (boxes[:, 2:4] > boxes[:, :2]).all(axis=1)
        if points is None or not usable.any():
            return NOBODY
        return Found(
            np.asarray(boxes[usable, :4], np.float32),
            np.asarray(boxes[usable, 4], np.float32),
            np.asarray(points[usable], np.float32),
        )


class ArcFaceEmbedder:
    """insightface's ArcFace: a batch at once where its graph allows one, else face by face."""

    networks: tuple[_runtime.Network, ...] = ()

    def __init__(self, arcface: Any) -> None:
        self._arcface = arcface
        self._batches = not isinstance(arcface.session.get_inputs()[0].shape[0], int)

    def embed(self, chips: Sequence[Pixels]) -> Floats:
        """See ``Embedder``."""
        pictures = [np.ascontiguousarray(chip[:, :, ::-1]) for chip in chips]
        if self._batches:
            return np.asarray(self._arcface.get_feat(pictures), np.float32)
        rows = [self._arcface.get_feat(picture) for picture in pictures]
        return np.concatenate(rows).astype(np.float32)


def _made(name: str, detector: bytes, recogniser: Path, arcface: Any) -> Made:
    side = int(arcface.input_size[0])
    said = _asked(name, ArcFaceEmbedder(arcface), side)
    networks = {DETECTOR: detector, RECOGNISER: recogniser.read_bytes()}
    digest = hashlib.sha256(b"".join(networks.values())).hexdigest()
    plain = re.sub(r"[^A-Za-z0-9._-]", "-", name).lstrip("._-")[:40] or "pack"
    manifest = Manifest(
        schema=1,
        name="insightface",
        # Templates of two packs never meet, so the version names the very networks.
        version=f"{plain}-{digest[:12]}",
        title=f"insightface's {plain}: SCRFD and ArcFace from the operator's own folder.",
        licence=Licence(
            spdx="LicenseRef-insightface",
            weights="insightface publishes its models for non-commercial research only.",
            training_data="See the publisher of the folder.",
            commercial_use=False,
        ),
        build=Build(converter="none", version=1),
        detector=Detector(
            kind="scrfd",
            files=(DETECTOR,),
            score=(0.5,),
            nms=(0.4,),
            long_side=LONG_SIDE,
            minimum_face=MINIMUM_FACE,
        ),
        recogniser=Recogniser(
            file=RECOGNISER,
            input_size=side,
            channel_order="rgb",
            mean=float(arcface.input_mean),
            std=float(arcface.input_std),
            template=_template(side),
            dim=len(said),
            max_batch=16,
        ),
        golden=_golden.golden_of(side, said, 1e-3),
    )
    return Made(manifest, networks)


def _asked(name: str, embedder: ArcFaceEmbedder, side: int) -> Floats:
    """What a recogniser says of a test picture; ``Misconfigured`` unless that is a vector."""
    try:
        said = embedder.embed([_golden.draw(side)])
    except Exception as wrong:
        # A graph of other dimensions fails in onnxruntime, in OpenCV or in NumPy.
        raise Misconfigured(
            f"the recogniser of {name} cannot be asked about a face: {type(wrong).__name__}. It"
            " must take pictures one by one or in batches of any number"
        ) from None
    if said.ndim != 2 or len(said) != 1 or said.shape[1] < LEAST_DIM:
        raise Misconfigured(
            f"the recogniser of {name} must answer one row of numbers a face, not {said.shape}"
        )
    if not np.isfinite(said).all() or not np.linalg.norm(said) > 0:
        raise Misconfigured(f"the recogniser of {name} says nothing usable of a test picture")
    return np.asarray(said[0], np.float32)


def _template(side: int) -> Any:
    """ArcFace's five points as fractions; a side of 128 and its like has a margin to the left."""
    if side % TEMPLATE_SIDE == 0:
        return tuple((x / TEMPLATE_SIDE, y / TEMPLATE_SIDE) for x, y in TEMPLATE)
    return tuple(((x + 8) / 128, y / 128) for x, y in TEMPLATE)


def _loaded(path: Path) -> Any:
    """The network in insightface's own class, whichever it takes it for; None for none of them."""
    assert _runtime.TELEMETRY_OFF
    from insightface.model_zoo import get_model

    try:
        return get_model(
            str(path), providers=_runtime.providers(), sess_options=_runtime.session_options()
        )
    except Exception as wrong:
        # insightface lets onnx's, onnxruntime's and its own exceptions through.
        raise Misconfigured(
            f"insightface cannot open {path.name}: {type(wrong).__name__}"
        ) from None


def _is_detector(network: Any) -> bool:
    return getattr(network, "taskname", "") == "detection" and bool(
        getattr(network, "use_kps", False)
    )


def _is_recogniser(network: Any) -> bool:
    return getattr(network, "taskname", "") == "recognition"


def _is_second_format(folder: Path) -> bool:
    try:
        said = json.loads((folder / _manifest.FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(said, dict) and said.get("manifest_version") is not None
