"""How many pictures go through a network at once on a graphics card, by the memory it has free."""

from __future__ import annotations

import os
import subprocess

HEADROOM = 0.25
"""Share of the free memory that is left free: other processes, and what a network takes briefly."""
INSIDE = 256
"""Bytes inside a network for each byte of its input. ArcFace's widest layers hold 64 times its
input, two or three at once; a card that is asked for more than it has fails in the middle."""
_SECONDS = 10.0


def batch_for(free: int | None, each: int, most: int) -> int:
    """How many items, ``each`` of so many bytes on the card, fit into its free bytes.

    From 1 (who has no room for one fails by name when it is run) to ``most``, which it is where
    nobody knows what is free.
    """
    if free is None:
        return most
    return max(1, min(most, int(free * (1 - HEADROOM)) // each))


def inside(side: int) -> int:
    """About the bytes that a square colour picture takes within a network, float32."""
    return 3 * side * side * 4 * INSIDE


def card_here() -> bool:
    """Whether a card is here for this process: one was given to it, or a driver answers."""
    return _seen() is not None and (
        "CUDA_VISIBLE_DEVICES" in os.environ or free_bytes() is not None
    )


def free_bytes() -> int | None:
    """Free memory of the card that this process sees first; None where its driver does not say."""
    seen = _seen()
    if seen is None:
        return None
    command = ["nvidia-smi", f"--id={seen}", "--query-gpu=memory.free"]
    try:
        said = subprocess.run(
            [*command, "--format=csv,noheader,nounits"],
            check=True, capture_output=True, text=True, timeout=_SECONDS,
        )  # fmt: skip
        return int(said.stdout.split()[0]) << 20
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None


def _seen() -> str | None:
    """The first card that this process may see; None where none was left to it."""
    first = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0].strip()
    return None if first in ("", "-1") else first
