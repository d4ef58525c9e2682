"""How this process keeps the memory that it frees."""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def keep_what_is_freed() -> None:
    """Have glibc keep some memory that arrays come and go in.

    By default what one upload's pixels lay in may go back to the kernel and be fetched and cleared
    again for the next: half a millisecond to three of each were seen where two were worked on at
    once. What is larger than most pictures still goes back.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_M_TRIM_THRESHOLD, 64 << 20)
        mallopt(_M_MMAP_THRESHOLD, 16 << 20)
