"""Codes that say nothing: edges, skies, text and black frames look alike in everybody's pictures.

A bank of such codes stands between the pictures and the index on both sides. A query view near
it asks nothing; a registered crop near it is dropped, with the reason.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

WITHIN = 40
"""Bits from a generic code within which a code is generic. Strangers lie at 100 and more."""

TOO_COMMON = "too_common"
"""The reason a registered code was dropped, as the registration's receipt and notes name it."""


_STRIDE = 4096
"""Codes of the bank that are compared at a time."""


@dataclass(frozen=True, slots=True, eq=False)
class GenericBank:
    """Codes of generic content, uint8 (n, width / 8), one row a pattern."""

    codes: NDArray[np.uint8] = field(repr=False)

    def __len__(self) -> int:
        return len(self.codes)

    def generic(self, codes: NDArray[np.uint8], within: int = WITHIN) -> NDArray[np.bool_]:
        """Which codes (n, width / 8) are within some bits of the bank, bool (n,)."""
        if not len(codes) or not len(self.codes):
            return np.zeros(len(codes), np.bool_)
        asked = np.ascontiguousarray(codes).view(np.uint64)
        bank = np.ascontiguousarray(self.codes).view(np.uint64)
        nearest = np.full(len(codes), codes.shape[1] * 8, np.uint16)
        for at in range(0, len(bank), _STRIDE):
            some = bank[at : at + _STRIDE]
            # Word by word: a sum over an axis of four costs five times what adding them up does.
            differing = np.zeros((len(asked), len(some)), np.uint16)
            for word in range(some.shape[1]):
                differing += np.bitwise_count(asked[:, word, None] ^ some[None, :, word])
            np.minimum(nearest, differing.min(1), out=nearest)
        return nearest <= within
