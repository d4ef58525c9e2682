"""The default pack: dlib's recogniser behind MTCNN, built from Python packages alone.

It is fallback grade. On LFW it accepts 75.3% of genuine pairs at a false-accept rate of 1 in
10,000, where ``omz0095`` accepts 99.2%: use it to get going, and install the other one.
"""

from __future__ import annotations

from pathlib import Path

from pipeline.packs import FaceModel, _convert_dlib, _manifest, _mtcnn_pack
from pipeline.packs._install import Made, opened
from pipeline.packs._model import MAX_FACES, SMALLEST_FACE
from pipeline.packs._sources import Progress, fetch

RECIPE = _manifest.read(Path(__file__).with_suffix(".json"))


def make(given: str | Path | None, progress: Progress) -> Made:
    """The pack's networks, from the packages in its recipe."""
    files = fetch(RECIPE.sources, given, progress)
    progress("converting the networks", 0, 0)
    recogniser = _convert_dlib.convert(files["dlib_face_recognition_resnet_model_v1.dat"])
    return Made(RECIPE, _mtcnn_pack.detector(files) | {RECIPE.recogniser.file: recogniser})


def build(
    home: Path,
    *,
    max_faces: int = MAX_FACES,
    smallest: int | None = SMALLEST_FACE,
    wait: float = 0.0,
) -> FaceModel:
    """The installed pack's model; see ``PackModel`` for the options."""
    manifest, folder = opened("dlib_mtcnn", home)
    return _mtcnn_pack.model(manifest, folder, max_faces=max_faces, smallest=smallest, wait=wait)
