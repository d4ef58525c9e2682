"""The recommended pack: Intel's face-reidentification-retail-0095 behind MTCNN."""

from __future__ import annotations

from pathlib import Path

from pipeline.packs import FaceModel, _convert_openvino, _manifest, _mtcnn_pack
from pipeline.packs._install import Made, opened
from pipeline.packs._model import MAX_FACES, SMALLEST_FACE
from pipeline.packs._sources import Progress, fetch

RECIPE = _manifest.read(Path(__file__).with_suffix(".json"))
_NETWORK = "face-reidentification-retail-0095"


def make(given: str | Path | None, progress: Progress) -> Made:
    """The pack's networks, from Intel's address or a folder, and MTCNN from its package."""
    files = fetch(RECIPE.sources, given, progress)
    progress("converting the networks", 0, 0)
    recogniser = _convert_openvino.convert(
        files[f"{_NETWORK}.xml"], files[f"{_NETWORK}.bin"], _NETWORK
    )
    return Made(RECIPE, _mtcnn_pack.detector(files) | {RECIPE.recogniser.file: recogniser})


def build(
    home: Path,
    *,
    max_faces: int = MAX_FACES,
    smallest: int | None = SMALLEST_FACE,
    wait: float = 0.0,
) -> FaceModel:
    """The installed pack's model; see ``PackModel`` for the options."""
    manifest, folder = opened("omz0095", home)
    return _mtcnn_pack.model(manifest, folder, max_faces=max_faces, smallest=smallest, wait=wait)
