"""A copy-detection pack with random weights: it knows a thumbnail when it sees it again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.packs._graph import Graph

SIDE, DIM = 64, 48


def network(seed: int = 3) -> bytes:
    """Means of 8 x 8 blocks, less their own mean, through a random matrix: (n, ``DIM``)."""
    graph = Graph("whole")
    x = graph.input("pixels", ("n", 3, SIDE, SIDE))
    blocks = graph.add("AveragePool", x, kernel_shape=[8, 8], strides=[8, 8])
    flat = graph.add("Flatten", blocks, axis=1)
    centred = graph.add("Sub", flat, graph.add("ReduceMean", flat, axes=[1], keepdims=1))
    matrix = np.random.default_rng(seed).standard_normal((3 * 64, DIM)).astype(np.float32)
    graph.output(graph.add("MatMul", centred, graph.constant(matrix)), "vector", ("n", DIM))
    return graph.serialise()


def manifest(**changes: Any) -> dict[str, Any]:
    """What the pack says of itself."""
    return {
        "schema": 1,
        "kind": "copies",
        "name": "thumbs",
        "version": "1",
        "title": "Thumbnails through a random matrix.",
        "licence": {
            "spdx": "CC0-1.0",
            "weights": "ours",
            "training_data": "none",
            "commercial_use": True,
        },
        "network": {
            "file": "thumbs.onnx",
            "input_size": SIDE,
            "mean": [123.7, 116.3, 103.5],
            "std": [58.4, 57.1, 57.4],
            "dim": DIM,
            "max_batch": 4,
        },
        "calibration": {
            "dataset": "none",
            "pairs": "none",
            "thresholds": [
                {"false_accept_rate": 1e-3, "similarity": 0.8},
                {"false_accept_rate": 1e-4, "similarity": 0.9},
            ],
            "review_at": 1e-4,
            "strong_at": 1e-4,
        },
    } | changes


def pack_folder(folder: Path, *, seed: int = 3, **changes: Any) -> Path:
    """A folder as an operator has it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "thumbs.onnx").write_bytes(network(seed))
    (folder / "manifest.json").write_text(json.dumps(manifest(**changes)), encoding="utf-8")
    return folder
