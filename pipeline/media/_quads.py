"""A tilted picture on a plain ground: rotated with corners, filmed off a screen."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.media._planes import Quad
from pipeline.media._trims import near_colour


def quads(rgb: NDArray[np.uint8]) -> list[Quad]:
    """The picture's outline as a tilted rectangle and as a free quadrilateral; empty without one.

    The ground is the colour of the four corners; where they differ there is none.
    """
    # Numba takes half a second to load: only who looks at pictures waits for it.
    from pipeline.media._grounds import corners

    height, width = rgb.shape[:2]
    ground = np.empty(3, np.float64)
    if not corners(rgb, ground):
        return []
    outline = _outline(rgb, ground)
    if outline is None:
        return []
    area = float(cv2.contourArea(outline))
    if not 0.12 * height * width <= area <= 0.995 * height * width:
        return []
    found = [_ordered(np.asarray(cv2.boxPoints(cv2.minAreaRect(outline)), np.float32))]
    hull = cv2.convexHull(outline)
    length = cv2.arcLength(hull, closed=True)
    for looseness in (0.02, 0.04, 0.06):
        shape = cv2.approxPolyDP(hull, looseness * length, closed=True)
        if len(shape) == 4:
            found.append(_ordered(shape.reshape(4, 2).astype(np.float32)))
            break
    return [_inwards(quad) for quad in found]


def _outline(rgb: NDArray[np.uint8], ground: NDArray[np.float64]) -> NDArray[Any] | None:
    """The largest connected thing that is not ground."""
    mask = (near_colour(rgb, ground, 18) == 0).astype(np.uint8)
    mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8))
    mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((7, 7), np.uint8))
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return max(outlines, key=cv2.contourArea) if outlines else None


def _ordered(points: Quad) -> Quad:
    """Top-left, top-right, bottom-right, bottom-left, as they lie in the upload."""
    total = points.sum(1)
    lean = points[:, 0] - points[:, 1]
    order = [total.argmin(), lean.argmax(), total.argmax(), lean.argmin()]
    return np.asarray(points[order], dtype=np.float32)


def _inwards(quad: Quad, pixels: float = 1.0) -> Quad:
    """The quadrilateral without its blended rim."""
    centre = quad.mean(0)
    arms = quad - centre
    lengths = np.maximum(np.linalg.norm(arms, axis=1, keepdims=True), 1.0)
    shrunk = centre + arms * np.maximum(0.0, 1 - 1.5 * pixels / lengths) + 0.5
    return np.asarray(shrunk, dtype=np.float32)
