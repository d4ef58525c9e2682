"""One copy of each index a host: written by one process, opened by all in milliseconds.

A generation of segments is a holder like a process: it is announced to the database before the
first code is in it, so that from then on every withdrawal waits until it is known to be free of
her codes. Whoever uses it removes them from it in place and says so for it; one that nobody uses is
destroyed (``wiring.alive``). A process that was killed while writing leaves nothing: its
generation was never published, has no user, and goes with the next withdrawal or the next writer.

Where there is a depot, the writer also publishes its generation there, sealed, and a new host takes
it from there instead of rebuilding it, then replays what has changed since before it answers. Such
a copy cannot be blanked in place: it is a holder of its own, on whom receipts wait until it is
destroyed, key first (``compact``); the next writer publishes one without whoever left.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from pipeline.domain.ids import MediaId, ProcessId
from pipeline.domain.signal import Space
from pipeline.errors import ConsentryError
from pipeline.indexes import Index, Pinned, Shareable
from pipeline.ports import Depot, InUse, Shelf, Shelved, Store, Unit

DEPOT = "depot"
"""What a published generation is called among the followers, and its host."""
DEPOT_LOOK = 30.0
"""Seconds between looks whether the depot needs a new generation."""
ROLE = "segments"
"""What a generation is called among the followers and on a receipt."""
BETWEEN = "\t"
"""Separates a follower's host from the shelf's name: both tell where its files are."""
PATIENCE = 60.0
"""Seconds to leave the shelf alone after trouble with it."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A generation that was opened: its indexes, and the sequence that they stand for."""

    indexes: dict[str, Index]
    sequence: int
    name: ProcessId
    use: InUse


class Sharing:
    """What one process does with its host's shelf. One thread calls it; writing has its own."""

    def __init__(
        self,
        store: Store,
        shelf: Shelf,
        host: str,
        build: Callable[[Space], Index],
        monotonic: Callable[[], float],
        trouble: Callable[[Exception], None],
        *,
        share_from: int,
        depot: Depot | None = None,
    ) -> None:
        self._store, self._shelf, self._host, self._build = store, shelf, host, build
        self._monotonic, self._trouble = monotonic, trouble
        self._share_from = share_from
        self._using: tuple[ProcessId, InUse] | None = None
        self._written: InUse | None = None
        self._writer: threading.Thread | None = None
        self._not_before = float("-inf")
        self._depot, self._depot_looked = depot, float("-inf")

    def open(self, spaces: Iterable[Space]) -> Opened | None:
        """The current generation; None where there is none of this database's history."""
        shelved = self._shelf.current() or self._fetched()
        return None if shelved is None else self._opened(shelved, spaces)

    def newer(self, spaces: Iterable[Space], applied: int) -> Opened | None:
        """As ``open``, when there is one not used here yet, and not of what is still to come."""
        shelved = self._shelf.current()
        if shelved is None or shelved.sequence > applied or self._monotonic() < self._not_before:
            return None
        if self._using is not None and self._using[0] == shelved.name:
            return None
        return self._opened(shelved, spaces)

    def take(self, opened: Opened) -> None:
        """From now on this is the generation in use, and the one before is let go of."""
        self.let_go(lost=False)
        self._using = (opened.name, opened.use)

    def report(self, unit: Unit, applied: int) -> None:
        """Say for the generation in use that everything up to a sequence is in force in it."""
        if self._using is not None:
            name = self._using[0]
            if not unit.followers.report(name, applied):
                self._announce(unit, name)
                unit.followers.report(name, applied)

    def write_when_due(self, indexes: Mapping[str, Index], applied: int) -> None:
        """Have a new generation written where none is in use, or much has changed since.

        Called by whoever applies changes, and not while they are being applied.
        """
        mine = {key: index for key, index in indexes.items() if isinstance(index, Shareable)}
        enough = sum(len(index) for index in mine.values()) >= self._share_from
        due = self._using is None or any(index.worn for index in mine.values())
        due |= enough and self._depot_is_empty()
        busy = self._writer is not None and self._writer.is_alive()
        if not enough or not due or busy or self._monotonic() < self._not_before:
            return
        stack = ExitStack()
        name = ProcessId(uuid4())
        try:
            folder = stack.enter_context(self._shelf.writing(name))
            if folder is None:
                stack.close()
                return
            with self._store.transaction() as unit:
                mark = unit.registry.mark(applied)
                if mark is not None:
                    self._announce(unit, name)
        except (ConsentryError, OSError):
            stack.close()
            raise
        if mark is None:  # nothing was ever registered
            stack.close()
            return
        pinned = {key: index.pin() for key, index in mine.items()}
        self._writer = threading.Thread(
            target=self._write,
            args=(stack, folder, Shelved(name, applied, mark), pinned),
            name="segments",
            daemon=True,
        )
        self._writer.start()

    def let_go(self, *, lost: bool) -> None:
        """Use no generation any more; one that has lost touch goes with its last user."""
        for use in (self._written, self._using and self._using[1]):
            if use is not None:
                use.close()
        if lost and self._using is not None:
            self._shelf.destroy_unused(self._using[0])
        self._written = self._using = None

    def settle(self) -> None:
        """Wait for a generation that is being written."""
        if self._writer is not None:
            self._writer.join()

    def _depot_is_empty(self) -> bool:
        """Whether new hosts find nothing; asked now and then."""
        now = self._monotonic()
        if self._depot is None or now - self._depot_looked < DEPOT_LOOK:
            return False
        self._depot_looked = now
        try:
            with self._store.transaction() as unit:
                return self._depot.current(unit) is None
        except ConsentryError as error:
            self._trouble(error)
            return False

    def _fetched(self) -> Shelved | None:
        """The depot's generation as one of this host's own; None where there is none to be had."""
        if self._depot is None:
            return None
        local = ProcessId(uuid4())
        try:
            with self._store.transaction() as unit:
                there = self._depot.current(unit)
                if there is None or unit.registry.mark(there.sequence) != there.mark:
                    return None
                key = unit.vault.key(MediaId(there.name))
                self._announce(unit, local)
            with self._shelf.writing(local) as folder:
                if folder is None:
                    return self._shelf.current()
                self._depot.get(there.name, folder, key)
                mine = Shelved(local, there.sequence, there.mark)
                self._shelf.publish(mine)
                return mine
        except (ConsentryError, OSError) as error:
            self._leave_alone(error)
            return None

    def _deposit(self, folder: Path, shelved: Shelved) -> None:
        """Publish what was written, in the place of what was there; announced before it is."""
        if self._depot is None:
            return
        published = Shelved(ProcessId(uuid4()), shelved.sequence, shelved.mark)
        with self._store.transaction() as unit:
            before = [one.process for one in unit.followers.all() if one.role == DEPOT]
            where = f"{DEPOT}{BETWEEN}{self._depot.name}"
            unit.followers.announce(published.name, DEPOT, where, 0, 0)
            unit.followers.report(published.name, published.sequence)
            unit.vault.create(MediaId(published.name), kind="media")
            key = unit.vault.key(MediaId(published.name))
            note = note_of(unit, published)
        self._depot.put(published, folder, key, note)
        for name in before:
            _destroy(self._store, self._depot, name)

    def _opened(self, shelved: Shelved, spaces: Iterable[Space]) -> Opened | None:
        with self._store.transaction() as unit:
            if unit.registry.mark(shelved.sequence) != shelved.mark:
                return None
            self._announce(unit, shelved.name)
        use = self._shelf.use(shelved.name)
        if use is None:
            return None
        opened: dict[str, Index] = {}
        try:
            for space in spaces:
                index = self._build(space)
                if isinstance(index, Shareable):
                    index.open_segment(use.folder / _file(space.key))
                    opened[space.key] = index
        except ConsentryError as error:
            use.close()
            self._leave_alone(error)
            return None
        return Opened(opened, shelved.sequence, shelved.name, use)

    def _write(
        self, stack: ExitStack, folder: Path, shelved: Shelved, pinned: Mapping[str, Pinned]
    ) -> None:
        with stack:
            try:
                for key, held in pinned.items():
                    held.write(folder / _file(key), shelved.sequence, self._shelf.may_be_disk)
                before = self._shelf.current()
                # In use from here on, or a withdrawal could destroy it before anybody opens it.
                self._written = self._shelf.use(shelved.name)
                self._shelf.publish(shelved)
                self._deposit(folder, shelved)
                with self._store.transaction() as unit:
                    if before is not None:
                        unit.followers.forget(before.name)
            except (ConsentryError, OSError, MemoryError) as error:
                self._leave_alone(error)
            finally:
                for held in pinned.values():
                    held.release()

    def _announce(self, unit: Unit, name: ProcessId) -> None:
        unit.followers.announce(name, ROLE, f"{self._host}{BETWEEN}{self._shelf.name}", 0, 0)

    def _leave_alone(self, error: Exception) -> None:
        self._not_before = self._monotonic() + PATIENCE
        self._trouble(error)


def compact(store: Store, depot: Depot) -> int:
    """Destroy published generations that hold anything removed since; how many.

    Run as often as the operator says that a removal may last there. The key goes first, so that no
    copy anywhere can be read; the files, and the follower on whom receipts wait, after it.
    """
    stale = []
    with store.transaction() as unit:
        for one in unit.followers.all():
            if one.role == DEPOT and _removed_since(unit, one.applied or 0):
                stale.append(one.process)
    for name in stale:
        _destroy(store, depot, name)
    return len(stale)


def note_of(unit: Unit, shelved: Shelved) -> bytes:
    """What a generation stands for, sealed under its own key."""
    said = json.dumps({"sequence": shelved.sequence, "mark": shelved.mark}).encode()
    return unit.vault.seal(MediaId(shelved.name), "depot.current", said)


def _removed_since(unit: Unit, sequence: int) -> bool:
    while changes := unit.registry.changes(sequence, 200):
        if any(change.op != "add" for change in changes):
            return True
        sequence = changes[-1].seq
    return False


def _destroy(store: Store, depot: Depot, name: ProcessId) -> None:
    with store.transaction() as unit:
        unit.vault.shred(MediaId(name))
    depot.destroy(name)
    with store.transaction() as unit:
        unit.followers.forget(name)


def _file(key: str) -> str:
    return f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.segment"
