"""How near a match is, as a drawing: the distance against its threshold on a line."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.domain.signal import Metric, Space

WIDTH = 1000
"""Units of the drawing; the page scales it."""

_MARGIN = 24


@dataclass(frozen=True, slots=True)
class Scale:
    """Places on a line from "the same" (left) to where unrelated pictures lie (right).

    ``marker`` and ``edge`` are in units of the drawing; ``anchor`` keeps a label inside it.
    """

    marker: int
    edge: int
    anchor: str
    words: str
    far: str

    @property
    def left(self) -> int:
        """Where the line begins."""
        return _MARGIN

    @property
    def right(self) -> int:
        """Where the line ends."""
        return WIDTH - _MARGIN


def scale(space: Space | None, metric: Metric, distance: float, threshold: float) -> Scale:
    """The drawing of one match.

    Unrelated pictures differ in about half the bits of a hash, so a Hamming line ends there. An
    inner product runs from 1 (the same) down to 0. A signal that this deployment no longer
    computes has no space; its line ends at twice the threshold.
    """
    if metric is Metric.INNER_PRODUCT:
        marker, edge = _place(1 - distance), _place(1 - threshold)
        said = f"similarity {distance:.3f}; at least {threshold:.3f} counts as a match"
        return Scale(marker, edge, _anchor(marker), said, "unrelated")
    end = space.farthest / 2 if space is not None else max(threshold * 2, distance, 1)
    marker, edge = _place(distance / end), _place(threshold / end)
    said = f"{distance:g} bits apart; up to {threshold:g} counts as a match"
    return Scale(marker, edge, _anchor(marker), said, f"unrelated, about {end:g} bits")


def _place(share: float) -> int:
    return round(_MARGIN + (WIDTH - 2 * _MARGIN) * min(1.0, max(0.0, share)))


def _anchor(marker: int) -> str:
    if marker < WIDTH * 0.15:
        return "start"
    return "end" if marker > WIDTH * 0.85 else "middle"
