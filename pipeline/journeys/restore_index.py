"""An index rebuilt from the vault, kept true by the change log, resurrecting no one.

A process announces itself before it reads the first entry, so that from then on every withdrawal
waits for it. It loads one consistent state of the database, then applies every change after it,
and reports how far it has come. A process that has lost touch for longer than ``LEASE`` lets go
of all it holds and answers nothing until it has loaded anew: whoever was withdrawn meanwhile can
therefore not be matched by it, whatever it missed.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.domain.ids import SLOTS, EntryId, ProcessId
from pipeline.domain.signal import Space, unpack
from pipeline.errors import IndexNotReady, Invalid, Unavailable
from pipeline.indexes import Hits, Index, IndexState
from pipeline.journeys.share_index import Sharing
from pipeline.ports import Store, StoredEntry, Unit

LEASE = timedelta(seconds=45)
"""How long a process may answer without having heard from the database."""

WRITE_OFF = timedelta(seconds=60)
"""After how long a silent process counts as having let go. Longer than ``LEASE``, always."""

_BATCH = 20_000


@dataclass(frozen=True, slots=True)
class Me:
    """This process, so that others can tell whether it still runs."""

    process: ProcessId
    role: str
    host: str
    pid: int
    born: int


class LiveIndexes:
    """The indexes of one process, one a space, following the change log."""

    def __init__(
        self,
        store: Store,
        spaces: Iterable[Space],
        build: Callable[[Space], Index],
        me: Me,
        monotonic: Callable[[], float],
        sharing: Sharing | None = None,
    ) -> None:
        self._store, self._build, self._me, self._monotonic = store, build, me, monotonic
        self._sharing = sharing
        self._spaces = {space.key: space for space in spaces}
        self._indexes: Mapping[str, Index] | None = None
        self._applied = -1
        self._heard = monotonic()
        self._change = threading.Lock()
        self._listeners: list[Callable[[tuple[EntryId, ...] | None], None]] = []

    def on_removal(self, tell: Callable[[tuple[EntryId, ...] | None], None]) -> None:
        """Have somebody in this process who holds codes of their own told what to let go of.

        Called before it is reported that nothing is held here any more; None means everything.
        """
        self._listeners.append(tell)

    @property
    def applied(self) -> int:
        """The sequence of the change log that is in force here; -1 while nothing is loaded."""
        return self._applied if self._indexes is not None else -1

    @property
    def ready(self) -> bool:
        """Whether this process may answer."""
        return self._indexes is not None and not self._out_of_touch()

    def states(self) -> dict[str, IndexState]:
        """What each index says of itself."""
        return {key: index.state() for key, index in (self._indexes or {}).items()}

    def codes(self, space: Space) -> int:
        """How many codes of a space can be found."""
        return len((self._indexes or {}).get(space.key, ()))

    def search(self, space: Space, codes: NDArray[Any], within: float) -> Hits:
        """Stored codes near these; raises ``IndexNotReady`` rather than answer from old news."""
        indexes = self._indexes
        if indexes is None or self._out_of_touch():
            raise IndexNotReady("the index is being loaded; send the same request again")
        return indexes[space.key].search(codes, within)

    def restore(self, progress: Callable[[int], None] = lambda _: None) -> None:
        """Load everything in force; ``progress`` hears how many entries are in."""
        with self._change:
            self._let_go()
            me = self._me
            with self._store.transaction() as unit:
                unit.followers.announce(me.process, me.role, me.host, me.pid, me.born)
            opened = self._sharing.open(self._spaces.values()) if self._sharing else None
            fresh, sequence, loaded = dict[str, Index](), -1, 0
            if self._sharing is not None and opened is not None:
                self._sharing.take(opened)
                fresh, sequence = opened.indexes, opened.sequence
            missing = {key: self._build(self._spaces[key]) for key in self._spaces.keys() - fresh}
            if missing:
                with self._store.transaction(snapshot=True) as unit:
                    head = unit.registry.head()
                    for batch in _batches(unit.registry.in_force()):
                        self._add(unit, missing, batch)
                        loaded += len(batch)
                        progress(loaded)
                    if fresh:
                        self._replay(unit, fresh, sequence, head)
                    sequence = head
            self._indexes, self._applied = {**fresh, **missing}, sequence
        self.catch_up()

    def catch_up(self) -> int:
        """Apply all changes there are and report; how many were applied.

        Loads anew when this process was written off while it was silent.
        """
        if self._indexes is None or self._out_of_touch():
            self.restore()
            return 0
        with self._change:
            with self._store.transaction() as unit:
                count = self._replay(unit, self._indexes, self._applied, None)
                known = unit.followers.report(self._me.process, self._applied)
                if self._sharing is not None and known:
                    self._sharing.report(unit, self._applied)
            if known:
                self._heard = self._monotonic()
                return count
        self.restore()
        return count

    def share(self) -> None:
        """Take up what another process has written for all, or write it for them when it is due."""
        if self._sharing is None or self._indexes is None or self._out_of_touch():
            return
        with self._change:
            newer = self._sharing.newer(self._spaces.values(), self._applied)
            if newer is not None:
                with self._store.transaction() as unit:
                    self._replay(unit, newer.indexes, newer.sequence, self._applied)
                    self._sharing.take(newer)
                    self._sharing.report(unit, self._applied)
                self._indexes = {**self._indexes, **newer.indexes}
            self._sharing.write_when_due(self._indexes, self._applied)

    def close(self) -> None:
        """Let go of everything and say so."""
        with self._change:
            if self._sharing is not None:
                self._sharing.settle()
                self._sharing.let_go(lost=False)
            self._let_go()
            with self._store.transaction() as unit:
                unit.followers.forget(self._me.process)

    def _out_of_touch(self) -> bool:
        return self._monotonic() - self._heard > LEASE.total_seconds()

    def _let_go(self) -> None:
        if self._sharing is not None:
            self._sharing.let_go(lost=True)
        for tell in self._listeners:
            tell(None)
        self._indexes, self._applied = None, -1
        self._heard = self._monotonic()

    def _replay(
        self, unit: Unit, indexes: Mapping[str, Index], after: int, upto: int | None
    ) -> int:
        """Apply the changes after one sequence, up to another or to the last; how many.

        Where they are applied to what answers, ``applied`` goes along step by step.
        """
        count, ours = 0, indexes is self._indexes
        while changes := unit.registry.changes(after, 200):
            for change in changes:
                if upto is not None and change.seq > upto:
                    return count
                if change.op == "add":
                    self._add(unit, indexes, unit.registry.entries(change.entries))
                else:
                    self._remove(indexes, change.entries)
                    for tell in self._listeners:
                        tell(change.entries)
                after = change.seq
                count += 1
                if ours:
                    self._applied = after
        return count

    def _add(self, unit: Unit, indexes: Mapping[str, Index], entries: list[StoredEntry]) -> None:
        labels: dict[str, list[NDArray[np.int64]]] = defaultdict(list)
        codes: dict[str, list[NDArray[Any]]] = defaultdict(list)
        mine = (entry for entry in entries if entry.space in indexes)
        for entry, packed in unit.registry.unseal_all(mine):
            slots, _, rows = unpack(self._spaces[entry.space], packed)
            labels[entry.space].append(entry.id * SLOTS + slots)
            codes[entry.space].append(rows)
        for key, index in indexes.items():
            if not labels[key]:
                continue
            some, rows = np.concatenate(labels[key]), np.concatenate(codes[key])
            try:
                index.add(some, rows)
            except Invalid:  # an earlier attempt at this change failed half-way
                index.remove(some)
                index.add(some, rows)

    @staticmethod
    def _remove(indexes: Mapping[str, Index], entries: Iterable[EntryId]) -> None:
        ids = np.fromiter(entries, np.int64)
        labels = (ids[:, None] * SLOTS + np.arange(SLOTS)).ravel()
        for index in indexes.values():
            index.remove(labels)


def follow(
    live: LiveIndexes,
    wait: Callable[[float], None],
    stop: threading.Event,
    trouble: Callable[[Exception], None],
) -> None:
    """Keep ``live`` true until ``stop``: after every notice, and twice a second without one.

    ``wait(seconds)`` returns when the change log moved, or after that time.
    """
    while not stop.is_set():
        try:
            live.catch_up()
            live.share()
            wait(0.5)
        except Unavailable as error:
            trouble(error)
            stop.wait(0.5)


def _batches(entries: Iterable[StoredEntry]) -> Iterable[list[StoredEntry]]:
    batch: list[StoredEntry] = []
    for entry in entries:
        batch.append(entry)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
