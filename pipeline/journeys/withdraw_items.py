"""A person takes back some of what she registered, and stays.

What was upheld for these items alone goes with them: the codes of those copies came into her bank
because of the items, and have no other reason to be there. Matches stop in the same transaction
that deletes the sealed codes; every process lets go of them as it follows the change log.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pipeline.domain.audit import canonical_json, stamp
from pipeline.domain.ids import ItemId, MediaId, PersonId
from pipeline.errors import Conflict, NotFound
from pipeline.journeys.withdraw import close_if_empty
from pipeline.ports import Blobs, Clock, Store


@dataclass(frozen=True, slots=True)
class Taken:
    """What was taken back, as a statement that can be signed. It names no person and no item."""

    at: datetime
    items: int
    entries: int
    sequence: int
    signature: str = ""

    def document(self) -> dict[str, Any]:
        """The statement as data."""
        return {
            "form": "consentry-items/1",
            "at": stamp(self.at),
            "items_withdrawn": self.items,
            "entries_destroyed": self.entries,
            "change_sequence": self.sequence,
        }

    def statement(self) -> bytes:
        """The bytes that are signed: the document as JSON, keys sorted, no spaces."""
        return canonical_json(self.document()).encode()


def withdraw_items(
    store: Store, blobs: Blobs, clock: Clock, person: PersonId, items: Iterable[ItemId]
) -> Taken:
    """Stop matching these items of hers and destroy their codes.

    Raises ``NotFound`` when one of them is not hers (any more), ``Conflict`` when she is leaving.
    """
    wanted, now = frozenset(items), clock()
    gone: list[MediaId] = []
    with store.transaction() as unit:
        # The lock waits for every screening that holds her: none can join a case any more.
        if not unit.registry.lock(person) or not unit.registry.hold(person):
            raise Conflict("everything in this case is being withdrawn already")
        # A face is taken back by ``enrol_face.take_back``, which ends its enrolment too.
        hers = {item.item for item in unit.following.items(person) if item.kind != "face"}
        if not wanted or not wanted <= hers:
            raise NotFound("one of these is not there any more; look at the list again")
        entries = unit.following.because_of(person, wanted)
        undecided = unit.following.undecided_on(entries)
        sequence = unit.following.remove(person, entries)
        unit.films.forget_places()
        for case in undecided:
            closed = close_if_empty(unit, case, now, "person")
            gone += [medium.id for medium in closed or ()]
        taken = Taken(now, len(wanted), len(entries), sequence)
        signed = Taken(
            now, taken.items, taken.entries, sequence, unit.vault.sign(taken.statement())
        )
        unit.audit.append(
            "person",
            "items.withdrawn",
            f"person:{person}",
            {"items": taken.items, "entries": taken.entries, "media_destroyed": len(gone)},
        )
    for medium in gone:
        blobs.destroy(medium)
    return signed
