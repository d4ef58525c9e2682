"""Whether photos of a face are good enough to enrol, in words that say what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEAST, MOST = 3, 8
"""How many photos an enrolment takes: one finds far less often than three."""

SMALLEST = 80.0
"""Shorter side of the face in pixels: below, templates blur into those of strangers."""
DARKEST, BRIGHTEST = 45.0, 235.0
SHARPEST_BLUR = 4.0
TURNED = 0.75
TWICE = "this is the same file as another one: take one more photo"
"""Several photos find more often because they differ."""
BESIDE = 0.4
"""A second face at least this large beside the first could be the one that is meant."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one photo; ``problem`` says what to do, and is None for a good one."""

    name: str
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Sight:
    """What was seen of one face: sizes in pixels, median light 0 to 255, turn 0 to about 1."""

    size: float
    brightness: float
    sharpness: float
    turned: float


def problem(faces: Sequence[Sight]) -> str | None:
    """What is wrong with a photo that shows these faces, largest first; None for nothing."""
    if not faces:
        return "no face was found: take one from the front, with the whole face in the picture"
    first = faces[0]
    if any(other.size >= BESIDE * first.size for other in faces[1:]):
        return "there is more than one face: use a photo of you alone, or cut the others off"
    if first.size < SMALLEST:
        return (
            f"the face is too small ({first.size:.0f} pixels; {SMALLEST:.0f} are needed):"
            " come closer, or use the photo in its full size"
        )
    if first.brightness < DARKEST:
        return "the face is too dark: turn towards a window or a lamp"
    if first.brightness > BRIGHTEST:
        return "the face is too bright: turn away from the light"
    if first.sharpness < SHARPEST_BLUR:
        return "the face is blurred: hold the camera still, or wipe its lens"
    if first.turned > TURNED:
        return "the face is turned away: look towards the camera"
    return None


def outsiders(templates: NDArray[np.float32], least: float) -> list[int]:
    """Rows that are not alike enough to most of the others: photos of somebody else.

    With two photos that disagree it is not known which one is hers: both are named.
    """
    cosines = templates @ templates.T
    others = [np.delete(row, at) for at, row in enumerate(cosines)]
    unlike = [at for at, row in enumerate(others) if float(np.median(row)) < least]
    # One stranger among three pulls the others' medians down: whoever agrees with half is hers.
    alone = [at for at in unlike if float(np.mean(others[at] >= least)) < 0.5]
    return alone or unlike
