"""What an upload has in common with what people registered, gathered per person."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass
from enum import StrEnum
from typing import Any

from pipeline.domain.entry import Layout
from pipeline.domain.grant import Grant
from pipeline.domain.ids import CaseId, EntryId, ItemId, PersonId, PlatformId
from pipeline.domain.media import View
from pipeline.domain.signal import Metric


class Source(StrEnum):
    """Where an entry comes from."""

    REGISTERED = "registered"
    """A person registered it."""
    UPHELD = "upheld"
    """A reviewer upheld an upload; its codes joined the person's bank."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose an entry is. Only entries in force have one."""

    entry: EntryId
    item: ItemId
    person: PersonId
    bank: str
    source: Source
    case: CaseId | None
    """The upheld case that an ``UPHELD`` entry comes from."""
    layout: Layout = Layout.PICTURE
    parked: frozenset[str] = frozenset()
    """Codes of the item (``signal/slot``) that wait for a lead's word; see ``domain.flood``."""
    kept_out: frozenset[str] = frozenset()
    """Codes of the item whose loose hits count no more."""
    within: tuple[tuple[str, float], ...] = ()
    """How near an upload must come by each signal, where a partner's list says so."""
    test: bool = False
    """Whether the bank is only tried: its hits count for nothing."""
    tried_by: frozenset[PlatformId] = frozenset()
    """Platforms that only try the bank."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a face lay at a moment of a video; sides in fractions of the picture."""

    time: float
    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of an uploaded video that shows a stretch of what was registered.

    ``upload`` and ``entry`` are from and to, in seconds from the start; ``entry`` is None where
    a still was registered. Of ``sampled`` frames of the upload in it ``matched`` matched, at a
    median ``distance``. ``path`` says where a face that matched lay, moment by moment.
    """

    upload: tuple[float, float]
    entry: tuple[float, float] | None
    matched: int
    sampled: int
    distance: float
    path: tuple[Place, ...] = ()

    def document(self) -> dict[str, Any]:
        """The stretch as JSON-ready data; ``read_stretch`` reads it back."""
        return {
            "upload": list(self.upload),
            "entry": list(self.entry) if self.entry else None,
            "matched": self.matched,
            "sampled": self.sampled,
            "distance": self.distance,
            **({"path": [astuple(place) for place in self.path]} if self.path else {}),
        }


def read_stretch(document: Mapping[str, Any]) -> Stretch:
    """A stretch from its document."""
    begin, end = document["upload"]
    entry = document["entry"]
    return Stretch(
        (float(begin), float(end)),
        (float(entry[0]), float(entry[1])) if entry else None,
        int(document["matched"]),
        int(document["sampled"]),
        float(document["distance"]),
        tuple(Place(*map(float, place)) for place in document.get("path", ())),
    )


@dataclass(frozen=True, slots=True)
class Hit:
    """One code of an upload near one code of an entry.

    ``distance`` is in bits for Hamming signals and falls with likeness; for faces and vectors of
    whole pictures it is the cosine, which rises with it: sort by ``rank``. ``view`` says which
    part and orientation of the upload matched, ``slot`` which code of the entry (0: the whole
    registered image, or the first photo of a face). ``witness`` says in words why the entry is
    believed to be in the upload; None while nothing says so. ``stretches`` say when, in the
    upload's order, where the upload is a video.
    """

    signal: str
    distance: float
    view: View
    slot: int
    owner: Owner
    witness: str | None = None
    stretches: tuple[Stretch, ...] = ()
    metric: Metric = Metric.HAMMING
    grant: Grant | None = None
    """What the person has allowed the account that uploaded this; it orders cases, no more."""
    shares: tuple[float, float] | None = None
    """How much of an uploaded video matched, and how much of what was registered; see vPDQ."""

    @property
    def entry(self) -> EntryId:
        """The entry that was hit."""
        return self.owner.entry

    @property
    def rank(self) -> tuple[bool, float]:
        """Sorts the nearest first: copies by their bits, then what networks call alike."""
        alike = self.metric is Metric.INNER_PRODUCT
        return (alike, -self.distance if alike else self.distance)


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that speaks for one person in one upload: the nearest hit of each entry."""

    person: PersonId
    hits: tuple[Hit, ...]
    truncated: bool = False


def gather(hits: Iterable[Hit], *, truncated: bool = False) -> tuple[Evidence, ...]:
    """Evidence per person, nearest first; of several hits on one entry the best stays."""
    nearest: dict[PersonId, dict[EntryId, Hit]] = defaultdict(dict)
    for hit in hits:
        kept = nearest[hit.owner.person].get(hit.entry)
        if kept is None or _rank(hit) < _rank(kept):
            nearest[hit.owner.person][hit.entry] = hit
    return tuple(
        Evidence(
            person,
            tuple(sorted(found.values(), key=lambda hit: (hit.rank, hit.entry))),
            truncated,
        )
        for person, found in nearest.items()
    )


def _rank(hit: Hit) -> tuple[bool, tuple[bool, float], int]:
    """Hits that something vouches for come first, then the nearer ones."""
    return (hit.witness is None, hit.rank, hit.slot)


def without(hits: Iterable[Hit], dismissed: Iterable[EntryId]) -> tuple[Hit, ...]:
    """The hits that no reviewer has dismissed for this very upload."""
    gone = frozenset(dismissed)
    return tuple(hit for hit in hits if hit.entry not in gone)
