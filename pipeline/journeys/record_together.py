"""Answers that concern nobody go on record together: one commit for all that wait.

Nobody waits for company: whoever finds nobody writing writes at once, alone or with those who came
while the one before was writing. Under load batches therefore grow by themselves. An answer is
given out only when it is on record.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.domain.screening import Screening
from pipeline.errors import Unavailable
from pipeline.ports import Store

MOST = 256
"""Answers in one commit."""


@dataclass(slots=True, eq=False)
class _Waiting:
    screening: Screening
    woken: threading.Event
    """That of all who came together."""
    done: bool = False
    error: Exception | None = None


class Ledger:
    """Puts answers on record, from any number of threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._line: list[_Waiting] = []
        self._writing = False

    def add(self, screening: Screening) -> None:
        """Return when the answer is on record; raises ``Unavailable`` when it cannot be."""
        (error,) = self.add_all((screening,))
        if error is not None:
            raise error

    def add_all(self, screenings: Sequence[Screening]) -> list[Exception | None]:
        """Return when all are on record, or cannot be: what keeps each of them from it, if any."""
        if not screenings:
            return []
        woken = threading.Event()
        mine = [_Waiting(screening, woken) for screening in screenings]
        with self._lock:
            self._line += mine
            first = not self._writing
            self._writing = True
        if not first:
            woken.wait()
        while not mine[-1].done:  # it is our turn to write: ours stand at the head of the line
            self._write()
        return [one.error for one in mine]

    def _write(self) -> None:
        """Write those who wait, and hand over to the first of those who came meanwhile."""
        with self._lock:
            batch, self._line = self._line[:MOST], self._line[MOST:]
        try:
            self._keep(batch)
        finally:
            with self._lock:
                for one in batch:
                    one.done = True
                self._writing = bool(self._line)
                successor = self._line[0] if self._line else None
            for one in batch:
                one.woken.set()
            if successor is not None:
                successor.woken.set()

    def _keep(self, batch: list[_Waiting]) -> None:
        try:
            self._store.record([one.screening for one in batch])
        except Unavailable as error:
            for one in batch:
                one.error = error
        except Exception as error:  # one that cannot be stored must not take the others with it
            if len(batch) == 1:
                batch[0].error = error
            else:
                for one in batch:
                    self._keep([one])
