"""The one door to onnxruntime: telemetry off before it is imported, one thread a session."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import Misconfigured

TELEMETRY_OFF = "ORT_DISABLE_TELEMETRY"

# Its wheels report usage unless this is set before the native library starts.
if "onnxruntime" in sys.modules and os.environ.get(TELEMETRY_OFF) != "1":
    raise Misconfigured(
        f"onnxruntime was imported with its telemetry on; set {TELEMETRY_OFF}=1 in the environment "
        "or import pipeline.packs before whatever imports onnxruntime"
    )
os.environ[TELEMETRY_OFF] = "1"

import onnxruntime  # noqa: E402

onnxruntime.disable_telemetry_events()

WARNINGS_OFF = 3


class Network:
    """An ONNX graph ready to run, on one thread of the CPU or on a CUDA device when there is one.

    Run as many processes as there are cores. ``seconds`` is the thread time spent inside the
    network so far; it is for benchmarks, and approximate when several threads share the network.
    """

    def __init__(self, source: Path | bytes) -> None:
        try:
            self._session = onnxruntime.InferenceSession(
                source if isinstance(source, bytes) else str(source),
                session_options(),
                providers=providers(),
            )
        except Exception as wrong:
            # onnxruntime's own exceptions have no public common root.
            where = "the network" if isinstance(source, bytes) else source.name
            raise Misconfigured(f"onnxruntime cannot open {where}: {_first_line(wrong)}") from None
        self._outputs = tuple(output.name for output in self._session.get_outputs())
        self.input = str(self._session.get_inputs()[0].name)
        self.input_shape: tuple[Any, ...] = tuple(self._session.get_inputs()[0].shape)
        self.seconds = 0.0

    def __call__(self, batch: NDArray[Any]) -> Mapping[str, NDArray[np.float32]]:
        """All outputs by name for a batch of inputs."""
        started = time.thread_time()
        found = self._session.run(self._outputs, {self.input: batch})
        self.seconds += time.thread_time() - started
        return dict(zip(self._outputs, found, strict=True))


def session_options() -> Any:
    """One thread, no spinning, no warnings about graphs we did not write."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = WARNINGS_OFF
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def providers(available: Sequence[str] | None = None) -> list[str]:
    """CUDA before the CPU when this build of onnxruntime has it, otherwise the CPU alone."""
    there = onnxruntime.get_available_providers() if available is None else available
    wanted = ("CUDAExecutionProvider", "CPUExecutionProvider")
    return [name for name in wanted if name in there]


def on_card() -> bool:
    """Whether networks run on a graphics card here."""
    return "CUDAExecutionProvider" in providers()


def _first_line(wrong: Exception) -> str:
    return (str(wrong).splitlines() or [type(wrong).__name__])[0]
