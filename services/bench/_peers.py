"""What others do: one hash a picture, compared with one radius."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from time import process_time
from typing import Any

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.domain.media import Frame, Side
from pipeline.signals import SignalType
from services.bench.alterations import Picture


@dataclass(slots=True)
class Peer:
    """A whole-picture hash: ``of`` gives a flat bool array, distances are in bits."""

    name: str
    of: Callable[[Picture], NDArray[Any]]
    radius: int | None
    """The radius in common use; None: the largest that lets no more strangers in than ours."""
    seconds: float = 0.0
    pictures: int = 0

    def __call__(self, picture: Picture) -> NDArray[Any]:
        """The hash of a picture, with account of the time."""
        began = process_time()
        found = self.of(picture)
        self.seconds += process_time() - began
        self.pictures += 1
        return found

    @property
    def milliseconds(self) -> float:
        """CPU time a picture."""
        return 1000 * self.seconds / max(1, self.pictures)


@dataclass(slots=True)
class SegmentPeer:
    """``imagehash.crop_resistant_hash`` by its own rule: one segment alike is a match."""

    name: str = "crop_resistant_hash, own rule"
    seconds: float = field(default=0.0)
    pictures: int = 0

    def __call__(self, picture: Picture) -> Any:
        """The segments' hashes of a picture, with account of the time."""
        began = process_time()
        found = imagehash.crop_resistant_hash(Image.fromarray(np.ascontiguousarray(picture)))
        self.seconds += process_time() - began
        self.pictures += 1
        return found

    @property
    def milliseconds(self) -> float:
        """CPU time a picture."""
        return 1000 * self.seconds / max(1, self.pictures)


def peers(signal: SignalType) -> tuple[Peer, ...]:
    """PDQ as the field uses it (31 bits, no code of a quality below 50), ``imagehash`` at 256 bits.

    Both figures are what PDQ's authors advise (github.com/facebook/ThreatExchange, pdq).
    """
    return (
        Peer("PDQ within 31", _confident(signal), 31),
        Peer("PDQ, same strangers", lambda picture: _pdq(signal, picture), None),
        Peer("phash, same strangers", _with(imagehash.phash), None),
        Peer("dhash, same strangers", _with(imagehash.dhash), None),
        Peer("whash, same strangers", _with(imagehash.whash), None),
    )


def _pdq(signal: SignalType, picture: Picture) -> NDArray[np.bool_]:
    frame = Frame(np.ascontiguousarray(picture))
    return np.unpackbits(signal.compute([frame], Side.REGISTERED).codes[0]).astype(bool)


def _confident(signal: SignalType) -> Callable[[Picture], NDArray[Any]]:
    """PDQ; what has too low a quality is given a code that is 256 bits from every other."""
    unlike = itertools.count(2)

    def of(picture: Picture) -> NDArray[Any]:
        found = signal.compute([Frame(np.ascontiguousarray(picture))], Side.REGISTERED)
        if found.quality[0] < signal.minimum_quality:
            return np.full(256, next(unlike))
        return np.unpackbits(found.codes[0]).astype(np.int64)

    return of


def _with(function: Callable[..., Any]) -> Callable[[Picture], NDArray[np.bool_]]:
    def of(picture: Picture) -> NDArray[np.bool_]:
        image = Image.fromarray(np.ascontiguousarray(picture))
        return np.asarray(function(image, hash_size=16).hash, dtype=bool).ravel()

    return of
