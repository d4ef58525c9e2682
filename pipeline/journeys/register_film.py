"""A person's video: every frame is hashed where it is, and only sealed codes and times are kept.

What is stored of one video is one item: entries of stretches (layout ``frames``), entries of crops
of the moments that differ most from each other (``moment``), so that a copy whose edges were cut
off is found, and the digests of its bytes (``bytes``). See ``domain.film`` for the form.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import BinaryIO

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.domain.digest import Digests, digests
from pipeline.domain.entry import Layout
from pipeline.domain.evidence import Source
from pipeline.domain.film import FilmCodes, Pruner
from pipeline.domain.generic import GenericBank
from pipeline.domain.ids import CaseId, PersonId
from pipeline.domain.media import Frame, Side
from pipeline.domain.signal import Signals, pack
from pipeline.errors import Invalid
from pipeline.media.crops import registered_crops, slot_of_view
from pipeline.media.moments import EVERY_FRAME, Moment, Sampling
from pipeline.ports import NewEntry, Unit
from pipeline.signals import SignalType

Films = Callable[[BinaryIO, Sampling], Iterator[Moment]]
"""How a video is read: its moments; raises ``Refused``."""

MOMENT_CROPS = 30
"""Crops a moment: those that find most."""

APART = 48
"""Bits between two moments whose crops are both kept."""

_CROP_SIDE = 512
_BATCH = 16
_MOST_ENTRIES = 4000
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True, eq=False)
class FilmSigns:
    """All that is kept of a video."""

    frames: FilmCodes = field(repr=False)
    moments: tuple[tuple[float, Signals], ...] = field(default=(), repr=False)
    digests: Digests | None = field(default=None, repr=False)


def signs_of(
    read: Films,
    file: BinaryIO,
    signal: SignalType,
    bank: GenericBank | None,
    progress: Callable[[float], None] = lambda _: None,
) -> FilmSigns:
    """Everything that can be registered of a video.

    Raises ``Refused``, and ``Invalid`` where every frame is too plain or looks like everybody's.
    """
    file.seek(0)
    same = digests(iter(lambda: file.read(_CHUNK), b""))
    pruners: dict[int, Pruner] = {}
    moments: list[tuple[float, Signals]] = []
    kept: list[NDArray[np.uint8]] = []
    for moment, code, quality in hashed(read(file, EVERY_FRAME), signal):
        progress(moment.done)
        pruner = pruners.setdefault(moment.stream, Pruner(signal.minimum_quality))
        if not pruner.add(moment.time, code.tobytes(), quality) or (
            bank and bank.generic(code[None])[0]
        ):
            continue
        if all(int(np.bitwise_count(code ^ other).sum()) > APART for other in kept):
            kept.append(code)
            crops = _crops(moment.frame, signal, bank)
            if len(crops):
                moments.append((moment.time, crops))
    codes = _joined([pruner.kept() for pruner in pruners.values()])
    if not len(telling(codes, bank)):
        raise Invalid("every frame is too plain to be told from other videos; not registered")
    return FilmSigns(codes, tuple(moments), same)


@dataclass(frozen=True, slots=True)
class Filmer:
    """How a deployment makes of a video what it keeps."""

    read: Films
    signal: SignalType
    bank: GenericBank | None

    def signs(
        self, file: BinaryIO, progress: Callable[[float], None] = lambda _: None
    ) -> FilmSigns:
        """See ``signs_of``."""
        return signs_of(self.read, file, self.signal, self.bank, progress)

    def telling(self, codes: FilmCodes) -> FilmCodes:
        """Stretches that were hashed elsewhere, without those that look like everybody's.

        Raises ``Invalid`` where none is left.
        """
        kept = telling(codes, self.bank)
        if not len(kept):
            raise Invalid("every frame is too plain to be told from other videos; not registered")
        return kept

    def add(self, unit: Unit, person: PersonId, signs: FilmSigns | FilmCodes) -> int:
        """See ``add_film``."""
        return add_film(unit, person, signs, self.signal, self.bank)


def telling(codes: FilmCodes, bank: GenericBank | None) -> FilmCodes:
    """Without the stretches that look like everybody's: skies, walls, text."""
    return codes if bank is None else codes.only(~bank.generic(codes.codes))


def add_film(
    unit: Unit,
    person: PersonId,
    signs: FilmSigns | FilmCodes,
    signal: SignalType,
    bank: GenericBank | None,
    *,
    to: str = "registered",
    source: Source = Source.REGISTERED,
    case: CaseId | None = None,
) -> int:
    """Seal a video under the person's key and put it in force as one item; how many codes.

    ``signs`` may be what a browser sent: stretches alone (``domain.film.prune``). Raises
    ``Invalid`` when nothing of it can be told from other videos.
    """
    if isinstance(signs, FilmCodes):
        signs = FilmSigns(signs)
    kept = telling(signs.frames, bank)
    parts = list(packed_film(replace(signs, frames=kept), signal))
    if not len(kept):
        raise Invalid("every frame is too plain to be told from other videos; not registered")
    if len(parts) > _MOST_ENTRIES:
        raise Invalid("the video changes too much to be registered whole; register a part of it")
    entries = [
        NewEntry(space, rows, unit.vault.seal(person, f"entries.{space}", packed), layout)
        for space, rows, packed, layout in parts
    ]
    unit.registry.add_item(person, to, source, entries, case)
    return sum(entry.slots for entry in entries)


def packed_film(
    signs: FilmSigns, signal: SignalType, *, md5: bool = True
) -> Iterator[tuple[str, int, bytes, Layout]]:
    """What is to be sealed: space, rows, bytes and layout of each entry."""
    space = signal.space
    for rows, packed in signs.frames.packed(space):
        yield space.key, rows, packed, Layout.FRAMES
    for time, crops in signs.moments:
        when = np.full(len(crops), time, np.float32)
        slots = [slot_of_view(view) for view in crops.views]
        yield space.key, len(crops), pack(crops, slots, (when, when)), Layout.MOMENT
    if signs.digests is not None:
        same = signs.digests.signals(md5=md5)
        yield same.space.key, len(same), pack(same), Layout.BYTES


def hashed(
    moments: Iterable[Moment], signal: SignalType
) -> Iterator[tuple[Moment, NDArray[np.uint8], int]]:
    """Moments with their code and its quality."""
    for batch in _batches(moments):
        computed = signal.compute([moment.frame for moment in batch], Side.REGISTERED)
        for row, moment in enumerate(batch):
            yield moment, computed.codes[row], int(computed.quality[row])


def _crops(frame: Frame, signal: SignalType, bank: GenericBank | None) -> Signals:
    """The codes of a moment's crops, cut from a small copy of what was hashed."""
    crops = registered_crops(grey_copy(frame, _CROP_SIDE), MOMENT_CROPS)[1:]
    computed = signal.compute(crops, Side.REGISTERED)
    keep = computed.quality >= signal.minimum_quality
    if bank is not None and len(computed):
        keep &= ~bank.generic(computed.codes)
    views = tuple(view for view, said in zip(computed.views, keep, strict=True) if said)
    return Signals(computed.space, computed.codes[keep], computed.quality[keep], views)


def grey_copy(frame: Frame, side: int) -> Frame:
    """A frame with no side longer than ``side``, its three channels what PDQ reads of it."""
    pixels = frame.rgb if frame.luma is None else frame.luma
    height, width = pixels.shape[:2]
    if max(height, width) > side:
        size = (
            max(1, width * side // max(height, width)),
            max(1, height * side // max(height, width)),
        )
        pixels = np.asarray(
            cv2.resize(np.ascontiguousarray(pixels), size, interpolation=cv2.INTER_AREA), np.uint8
        )
    if pixels.ndim == 2:
        return Frame(np.repeat(pixels[..., None], 3, axis=2), frame.time, luma=pixels)
    return Frame(np.ascontiguousarray(pixels), frame.time)


def _joined(parts: list[FilmCodes]) -> FilmCodes:
    """The stretches of all streams, one stream after the other."""
    return FilmCodes(
        np.concatenate([part.codes for part in parts]),
        np.concatenate([part.quality for part in parts]),
        np.concatenate([part.begin for part in parts]),
        np.concatenate([part.end for part in parts]),
        sum(part.left_out for part in parts),
    )


def _batches(moments: Iterable[Moment]) -> Iterator[list[Moment]]:
    batch: list[Moment] = []
    for moment in moments:
        batch.append(moment)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
