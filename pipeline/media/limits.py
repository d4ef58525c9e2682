"""What a file may ask of us, each limit with a name that a refusal repeats."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.errors import Misconfigured, RefusalReason, Refused

MOST_PIXELS = 200_000_000
"""The decoder's own backstop, which holds where it allocates before anybody sees a size."""


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """What a picture may ask of us.

    ``scans`` bounds a progressive JPEG, ``scan_pixels`` scans times pixels: its decoder works
    through the whole picture once a scan, however few bytes that takes.
    """

    bytes: int = 64 * 1024 * 1024
    pixels: int = 100_000_000
    side: int = 30_000
    scans: int = 100
    scan_pixels: int = 2_000_000_000

    def __post_init__(self) -> None:
        if self.pixels > MOST_PIXELS:
            raise Misconfigured(
                f"the limit of {self.pixels} pixels is beyond the decoder's own; "
                f"set it to at most {MOST_PIXELS}"
            )


DEFAULT_LIMITS = ImageLimits()


def within_bytes(size: int, limits: ImageLimits) -> None:
    """Raises ``Refused`` for a file of no bytes, or of too many."""
    if not size:
        raise Refused(RefusalReason.EMPTY, "The file is empty; send the picture's bytes.")
    if size > limits.bytes:
        raise Refused(
            RefusalReason.TOO_MANY_BYTES,
            f"The file has more than {limits.bytes} bytes; send a smaller one.",
        )
