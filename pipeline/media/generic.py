"""Pictures of nothing in particular, made from formulas: what the generic bank is hashed from.

The same pixels on every machine up to rounding: straight edges, bars, gradients, horizons, discs,
corners, vignettes, lines of text, grids. Each is 64x64 grey, as query views are.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pipeline.domain.generic import WITHIN, GenericBank
from pipeline.domain.media import Frame, View

_SIDE = 64
_BYTES = 32
"""Of the codes that the loop is made for."""
Plane = NDArray[np.float64]


class CompiledBank(GenericBank):
    """The same bank, asked by a compiled loop: a tenth of the time."""

    __slots__ = ()

    def generic(self, codes: NDArray[np.uint8], within: int = WITHIN) -> NDArray[np.bool_]:
        """Which codes (n, width / 8) are within some bits of the bank, bool (n,)."""
        if self.codes.shape[1:] != (_BYTES,):
            return GenericBank.generic(self, codes, within)
        found = np.zeros(len(codes), np.bool_)
        if len(codes) and len(self.codes):
            # Numba takes half a second to load: only who looks at pictures waits for it.
            from pipeline.media._nearest import near_any

            asked = np.ascontiguousarray(codes).view(np.uint64)
            near_any(self._words, asked, np.uint64(within), found)
        return found


def generic_frames(seed: int = 1) -> tuple[Frame, ...]:
    """All generic pictures as frames; compute their codes as of a query, in all eight ways."""
    rng = np.random.default_rng(seed)
    return tuple(
        Frame(np.repeat(_bytes(plane)[..., None], 3, axis=2), None, View("generic"))
        for plane in _planes(rng)
    )


def _planes(rng: np.random.Generator) -> Iterator[Plane]:
    x, y = (
        axis.astype(np.float64) for axis in np.meshgrid(*[(np.arange(_SIDE) + 0.5) / _SIDE] * 2)
    )
    # A little askew: a picture that is the same all along a line has coefficients of exactly
    # zero, whose bits are noise.
    x, y = x + 0.04 * y, y + 0.03 * x
    yield from _edges(x, y)
    yield from _bars(y)
    yield from _blobs(x, y)
    yield from _corners(x, y)
    yield from _grids(x, y)
    yield from _texts(rng)


def _edges(x: Plane, y: Plane) -> Iterator[Plane]:
    """Half planes at places and angles, from sharp (a table) to soft (a sky)."""
    for angle in np.deg2rad([0, 4, 8, 15, 25, 35, 45, -4, -15]):
        along = (y - 0.5) * np.cos(angle) + (x - 0.5) * np.sin(angle)
        for place in np.linspace(-0.4, 0.4, 13):
            for softness in (0.01, 0.06, 0.2):
                yield 128 + 110 * np.tanh((along - place) / softness)


def _bars(y: Plane) -> Iterator[Plane]:
    """One bright or dark bar across: letterboxes, shelves, horizons with a shore."""
    for top in np.linspace(0.0, 0.8, 9):
        for thickness in (0.05, 0.1, 0.2, 0.4):
            inside = (y > top) & (y < top + thickness)
            yield np.where(inside, 230.0, 30.0)
            yield np.where(inside, 230.0, 30.0) * (0.6 + 0.4 * y)


def _blobs(x: Plane, y: Plane) -> Iterator[Plane]:
    """Discs and glows: a sun, a lamp, a vignette."""
    for left in (0.3, 0.5):
        for top in (0.3, 0.5):
            distance = np.hypot(x - left, y - top)
            for radius in (0.1, 0.2, 0.3, 0.4, 0.5):
                for softness in (0.01, 0.1, 0.25):
                    yield 128 - 110 * np.tanh((distance - radius) / softness)


def _corners(x: Plane, y: Plane) -> Iterator[Plane]:
    """Two straight edges that meet: windows, walls, bars at two sides, frames."""
    for left in (0.1, 0.25, 0.4, 0.5, 0.6, 0.75):
        for top in (0.1, 0.25, 0.4, 0.5, 0.6, 0.75):
            yield np.where((x > left) & (y > top), 225.0, 35.0)
    for inset in (0.05, 0.1, 0.15, 0.2, 0.3):
        for tall in (0.05, 0.1, 0.2, 0.3):
            inside = (np.abs(x - 0.5) < 0.5 - inset) & (np.abs(y - 0.5) < 0.5 - tall)
            yield np.where(inside, 225.0, 35.0)


def _grids(x: Plane, y: Plane) -> Iterator[Plane]:
    """Stripes and chessboards of 2 to 12 periods."""
    for periods in (2, 3, 4, 5, 6, 8, 10, 12):
        for phase in (0.0, 0.25):
            down = np.sin(2 * np.pi * (periods * y + phase))
            across = np.sin(2 * np.pi * (periods * x + phase))
            yield 128 + 100 * down
            yield 128 + 100 * np.sign(down * across)


def _texts(rng: np.random.Generator) -> Iterator[Plane]:
    """Lines of words, black on white, ragged at the right: pages, chats, captions."""
    for lines in range(3, 17):
        for _ in range(6):
            page = np.full((_SIDE, _SIDE), 245.0)
            step = _SIDE / lines
            for line in range(lines):
                top, bottom = int(step * (line + 0.25)), max(1, int(step * (line + 0.8)))
                length = int(_SIDE * rng.uniform(0.35, 0.95))
                page[top:bottom, 3:length] = rng.uniform(90, 170, length - 3)[None]
            yield page
            yield 255 - page


def _bytes(plane: Plane) -> NDArray[np.uint8]:
    return np.clip(np.rint(plane), 0, 255).astype(np.uint8)
