"""Codes of 256 bits compared by the number of bits in which they differ, exactly."""

from __future__ import annotations

from pipeline.domain.signal import Metric, Space
from pipeline.errors import Misconfigured
from pipeline.indexes import Index
from pipeline.indexes._faiss import FaissIndex

WIDTH = 256


def build(space: Space, *, max_hits: int = 10_000) -> Index:
    """An empty index for a Hamming space of 256 bits.

    ``max_hits`` caps the hits of one code; beyond it the nearest are kept and the answer says
    ``truncated``. Raises ``Misconfigured`` for any other space.
    """
    if space.metric is not Metric.HAMMING or space.width != WIDTH:
        raise Misconfigured(f"the index 'hamming' holds {WIDTH}-bit codes; {space.key} has others")
    if max_hits < 1:
        raise Misconfigured(f"max_hits must be at least 1, not {max_hits}")
    return FaissIndex(space, max_hits=max_hits)
