"""The compiled loop behind the generic bank: whether any code of many is near to one."""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.kernels import compiled

_PAIRS, _FOURS = np.uint64(0x5555555555555555), np.uint64(0x3333333333333333)
_EIGHTS, _BYTES = np.uint64(0x0F0F0F0F0F0F0F0F), np.uint64(0x0101010101010101)
_1, _2, _4, _56 = np.uint64(1), np.uint64(2), np.uint64(4), np.uint64(56)


@compiled
def bits(word: Any) -> Any:
    """How many bits are set; LLVM knows this form and takes the CPU's own instruction for it."""
    word -= (word >> _1) & _PAIRS
    word = (word & _FOURS) + ((word >> _2) & _FOURS)
    word = (word + (word >> _4)) & _EIGHTS
    return (word * _BYTES) >> _56


@compiled
def near_any(words: Any, asked: Any, within: Any, found: Any) -> None:
    """Whether codes ``asked`` uint64 (n, 4) are within some bits of any of ``words`` (4, m)."""
    for row in range(len(asked)):
        first, second, third, fourth = asked[row]
        nearest = np.uint64(256)
        for at in range(words.shape[1]):
            distance = bits(words[0, at] ^ first) + bits(words[1, at] ^ second)
            distance += bits(words[2, at] ^ third) + bits(words[3, at] ^ fourth)
            nearest = min(nearest, distance)
        found[row] = nearest <= within
