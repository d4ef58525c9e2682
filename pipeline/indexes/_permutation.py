"""A secret order of the 256 bits, which keeps distances and balances buckets."""

from __future__ import annotations

import hashlib
import hmac

import numpy as np
from numpy.typing import NDArray

CONTEXT = b"consentry hamming permutation 1"


def permutation(seed: bytes) -> NDArray[np.int64]:
    """Where each of the 256 bits goes, derived from a secret of the deployment.

    With it nobody outside can craft codes that crowd one bucket, and the structure of natural
    hashes, whose neighbouring bits go together, is spread over all substrings.
    """
    stream = hashlib.shake_256(hmac.digest(seed, CONTEXT, "sha256")).digest(256 * 8)
    return np.argsort(np.frombuffer(stream, dtype="<u8"), kind="stable").astype(np.int64)


def permutation_table(seed: bytes | None) -> NDArray[np.uint64]:
    """The permutation as words to be joined: (64, 16, 4), one for each half byte and its value.

    Half bytes count from the high half of byte 0; without a seed the table is empty.
    """
    if seed is None:
        return np.zeros((0, 16, 4), np.uint64)
    goes_to = permutation(seed)
    table = np.zeros((64, 16, 4), np.uint64)
    for half in range(64):
        lowest = (half // 2) * 8 + (4 if half % 2 == 0 else 0)
        for value in range(16):
            for bit in range(4):
                if value >> bit & 1:
                    to = int(goes_to[lowest + bit])
                    table[half, value, to // 64] |= np.uint64(1 << (to % 64))
    return table


def fingerprint(seed: bytes | None) -> str:
    """What tells two permutations apart without telling the seed."""
    if seed is None:
        return "none"
    return hmac.digest(seed, CONTEXT + b" fingerprint", "sha256").hex()[:32]
