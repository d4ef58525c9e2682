"""Signals: what is computed of pixels, compared, and kept sealed in the place of the pixels."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.domain.ids import SLOTS
from pipeline.domain.media import View
from pipeline.errors import Tampered


class Metric(StrEnum):
    """How two codes of a space are compared."""

    HAMMING = "hamming"
    """Number of differing bits: 0 is the same, more is further."""
    INNER_PRODUCT = "inner_product"
    """Cosine of unit vectors: 1 is the same, less is further."""


@dataclass(frozen=True, slots=True)
class Space:
    """Where distances mean something. Codes of two different spaces never meet.

    ``name`` is the signal's or the model pack's, ``revision`` changes with every change of the
    arithmetic, ``width`` counts bits (Hamming) or dimensions (inner product).
    """

    name: str
    revision: str
    metric: Metric
    width: int

    @property
    def key(self) -> str:
        """The space as the database writes it, such as ``pdq/1``."""
        return f"{self.name}/{self.revision}"

    @property
    def stride(self) -> int:
        """Bytes of one code."""
        return self.width // 8 if self.metric is Metric.HAMMING else self.width * 4

    @property
    def farthest(self) -> int:
        """The largest distance there is in a Hamming space, in bits."""
        return self.width


@dataclass(frozen=True, slots=True, eq=False)
class Signals:
    """A batch of codes in one space, one row a view.

    ``codes`` is uint8 (n, width / 8), most significant bit first, in a Hamming space; float32
    (n, width), rows of length one, in an inner-product space. ``quality`` is uint8 (n,), 0 to 100.
    ``views[i]`` says what row i looked at. Codes are intimate data: they do not print.
    """

    space: Space
    codes: NDArray[Any] = field(repr=False)
    quality: NDArray[Any] = field(repr=False)
    views: Sequence[View] = field(repr=False)

    def __post_init__(self) -> None:
        if not len(self.codes) == len(self.quality) == len(self.views):
            raise ValueError("codes, quality and views must have one row a view")

    def __len__(self) -> int:
        return len(self.views)


_PACKED = struct.Struct("<BHH")  # version, number of codes, bytes a code
_TIMED = 8  # bytes of two times, float32, behind each code of version 2
_NAMED = struct.Struct("<BI")  # length of the space's key, length of what follows it


def pack(
    signals: Signals,
    slots: Sequence[int] | None = None,
    times: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None,
) -> bytes:
    """A batch as bytes to be sealed: a header, then slot, quality and code of each row.

    Slots (0 to 255) default to row numbers; slot 0 is the whole picture. With ``times``, where
    each row of a video begins and ends (seconds), these follow each code, in version 2.
    """
    if len(signals) > SLOTS:
        raise ValueError(f"an entry has at most {SLOTS} codes (slots 0 to 255)")
    rows, stride = len(signals), signals.codes.nbytes // max(1, len(signals))
    table = np.empty((rows, 2 + stride + (_TIMED if times else 0)), np.uint8)
    table[:, 0] = np.arange(rows) if slots is None else slots
    table[:, 1] = signals.quality
    table[:, 2 : 2 + stride] = (
        np.ascontiguousarray(signals.codes).view(np.uint8).reshape(rows, stride)
    )
    if times:
        both = np.stack(times, axis=1).astype("<f4")
        table[:, 2 + stride :] = both.view(np.uint8).reshape(rows, _TIMED)
    return _PACKED.pack(2 if times else 1, rows, stride) + table.tobytes()


def unpack(
    space: Space, packed: bytes
) -> tuple[NDArray[np.int64], NDArray[np.uint8], NDArray[Any]]:
    """Slots (n,), quality (n,) and codes (n, ...) of what ``pack`` wrote.

    Raises ``Tampered`` when the bytes are of another version or another length.
    """
    table, stride = _table(space, packed)
    codes = np.ascontiguousarray(table[:, 2 : 2 + stride])
    if space.metric is Metric.INNER_PRODUCT:
        codes = codes.view("<f4")
    return table[:, 0].astype(np.int64), table[:, 1].copy(), codes


def unpack_times(space: Space, packed: bytes) -> NDArray[np.float32] | None:
    """Begin and end (n, 2), in seconds, of each row of a video; None for a still."""
    table, stride = _table(space, packed)
    if table.shape[1] == 2 + stride:
        return None
    return np.ascontiguousarray(table[:, 2 + stride :]).view("<f4")


def _table(space: Space, packed: bytes) -> tuple[NDArray[np.uint8], int]:
    whole = len(packed) >= _PACKED.size
    version, rows, stride = _PACKED.unpack_from(packed) if whole else (0, 0, 0)
    length = 2 + stride + (_TIMED if version == 2 else 0)
    wrong = version not in (1, 2) or len(packed) != _PACKED.size + rows * length
    if wrong or (rows and stride != space.stride):
        raise Tampered(f"sealed codes of {space.key} do not have the shape they were sealed with")
    return np.frombuffer(packed, np.uint8, offset=_PACKED.size).reshape(rows, length), stride


def pack_all(batches: Iterable[Signals]) -> bytes:
    """Batches of several spaces as one string of bytes, each behind its space's key."""
    return join_all((signals.space.key, pack(signals)) for signals in batches)


def join_all(parts: Iterable[tuple[str, bytes]]) -> bytes:
    """Packed codes as one string of bytes, each behind its name; ``split_all`` parts them."""
    joined = []
    for name, packed in parts:
        key = name.encode()
        joined.append(_NAMED.pack(len(key), len(packed)) + key + packed)
    return b"".join(joined)


def split_all(packed: bytes) -> list[tuple[str, bytes]]:
    """Space keys with what ``pack`` wrote for each, as ``pack_all`` joined them.

    Raises ``Tampered`` when the bytes end too early.
    """
    found, at = [], 0
    while at < len(packed):
        if at + _NAMED.size > len(packed):
            raise Tampered("sealed codes end too early")
        key_length, length = _NAMED.unpack_from(packed, at)
        at += _NAMED.size
        found.append((packed[at : at + key_length].decode(), packed[at + key_length :][:length]))
        at += key_length + length
        if at > len(packed):
            raise Tampered("sealed codes end too early")
    return found


def rows_of(packed: bytes) -> int:
    """How many codes ``pack`` wrote."""
    return int(_PACKED.unpack_from(packed)[1])
