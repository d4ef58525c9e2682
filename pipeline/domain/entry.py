"""What the slots of an entry are."""

from __future__ import annotations

from enum import StrEnum


class Layout(StrEnum):
    """What the slots of an entry are."""

    PICTURE = "picture"
    """Crops of one picture, by ``media.crops``."""
    MOMENT = "moment"
    """Crops of one moment of a video, by ``media.crops``."""
    FRAMES = "frames"
    """Stretches of a video in order of time."""
    VECTOR = "vector"
    """A copy-detection pack's vector of a whole picture, in slot 0."""
    BYTES = "bytes"
    """Digests of a file: SHA-256 in slot 0, MD5 twice over in slot 1."""


def keyed(space: str, layout: Layout) -> str:
    """How a medium's codes name what they are: space and layout."""
    return space if layout is Layout.PICTURE else f"{space}#{layout}"


def read_key(key: str) -> tuple[str, Layout]:
    """Space and layout of what ``keyed`` named."""
    space, _, layout = key.partition("#")
    return space, Layout(layout) if layout else Layout.PICTURE
