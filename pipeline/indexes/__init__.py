"""The family of indexes: which stored codes are near the codes of an upload.

A member is one file with a ``build(space)`` that returns an empty ``Index`` for that space. Every
index is exact: what is within the radius is found, what was removed is not.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from pipeline.domain.signal import Space


@dataclass(frozen=True, slots=True, eq=False)
class Hits:
    """What a search found, as three columns of equal length, ordered by query, then nearness.

    ``query`` (int64) is the row of the code that asked, ``label`` (int64) what was stored beside
    the code found, ``distance`` int64 bits in a Hamming space, float32 cosine in an inner-product
    space. ``truncated`` is true when an index had more to say than it may.
    """

    query: NDArray[np.int64] = field(repr=False)
    label: NDArray[np.int64] = field(repr=False)
    distance: NDArray[Any] = field(repr=False)
    truncated: bool = False

    def __len__(self) -> int:
        return len(self.query)


@dataclass(frozen=True, slots=True)
class IndexState:
    """What an index says of itself to ``consentry doctor`` and ``/metrics``."""

    codes: int
    bytes: int
    method: str


class Index(Protocol):
    """Codes with labels, in memory. All methods may be called from several threads at once."""

    @property
    def space(self) -> Space:
        """Where the codes live."""
        ...

    def __len__(self) -> int:
        """How many codes can be found."""
        ...

    def add(self, labels: NDArray[np.int64], codes: NDArray[Any]) -> None:
        """Make codes findable at once. ``labels`` (n,) are unique over the life of the index.

        Raises ``Invalid`` when a label is there already or shapes do not fit the space.
        """
        ...

    def remove(self, labels: NDArray[np.int64]) -> int:
        """Make codes unfindable at once; labels that are not there are passed over.

        Returns how many were removed. No search that starts after this returns finds them.
        """
        ...

    def search(self, codes: NDArray[Any], within: float) -> Hits:
        """All stored codes within a distance (edge included) of each of ``codes`` (n rows).

        In a Hamming space ``within`` is a number of bits, in an inner-product space the lowest
        cosine that counts.
        """
        ...

    def state(self) -> IndexState:
        """Size, memory and the method in use."""
        ...


class Pinned(Protocol):
    """The state of an index at one moment, held until it is written or released."""

    def write(self, path: Path, sequence: int, allow_disk: bool) -> None:
        """Write it to a file, from any thread; ``sequence`` is the change log's at that moment."""
        ...

    def release(self) -> None:
        """Hold it no longer; again does no harm."""
        ...


@runtime_checkable
class Shareable(Index, Protocol):
    """An index whose codes the processes of a host can hold together, as one mapped file."""

    @property
    def worn(self) -> bool:
        """Whether so much has changed that a new file is worth its while."""
        ...

    def pin(self) -> Pinned:
        """Everything that is held now."""
        ...

    def open_segment(self, path: Path) -> int:
        """Take a file as the base of this index, which must be empty; returns its sequence.

        Raises ``Misconfigured`` or ``Tampered`` when the file is not to be trusted.
        """
        ...
