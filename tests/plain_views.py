"""What compiled loops of views must give: the same, said with whole arrays of NumPy and OpenCV."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.media._rectangles import overlap
from pipeline.media._trims import Rect, Strictness, near_colour

TILE = 64
_TOGETHER = 16
Grid = NDArray[np.float32]
Places = NDArray[np.int64]

_CAP = 80
"""Grey levels above which a jump counts no more: a black letter is not a border."""
_ALONG = 2
"""Pixels along a line that count as one: it is long, and where it ends need not be exact."""
_BESIDE, _OWN = 9, 3
"""Lines that a line is compared with, and how many of these in the middle are its own."""
_LEVEL = 2.0
"""Grey levels that a stretch of a line must jump by more than the lines beside it."""
_EVEN = 0.5
"""The same for each quarter of a side: it is a border all along, not only for a part."""
_MOST_LINES = 12
_LEAST_SIDE = 0.15
_RIM = 0.6
"""What a side is worth that is only the picture's own rim: every rectangle that reaches it has it.
"""
_TIP = 0.1
"""The share of a side that is looked at before and behind each of its corners."""
_SHORT, _LONG, _ODD_CORNER = 0.35, 0.5, 0.85
"""A side ends at its corners. One that is weaker than so much of its mean before a corner, or
stronger than so much behind it, belongs to another rectangle; what each such corner is worth.
"""


@dataclass(frozen=True, slots=True)
class _Lines:
    """Sums along parallel lines (width / 2 + 1, height + 1), and pairs of the lines chosen."""

    sums: Grid
    at: Places
    first: Places
    second: Places
    """Which of ``at`` make a pair, the lower one first."""

    def means(self, low: Places, high: Places) -> Grid:
        """What each line (rows) jumps by between ``low`` and ``high`` (columns); rims infinitely.

        The rim is as good as need be.
        """
        start, stop = _steps(low, len(self.sums) - 1), _steps(high, len(self.sums) - 1)
        lines = self.sums[:, self.at]
        risen = lines[stop] - lines[start]
        means = np.asarray((risen / np.maximum(1, stop - start)[:, None]).T, np.float32)
        means[(self.at == 0) | (self.at == self.sums.shape[1] - 1)] = np.inf
        return means


@dataclass(frozen=True, slots=True)
class _Sides:
    """Top, bottom, left and right side of n rectangles: (4, n) lines, from ``low`` to ``high``.

    ``sums`` holds the two planes one after another; ``shape`` is each side's plane's.
    """

    sums: Grid
    base: Places
    shape: tuple[Places, Places]
    at: Places
    low: Places
    high: Places

    def of(self, chosen: NDArray[np.intp] | NDArray[np.bool_]) -> _Sides:
        """Some of the rectangles."""
        some = (self.at[:, chosen], self.low[:, chosen], self.high[:, chosen])
        return _Sides(self.sums, self.base, self.shape, *some)

    @property
    def rim(self) -> NDArray[np.bool_]:
        """Which of them are the picture's own rim, whose jumps are not known."""
        return np.asarray((self.at == 0) | (self.at == self.shape[1] - 1))

    def weakest_quarter(self) -> Grid:
        """By how much they jump more than what is beside them, in the quarter where it is least."""
        length = self.high - self.low
        steps, sums = self._read([self.low + length * part // 4 for part in range(5)])
        return np.asarray(_means(steps[:-1], steps[1:], sums[:-1], sums[1:]).min(0))

    def means_and_odd_corners(self) -> tuple[Grid, NDArray[np.int64]]:
        """By how much they jump, and at how many of their ends they stop too early or go on."""
        low, high = self.low, self.high
        tip = np.maximum(6, ((high - low) * _TIP).astype(np.int64))
        steps, sums = self._read([low - tip, low, low + tip, high - tip, high, high + tip])
        mean = _means(steps[1], steps[4], sums[1], sums[4])
        ends = [1, 3, 0, 4]
        tips = _means(
            steps[ends], steps[[at + 1 for at in ends]], sums[ends], sums[[at + 1 for at in ends]]
        )
        odd = np.concatenate([tips[:2] < _SHORT * mean, tips[2:] > _LONG * mean])
        return mean, np.where(self.rim, 0, odd.sum(0, dtype=np.int64))

    def _read(self, places: list[Places]) -> tuple[Places, Grid]:
        """The steps (k, 4, n) that places along the sides are at, and the sums up to there."""
        steps = _steps(np.stack(places), self.shape[0] - 1)
        return steps, self.sums[self.base + steps * self.shape[1] + self.at]


def _steps(places: Places, last: Places | int) -> Places:
    return np.asarray(np.minimum(np.maximum((places + _ALONG // 2) // _ALONG, 0), last), np.int64)


def _means(start: Places, stop: Places, before: Grid, after: Grid) -> Grid:
    return np.asarray((after - before) / np.maximum(1, stop - start), np.float32)


def rectangles(grey: NDArray[np.uint8], most: int = 4) -> list[Rect]:
    """The best-supported rectangles, each overlapping the others by less than three quarters."""
    height, width = grey.shape
    level, upright = _sums(np.ascontiguousarray(grey.T)), _sums(grey)
    down, across = _paired(level, width, height), _paired(upright, height, width)
    kept: list[Rect] = []
    if not len(down.first) or not len(across.first):
        return kept
    for rect in _best(_promising(down, across)):
        if all(overlap(rect, other) < 0.75 for other in kept):
            kept.append(rect)
        if len(kept) == most:
            break
    return kept


def _promising(down: _Lines, across: _Lines) -> _Sides:
    """All rectangles of which each side that is not the rim jumps enough."""
    top, bottom = down.at[down.first], down.at[down.second]
    left, right = across.at[across.first], across.at[across.second]
    level, upright = down.means(left, right), across.means(top, bottom)
    weakest = np.minimum(
        np.minimum(level[down.first], level[down.second]),
        np.minimum(upright[across.first], upright[across.second]).T,
    )
    rows, columns = np.nonzero((weakest > _LEVEL) & np.isfinite(weakest))
    top, bottom, left, right = top[rows], bottom[rows], left[columns], right[columns]
    shapes = np.array([down.sums.shape] * 2 + [across.sums.shape] * 2, np.int64)
    return _Sides(
        np.concatenate([down.sums.ravel(), across.sums.ravel()]),
        np.array([0, 0, down.sums.size, down.sums.size], np.int64)[:, None],
        (shapes[:, :1], shapes[:, 1:]),
        np.stack([top, bottom, left, right]),
        np.stack([left, left, top, top]),
        np.stack([right, right, bottom, bottom]),
    )


def _best(sides: _Sides) -> list[Rect]:
    """Rectangles with all four sides supported, best first. Large ones are preferred a little."""
    # Few are left for what costs more.
    sides = sides.of(np.where(sides.rim, np.inf, sides.weakest_quarter()).min(0) > _EVEN)
    (top, bottom, left, right), rim = sides.at, sides.rim
    height, width = (int(sides.shape[1][side, 0]) - 1 for side in (0, 2))
    share = (right - left) * (bottom - top) / (width * height)
    means, odd = sides.means_and_odd_corners()
    support = np.sqrt(np.minimum(np.where(rim, np.inf, means).min(0), 16.0))
    score = support * share**0.25 * _RIM ** rim.sum(0) * _ODD_CORNER ** odd.sum(0) * (share < 0.97)
    order = np.argsort(-score, kind="stable")[:24]
    return [
        (int(left[at]), int(top[at]), int(right[at]), int(bottom[at]))
        for at in order.tolist()
        if score[at] > 0
    ]


def _sums(grey: NDArray[np.uint8]) -> Grid:
    """How much more pixels differ from those left of them than pixels beside that line do.

    Of upright lines; summed along them, so that any stretch is a difference of two, in steps of
    ``_ALONG`` pixels: (height / 2 + 1, width + 1). Line 0 and the last are the picture's own rim.
    """
    height, width = grey.shape
    steps = height // _ALONG
    grey = grey[: steps * _ALONG]
    jumps = np.minimum(cv2.absdiff(grey[:, 1:], grey[:, :-1]), _CAP).astype(np.float32)
    means = cv2.resize(jumps, (width - 1, steps), interpolation=cv2.INTER_AREA)
    around, own = (
        cv2.boxFilter(means, -1, (lines, 1), normalize=False, borderType=cv2.BORDER_REFLECT)
        for lines in (_BESIDE, _OWN)
    )
    more = np.minimum(means - (around - own) * np.float32(1 / (_BESIDE - _OWN)), _CAP / 2)
    found = np.zeros((steps + 1, width + 1), np.float32)
    inner = found[:, 1:-1]
    # All lines a step at a time: NumPy's sums along an axis go one line after another.
    for before, here, after in zip(inner[:-1], more, inner[1:], strict=True):
        np.add(before, here, out=after)
    return found


def _paired(sums: Grid, across: int, size: int) -> _Lines:
    """The lines to look at, and all pairs of them that lie far enough apart."""
    lines = _lines(sums, across)
    first, second = np.nonzero(lines[None] - lines[:, None] >= size * _LEAST_SIDE)
    return _Lines(sums, lines, first, second)


def _lines(sums: Grid, across: int) -> Places:
    """Where the lines with the best stretch are, one of several neighbours, and the rim."""
    risen = sums - (np.arange(len(sums), dtype=np.float32) * _LEVEL)[:, None]
    # The best stretch of a line ends where it has risen most above what came before.
    least, best, above = risen[0].copy(), np.zeros_like(risen[0]), np.empty_like(risen[0])
    for here in risen:
        np.minimum(least, here, out=least)
        np.maximum(best, np.subtract(here, least, out=above), out=best)
    best[[0, -1]] = 0
    kept: list[int] = []
    for at in np.argsort(-best, kind="stable")[:64].tolist():
        if best[at] * _ALONG < max(24.0, across * 0.16) or len(kept) == _MOST_LINES:
            break
        if all(abs(at - other) > 3 for other in kept):
            kept.append(at)
    return np.array(sorted({0, sums.shape[1] - 1, *kept}), np.int64)


def tiles(luma, boxes, zoom=(1.0, 1.0)) -> NDArray[np.float32]:
    """Each box of the plane as a 64x64 tile (n, 64, 64), before it is rounded.

    ``zoom`` is how many of the upload's pixels one of the plane's stands for, across and down.
    """
    if not boxes:
        return np.zeros((0, TILE, TILE), np.float32)
    edges = np.asarray(boxes, dtype=np.float64)
    height, width = luma.shape
    rows = _weights(edges[:, 1], edges[:, 3], height, zoom[1])
    columns = _weights(edges[:, 0], edges[:, 2], width, zoom[0])
    found = np.empty((len(boxes), TILE, TILE), np.float32)
    part = np.empty((TILE, width), np.float32)
    for at, (left, _, right, _) in enumerate(edges):
        across = slice(max(0, int(left) - 1), min(width, int(np.ceil(right)) + 1))
        for lines, weights, pixels in rows.bands(at):
            np.matmul(weights, luma[pixels, across], out=part[lines, across])
        found[at] = part[:, across] @ columns.dense[at][:, across].T
    return found


def turned_tile(luma: Grid, zoom: tuple[float, float], quad: Grid) -> Grid:
    """A turned part as a 64x64 tile (64, 64), before it is rounded: from half the size, blurred."""
    height, width = (side // 2 for side in luma.shape)
    half = luma[: 2 * height, : 2 * width].reshape(height, 2, width, 2).mean((1, 3))
    top_left = quad[0]
    lines, kernels = [], []
    for corner in (quad[1], quad[3]):
        arm = (corner - top_left).astype(np.float64)
        pixels = max(np.rint(round(float(np.linalg.norm(arm * zoom)), 1)), 1.0)
        window = (int(pixels) + 127) // 128
        at = np.floor((np.arange(TILE) + 0.5) * (pixels / TILE)) + 0.5 + (window % 2 == 0)
        lines.append(arm / 2 * (at / pixels)[:, None])
        reach = np.linalg.norm(arm) / 2 * max(window / pixels, 0.75 / 128)
        edges = np.clip((np.arange(-40, 42) - 0.5) / reach, -1, 1)
        kernels.append(np.diff(edges * (1 - 0.5 * np.abs(edges))))
    soft = cv2.sepFilter2D(half, -1, *kernels, borderType=cv2.BORDER_REPLICATE)
    points = top_left / 2 - 0.5 + lines[0][None] + lines[1][:, None]
    x, y = np.clip(points[..., 0], 0, width - 1), np.clip(points[..., 1], 0, height - 1)
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    upper = soft[top, left] + (soft[top, right] - soft[top, left]) * (x - left)
    lower = soft[bottom, left] + (soft[bottom, right] - soft[bottom, left]) * (x - left)
    return np.asarray(upper + (lower - upper) * (y - top), np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class _Weights:
    """Weights (n, 64, size) of pixels in each of 64 points, all but a few of them zero."""

    dense: NDArray[np.float32] = field(repr=False)
    first: NDArray[np.int64] = field(repr=False)
    reach: int
    """Each point is of so many pixels from ``first`` (n, 64) on."""

    def bands(self, at: int) -> Iterator[tuple[slice, NDArray[np.float32], slice]]:
        """A few points at a time, their weights, and the stretch of pixels that these are of."""
        dense, size = self.dense[at], self.dense.shape[2]
        starts, stops = self.first[at, ::_TOGETHER], self.first[at, _TOGETHER - 1 :: _TOGETHER]
        for turn, (start, stop) in enumerate(zip(starts.tolist(), stops.tolist(), strict=True)):
            lines = slice(turn * _TOGETHER, (turn + 1) * _TOGETHER)
            pixels = slice(max(0, start), min(size, stop + self.reach))
            yield lines, dense[lines, pixels], pixels


def _weights(
    starts: NDArray[np.float64],
    stops: NDArray[np.float64],
    size: int,
    zoom: float | NDArray[np.float64],
) -> _Weights:
    """Triangle weights that sample 64 points between each start and stop.

    Points and triangles lie as PDQ's do in as many pixels as the part has in the upload: a point is
    a pixel's middle, and boxes of an even width reach half a pixel further after than before. The
    triangle is cut at the box's own edges and made to sum to one, as PDQ's boxes are. ``zoom`` is
    one for all, or one each.
    """
    length = (stops - starts)[:, None]
    pixels = np.maximum(np.rint(length * np.reshape(zoom, (-1, 1))), 1.0)
    window = (pixels.astype(np.int64) + 127) // 128
    at = np.floor((np.arange(TILE) + 0.5) * (pixels / TILE)) + 0.5 + (window % 2 == 0)
    centre = starts[:, None] + at * (length / pixels)
    half = np.maximum(window * (length / pixels), 0.75)
    reach = int(np.ceil(2 * half.max())) + 1
    first = np.floor(centre - half).astype(np.int64)
    # In place, because there are thousands of small arrays like these in an upload's views.
    along = np.clip(
        first[..., None] + np.arange(reach + 1), starts[:, None, None], stops[:, None, None]
    )
    along -= centre[..., None]
    along /= half[..., None]
    np.clip(along, -1, 1, out=along)
    along *= 1 - 0.5 * np.abs(along)
    gathered = np.diff(along, axis=-1)
    gathered /= np.maximum(gathered.sum(-1, keepdims=True), 1e-12)
    dense = np.zeros((len(starts) * TILE, size + reach + 1), np.float32)
    columns = (first[..., None] + np.arange(reach)).reshape(-1, reach)
    # Columns past either edge of the plane have no weight: the box is inside it.
    columns[columns < 0] = size + reach
    dense[np.arange(len(dense))[:, None], columns] = gathered.reshape(-1, reach)
    return _Weights(dense.reshape(len(starts), TILE, -1)[..., :size], first, reach)


_LEAST = 24


def trims(
    rgb: NDArray[np.uint8], strictness: Strictness, rounds: int = 3, part: Rect | None = None
) -> list[Rect]:
    """What is left of a part after each round of trimming all four sides."""
    rect: Rect = part or (0, 0, rgb.shape[1], rgb.shape[0])
    found: list[Rect] = []
    for _ in range(rounds):
        before = rect
        for side in ("top", "bottom", "left", "right"):
            rect = _trimmed(rgb, rect, side, strictness)
        if rect == before:
            break
        found.append(rect)
    return found


def _trimmed(rgb: NDArray[np.uint8], rect: Rect, side: str, strictness: Strictness) -> Rect:
    left, top, right, bottom = rect
    if right - left < _LEAST or bottom - top < _LEAST:
        return rect
    part = rgb[top:bottom, left:right]
    depth = _border_depth(part, side, strictness)
    lines = part.shape[0] if side in ("top", "bottom") else part.shape[1]
    if depth <= 1 or lines - depth < _LEAST:
        return rect
    depth += 1 if lines - depth > 40 else 0
    return {
        "top": (left, top + depth, right, bottom),
        "bottom": (left, top, right, bottom - depth),
        "left": (left + depth, top, right, bottom),
        "right": (left, top, right - depth, bottom),
    }[side]


def _border_depth(part: NDArray[np.uint8], side: str, strictness: Strictness) -> int:
    """How many lines from a side on are plain, in the colour of its outermost two lines."""
    edges = {
        "top": part[:2],
        "bottom": part[-2:],
        "left": part[:, :2],
        "right": part[:, -2:],
    }
    pixels = edges[side].reshape(-1, 3)
    colour = np.sort(pixels, axis=0)[len(pixels) // 2].astype(np.float64)
    mask = near_colour(part, colour, strictness.tolerance) > 0
    plain = near_colour(edges[side], colour, strictness.tolerance) > 0
    # A share that falls exactly on the limit is enough, whatever is rounded.
    if np.count_nonzero(plain) < strictness.share * plain.size - 1e-9:
        return 0
    along = 1 if side in ("top", "bottom") else 0
    lines = np.count_nonzero(mask, axis=along) >= strictness.share * mask.shape[along] - 1e-9
    lines = lines[::-1] if side in ("bottom", "right") else lines
    depth = 0 if lines.all() else int(np.argmin(lines))
    return _bridged(lines, depth, strictness.bridge) if depth and strictness.bridge else depth


def _bridged(lines: NDArray[np.bool_], depth: int, bridge: float) -> int:
    """The depth, going on past short interruptions as long as it stays under 45% of the side."""
    gap = max(2, int(len(lines) * bridge))
    at = depth
    while at < len(lines) * 0.45:
        ahead = lines[at : at + gap + 1]
        if not ahead.any():
            break
        at += int(np.argmax(ahead)) + 1
        depth = at
    return depth


def _jumps(grey: NDArray[np.uint8], step: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Where pixels differ by more than a step from those to their right, and from those below."""
    levels = grey.astype(np.int64)
    return np.abs(np.diff(levels, axis=1)) > step, np.abs(np.diff(levels, axis=0)) > step


def drawn(grey: NDArray[np.uint8]) -> bool:
    """Whether most pixels are exactly like those above and beside them."""
    here = grey[1:, 1:]
    alike = (here == grey[:-1, 1:]) & (here == grey[1:, :-1])
    return bool(np.count_nonzero(alike) > 0.6 * alike.size)


def lines_of_seams(grey: NDArray[np.uint8]) -> tuple[list[int], list[int]]:
    """Where parts of a collage begin, across and down."""
    right, below = _jumps(grey, 10)
    upright = np.count_nonzero(right, axis=0).astype(np.float32) / np.float32(grey.shape[0])
    level = np.count_nonzero(below, axis=1).astype(np.float32) / np.float32(grey.shape[1])
    return [at + 1 for at in _peaks(upright)], [at + 1 for at in _peaks(level)]


def _peaks(strength: NDArray[np.float32]) -> list[int]:
    """Up to three lines that stand out from those around, away from the rim and one another."""
    size = len(strength)
    line = (strength * np.float32(255)).astype(np.uint8)[None]
    around = np.asarray(cv2.medianBlur(line, 31), np.float32)[0] / np.float32(255)
    times = strength / np.maximum(around, np.float32(0.04))
    even = np.zeros(size, np.bool_)
    for share in (1 / 2, 1 / 3, 2 / 3):
        even[max(0, int(size * share) - 2) : int(size * share) + 2] = True
    seam = (strength >= 0.5) & (times >= 2) | even & (strength >= 0.3) & (times >= 1.4)
    seam[: int(0.12 * size)] = seam[int(0.88 * size) :] = False
    kept: list[int] = []
    order = np.argsort(around - strength, kind="stable")
    for at in order[seam[order]].tolist():
        if all(abs(at - other) > 0.06 * size for other in kept):
            kept.append(at)
        if len(kept) == 3:
            break
    return sorted(kept)


def sharp_part(grey: NDArray[np.uint8]) -> list[Rect]:
    """What lies between blurred bars above and below, or left and right; empty without bars."""
    height, width = grey.shape
    across, down = _jumps(grey, 6)
    found: list[Rect] = []
    rows = _between(across.mean(1, dtype=np.float32), np.count_nonzero(down, axis=1))
    if rows is not None:
        found.append((0, rows[0], width, rows[1]))
    columns = _between(down.mean(0, dtype=np.float32), np.count_nonzero(across, axis=0))
    if columns is not None:
        found.append((columns[0], 0, columns[1], height))
    return found


def _between(detail: NDArray[np.floating], edge: Places) -> tuple[int, int] | None:
    """Where lines with detail start and stop, moved to the strongest edge close by."""
    sharp = np.flatnonzero(detail > 0.015)
    size = len(detail)
    if not len(sharp):
        return None
    start, stop = _snapped(edge, int(sharp[0])), _snapped(edge, int(sharp[-1]) + 1)
    if start < 0.04 * size or size - stop < 0.04 * size or stop - start < 0.2 * size:
        return None
    return start, stop


def _snapped(edge: Places, at: int) -> int:
    """The line just after the strongest of the edges within a few lines."""
    low = max(0, at - 4)
    near = edge[low : at + 4]
    return low + int(np.argmax(near)) + 1 if len(near) else at


def ground_of_rim(rgb: NDArray[np.uint8]) -> tuple[int, float]:
    """The commonest colour of the outermost pixels, and the share of them that have it."""
    rim = np.concatenate([rgb[0], rgb[-1], rgb[:, 0], rgb[:, -1]]).astype(np.int64) >> 3
    counts = np.bincount((rim[:, 0] << 10) | (rim[:, 1] << 5) | rim[:, 2])
    return int(counts.argmax()), float(counts.max() / len(rim))


def ground_of_corners(rgb: NDArray[np.uint8]) -> NDArray[np.float64] | None:
    """The colour of the four corners; None where they differ."""
    corners = [rgb[:6, :6], rgb[:6, -6:], rgb[-6:, :6], rgb[-6:, -6:]]
    colours = np.array([corner.reshape(-1, 3).mean(0) for corner in corners])
    ground = np.median(colours, axis=0)
    return None if np.abs(colours - ground).max() > 30 else np.asarray(ground, np.float64)
