"""Error rates of comparisons and searches, from similarities alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Roc:
    """Shares of same and of different pairs at or above each similarity, from strict to lax."""

    thresholds: Floats = field(repr=False)
    true_accepts: Floats = field(repr=False)
    false_accepts: Floats = field(repr=False)

    @property
    def auc(self) -> float:
        """How often a same pair is more alike than a different one; a tie counts half."""
        return float(np.trapezoid(self.true_accepts, self.false_accepts))

    @property
    def eer(self) -> float:
        """The rate at which as many same pairs are missed as different ones are accepted."""
        misses = 1 - self.true_accepts
        at = int(np.argmax(self.false_accepts >= misses))
        before = max(0, at - 1)
        rise = (self.false_accepts[at] - self.false_accepts[before]) + (misses[before] - misses[at])
        share = (misses[before] - self.false_accepts[before]) / rise if rise > 0 else 0.0
        step = self.false_accepts[at] - self.false_accepts[before]
        return float(self.false_accepts[before] + share * step)

    def at(self, false_accept_rate: float) -> tuple[float, float]:
        """The lowest similarity that keeps to a rate, and the share of same pairs it accepts."""
        kept = np.flatnonzero(self.false_accepts <= false_accept_rate)[-1]
        return float(self.thresholds[kept]), float(self.true_accepts[kept])


def roc(same: Floats, different: Floats) -> Roc:
    """The curve of two sets of similarities, neither empty."""
    values = np.unique(np.concatenate([same, different]))[::-1]
    thresholds = np.concatenate([[np.inf], values])
    return Roc(thresholds, _share(same, thresholds), _share(different, thresholds))


def _share(similarities: Floats, thresholds: Floats) -> Floats:
    ordered = np.sort(similarities)
    below = np.searchsorted(ordered, thresholds, side="left")
    return np.asarray((len(ordered) - below) / len(ordered))


def groups(names: Iterable[str], together: Iterable[tuple[str, str]]) -> list[list[str]]:
    """Names that belong together, directly or through others; sorted."""
    leads = {name: name for name in names}

    def leader(name: str) -> str:
        while leads[name] != name:
            leads[name] = name = leads[leads[name]]
        return name

    for one, other in together:
        leads[leader(one)] = leader(other)
    found: dict[str, list[str]] = {}
    for name in sorted(leads):
        found.setdefault(leader(name), []).append(name)
    return sorted(found.values())


def identification(
    people: list[list[str]], templates: Mapping[str, Floats], fpir: float
) -> tuple[float | None, int, int]:
    """How often a person is found by one enrolled photo, when strangers are found at a rate.

    Each person with several photos is enrolled with the first; the others ask. A search with the
    own entry left out is a stranger's search, as is one of a person who is not enrolled. Returns
    the share of searches that put the right person first above the threshold, and how many people
    were enrolled and how many photos asked; None where there is nobody to ask.
    """
    people = [[name for name in person if name in templates] for person in people]
    enrolled = [person for person in people if len(person) > 1]
    if len(enrolled) < 2:
        return None, len(enrolled), 0
    gallery = np.stack([templates[person[0]] for person in enrolled])
    asks = [(at, name) for at, person in enumerate(enrolled) for name in person[1:]]
    similar = np.stack([templates[name] for _, name in asks]) @ gallery.T
    own = np.array([at for at, _ in asks])
    rows = np.arange(len(asks))
    mine = similar[rows, own].copy()
    similar[rows, own] = -np.inf
    strangers = similar.max(axis=1)
    others = [templates[person[0]] for person in people if len(person) == 1]
    searches = np.concatenate([strangers, (np.stack(others) @ gallery.T).max(axis=1)]) if others \
        else strangers  # fmt: skip
    allowed = int(fpir * len(searches))
    threshold = np.sort(searches)[::-1][allowed]
    found = (mine > threshold) & (mine > strangers)
    return float(found.mean()), len(enrolled), len(asks)


WIDTH, HEIGHT, EDGE = 720, 440, 64
LEAST = 1e-5
COLOURS = ("#0057b7", "#d95f02", "#1b9e77")


def plot(curves: Mapping[str, Roc], title: str) -> str:
    """The curves as an SVG picture: true accepts over false accepts, the latter logarithmic.

    Left of the lowest rate that the strangers there were can tell apart from none, a curve is
    dashed: nothing was measured there.
    """
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" font-size="12" fill="#222">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        _text(WIDTH / 2, 28, title, "middle", 'font-size="15"'),
        _text(WIDTH / 2, HEIGHT - 16, "strangers accepted", "middle"),
        _text(18, HEIGHT / 2, "same person accepted", "middle",
              f'transform="rotate(-90 18 {HEIGHT / 2:g})"'),
        *_grid(),
    ]  # fmt: skip
    for number, (name, curve) in enumerate(curves.items()):
        colour = COLOURS[number % len(COLOURS)]
        measured = curve.false_accepts > 0
        parts += [
            _line(curve, ~measured, colour, ' stroke-dasharray="2 5"'),
            _line(curve, measured, colour, ""),
        ]
        # The lower right corner is the one that curves keep away from.
        y = HEIGHT - EDGE - 18 * (len(curves) - number)
        parts.append(_text(WIDTH - EDGE - 12, y, name, "end", f'style="fill:{colour}"'))
    return "\n".join([*filter(None, parts), "</svg>\n"])


def _place(false: float, true: float) -> tuple[float, float]:
    across = 1 - np.log10(max(false, LEAST)) / np.log10(LEAST)
    return EDGE + across * (WIDTH - 2 * EDGE), HEIGHT - EDGE - true * (HEIGHT - 2 * EDGE)


def _grid() -> Iterable[str]:
    for power in range(-5, 1):
        x, y = _place(10.0**power, 0)
        yield f'<path d="M{x:.1f} {EDGE}V{y:.1f}" stroke="#ddd"/>'
        yield _text(x, y + 18, f"1 in {10**-power:,}" if power else "all", "middle")
    for tenth in range(0, 11, 2):
        x, y = _place(LEAST, tenth / 10)
        yield f'<path d="M{x:.1f} {y:.1f}H{WIDTH - EDGE}" stroke="#ddd"/>'
        yield _text(x - 6, y + 4, f"{tenth / 10:.0%}", "end")


def _line(curve: Roc, which: NDArray[np.bool_], colour: str, dashes: str) -> str:
    """The part of a curve at some of its thresholds; nothing where there are none."""
    points = [
        _place(false, true)
        for false, true in zip(curve.false_accepts[which], curve.true_accepts[which], strict=True)
    ]
    if not points:
        return ""
    if dashes:
        # What is accepted without a stranger is accepted up to the first one.
        first = curve.false_accepts[curve.false_accepts > 0]
        points.append(_place(float(first[0]) if len(first) else 1.0, float(
            curve.true_accepts[which][-1])))  # fmt: skip
        points = points[-2:]
    # Of points on one pixel the first says it all.
    drawn = [points[0]] + [p for o, p in pairwise(points) if _apart(o, p)] + [points[-1]]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in drawn)
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"{dashes}/>'


def _text(x: float, y: float, said: str, anchor: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {more}>{escape(said)}</text>'


def _apart(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return abs(one[0] - other[0]) + abs(one[1] - other[1]) > 1e-9
