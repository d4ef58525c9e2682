"""Local features: copies that no hash finds, of pictures whose person opted in to it.

A registered picture's strongest descriptors lie in an index like its hashes do and follow the same
change log, so that a withdrawal takes them out of every process. An upload's features nominate a
few entries; only of these the rest is unsealed, for the length of one screening, and laid over the
upload. What comes of it is shown to a person, always: it can be another photograph of one scene.
Nothing of this is computed while nobody has opted in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipeline.domain.alignment import Alignment, nominate
from pipeline.domain.evidence import Hit, Owner
from pipeline.domain.ids import SLOTS, EntryId, ItemId, PersonId
from pipeline.domain.media import Frame, Side, View
from pipeline.domain.signal import Signals, pack, unpack
from pipeline.domain.witness import Witness
from pipeline.errors import NotFound
from pipeline.journeys.restore_index import LiveIndexes
from pipeline.media.crops import REGIONS
from pipeline.media.features import (
    ASKED,
    INDEXED,
    RADIUS,
    SPACE,
    Described,
    Features,
    align,
    check,
    features_of,
)
from pipeline.ports import NewEntry, StoredFeatures, Unit
from pipeline.signals import SignalType

NAME = SPACE.name
UNCOMPARED = 256
"""The distance of an alignment whose picture has no registered crop inside the upload, in bits."""


@dataclass(frozen=True, slots=True, eq=False)
class Nominated:
    """An upload's features and the entries that several of them are near, best first."""

    query: Features = field(repr=False)
    entries: tuple[EntryId, ...] = ()


NOBODY = Nominated(Features(np.zeros((0, 2), np.float32), np.zeros((0, 32), np.uint8), (1, 1)))
"""Where nobody has opted in, or nothing is near."""


def sealed(
    unit: Unit, person: PersonId, described: Described
) -> list[tuple[NewEntry, StoredFeatures]]:
    """An entry for the index, and the rest apart, of each orientation that has features."""
    made = []
    for features, mirrored in ((described.plain, False), (described.mirrored, True)):
        strongest = features.descriptors[:INDEXED]
        if not len(strongest):
            continue
        signals = Signals(
            SPACE, strongest, np.full(len(strongest), 100, np.uint8), (View(),) * len(strongest)
        )
        descriptors, places = features.apart()
        column = f"entries.{SPACE.key}"
        entry = NewEntry(SPACE.key, len(strongest), unit.vault.seal(person, column, pack(signals)))
        kept = StoredFeatures(
            mirrored,
            unit.vault.seal(person, "features.descriptors", descriptors),
            unit.vault.seal(person, "features.places", places),
        )
        made.append((entry, kept))
    return made


def nominated(live: LiveIndexes, frame: Frame | None) -> Nominated:
    """Which entries an upload's features are near; raises ``IndexNotReady``."""
    if frame is None or not live.codes(SPACE):
        return NOBODY
    query = features_of(frame)
    if not len(query):
        return NOBODY
    hits = live.search(SPACE, query.descriptors[:ASKED], RADIUS)
    found = nominate(hits.query, hits.label // SLOTS)
    return Nominated(query, tuple(EntryId(entry) for entry in found))


def alignments(
    unit: Unit,
    frame: Frame,
    found: Nominated,
    owners: Mapping[EntryId, Owner],
    signal: SignalType,
) -> dict[EntryId, Alignment]:
    """Where pictures lie in the upload, each checked by the codes of its crops.

    ``owners`` are the feature entries to lay over it, nominated by features or by codes. The better
    of an item's two orientations. ``signal`` is the one whose codes are compared.
    """
    best: dict[ItemId, tuple[EntryId, Alignment]] = {}
    for entry, owner in owners.items():
        features = _unsealed(unit, owner)
        if features is None:
            continue
        registered, mirrored = features
        laid = align(found.query, registered, mirrored=mirrored)
        if laid is None:
            continue
        codes = _codes(unit, entry, signal)
        laid = check(frame, laid, {slot: REGIONS[slot] for slot in codes}, _against(signal, codes))
        kept = best.get(owner.item)
        if kept is None or laid.inliers > kept[1].inliers:
            best[owner.item] = (entry, laid)
    return dict(best.values())


def hit_of(alignment: Alignment, owner: Owner) -> Hit:
    """An alignment that is believed, as a hit that a person can be shown."""
    distance = UNCOMPARED if alignment.distance is None else alignment.distance
    view = View("where its features lie", alignment.corners)
    return Hit(NAME, float(distance), view, alignment.slot or 0, owner, Witness.ALIGNMENT.value)


def _unsealed(unit: Unit, owner: Owner) -> tuple[Features, bool] | None:
    stored = unit.features.of(owner.entry)
    if stored is None:
        return None
    try:
        descriptors = unit.vault.unseal(owner.person, "features.descriptors", stored.descriptors)
        places = unit.vault.unseal(owner.person, "features.places", stored.places)
    except NotFound:  # her key was destroyed a moment ago
        return None
    return Features.joined(descriptors, places), stored.mirrored


def _codes(unit: Unit, entry: EntryId, signal: SignalType) -> dict[int, NDArray[np.uint8]]:
    """The item's codes by slot, those whose region is known."""
    stored = unit.features.beside(entry, signal.space.key)
    for _, packed in unit.registry.unseal_all([stored] if stored else []):
        slots, _, codes = unpack(signal.space, packed)
        kept = zip(map(int, slots), codes, strict=True)
        return {slot: code for slot, code in kept if slot in REGIONS}
    return {}


def _against(
    signal: SignalType, codes: Mapping[int, NDArray[np.uint8]]
) -> Callable[[Sequence[Frame], Sequence[int]], list[int]]:
    """How far parts of an upload are from the registered codes of their slots, in bits."""

    def distances(parts: Sequence[Frame], slots: Sequence[int]) -> list[int]:
        seen = signal.compute(parts, Side.REGISTERED).codes
        return [
            int(np.bitwise_count(code ^ codes[slot]).sum())
            for code, slot in zip(seen, slots, strict=True)
        ]

    return distances
