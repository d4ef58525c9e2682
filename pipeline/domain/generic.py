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
    _words: NDArray[np.uint64] = field(init=False, repr=False)
    """The first words of all codes, then their second ones, and so on."""

    def __post_init__(self) -> None:
        words = np.ascontiguousarray(self.codes).view(np.uint64)
        object.__setattr__(self, "_words", np.ascontiguousarray(words.T))

    def __len__(self) -> int:
        return len(self.codes)

    def generic(self, codes: NDArray[np.uint8], within: int = WITHIN) -> NDArray[np.bool_]:
        """Which codes (n, width / 8) are within some bits of the bank, bool (n,)."""
        if not len(codes) or not len(self.codes):
            return np.zeros(len(codes), np.bool_)
        asked = np.ascontiguousarray(codes).view(np.uint64)
        found = np.zeros(len(codes), np.bool_)
        for at in range(0, self._words.shape[1], _STRIDE):
            some = self._words[:, at : at + _STRIDE]
            # The first two words say of all but a few pairs that they are too far apart.
            differing = np.bitwise_count(asked[:, 0, None] ^ some[0])
            if len(some) > 1:
                differing += np.bitwise_count(asked[:, 1, None] ^ some[1])
            # Of a plane, the places that are not zero take ten times as long.
            row, column = np.divmod(np.flatnonzero(differing <= within), some.shape[1])
            bits = np.bitwise_count(asked[row] ^ some[:, column].T).sum(1, dtype=np.int64)
            found[row[bits <= within]] = True
        return found
