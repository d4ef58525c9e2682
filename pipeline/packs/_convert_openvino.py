"""OpenVINO's network description (IR 10 and 11) to an ONNX graph, without OpenVINO.

Knows the operations of the two small networks that the packs use, and refuses every other by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import Misconfigured
from pipeline.packs._graph import Graph

VERSION = 1

_TYPES = {"f16": "<f2", "f32": "<f4", "i32": "<i4", "i64": "<i8"}


@dataclass(frozen=True, slots=True)
class _Layer:
    """A layer with its attributes and where its inputs come from."""

    id: str
    type: str
    attributes: Mapping[str, str]
    sources: tuple[str, ...]

    def numbers(self, name: str) -> list[int]:
        text = self.attributes.get(name, "").strip()
        return [int(part) for part in text.split(",")] if text else []


@dataclass(slots=True)
class _Conversion:
    """What has been converted so far: results by layer, constants not yet written."""

    graph: Graph
    weights: bytes = field(repr=False)
    results: dict[str, str] = field(default_factory=dict)
    constants: dict[str, NDArray[Any]] = field(default_factory=dict, repr=False)

    def result(self, source: str) -> str:
        """The name of a layer's result, written into the graph if it is a constant."""
        if source not in self.results:
            self.results[source] = self.graph.constant(self.constants[source])
        return self.results[source]


def convert(xml: bytes, weights: bytes, name: str) -> bytes:
    """The network as ONNX: ``input`` float32 (n, channels, rows, columns), ``output`` (n, width).

    Raises ``Misconfigured`` when the description is damaged or asks for an unknown operation.
    """
    try:
        layers = _layers(xml)
        conversion = _Conversion(Graph(name), weights)
        for layer in layers:
            _convert(conversion, layer)
        return conversion.graph.serialise()
    except (ElementTree.ParseError, KeyError, ValueError, IndexError) as wrong:
        raise Misconfigured(f"{name} is not a usable OpenVINO network: {wrong!r}") from None


def _layers(xml: bytes) -> list[_Layer]:
    """The layers in an order in which every input is there before it is used."""
    # The file's digest has been checked; the standard library's parser reads no external entities.
    root = ElementTree.fromstring(xml)  # noqa: S314
    came_from = {
        (edge.attrib["to-layer"], edge.attrib["to-port"]): edge.attrib["from-layer"]
        for edge in root.iterfind("edges/edge")
    }
    waiting = []
    for element in root.iterfind("layers/layer"):
        identity, data = element.attrib["id"], element.find("data")
        sources = tuple(
            came_from[identity, port.attrib["id"]] for port in element.iterfind("input/port")
        )
        attributes = data.attrib if data is not None else {}
        waiting.append(_Layer(identity, element.attrib["type"], attributes, sources))
    ordered: list[_Layer] = []
    there: set[str] = set()
    while waiting:
        ready = [layer for layer in waiting if there.issuperset(layer.sources)]
        if not ready:
            raise ValueError("its layers go round in a circle")
        ordered += ready
        there.update(layer.id for layer in ready)
        waiting = [layer for layer in waiting if layer.id not in there]
    return ordered


def _convert(conversion: _Conversion, layer: _Layer) -> None:
    if layer.type not in _OPERATIONS:
        raise ValueError(f"no operation {layer.type}; there are: {', '.join(sorted(_OPERATIONS))}")
    _OPERATIONS[layer.type](conversion, layer)


def _parameter(conversion: _Conversion, layer: _Layer) -> None:
    shape: list[int | str] = ["n", *layer.numbers("shape")[1:]]
    conversion.results[layer.id] = conversion.graph.input("input", shape)


def _result(conversion: _Conversion, layer: _Layer) -> None:
    flat = conversion.graph.add("Flatten", conversion.result(layer.sources[0]), axis=1)
    conversion.graph.output(flat, "output", ("n", "width"))


def _constant(conversion: _Conversion, layer: _Layer) -> None:
    kind = np.dtype(_TYPES[layer.attributes["element_type"]])
    start, size = int(layer.attributes["offset"]), int(layer.attributes["size"])
    values = np.frombuffer(conversion.weights, kind, size // kind.itemsize, start)
    # Half-precision weights are widened here, once.
    wide = np.dtype(np.float32) if kind.kind == "f" else kind
    conversion.constants[layer.id] = values.reshape(layer.numbers("shape")).astype(wide)


def _widened(conversion: _Conversion, layer: _Layer) -> None:
    conversion.constants[layer.id] = conversion.constants[layer.sources[0]]


def _convolution(conversion: _Conversion, layer: _Layer) -> None:
    source, filters = layer.sources
    weights, groups = conversion.constants[filters], 1
    if layer.type == "GroupConvolution":
        groups = weights.shape[0]
        weights = weights.reshape(-1, *weights.shape[2:])
    conversion.results[layer.id] = conversion.graph.convolve(
        conversion.result(source),
        weights,
        strides=layer.numbers("strides"),
        dilations=layer.numbers("dilations"),
        pads=layer.numbers("pads_begin") + layer.numbers("pads_end"),
        group=groups,
    )


def _elementwise(conversion: _Conversion, layer: _Layer) -> None:
    left, right = (conversion.result(source) for source in layer.sources)
    operator = {"Add": "Add", "Multiply": "Mul"}[layer.type]
    conversion.results[layer.id] = conversion.graph.add(operator, left, right)


def _prelu(conversion: _Conversion, layer: _Layer) -> None:
    source, slopes = conversion.result(layer.sources[0]), conversion.constants[layer.sources[1]]
    if slopes.size == 1:
        # One slope for all: onnxruntime fuses this into the convolution before it (3x faster).
        result = conversion.graph.add("LeakyRelu", source, alpha=float(slopes.ravel()[0]))
    else:
        result = conversion.graph.prelu(source, slopes.ravel())
    conversion.results[layer.id] = result


def _pool(conversion: _Conversion, layer: _Layer) -> None:
    average = layer.type == "AvgPool"
    only_average = (
        {"count_include_pad": int(layer.attributes["exclude-pad"] == "false")} if average else {}
    )
    conversion.results[layer.id] = conversion.graph.add(
        "AveragePool" if average else "MaxPool",
        conversion.result(layer.sources[0]),
        kernel_shape=layer.numbers("kernel"),
        strides=layer.numbers("strides"),
        pads=layer.numbers("pads_begin") + layer.numbers("pads_end"),
        ceil_mode=int(layer.attributes.get("rounding_type") == "ceil"),
        **only_average,
    )


def _activation(conversion: _Conversion, layer: _Layer) -> None:
    operator = {"ReLU": "Relu", "Sigmoid": "Sigmoid"}[layer.type]
    conversion.results[layer.id] = conversion.graph.add(
        operator, conversion.result(layer.sources[0])
    )


_OPERATIONS: dict[str, Callable[[_Conversion, _Layer], None]] = {
    "Add": _elementwise,
    "AvgPool": _pool,
    "Const": _constant,
    "Convert": _widened,
    "Convolution": _convolution,
    "GroupConvolution": _convolution,
    "MaxPool": _pool,
    "Multiply": _elementwise,
    "PReLU": _prelu,
    "Parameter": _parameter,
    "ReLU": _activation,
    "Result": _result,
    "Sigmoid": _activation,
}
