"""What packs with MTCNN in front have in common."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pipeline.packs import _convert_mtcnn
from pipeline.packs._manifest import Manifest
from pipeline.packs._model import OnnxEmbedder, PackModel
from pipeline.packs._mtcnn import Mtcnn


def detector(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """MTCNN's three networks from its publisher's weight files."""
    return {
        "pnet.onnx": _convert_mtcnn.convert_proposals(files["pnet.pt"]),
        "rnet.onnx": _convert_mtcnn.convert_refinement(files["rnet.pt"]),
        "onet.onnx": _convert_mtcnn.convert_output(files["onet.pt"]),
    }


def model(
    manifest: Manifest, folder: Path, *, max_faces: int, smallest: int | None, wait: float
) -> PackModel:
    """The model of a pack's folder."""
    return PackModel(
        manifest,
        Mtcnn(folder, manifest.detector),
        OnnxEmbedder(folder, manifest.recogniser),
        max_faces=max_faces,
        smallest=smallest,
        wait=wait,
    )
