"""Thousands of byte strings looked for in large files at once, at every offset."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

WINDOW = 8
"""Bytes that a needle has at least: its first ones are what is looked for."""


class Needles:
    """Byte strings of at least 8 bytes each.

    Their first eight bytes are compared with what stands at each offset, whatever its alignment;
    only where those are found is the whole needle looked for.
    """

    def __init__(self, needles: Iterable[bytes]) -> None:
        self._needles = sorted({bytes(needle) for needle in needles})
        assert self._needles
        assert all(len(needle) >= WINDOW for needle in self._needles)
        starts = b"".join(needle[:WINDOW] for needle in self._needles)
        self._starts = np.unique(np.frombuffer(starts, "<u8"))
        self._first = np.zeros(1 << 16, bool)
        self._first[self._starts & 0xFFFF] = True

    def are_in(self, content: bytes) -> bool:
        """Whether any of them stands in the content."""
        read = np.frombuffer(content, np.uint8)
        if len(read) < WINDOW:
            return False
        pairs = read[:-1].astype(np.uint16) | read[1:].astype(np.uint16) << 8
        places = np.flatnonzero(self._first[pairs[: len(read) - WINDOW + 1]])
        heads = np.zeros(len(places), "<u8")
        for byte in range(WINDOW):
            heads |= read[places + byte].astype(np.uint64) << np.uint64(8 * byte)
        if not np.isin(heads, self._starts).any():
            return False
        return any(needle in content for needle in self._needles)
