"""A TensorFlow.js layers model, as npm packages bundle it, written as an ONNX graph.

The package's scripts are read as text and never run: of a script we take the one literal that it
exports, the model's description or its weights in base64.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import Tampered
from pipeline.packs._graph import Graph

_TOKEN = re.compile(
    r"""\s*(?:(?P<text>"(?:[^"\\]|\\.)*")|(?P<name>[A-Za-z_$][\w$]*)|(?P<flag>!0|!1)"""
    r"""|(?P<number>-?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|(?P<mark>[{}\[\]:,]))"""
)
_EXPORTS = re.compile(r'exports=(?=[{"])')
_DTYPES: dict[str, np.dtype[Any]] = {
    "uint8": np.dtype("<u1"),
    "uint16": np.dtype("<u2"),
    "float32": np.dtype("<f4"),
}

Weights = Mapping[str, NDArray[np.float32]]


def literal(script: bytes) -> Any:
    """What a bundled script exports; raises ``Tampered`` when that is no plain literal."""
    text = script.decode("utf-8", "replace")
    starts = [found.end() for found in _EXPORTS.finditer(text)]
    if not starts:
        raise Tampered("this script of the package exports nothing that could be read")
    try:
        return json.loads("".join(_as_json(text, starts[-1])))
    except ValueError as wrong:
        raise Tampered(f"what this script exports is no plain literal: {wrong}") from None


def _as_json(text: str, at: int) -> Iterator[str]:
    """The literal that begins at a place, token by token, as JSON writes it."""
    depth = 0
    while True:
        token = _TOKEN.match(text, at)
        if token is None:
            raise ValueError(f"unexpected {text[at : at + 8]!r}")
        at, kind, said = token.end(), token.lastgroup, token.group().strip()
        if kind == "name" and said not in {"null", "true", "false"}:
            yield f'"{said}"'
        elif kind == "flag":
            yield "true" if said == "!0" else "false"
        elif kind == "number":
            yield repr(float(said)) if re.search(r"[.eE]", said) else said
        else:
            yield said
        depth += {"{": 1, "[": 1, "}": -1, "]": -1}.get(said, 0)
        if depth == 0:
            return


def convert(description: bytes, shards: list[bytes], name: str) -> bytes:
    """The graph: ``image`` float32 (n, side, side, 3) in, its last layer's answer out."""
    model = literal(description)
    try:
        data = b"".join(base64.b64decode(literal(shard), validate=True) for shard in shards)
        weights = dict(_weights(model["weightsManifest"], data))
        layers = model["modelTopology"]["model_config"]["config"]["layers"]
        return _written(layers, weights, name)
    except (KeyError, TypeError, IndexError, binascii.Error) as wrong:
        raise Tampered(f"{name} is not described as its publisher does: {wrong!r}") from None


def _weights(manifest: Any, data: bytes) -> Iterator[tuple[str, NDArray[np.float32]]]:
    at = 0
    for one in (weight for group in manifest for weight in group["weights"]):
        quantised = one.get("quantization")
        kind = _DTYPES[quantised["dtype"] if quantised else one["dtype"]]
        count = int(np.prod(one["shape"], dtype=np.int64))
        if at + count * kind.itemsize > len(data):
            raise Tampered("the model's weights end too early")
        values = np.frombuffer(data, kind, count, at).astype(np.float64)
        at += count * kind.itemsize
        if quantised:
            values = values * quantised["scale"] + quantised["min"]
        yield one["name"], values.astype(np.float32).reshape(one["shape"])
    if at != len(data):
        raise Tampered("the model has more weights than it describes")


def _written(layers: Any, weights: Weights, name: str) -> bytes:
    graph, results, last = Graph(name), {}, ""
    for layer in layers:
        kind, config, last = layer["class_name"], layer["config"], layer["name"]
        if kind == "InputLayer":
            side = config["batch_input_shape"][1]
            image = graph.input("image", ("n", side, side, 3))
            results[last] = graph.add("Transpose", image, perm=[0, 3, 1, 2])
            continue
        inputs = [results[node[0]] for node in layer["inbound_nodes"][0]]
        results[last] = _layer(graph, kind, config, inputs, weights, last)
    units = layers[-1]["config"]["units"]
    graph.output(results[last], "answer", ("n", units))
    return graph.serialise()


def _layer(
    graph: Graph, kind: str, config: Any, inputs: list[str], weights: Weights, name: str
) -> str:
    x = inputs[0]
    if kind == "Add":
        return graph.add("Add", *inputs)
    if kind == "Dropout":
        return x
    if kind == "ZeroPadding2D":
        (top, bottom), (left, right) = config["padding"]
        pads = np.array([0, 0, top, left, 0, 0, bottom, right], np.int64)
        return graph.add("Pad", x, graph.constant(pads))
    if kind == "ReLU" and not config["negative_slope"] and not config["threshold"]:
        edges = (np.array(edge, np.float32) for edge in (0, config["max_value"]))
        return graph.add("Clip", x, *map(graph.constant, edges))
    if kind in {"Conv2D", "DepthwiseConv2D"} and config["activation"] == "linear":
        return _convolved(graph, kind, config, x, weights, name)
    if kind == "BatchNormalization":
        parts = ("gamma", "beta", "moving_mean", "moving_variance")
        constants = [graph.constant(weights[f"{name}/{part}"]) for part in parts]
        return graph.add("BatchNormalization", x, *constants, epsilon=float(config["epsilon"]))
    if kind == "AveragePooling2D":
        how = {"kernel_shape": config["pool_size"], "strides": config["strides"]}
        return graph.add("AveragePool", x, **how, auto_pad=_padding(config))
    if kind == "Flatten":
        # The publisher's tensors have their channels last.
        return graph.add("Flatten", graph.add("Transpose", x, perm=[0, 2, 3, 1]), axis=1)
    if kind == "Dense":
        product = graph.add("MatMul", x, graph.constant(weights[f"{name}/kernel"]))
        added = graph.add("Add", product, graph.constant(weights[f"{name}/bias"]))
        return _activated(graph, config["activation"], added)
    raise Tampered(f"{name}: a layer {kind} in this form is not one that we convert")


def _convolved(graph: Graph, kind: str, config: Any, x: str, weights: Weights, name: str) -> str:
    how: dict[str, Any] = {"strides": config["strides"], "auto_pad": _padding(config)}
    if kind == "Conv2D":
        filters = weights[f"{name}/kernel"].transpose(3, 2, 0, 1)
    else:
        rows, columns, channels, times = weights[f"{name}/depthwise_kernel"].shape
        filters = weights[f"{name}/depthwise_kernel"].transpose(2, 3, 0, 1)
        filters = filters.reshape(channels * times, 1, rows, columns)
        how["group"] = channels
    bias = weights[f"{name}/bias"] if config["use_bias"] else None
    return graph.convolve(x, filters, bias, **how)


def _padding(config: Any) -> str:
    return {"valid": "VALID", "same": "SAME_UPPER"}[config["padding"]]


def _activated(graph: Graph, activation: str, x: str) -> str:
    if activation == "softmax":
        return graph.add("Softmax", x, axis=-1)
    if activation == "relu":
        return graph.add("Relu", x)
    if activation == "linear":
        return x
    raise Tampered(f"an activation {activation} is not one that we convert")
