"""Charts as SVG, drawn here: bars with their figures beside them, readable without colour."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

_LABEL, _BAR, _ROW = 230, 520, 30


@dataclass(frozen=True, slots=True)
class Bar:
    """One row of a chart."""

    label: str
    value: float
    words: str
    y: int
    width: float
    warm: bool


@dataclass(frozen=True, slots=True)
class Chart:
    """Rows of bars on one scale."""

    title: str
    bars: tuple[Bar, ...]
    start: int = _LABEL
    right: int = _LABEL + _BAR

    @property
    def height(self) -> int:
        """Units of the drawing."""
        return max(1, len(self.bars)) * _ROW + 6

    @property
    def width(self) -> int:
        """Units of the drawing, with room for the figures."""
        return _LABEL + _BAR + 150

    @property
    def empty(self) -> bool:
        """Whether there is nothing to draw."""
        return not any(bar.value for bar in self.bars)


def bars(
    title: str,
    rows: Iterable[tuple[str, float, str]],
    *,
    most: float | None = None,
    warm: Iterable[str] = (),
) -> Chart:
    """A chart of (label, value, words); ``most`` is the end of the scale, else the largest."""
    listed, warned = list(rows), set(warm)
    end = most if most is not None else max((value for _, value, _ in listed), default=0)
    return Chart(
        title,
        tuple(
            Bar(
                label,
                value,
                words,
                at * _ROW + 4,
                round(_BAR * value / end, 1) if end else 0,
                label in warned and value > 0,
            )
            for at, (label, value, words) in enumerate(listed)
        ),
    )
