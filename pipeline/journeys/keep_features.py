"""Local features of pictures that are registered already: added later, or dropped alone.

The pictures were never kept, so whoever wants their features found later brings them again; each
is recognised by its own code. Dropping features ends that consent and destroys everything kept
under it, vectors of copy-detection packs included; the hashes stay and go on being compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np

from pipeline.domain.audit import canonical_json, stamp
from pipeline.domain.consent import FEATURES_TEXT, Consent, ConsentState, Purpose
from pipeline.domain.evidence import Source
from pipeline.domain.ids import ItemId, MediaId, PersonId
from pipeline.domain.media import Frame, Media, Side
from pipeline.domain.signal import unpack
from pipeline.errors import Conflict, NotFound, Refused
from pipeline.journeys.register import (
    BANK,
    Outcome,
    Traces,
    keep_beside,
    sealed_traces,
    traces_of,
)
from pipeline.journeys.withdraw import close_if_empty
from pipeline.packs import CopyModel
from pipeline.ports import Blobs, Clock, NewEntry, Store, Unit
from pipeline.signals import SignalType

_SAME = 4
"""Bits by which a picture's own code may differ between two versions of a decoder."""

KEPT = "features"
"""What an outcome calls what is kept."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """That features were dropped, as a statement that can be signed. It names nobody."""

    at: datetime
    pictures: int
    entries: int
    sequence: int
    """Where in the change log: a process that has come so far holds nothing of them."""
    signature: str = ""

    def document(self) -> dict[str, Any]:
        """The statement as data."""
        return {
            "form": "consentry-features/1",
            "at": stamp(self.at),
            "pictures": self.pictures,
            "entries_destroyed": self.entries,
            "change_sequence": self.sequence,
        }

    def statement(self) -> bytes:
        """The bytes that are signed: the document as JSON, keys sorted, no spaces."""
        return canonical_json(self.document()).encode()


def keep_features(
    store: Store,
    clock: Clock,
    decode: Callable[[bytes], Media],
    signal: SignalType,
    copies: Sequence[CopyModel],
    person: PersonId,
    images: Iterable[tuple[str, bytes]],
) -> tuple[Outcome, ...]:
    """Add the features of pictures she has registered, given again; each is told by its name.

    ``signal`` is the one by whose code of the whole a picture is recognised. Her consent is put on
    record when at least one was added. Raises ``Conflict`` when she has left.
    """
    read = [_read(decode, signal, copies, name, body) for name, body in images]
    outcomes = []
    with store.transaction() as unit:
        # The lock lets one addition at a time decide what is kept already.
        if not unit.registry.lock(person) or not unit.registry.hold(person):
            raise Conflict("this case has been withdrawn; nothing can be added to it")
        hers, added = _own_codes(unit, person, signal), 0
        for one in read:
            if one.traces is None:
                outcomes.append(Outcome(one.name, problem=one.problem))
                continue
            item = _recognised(hers, one.code)
            if item is None:
                problem = "none of her registered pictures; register it first"
                outcomes.append(Outcome(one.name, problem=problem))
                continue
            missing = _missing(unit, item, sealed_traces(unit, person, one.traces))
            if not missing:
                outcomes.append(Outcome(one.name, problem="its features are kept already"))
                continue
            ids = unit.registry.extend_item(
                person, item, BANK, Source.REGISTERED, [entry for entry, _ in missing]
            )
            keep_beside(unit, ids, missing)
            outcomes.append(Outcome(one.name, (KEPT,)))
            added += 1
        if added:
            given = Consent(Purpose.FEATURES, FEATURES_TEXT).to(ConsentState.GIVEN, clock())
            unit.registry.put_consent(person, given)
            unit.audit.append(
                "service:register", "features.kept", f"person:{person}", {"pictures": added}
            )
    return tuple(outcomes)


def drop_features(store: Store, blobs: Blobs, clock: Clock, person: PersonId) -> Dropped:
    """End her consent to features and destroy all that was kept under it; hashes stay.

    Matches by them stop in the same transaction; undecided cases that rest on nothing else close.
    Raises ``NotFound`` when there are none, ``Conflict`` when she is leaving.
    """
    now = clock()
    gone: list[MediaId] = []
    with store.transaction() as unit:
        if not unit.registry.lock(person) or not unit.registry.hold(person):
            raise Conflict("everything in this case is being withdrawn already")
        kept = unit.features.kept_of(person)
        if not kept:
            raise NotFound("no features are kept in this case")
        entries = [entry for entry, _ in kept]
        undecided = unit.following.undecided_on(entries)
        sequence = unit.following.remove(person, entries)
        for case in undecided:
            closed = close_if_empty(unit, case, now, "person")
            gone += [medium.id for medium in closed or ()]
        ended = Consent(Purpose.FEATURES, FEATURES_TEXT).to(ConsentState.WITHDRAWN, now)
        unit.registry.put_consent(person, ended)
        dropped = Dropped(now, len({item for _, item in kept}), len(entries), sequence)
        dropped = replace(dropped, signature=unit.vault.sign(dropped.statement()))
        unit.audit.append(
            "person",
            "features.dropped",
            f"person:{person}",
            {
                "pictures": dropped.pictures,
                "entries": dropped.entries,
                "media_destroyed": len(gone),
            },
        )
    for medium in gone:
        blobs.destroy(medium)
    return dropped


def still_holding(store: Store, dropped: Dropped) -> int:
    """How many processes have not yet confirmed that they let go of what was dropped."""
    with store.transaction() as unit:
        applied = [follower.applied for follower in unit.followers.all()]
    return sum(step is None or step < dropped.sequence for step in applied)


@dataclass(frozen=True, slots=True, eq=False)
class _Read:
    """A picture that was brought again: its own code and its traces, or why there are none."""

    name: str
    code: Any = None
    traces: Traces | None = None
    problem: str = ""


def _read(
    decode: Callable[[bytes], Media],
    signal: SignalType,
    copies: Sequence[CopyModel],
    name: str,
    body: bytes,
) -> _Read:
    try:
        frame: Frame = decode(body).frames[0]
    except Refused as refused:
        return _Read(name, problem=refused.message)
    code = signal.compute([frame], Side.REGISTERED).codes[0]
    return _Read(name, code, traces_of(frame, copies))


def _own_codes(unit: Unit, person: PersonId, signal: SignalType) -> list[tuple[ItemId, Any]]:
    """The code of the whole of each of her registered pictures."""
    items = [item.item for item in unit.following.items(person) if item.kind == "picture"]
    found = []
    for item in items:
        stored = [one for one in unit.registry.of_item(item) if one.space == signal.space.key]
        for _, packed in unit.registry.unseal_all(stored):
            slots, _, codes = unpack(signal.space, packed)
            found += [(item, code) for slot, code in zip(slots, codes, strict=True) if slot == 0]
    return found


def _recognised(hers: Sequence[tuple[ItemId, Any]], code: Any) -> ItemId | None:
    apart = [(int(np.bitwise_count(own ^ code).sum()), at) for at, (_, own) in enumerate(hers)]
    nearest, at = min(apart, default=(_SAME + 1, -1))
    return hers[at][0] if nearest <= _SAME else None


def _missing(
    unit: Unit, item: ItemId, sealed: Sequence[tuple[NewEntry, Any]]
) -> list[tuple[NewEntry, Any]]:
    """Of what would be kept, what is of a space that the item has nothing of yet."""
    there = {entry.space for entry in unit.registry.of_item(item)}
    return [(entry, rest) for entry, rest in sealed if entry.space not in there]
