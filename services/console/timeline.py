"""A video's matched stretches as bars on a line, ready to be drawn and stepped through."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pipeline.domain.evidence import Stretch
from pipeline.domain.ids import ScreeningId
from pipeline.ports import CaseHit

WIDTH = 1000
_LEAST = 6
"""Units that a bar is wide at least, so that a single frame can be seen and hit."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One matched stretch: where it is drawn, and what it says."""

    x: float
    width: float
    row: int
    start: float
    end: float
    words: str
    strength: float
    """From 0.35 (few of the sampled frames matched) to 1 (all did)."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """A video upload of a case."""

    upload: int
    seconds: float
    """Up to the end of the last match; the upload may be longer."""
    bars: tuple[Bar, ...]
    rows: int
    ticks: tuple[tuple[float, str], ...]


def timelines(hits: Iterable[CaseHit], numbers: Mapping[ScreeningId, int]) -> tuple[Timeline, ...]:
    """A line for each upload with matched stretches; one row for each entry that matched."""
    by_upload: dict[int, dict[int, list[Stretch]]] = defaultdict(dict)
    for hit in hits:
        if hit.stretches:
            rows = by_upload[numbers.get(hit.screening, 0)]
            rows.setdefault(int(hit.entry), []).extend(hit.stretches)
    return tuple(
        _timeline(upload, list(rows.values())) for upload, rows in sorted(by_upload.items())
    )


def _timeline(upload: int, rows: list[list[Stretch]]) -> Timeline:
    end = max(stretch.upload[1] for row in rows for stretch in row)
    seconds = max(end, 1.0)
    bars = sorted(
        (
            _bar(stretch, row, seconds)
            for row, stretches in enumerate(rows)
            for stretch in stretches
        ),
        key=lambda bar: (bar.start, bar.row),
    )
    step = max(1, round(seconds / 6))
    ticks = tuple((WIDTH * at / seconds, moment(at)) for at in range(0, int(seconds) + 1, step))
    return Timeline(upload, seconds, tuple(bars), len(rows), ticks)


def _bar(stretch: Stretch, row: int, seconds: float) -> Bar:
    start, end = stretch.upload
    x, width = WIDTH * start / seconds, WIDTH * (end - start) / seconds
    share = stretch.matched / max(1, stretch.sampled)
    there = (
        f", {moment(stretch.entry[0])} to {moment(stretch.entry[1])} of what is registered"
        if (stretch.entry)
        else ""
    )
    said = f"{moment(start)} to {moment(end)}: {stretch.matched} of {stretch.sampled} frames{there}"
    return Bar(
        min(x, WIDTH - _LEAST), max(width, _LEAST), row, start, end, said, 0.35 + 0.65 * share
    )


def moment(seconds: float) -> str:
    """A moment of a video, such as ``1:05``."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02d}"
