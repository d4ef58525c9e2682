"""Machine code from Python functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit

Kernel = Callable[..., Any]


def compiled(function: Kernel, **options: Any) -> Kernel:
    """The function as machine code that runs without the GIL, kept on disk where that is possible.

    Where neither the package's folder nor the user's cache folder can be written (a read-only
    install under a user without a home), it is compiled anew by every process. It is never kept in
    a shared temporary folder: whoever can write a cache file can run code in our process.
    ``options`` are numba's.
    """
    try:
        kernel: Kernel = njit(nogil=True, cache=True, **options)(function)
    except RuntimeError:
        kernel = njit(nogil=True, **options)(function)
    return kernel
