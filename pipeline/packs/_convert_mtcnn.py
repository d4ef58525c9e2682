"""MTCNN's three networks from PyTorch weight files to ONNX graphs, without PyTorch.

All three take float32 RGB, 0 to 255. Their normalisation, ``(x - 127.5) / 128``, is folded into the
first convolution, which is exact because no layer pads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import Misconfigured
from pipeline.packs import _torch_file
from pipeline.packs._graph import Graph

VERSION = 1
MIDDLE, HALF_RANGE = 127.5, 128.0

Weights = dict[str, NDArray[Any]]
Pool = tuple[int, int] | None


def convert_proposals(file: bytes) -> bytes:
    """P-Net: any picture to ``face`` (n, 2, h, w), probabilities, and ``box`` (n, 4, h, w)."""
    weights = _weights(file, "conv4_1", "conv4_2")
    graph = Graph("mtcnn_pnet")
    x = graph.input("input", ("n", 3, "height", "width"))
    x = _convolutions(graph, x, weights, [(2, 2), None, None])
    face = graph.add("Softmax", _convolve(graph, x, weights, "conv4_1"), axis=1)
    graph.output(face, "face", ("n", 2, "rows", "columns"))
    graph.output(_convolve(graph, x, weights, "conv4_2"), "box", ("n", 4, "rows", "columns"))
    return graph.serialise()


def convert_refinement(file: bytes) -> bytes:
    """R-Net: (n, 3, 24, 24) to ``face`` (n, 2) and ``box`` (n, 4)."""
    weights = _weights(file, "dense5_1", "dense5_2")
    graph = Graph("mtcnn_rnet")
    x = graph.input("input", ("n", 3, 24, 24))
    x = _convolutions(graph, x, weights, [(3, 2), (3, 2), None])
    x = _dense(graph, _flat(graph, x), weights, "dense4", "prelu4")
    _heads(graph, x, weights, {"face": ("dense5_1", 2), "box": ("dense5_2", 4)})
    return graph.serialise()


def convert_output(file: bytes) -> bytes:
    """O-Net: (n, 3, 48, 48) to ``face`` (n, 2), ``box`` (n, 4), ``points`` (n, 10: 5 x, 5 y)."""
    weights = _weights(file, "dense6_1", "dense6_2", "dense6_3")
    graph = Graph("mtcnn_onet")
    x = graph.input("input", ("n", 3, 48, 48))
    x = _convolutions(graph, x, weights, [(3, 2), (3, 2), (2, 2), None])
    x = _dense(graph, _flat(graph, x), weights, "dense5", "prelu5")
    heads = {"face": ("dense6_1", 2), "box": ("dense6_2", 4), "points": ("dense6_3", 10)}
    _heads(graph, x, weights, heads)
    return graph.serialise()


def _weights(file: bytes, *needed: str) -> Weights:
    weights = _torch_file.read(file)
    missing = [name for name in needed if f"{name}.weight" not in weights]
    if missing:
        raise Misconfigured(f"these are not MTCNN's weights: {', '.join(missing)} are missing")
    return weights


def _convolutions(graph: Graph, x: str, weights: Weights, pools: Sequence[Pool]) -> str:
    """``conv1, prelu1, pool1, conv2, ...``; a pool is its window and step, or none."""
    for number, pool in enumerate(pools, start=1):
        x = _convolve(graph, x, weights, f"conv{number}", normalise=number == 1)
        x = graph.prelu(x, weights[f"prelu{number}.weight"])
        if pool is not None:
            window, step = pool
            # As Caffe did: a window that hangs over the edge counts.
            x = graph.add("MaxPool", x, kernel_shape=[window] * 2, strides=[step] * 2, ceil_mode=1)
    return x


def _convolve(graph: Graph, x: str, weights: Weights, name: str, *, normalise: bool = False) -> str:
    filters, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
    if normalise:
        filters = filters.astype(np.float64) / HALF_RANGE
        bias = (bias - MIDDLE * filters.sum(axis=(1, 2, 3))).astype(np.float32)
    return graph.convolve(x, filters.astype(np.float32), bias)


def _flat(graph: Graph, x: str) -> str:
    """One row a picture; columns before rows, as the Caffe weights expect."""
    return graph.add("Flatten", graph.add("Transpose", x, perm=[0, 3, 2, 1]), axis=1)


def _dense(graph: Graph, x: str, weights: Weights, name: str, slopes: str) -> str:
    return graph.add(
        "PRelu", _product(graph, x, weights, name), graph.constant(weights[f"{slopes}.weight"])
    )


def _product(graph: Graph, x: str, weights: Weights, name: str) -> str:
    matrix, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
    return graph.add("Gemm", x, graph.constant(matrix), graph.constant(bias), transB=1)


def _heads(graph: Graph, x: str, weights: Weights, heads: dict[str, tuple[str, int]]) -> None:
    for name, (layer, width) in heads.items():
        result = _product(graph, x, weights, layer)
        if name == "face":
            result = graph.add("Softmax", result, axis=1)
        graph.output(result, name, ("n", width))
