"""Shared memory in large pages, where the kernel gives them.

A search reads hundreds of places that are nowhere near each other. In pages of 4 KiB most of them
cost a walk through the kernel's tables besides, a third of the time of a batch. Files on a tmpfs
come in such pages unless the mount says otherwise; since Linux 6.1 a process may ask for large ones
itself. Where it may not, everything works as it did, only slower.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
import weakref
from typing import Any

import numpy as np
from numpy.typing import NDArray

LARGE = 2 << 20
"""Bytes of a large page; where they are others, the kernel says no."""
_COLLAPSE = 25  # madvise's MADV_COLLAPSE, for which Python has no name
_FIXED = 0x10


def map_file(descriptor: int, size: int) -> NDArray[np.uint8]:
    """A file's bytes, shared and writable, for as long as the array or a view of it is held.

    They begin at a multiple of a large page, without which the kernel maps none.
    """
    if sys.platform == "linux":
        placed = _placed(descriptor, size)
        if placed is not None:
            return np.asarray(placed)
    return np.frombuffer(mmap.mmap(descriptor, size, access=mmap.ACCESS_WRITE), np.uint8)


def prepare_file(descriptor: int, size: int) -> bool:
    """Give an empty file its size, in large pages as far as possible; whether there are any.

    This is done before anything is written: the kernel makes a large page by copying small ones,
    which it then gives back as they are. Those here hold nothing yet, and the codes that are
    written later lie in one place only, where they can be blanked. Raises ``OSError`` where there
    is no room.
    """
    os.ftruncate(descriptor, size)
    whole = size // LARGE * LARGE
    placed = _placed(descriptor, size) if whole and sys.platform == "linux" else None
    if placed is None:
        return False
    # The kernel makes no large page where there is none yet. They are written, not touched: where
    # the file system is full that is an error, which reaching into its memory would not survive.
    for at in range(0, whole, LARGE):
        os.pwrite(descriptor, b"\0", at)
    return bool(_libc().madvise(placed.start, whole, _COLLAPSE) == 0)


class _Placed:
    """A mapping of a file at a multiple of a large page."""

    def __init__(self, start: int, size: int, unmap: Any) -> None:
        self.start = start
        self.__array_interface__ = {
            "version": 3, "shape": (size,), "typestr": "|u1", "data": (start, False),
        }  # fmt: skip
        # Not at exit: who still reads then would find nothing there.
        weakref.finalize(self, *unmap).atexit = False


def _placed(descriptor: int, size: int) -> _Placed | None:
    """The file mapped within a larger stretch of addresses that is reserved for it."""
    libc = _libc()
    private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    reserved = libc.mmap(None, size + LARGE, 0, private, -1, 0)
    if reserved in (None, ctypes.c_void_p(-1).value):
        return None
    start = -(-reserved // LARGE) * LARGE
    access = mmap.PROT_READ | mmap.PROT_WRITE
    if libc.mmap(start, size, access, mmap.MAP_SHARED | _FIXED, descriptor, 0) != start:
        libc.munmap(reserved, size + LARGE)
        return None
    return _Placed(start, size, (libc.munmap, reserved, size + LARGE))


def _libc() -> Any:
    libc: Any = ctypes.CDLL(None, use_errno=True)
    address, length, number = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
    libc.mmap.restype = address
    libc.mmap.argtypes = [address, length, number, number, number, ctypes.c_long]
    libc.munmap.argtypes = [address, length]
    libc.madvise.argtypes = [address, length, number]
    return libc
