"""What was erased is written where no restore reaches, and erased again after one.

A backup knows everybody who had not yet left when it was made. The list of erasures knows who left
since: a restored database is barred to every service until the list was replayed on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from pipeline.domain.erasures import Erasure, Place
from pipeline.domain.ids import EntryId, MediaId, NoticeId, PersonId
from pipeline.errors import NotFound
from pipeline.journeys.withdraw import Alive, finish, leave
from pipeline.ports import Blobs, Clock, Store

_BATCH = 1000


class ErasureFile(Protocol):
    """A list of erasures that outlives the database."""

    def appending(self) -> AbstractContextManager[Place]:
        """Hold the list; gives how far it reaches."""
        ...

    def append(self, erasures: Iterable[Erasure], place: Place) -> Place:
        """Write lines after a place, for good; how far the list reaches then."""
        ...


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What was erased again."""

    persons: int = 0
    entries: int = 0
    keys: int = 0
    media: int = 0


def list_erasures(store: Store, file: ErasureFile) -> int:
    """Copy to a list what was erased since it was written last; how many lines.

    Every host may keep a list of its own: each becomes complete.
    """
    written = 0
    with file.appending() as reached:
        place = reached
        while True:
            with store.transaction() as unit:
                fresh = unit.erasures.after(place.seq, _BATCH)
            if not fresh:
                return written
            place = file.append(fresh, place)
            written += len(fresh)


def forget_again(
    store: Store,
    blobs: Blobs,
    clock: Clock,
    alive: Alive,
    erasures: Iterable[Erasure],
    progress: Callable[[int], None] = lambda _: None,
) -> Forgotten:
    """Erase from a restored database what was erased since its backup was made.

    Repeatable: what is gone already is passed over.
    """
    lines = list(erasures)
    with store.transaction() as unit:
        found = unit.erasures.found({line.owner for line in lines if line.owner is not None})
    persons = entries = keys = media = 0
    for done, line in enumerate(lines, start=1):
        if line.what == "entries":
            entries += _forget_entries(store, line.entries)
        elif line.owner in found:
            owner, kind = found[line.owner]
            if kind == "person":
                persons += _forget_person(store, blobs, clock, alive, PersonId(owner))
            elif kind == "media":
                media += _forget_medium(store, blobs, clock, MediaId(owner))
            else:
                with store.transaction() as unit:
                    keys += unit.vault.shred(NoticeId(owner))
        progress(done)
    forgotten = Forgotten(persons, entries, keys, media)
    with store.transaction() as unit:
        unit.audit.append(
            "service:restore",
            "erasures.replayed",
            "deployment",
            {"persons": persons, "entries": entries, "keys": keys, "media": media},
        )
    return forgotten


def _forget_person(
    store: Store, blobs: Blobs, clock: Clock, alive: Alive, person: PersonId
) -> bool:
    try:
        receipt = leave(store, clock, person)
    except NotFound:
        return False
    finish(store, blobs, clock, alive, receipt, patience=timedelta(0))
    return True


def _forget_entries(store: Store, entries: tuple[EntryId, ...]) -> int:
    with store.transaction() as unit:
        owners = unit.erasures.owners(entries)
        for person in sorted(set(owners.values())):
            unit.following.remove(person, [one for one in owners if owners[one] == person])
    return len(owners)


def _forget_medium(store: Store, blobs: Blobs, clock: Clock, medium: MediaId) -> bool:
    with store.transaction() as unit:
        unit.vault.shred(medium)
        unit.media.destroyed(medium, clock())
    blobs.destroy(medium)
    return True
