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
        nearest = np.full(len(codes), codes.shape[1] * 8, np.int64)
        for at in range(0, len(bank), 1024):
            differing = np.bitwise_count(asked[:, None] ^ bank[None, at : at + 1024])
            np.minimum(nearest, differing.sum(-1, dtype=np.int64).min(1), out=nearest)
        return nearest <= within
