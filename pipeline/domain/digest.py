"""The bytes of a file as a code: the same file is known by it, and nothing else is.

SHA-256 in slot 0; MD5, twice over to the same width, in slot 1, for partners whose lists have
nothing better. MD5 can be forged: what it says, a person looks at, and it never joins a bank of
upheld content, which alone is answered without one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from pipeline.domain.media import WHOLE
from pipeline.domain.signal import Metric, Signals, Space

SPACE = Space("bytes", "1", Metric.HAMMING, 256)


@dataclass(frozen=True, slots=True)
class Digests:
    """A file's digests."""

    sha256: bytes = field(repr=False)
    md5: bytes = field(repr=False)

    def signals(self, *, md5: bool = True) -> Signals:
        """As codes, one a slot."""
        codes = [self.sha256, self.md5 * 2] if md5 else [self.sha256]
        return Signals(
            SPACE,
            np.frombuffer(b"".join(codes), np.uint8).reshape(-1, 32),
            np.full(len(codes), 100, np.uint8),
            (WHOLE,) * len(codes),
        )


def digests(chunks: Iterable[bytes]) -> Digests:
    """Both digests of a file that comes in pieces."""
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    for chunk in chunks:
        sha256.update(chunk)
        md5.update(chunk)
    return Digests(sha256.digest(), md5.digest())
