"""One grey plane of a sketch for all that looks at grey."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from pipeline.domain.media import Frame


def with_grey(frames: Sequence[Frame]) -> tuple[Frame, ...]:
    """Frames of which sketches have their luma beside them, in whole levels; others as they are.

    A sketch is off by more than the half of a level that this takes; whatever is exact is not made
    from it.
    """
    return tuple(
        frame
        if frame.of is None or frame.luma is not None
        else replace(frame, luma=np.asarray(cv2.cvtColor(frame.rgb, cv2.COLOR_RGB2GRAY), np.uint8))
        for frame in frames
    )
