"""The family of signals: what the pipeline computes of pixels.

A member is one file with a ``build()`` that returns a ``SignalType``. The file's name is the
signal's name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from pipeline.domain.media import Frame, Side
from pipeline.domain.signal import Signals, Space


class SignalType(Protocol):
    """Turns frames into codes of one space."""

    @property
    def space(self) -> Space:
        """Where the codes live."""
        ...

    @property
    def minimum_quality(self) -> int:
        """Below this quality (0 to 100) a code says too little to be matched or registered."""
        ...

    @property
    def asks_parts(self) -> bool:
        """Whether parts are looked at too: views of an upload, crops of a registered picture."""
        ...

    def compute(self, frames: Sequence[Frame], side: Side) -> Signals:
        """Codes of all frames in one batch.

        On the registered side one row a frame, in order. On the query side as many rows a frame
        as the signal wants to ask with (PDQ asks in all eight orientations), each with its view.
        """
        ...
