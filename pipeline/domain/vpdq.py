"""vPDQ's text format: a video's frames as lines that partners exchange.

A line is ``frame,quality,hash,timestamp``: the frame's number, PDQ's quality from 0 to 100, its
hash as 64 hexadecimal digits, and seconds from the start with three decimals.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from pipeline.errors import Invalid

_LINE = re.compile(r"\s*(\d{1,9}),(\d{1,3}),([0-9a-fA-F]{64}),(\d{1,7}(?:\.\d{1,9})?)\s*")
MOST_LINES = 1_000_000


@dataclass(frozen=True, slots=True)
class FrameHash:
    """One frame. Hashes are intimate data: they do not print."""

    frame: int
    quality: int
    code: bytes = field(repr=False)
    time: float

    def line(self) -> str:
        """The frame as vPDQ writes it."""
        return f"{self.frame},{self.quality},{self.code.hex()},{self.time:.3f}"


def read(lines: Iterable[str]) -> Iterator[FrameHash]:
    """Frames from lines, in order of time; empty lines are passed over.

    Raises ``Invalid`` naming the line, never what is in it.
    """
    last = 0.0
    for number, line in enumerate(lines, 1):
        if number > MOST_LINES:
            raise Invalid(f"a vPDQ file has at most {MOST_LINES} lines here; send it in parts")
        if not line.strip():
            continue
        found = _LINE.fullmatch(line)
        if found is None or int(found[2]) > 100:
            raise Invalid(f"line {number} is not frame,quality,hash,timestamp as vPDQ writes it")
        time = float(found[4])
        if time < last:
            raise Invalid(f"line {number} is earlier than the one before it; sort the file by time")
        last = time
        yield FrameHash(int(found[1]), int(found[2]), bytes.fromhex(found[3]), time)
