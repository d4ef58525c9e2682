"""A video's matched stretches and face tracks as bars on a line, to be drawn and stepped through.

Only tracks of faces that matched are there: of all others nothing is kept.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from pipeline.domain.evidence import Stretch
from pipeline.domain.ids import ScreeningId
from pipeline.domain.signal import Metric
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
    face: bool = False
    """Whether it is the track of a face."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """A video upload of a case."""

    upload: int
    seconds: float
    """Up to the end of the last match; the upload may be longer."""
    bars: tuple[Bar, ...]
    rows: int
    ticks: tuple[tuple[float, str], ...]

    @property
    def faces(self) -> int:
        """How many of the bars are tracks of faces."""
        return sum(bar.face for bar in self.bars)


def timelines(hits: Iterable[CaseHit], numbers: Mapping[ScreeningId, int]) -> tuple[Timeline, ...]:
    """A line for each upload with matched stretches; one row for each entry that matched.

    Faces come below the pictures and videos. The nearest hit of an entry speaks for its row.
    """
    by_upload: dict[int, dict[tuple[bool, int], list[Bar]]] = defaultdict(dict)
    for hit in hits:
        if not hit.stretches:
            continue
        face = hit.metric == Metric.INNER_PRODUCT
        rows = by_upload[numbers.get(hit.screening, 0)]
        rows.setdefault((face, int(hit.entry)), []).extend(
            _bar(stretch, hit) for stretch in hit.stretches
        )
    return tuple(
        _timeline(upload, [rows[key] for key in sorted(rows)])
        for upload, rows in sorted(by_upload.items())
    )


def _timeline(upload: int, rows: list[list[Bar]]) -> Timeline:
    seconds = max(1.0, *(bar.end for row in rows for bar in row))
    bars = sorted(
        (_placed(bar, number, seconds) for number, row in enumerate(rows) for bar in row),
        key=lambda bar: (bar.start, bar.row),
    )
    step = max(1, round(seconds / 6))
    ticks = tuple((WIDTH * at / seconds, moment(at)) for at in range(0, int(seconds) + 1, step))
    return Timeline(upload, seconds, tuple(bars), len(rows), ticks)


def _placed(bar: Bar, row: int, seconds: float) -> Bar:
    x, width = WIDTH * bar.start / seconds, WIDTH * (bar.end - bar.start) / seconds
    return replace(bar, x=min(x, WIDTH - _LEAST), width=max(width, _LEAST), row=row)


def _bar(stretch: Stretch, hit: CaseHit) -> Bar:
    start, end = stretch.upload
    share = stretch.matched / max(1, stretch.sampled)
    span = f"{moment(start)} to {moment(end)}"
    if hit.metric == Metric.INNER_PRODUCT:
        said = f"{span}: the face, similarity {hit.distance:.2f}"
        best = hit.view.get("time")
        said += f", best at {moment(best)}" if best is not None else ""
        return Bar(0, 0, 0, start, end, said, 0.35 + 0.65 * share, face=True)
    there = (
        f", {moment(stretch.entry[0])} to {moment(stretch.entry[1])} of what is registered"
        if stretch.entry
        else ""
    )
    said = f"{span}: {stretch.matched} of {stretch.sampled} frames{there}"
    return Bar(0, 0, 0, start, end, said, 0.35 + 0.65 * share)


def moment(seconds: float) -> str:
    """A moment of a video, such as ``1:05``."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02d}"
