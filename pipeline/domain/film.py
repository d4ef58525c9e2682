"""The codes of a registered video: one for each stretch of frames that look alike, with its times.

*The pruning rule*, which a browser repeats bit for bit: frames come in order of time. A frame whose
quality is under the signal's least is counted and ends the open stretch. Any other frame belongs to
the open stretch while its code lies within ``ALIKE`` bits of the stretch's **first** code, and then
only moves the stretch's end; else it begins a new one. A stretch keeps its first frame's code and
quality, and the times of its first and its last frame.

*How it is stored*: one item with as many entries as it takes, each with up to 256 stretches in its
slots, the times sealed with the codes (``signal.pack`` with ``times``). The database knows how many
stretches there are and nothing of what or when.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipeline.domain.ids import SLOTS
from pipeline.domain.media import WHOLE
from pipeline.domain.signal import Signals, Space, pack

ALIKE = 8
"""Bits within which two frames count as one."""


@dataclass(frozen=True, slots=True, eq=False)
class FilmCodes:
    """Stretches of a video: codes uint8 (n, 32), quality uint8 (n,), begin and end float32 (n,).

    ``left_out`` counts frames that say too little. Codes are intimate data: they do not print.
    """

    codes: NDArray[np.uint8] = field(repr=False)
    quality: NDArray[np.uint8] = field(repr=False)
    begin: NDArray[np.float32] = field(repr=False)
    end: NDArray[np.float32] = field(repr=False)
    left_out: int = 0

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def seconds(self) -> float:
        """When the last stretch ends."""
        return float(self.end.max()) if len(self) else 0.0

    def only(self, keep: NDArray[np.bool_]) -> FilmCodes:
        """Some of the stretches; the others count as left out."""
        return FilmCodes(
            self.codes[keep],
            self.quality[keep],
            self.begin[keep],
            self.end[keep],
            self.left_out + int((~keep).sum()),
        )

    def packed(self, space: Space) -> Iterator[tuple[int, bytes]]:
        """What is sealed, an entry at a time: how many slots, and their bytes."""
        for low in range(0, len(self), SLOTS):
            part = slice(low, low + SLOTS)
            rows = len(self.codes[part])
            batch = Signals(space, self.codes[part], self.quality[part], (WHOLE,) * rows)
            yield rows, pack(batch, times=(self.begin[part], self.end[part]))


@dataclass(slots=True)
class Pruner:
    """Takes a video's frames in order of time and keeps a code a stretch. See the module."""

    least_quality: int
    _rows: list[tuple[bytes, int, float, float]] = field(default_factory=list, repr=False)
    _open: int | None = field(default=None, repr=False)
    left_out: int = 0

    def add(self, time: float, code: bytes, quality: int) -> bool:
        """One frame; whether it began a stretch."""
        if quality < self.least_quality:
            self.left_out += 1
            self._open = None
            return False
        if self._open is not None and _bits(self._open, code) <= ALIKE:
            first, worth, begin, _ = self._rows[-1]
            self._rows[-1] = (first, worth, begin, time)
            return False
        self._open = int.from_bytes(code, "big")
        self._rows.append((code, quality, time, time))
        return True

    def kept(self) -> FilmCodes:
        """All stretches so far."""
        rows = self._rows
        joined = b"".join(code for code, *_ in rows)
        return FilmCodes(
            np.frombuffer(joined, np.uint8).reshape(len(rows), len(joined) // max(1, len(rows))),
            np.array([quality for _, quality, _, _ in rows], np.uint8),
            np.array([begin for _, _, begin, _ in rows], np.float32),
            np.array([end for *_, end in rows], np.float32),
            self.left_out,
        )


def prune(frames: Iterable[tuple[float, bytes, int]], least_quality: int) -> FilmCodes:
    """Frames as (seconds, code, quality), in order of time, to stretches."""
    pruner = Pruner(least_quality)
    for time, code, quality in frames:
        pruner.add(time, code, quality)
    return pruner.kept()


def _bits(first: int, second: bytes) -> int:
    return (first ^ int.from_bytes(second, "big")).bit_count()
