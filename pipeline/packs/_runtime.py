"""The one door to onnxruntime: telemetry off before it is imported, one thread a session."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
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
CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"


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
    return [name for name in (CUDA, CPU) if name in there]


@dataclass(frozen=True, slots=True)
class Runs:
    """Where networks run in this process."""

    card: bool
    instead: str = ""
    """Why a card that is here is not used, and what to do; empty where there is nothing to say."""

    @property
    def words(self) -> str:
        """As an operator reads it."""
        where = "on the graphics card" if self.card else "on the processor"
        return f"{where}; {self.instead}" if self.instead else where


def runs(*, card_here: bool) -> Runs:
    """Where networks run, by opening one; ``card_here`` is whether a card is this process's."""
    if CUDA not in providers():
        lacks = f"onnxruntime {onnxruntime.__version__} has no {CUDA} for the graphics card here"
        return Runs(False, f"{lacks}: install onnxruntime-gpu in its place" if card_here else "")
    if _opens_on_card():
        return Runs(True)
    lacks = f"{CUDA} did not start on the graphics card here"
    return Runs(False, f"{lacks}: see that its driver, CUDA and cuDNN fit" if card_here else "")


def on_card() -> bool:
    """Whether networks run on a graphics card here."""
    return CUDA in providers() and _opens_on_card()


@lru_cache(maxsize=1)
def _opens_on_card() -> bool:
    """A build that has CUDA falls back to the CPU by itself, and says so by the session alone."""
    from pipeline.packs._graph import Graph

    graph = Graph("probe")
    graph.output(graph.input("input", (1,)), "output", (1,))
    session = onnxruntime.InferenceSession(
        graph.serialise(), session_options(), providers=providers()
    )
    return bool(session.get_providers()[0] == CUDA)


def _first_line(wrong: Exception) -> str:
    return (str(wrong).splitlines() or [type(wrong).__name__])[0]
