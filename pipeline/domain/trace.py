"""What a screened upload leaves: its hashes, so that it is found when somebody registers later.

Never a face, never a pixel, never an account. A row is one picture of an upload as it was (of an
animation, each frame that was looked at; of a video, each stretch of moments that look alike, with
its times in a column of its own). Rows are pressed into segments of a fixed size: the
screenings and keyed digests of files in one block, the codes of each space in another, because a
search reads all codes and hardly any owner.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from pipeline.domain.film import FilmCodes
from pipeline.domain.ids import ScreeningId
from pipeline.domain.media import Turn
from pipeline.domain.signal import Metric, Signals, Space, join_all, pack_all, split_all, unpack
from pipeline.errors import Tampered

SEGMENT = 65_536
"""Rows of a full segment: 2 MiB of PDQ codes."""

MOMENTS = "moments"
"""The column that says when a video's rows are shown."""

_PRINT = 32
_FILM = "film|"
"""Before the space's key, where an upload's codes are a video's."""
_WHEN = [("stream", "<u2"), ("begin", "<f4"), ("end", "<f4")]
_STRETCH = np.dtype([*_WHEN, ("quality", "u1"), ("code", "u1", 32)])
_UPLOAD = 16 + _PRINT


@dataclass(frozen=True, slots=True)
class Trace:
    """What an upload leaves: the digest of what was screened, and its codes as it was."""

    digest: bytes = field(repr=False)
    codes: tuple[Signals, ...] = field(repr=False)
    film: FilmTrace | None = field(default=None, repr=False)

    @property
    def telling(self) -> bool:
        """Whether there is anything to find it by."""
        film = self.film is not None and any(map(len, self.film.streams.values()))
        return film or any(len(signals) for signals in self.codes)


@dataclass(frozen=True, slots=True)
class FilmTrace:
    """What a video leaves: the stretches of each of its streams, in a space of 32 bytes a code."""

    space: str
    streams: Mapping[int, FilmCodes] = field(repr=False)


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

    def film(self, row: int, space: str) -> FilmTrace | None:
        """All that the upload of a row left, where it is a video; None where it is a picture."""
        moments, codes = self.columns.get(MOMENTS), self.columns.get(space)
        if moments is None or codes is None or not moments.quality[row]:
            return None
        mine = np.flatnonzero((self.uploads[:, :16] == self.uploads[row, :16]).all(axis=1))
        when = np.ascontiguousarray(moments.codes[mine]).view(np.dtype(_WHEN))[:, 0]
        streams = {}
        for stream in np.unique(when["stream"]):
            of = when["stream"] == stream
            rows, times = mine[of], when[of]
            streams[int(stream)] = FilmCodes(
                codes.codes[rows], codes.quality[rows], times["begin"].copy(), times["end"].copy()
            )
        return FilmTrace(space, streams)


def packed(fingerprint: bytes, trace: Trace) -> bytes:
    """What is sealed of one upload until it joins a segment."""
    clear = fingerprint + pack_all(signals for signals in trace.codes if len(signals))
    if trace.film is None:
        return clear
    table = np.empty(sum(map(len, trace.film.streams.values())), _STRETCH)
    low = 0
    for stream, codes in trace.film.streams.items():
        part = table[low : low + len(codes)]
        part["stream"], part["begin"], part["end"] = stream, codes.begin, codes.end
        part["quality"], part["code"] = codes.quality, codes.codes
        low += len(codes)
    return clear + join_all([(_FILM + trace.film.space, table.tobytes())])


def rows_of(loose: Iterable[tuple[ScreeningId, bytes]], stride: int) -> Rows:
    """Uploads as ``packed`` wrote them, row by row; ``stride`` is bytes a code.

    The n-th codes of an upload's spaces are of one frame where there are as many of each; where
    not, only the first space's count. Raises ``Tampered``.
    """
    uploads: list[bytes] = []
    parts: dict[str, list[tuple[int, NDArray[np.uint8], NDArray[np.uint8]]]] = defaultdict(list)
    moments: list[tuple[int, NDArray[np.void]]] = []
    for screening, sealed in loose:
        if len(sealed) < _PRINT:
            raise Tampered("what an upload left ends too early")
        first, count = len(uploads), 0
        for key, codes in split_all(sealed[_PRINT:]):
            if key.startswith(_FILM):
                stretches = _stretches(codes)
                count = len(stretches)
                parts[key.removeprefix(_FILM)].append(
                    (first, stretches["quality"], stretches["code"])
                )
                moments.append((first, stretches[[name for name, _ in _WHEN]]))
                continue
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
    if moments:
        shown, when = np.zeros(len(uploads), np.uint8), np.zeros(len(uploads), _WHEN)
        for at, some in moments:
            shown[at : at + len(some)], when[at : at + len(some)] = 1, some
        columns[MOMENTS] = Column(shown, when.view(np.uint8).reshape(len(uploads), -1))
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


def turned(signals: Signals) -> Signals:
    """Pictures' codes as they were, then as they would be in the seven other ways to lay them."""
    if signals.space.width != 256 or signals.space.name != "pdq":
        return signals
    codes = in_all_turns(signals.codes)
    views = tuple(replace(view, turn=turn) for turn in Turn for view in signals.views)
    quality = np.tile(signals.quality, len(Turn))
    return Signals(signals.space, codes.reshape(-1, codes.shape[-1]), quality, views)


def _stretches(sealed: bytes) -> NDArray[np.void]:
    if len(sealed) % _STRETCH.itemsize:
        raise Tampered("what a video left does not have the length it was sealed with")
    return np.frombuffer(sealed, _STRETCH)


def _codes(sealed: bytes, stride: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    space = Space("", "", Metric.HAMMING, stride * 8)
    _, quality, codes = unpack(space, sealed)
    return quality, codes
