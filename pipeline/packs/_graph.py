"""A small pen for writing ONNX graphs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET = 13
IR = 8
Shape = Sequence[int | str]


class Graph:
    """A graph that grows from its input to its outputs; each step returns its result's name."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []

    def input(self, name: str, shape: Shape) -> str:
        """Declare a float32 input; a word in its shape is a size that may vary."""
        self._inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape)))
        return name

    def output(self, result: str, name: str, shape: Shape) -> None:
        """Declare a result as a float32 output of the graph."""
        self._nodes.append(helper.make_node("Identity", [result], [name], name=name))
        self._outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape)))

    def constant(self, values: NDArray[Any]) -> str:
        """Write values into the graph."""
        name = f"constant_{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Apply an operator of ONNX."""
        name = f"{operator.lower()}_{len(self._nodes)}"
        self._nodes.append(
            helper.make_node(operator, list(inputs), [name], name=name, **attributes)
        )
        return name

    def convolve(
        self,
        x: str,
        weights: NDArray[np.float32],
        bias: NDArray[np.float32] | None = None,
        **attributes: Any,
    ) -> str:
        """Convolve with filters (out, in, rows, columns)."""
        constants = [self.constant(weights)]
        if bias is not None:
            constants.append(self.constant(bias))
        return self.add("Conv", x, *constants, kernel_shape=list(weights.shape[2:]), **attributes)

    def prelu(self, x: str, slopes: NDArray[np.float32]) -> str:
        """max(x, 0) + slope * min(x, 0), a slope a channel of (n, channels, rows, columns).

        Written as ``(1 - slope) * relu(x) + slope * x``: onnxruntime has no blocked kernel for
        PRelu, and leaving its blocked layout around each one costs more than the convolutions.
        """
        channels = len(slopes)
        slopes = slopes.reshape(channels, 1, 1, 1)
        # 1 - slope is rounded so that the two shares of a positive x add up to x.
        rest = (np.float32(1) - slopes).astype(np.float32)
        positive = self.convolve(self.add("Relu", x), rest, group=channels)
        return self.add("Add", positive, self.convolve(x, slopes, group=channels))

    def serialise(self) -> bytes:
        """The checked graph as the bytes of an ONNX file."""
        graph = helper.make_graph(
            self._nodes, self._name, self._inputs, self._outputs, self._constants
        )
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR,
            producer_name="consentry",
        )
        onnx.checker.check_model(model)
        return bytes(model.SerializeToString())
