"""dlib's face recogniser from its ``.dat`` file to an ONNX graph, without dlib.

dlib writes an integer as a control byte (bit 7: negative, low bits: how many bytes follow) and its
bytes from the lowest up, a tensor as a version, four sizes and raw float32. A network is its layers
from the input on, each behind its name, such as ``con_4``; what lies between them (the state of
layers without weights) is passed over by looking for the next name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import Misconfigured
from pipeline.packs._graph import Graph

VERSION = 1
INPUT_SIZE = 150
DIMENSIONS = 128
# dlib's input layer for faces: mean of its training pictures, then division by 256.
MEAN = (122.782, 117.001, 104.298)
SCALE = 256.0

_LAYER = re.compile(rb"\x01[\x04-\x10](con_\d?|affine_|fc_\d?)(?=[\x00\x01])")
_CONVOLUTIONS = 29
_CONVOLUTION_FILTERS = ("filters", "rows", "columns", "stride_y", "stride_x", "pad_y", "pad_x")


@dataclass(frozen=True, slots=True)
class _Convolution:
    """A convolution with the affine layer behind it folded in."""

    weights: NDArray[np.float32] = field(repr=False)
    bias: NDArray[np.float32] = field(repr=False)
    stride: int
    padding: int


@dataclass(frozen=True, slots=True)
class _Layer:
    kind: str
    numbers: dict[str, int]
    shape: tuple[int, ...]
    values: NDArray[np.float32] = field(repr=False)


def convert(dat: bytes) -> bytes:
    """The recogniser as ONNX: ``input`` (n, 3, 150, 150), RGB 0 to 255, ``embedding`` (n, 128).

    Raises ``Misconfigured`` when the bytes are not that network.
    """
    convolutions, dense = _network(dat)
    graph = Graph("dlib_face_recognition_resnet_model_v1")
    remaining = iter(convolutions)
    first = next(remaining)
    x = graph.input("input", ("n", 3, INPUT_SIZE, INPUT_SIZE))
    weights, bias = _with_normalisation(first)
    x = graph.add("Relu", graph.convolve(x, weights, bias, strides=[first.stride] * 2))
    x = graph.add("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2])
    channels, side = first.weights.shape[0], 35
    for inner in remaining:
        outer = next(remaining)
        x, channels, side = _residual(graph, x, inner, outer, channels, side)
    x = graph.add("Flatten", graph.add("GlobalAveragePool", x), axis=1)
    graph.output(graph.add("MatMul", x, graph.constant(dense)), "embedding", ("n", DIMENSIONS))
    return graph.serialise()


def _residual(
    graph: Graph, x: str, inner: _Convolution, outer: _Convolution, channels: int, side: int
) -> tuple[str, int, int]:
    """One block: two convolutions beside a shortcut that is pooled and padded when sizes change."""
    filters = outer.weights.shape[0]
    y = graph.add("Relu", _convolve(graph, x, inner))
    y = _convolve(graph, y, outer)
    shortcut = x
    if inner.stride == 2:
        convolved, pooled = (side - 3) // 2 + 1, (side - 2) // 2 + 1
        shortcut = graph.add("AveragePool", shortcut, kernel_shape=[2, 2], strides=[2, 2])
        # dlib adds tensors of different size as if the smaller one went on with zeros.
        if filters > channels:
            missing = [0, 0, 0, 0, 0, filters - channels, 0, 0]
            shortcut = graph.add("Pad", shortcut, graph.constant(np.array(missing, np.int64)))
        if pooled > convolved:
            missing = [0, 0, 0, 0, 0, 0, pooled - convolved, pooled - convolved]
            y = graph.add("Pad", y, graph.constant(np.array(missing, np.int64)))
        side = pooled
    return graph.add("Relu", graph.add("Add", y, shortcut)), filters, side


def _convolve(graph: Graph, x: str, layer: _Convolution) -> str:
    return graph.convolve(
        x, layer.weights, layer.bias, strides=[layer.stride] * 2, pads=[layer.padding] * 4
    )


def _with_normalisation(
    first: _Convolution,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The first convolution, fed with plain RGB: it has no padding, so this is exact."""
    if first.padding:
        raise Misconfigured("this is not dlib's face recogniser: its first layer has no padding")
    weights = first.weights.astype(np.float64) / SCALE
    mean = np.array(MEAN).reshape(1, 3, 1, 1)
    bias = first.bias - (weights * mean).sum(axis=(1, 2, 3))
    return weights.astype(np.float32), bias.astype(np.float32)


def _network(dat: bytes) -> tuple[list[_Convolution], NDArray[np.float32]]:
    """The convolutions from input to output, and the last layer's matrix (256, 128)."""
    try:
        layers = _layers(dat)
    except (IndexError, ValueError) as wrong:
        raise Misconfigured(f"this is not dlib's face recogniser: {wrong}") from None
    convolutions = [
        _folded(layer, following) for layer, following in pairwise(layers) if layer.kind == "con"
    ]
    dense = [layer for layer in layers if layer.kind == "fc"]
    if len(convolutions) != _CONVOLUTIONS or len(dense) != 1:
        raise Misconfigured(
            f"this is not dlib's face recogniser: {len(convolutions)} convolutions, not "
            f"{_CONVOLUTIONS}, and {len(dense)} dense layers, not 1"
        )
    return convolutions, dense[0].values.reshape(-1, DIMENSIONS)


def _folded(layer: _Layer, affine: _Layer) -> _Convolution:
    if affine.kind != "affine":
        raise Misconfigured("this is not dlib's face recogniser: an affine layer is missing")
    filters = layer.numbers["filters"]
    count = int(np.prod(layer.shape))
    weights = layer.values[:count].reshape(layer.shape).astype(np.float64)
    bias = layer.values[count:].astype(np.float64)
    gamma, beta = (part.astype(np.float64) for part in np.split(affine.values, [filters]))
    return _Convolution(
        (weights * gamma[:, None, None, None]).astype(np.float32),
        (bias * gamma + beta).astype(np.float32),
        layer.numbers["stride_y"],
        layer.numbers["pad_y"],
    )


def _layers(dat: bytes) -> list[_Layer]:
    found, at = [], 0
    while (mark := _LAYER.search(dat, at)) is not None:
        reader = _Reader(dat, mark.end())
        found.append(_layer(mark.group(1).split(b"_")[0].decode(), reader))
        at = reader.at
    return found


def _layer(kind: str, reader: _Reader) -> _Layer:
    if kind == "con":
        values = reader.tensor()
        numbers = {name: reader.integer() for name in _CONVOLUTION_FILTERS}
        shape = reader.alias()
        reader.alias()  # the bias: what follows the filters
        return _Layer(kind, numbers, shape, values)
    if kind == "affine":
        values = reader.tensor()
        shape = reader.alias()
        reader.alias()
        if reader.integer() != 0:
            raise ValueError("an affine layer in another mode than after a convolution")
        return _Layer(kind, {}, shape, values)
    outputs, inputs = reader.integer(), reader.integer()
    return _Layer(kind, {"outputs": outputs, "inputs": inputs}, (inputs, outputs), reader.tensor())


class _Reader:
    """dlib's numbers, one after the other; raises ``ValueError`` at anything else."""

    def __init__(self, data: bytes, at: int) -> None:
        self.data = data
        self.at = at

    def integer(self) -> int:
        control = self.data[self.at]
        length = control & 0x0F
        if length > 8 or control & 0x70:
            raise ValueError(f"no integer at byte {self.at}")
        self.at += 1
        value = int.from_bytes(self.data[self.at : self.at + length], "little")
        self.at += length
        return -value if control & 0x80 else value

    def tensor(self) -> NDArray[np.float32]:
        if (version := self.integer()) != 2:
            raise ValueError(f"a tensor of version {version}")
        count = int(np.prod([self.integer() for _ in range(4)]))
        values = np.frombuffer(self.data, "<f4", count, self.at)
        self.at += 4 * count
        return values

    def alias(self) -> tuple[int, ...]:
        """The shape of a view into the tensor before it."""
        if (version := self.integer()) != 1:
            raise ValueError(f"a view of version {version}")
        return tuple(self.integer() for _ in range(4))
