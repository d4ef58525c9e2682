"""What a screened upload leaves: its hashes, so that it is found when somebody registers later.

Never a face, never a pixel, never an account. A row is one picture of an upload as it was (of an
animation, each frame that was looked at). Rows are pressed into segments of a fixed size: the
screenings and keyed digests of files in one block, the codes of each space in another, because a
search reads all codes and hardly any owner.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from pipeline.domain.ids import ScreeningId
from pipeline.domain.media import Turn
from pipeline.domain.signal import Metric, Signals, Space, pack_all, split_all, unpack
from pipeline.errors import Tampered

SEGMENT = 65_536
"""Rows of a full segment: 2 MiB of PDQ codes."""

_PRINT = 32
_UPLOAD = 16 + _PRINT


@dataclass(frozen=True, slots=True)
class Trace:
    """What an upload leaves: the digest of what was screened, and its codes as it was."""

    digest: bytes = field(repr=False)
    codes: tuple[Signals, ...] = field(repr=False)

    @property
    def telling(self) -> bool:
        """Whether there is anything to find it by."""
        return any(len(signals) for signals in self.codes)


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """The codes of a segment's rows in one space; quality 0 where a row has none."""

    quality: NDArray[np.uint8] = field(repr=False)
    codes: NDArray[np.uint8] = field(repr=False)

    def tobytes(self) -> bytes:
        """The column as bytes to be sealed."""
        return self.quality.tobytes() + self.codes.tobytes()


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Rows of several uploads: 48 bytes each of whose they are, and their codes by space."""

    uploads: NDArray[np.uint8] = field(repr=False)
    columns: dict[str, Column] = field(repr=False)

    def __len__(self) -> int:
        return len(self.uploads)

    def screening(self, row: int) -> ScreeningId:
        """The screening that a row belongs to."""
        return ScreeningId(UUID(bytes=self.uploads[row, :16].tobytes()))

    def fingerprint(self, row: int) -> bytes:
        """The keyed digest of the file that a row comes from."""
        return self.uploads[row, 16:].tobytes()


def packed(fingerprint: bytes, trace: Trace) -> bytes:
    """What is sealed of one upload until it joins a segment."""
    return fingerprint + pack_all(signals for signals in trace.codes if len(signals))


def rows_of(loose: Iterable[tuple[ScreeningId, bytes]], stride: int) -> Rows:
    """Uploads as ``packed`` wrote them, row by row; ``stride`` is bytes a code.

    The n-th codes of an upload's spaces are of one frame where there are as many of each; where
    not, only the first space's count. Raises ``Tampered``.
    """
    uploads: list[bytes] = []
    parts: dict[str, list[tuple[int, NDArray[np.uint8], NDArray[np.uint8]]]] = defaultdict(list)
    for screening, sealed in loose:
        if len(sealed) < _PRINT:
            raise Tampered("what an upload left ends too early")
        first, count = len(uploads), 0
        for key, codes in split_all(sealed[_PRINT:]):
            quality, table = _codes(codes, stride)
            if count in (0, len(table)):
                count = len(table)
                parts[key].append((first, quality, table))
        uploads += [screening.bytes + sealed[:_PRINT]] * count
    columns = {}
    for key, found in parts.items():
        quality = np.zeros(len(uploads), np.uint8)
        codes_of = np.zeros((len(uploads), stride), np.uint8)
        for at, good, table in found:
            quality[at : at + len(table)], codes_of[at : at + len(table)] = good, table
        columns[key] = Column(quality, codes_of)
    whose = np.frombuffer(b"".join(uploads), np.uint8).reshape(-1, _UPLOAD)
    return Rows(whose, columns)


def read_rows(uploads: bytes, columns: Iterable[tuple[str, bytes]]) -> Rows:
    """A segment from its blocks; raises ``Tampered`` when their lengths do not fit together."""
    if len(uploads) % _UPLOAD:
        raise Tampered("a segment of uploads does not have the length it was sealed with")
    whose = np.frombuffer(uploads, np.uint8).reshape(-1, _UPLOAD)
    return Rows(whose, {key: read_column(block, len(whose)) for key, block in columns})


def read_column(block: bytes, rows: int) -> Column:
    """A column of so many rows."""
    if rows == 0 or len(block) % rows or len(block) < 2 * rows:
        raise Tampered("a segment's column does not have the length it was sealed with")
    table = np.frombuffer(block, np.uint8)
    return Column(table[:rows], table[rows:].reshape(rows, -1))


def in_all_turns(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Codes (n, 32) of PDQ as those of the same pictures turned and mirrored: (8, n, 32).

    In the order of ``Turn``. PDQ compares 16 x 16 frequencies with their median. To transpose a
    picture transposes them; to mirror it turns every second one's sign, and a frequency's bit with
    it unless it lies between the median and its negative: about 10 bits of 256 are wrong after a
    quarter turn or a mirror, 14 after a half turn, none after transposing.
    """
    bits = np.unpackbits(codes, axis=1).reshape(-1, 16, 16)
    odd = np.arange(16, dtype=np.uint8) & 1
    rows, columns = odd[:, None], odd[None, :]
    flat = bits.transpose(0, 2, 1)
    turned = {
        Turn.NONE: bits,
        Turn.ROTATE_90: flat ^ rows,
        Turn.ROTATE_180: bits ^ rows ^ columns,
        Turn.ROTATE_270: flat ^ columns,
        Turn.FLIP_X: bits ^ rows,
        Turn.FLIP_Y: bits ^ columns,
        Turn.FLIP_PLUS_1: flat,
        Turn.FLIP_MINUS_1: flat ^ rows ^ columns,
    }
    whole = [np.packbits(turned[turn].reshape(-1, 256), axis=1) for turn in Turn]
    return np.stack(whole)


def _codes(sealed: bytes, stride: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    space = Space("", "", Metric.HAMMING, stride * 8)
    _, quality, codes = unpack(space, sealed)
    return quality, codes
