"""Uploads that were screened before somebody registered are looked at again by what they left.

A sweep stands for some steps of the change log. Its pieces are segments of earlier uploads, each a
job: workers on any host claim them, compare all codes of a piece with all that is asked, and screen
what is near once more, by the same journey as an upload that has just arrived. Nothing is asked of
whoever planned it: killed, it is followed by another that adds what is missing. A piece that was
searched half-way is searched again, and what already has its case is passed over.

A sweep stays open for a while, because an upload may be on its way to the record with an answer
from before the newest change.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from pipeline.domain.bank import BankKind
from pipeline.domain.ids import SLOTS, EntryId, PersonId, ScreeningId, SweepId, uuid7
from pipeline.domain.media import WHOLE
from pipeline.domain.signal import Signals, Space, unpack
from pipeline.domain.trace import SEGMENT, Rows, in_all_turns
from pipeline.journeys.hold_job import Held, Lost, take_up
from pipeline.journeys.restore_index import LiveIndexes
from pipeline.journeys.screen_film import Projector, tell_answer
from pipeline.journeys.screen_upload import Earlier, Screener
from pipeline.ports import Clock, Job, Store, Sweep, SweepChunk, SweepProgress, Unit

KIND = "rescan"
ATTEMPTS = 5
OPEN_FOR = timedelta(hours=1)
"""How long late uploads may join a sweep: longer than any screening takes."""
WIDE_QUESTIONS = 4096
"""Up to how many codes are asked within the wide radius, which wants a second witness: beyond,
chance alone puts an upload in a thousand within it, and each is screened again."""
_LIST = "list|"
"""Before a list's holder, among a sweep's radii."""
_TERMS = f"{_LIST}terms|"  # the version before knows no terms, and leaves lists alone
_JUDGING = ("signals", "banks", "unknown", "review", "known", "witness")
"""The parts of a platform's and of the operator's documents that say which uploads are found."""
_BLOCK = 512
"""Candidates whose screenings are read at a time."""


class Questions(Protocol):
    """Codes that a sweep asks, as a file that ``scan_chunk`` reads."""

    @property
    def path(self) -> Path:
        """Where the file is, for this process and its children."""
        ...

    def __len__(self) -> int: ...

    def remove(self, labels: NDArray[np.int64]) -> None:
        """Overwrite some."""
        ...

    def close(self) -> None:
        """Overwrite all and let go of them."""
        ...


class Scanned(Protocol):
    """What ``scan_chunk`` found."""

    @property
    def row(self) -> NDArray[np.int64]:
        """Rows of the chunk that are near to a question."""
        ...

    @property
    def compared(self) -> int:
        """Pairs of codes that were compared."""
        ...


Scan = Callable[[NDArray[np.uint8], Path], Scanned]
Ask = Callable[[NDArray[np.int64], NDArray[np.uint8], NDArray[np.int64]], Questions]
Reach = Mapping[Space, tuple[float, float]]


def ask(
    store: Store,
    clock: Clock,
    reach: Reach,
    by: str,
    *,
    since: datetime | None = None,
    everything: bool = False,
) -> Sweep | None:
    """Have earlier uploads searched for what was registered since the last sweep.

    For everything in force where ``everything`` says so, there was no sweep before, or what counts
    as near, or of a partner's list, has changed. None when there is nothing new to ask for.
    """
    now = clock()
    radii = {space.key: wide for space, (_, wide) in reach.items()}
    with store.transaction() as unit:
        last, head = unit.sweeps.latest(), unit.registry.head()
        lists, terms = _lists(unit), _terms(unit)
        same = last is not None and _same(last.radii, radii, lists, terms) and not everything
        after = last.upto if last is not None and same else -1
        if after >= 0 and not unit.sweeps.anything_new(after, head, list(radii)):
            return None
        sweep = Sweep(
            SweepId(uuid7(now, secrets.token_bytes(10))), now, by, after, head, since,
            {**radii, **lists, **terms},
        )  # fmt: skip
        unit.sweeps.add(sweep)
        unit.sweeps.plan(sweep.id, KIND, ATTEMPTS)
        unit.audit.append(by, "rescan.asked", f"rescan:{sweep.id}", {"after": after, "upto": head})
    return sweep


def _lists(unit: Unit) -> dict[str, float]:
    """What is said of each partner's list, as a number: what changed may find other uploads."""
    tries: dict[PersonId, list[str]] = defaultdict(list)
    for platform in unit.platforms.all():
        for holder in unit.banks.tried_by(platform["id"]):
            tries[holder].append(str(platform["id"]))
    return {
        f"{_LIST}{bank.holder}": _number(
            [bank.test, bank.share, bank.seed, dict(bank.within), tries[bank.holder]]
        )
        for bank in unit.banks.all()
        if bank.kind is BankKind.PARTNER
    }


def _terms(unit: Unit) -> dict[str, float]:
    """What each document in force says of how near a match must be, as a number."""
    return {
        f"{_TERMS}{one.platform or 'operator'}": _number(
            [one.document.get(part) for part in _JUDGING]
        )
        for one in unit.policies.current()
    }


def _number(said: Sequence[Any]) -> float:
    return float(crc32(json.dumps(said, sort_keys=True).encode()))


def _same(
    asked: Mapping[str, float],
    radii: Mapping[str, float],
    lists: Mapping[str, float],
    terms: Mapping[str, float],
) -> bool:
    """Whether what counts is as it was; a list that is new has new entries, which are asked."""
    near = {key: within for key, within in asked.items() if not key.startswith(_LIST)}
    before = {key: said for key, said in asked.items() if key.startswith(_TERMS)}
    listed = all(asked.get(key, said) == said for key, said in lists.items())
    return near == radii and before == terms and listed


def advance(store: Store, clock: Clock) -> int:
    """Add what sweeps do not know yet, and close those that nothing can join any more.

    Whoever drives may be killed at any moment: whoever comes next goes on here.
    """
    added = 0
    with store.transaction() as unit:
        for sweep in unit.sweeps.open():
            added += unit.sweeps.plan(sweep.id, KIND, ATTEMPTS)
            if clock() - sweep.asked_at > OPEN_FOR:
                unit.sweeps.close(sweep.id, clock())
    return added


def press(store: Store, clock: Clock, size: int = SEGMENT) -> int:
    """Press what uploads left into segments: full ones, and what remains of days that are over."""
    today, pressed = clock().date(), 0
    with store.transaction() as unit:
        loose = unit.traces.loose(size)
    for day, rows in loose.items():
        over = day < today - timedelta(days=1)
        done = rows if rows >= size or over else 0
        while done:
            with store.transaction() as unit:
                done = unit.traces.press(day, size, whole=over)
            pressed += done
    return pressed


def expire(store: Store, clock: Clock, days: int) -> int:
    """Destroy what uploads left more than so many days ago; how many days of it."""
    with store.transaction() as unit:
        return unit.traces.expire(clock().date() - timedelta(days=days))


def progress_of(store: Store, sweep: SweepId) -> SweepProgress:
    """How far a sweep has come; late pieces are added first, so that done means done."""
    with store.transaction() as unit:
        unit.sweeps.plan(sweep, KIND, ATTEMPTS)
    with store.transaction() as unit:
        return unit.sweeps.progress(sweep)


@dataclass(slots=True)
class _Asking:
    """What one process asks for a sweep, by space."""

    sweep: Sweep
    files: dict[str, Questions]


class Sweeper:
    """Searches pieces of sweeps, one after another."""

    def __init__(
        self,
        store: Store,
        live: LiveIndexes,
        screener: Screener,
        reach: Reach,
        ask_in: Ask,
        scan: Scan,
        clock: Clock,
        films: Projector,
    ) -> None:
        """``ask_in`` makes a file of questions, ``scan`` compares a chunk with one."""
        self._store, self._live, self._screener, self._reach = store, live, screener, reach
        self._ask_in, self._scan, self._clock, self._films = ask_in, scan, clock, films
        self._asking: _Asking | None = None
        self._lock = threading.Lock()
        live.on_removal(self._let_go)

    def work(self, pause: Callable[[int], float]) -> bool:
        """Search one piece, if one waits; whether there was one."""
        if not self._live.ready:
            return False
        return take_up(self._store, self._clock, KIND, pause, self._search)

    def close(self) -> None:
        """Let go of all questions."""
        self._let_go(None)

    def _search(self, job: Job, held: Held) -> None:
        began = time.thread_time()
        sweep_id, number = SweepId(UUID(str(job.payload["sweep"]))), int(job.payload["number"])
        with self._store.transaction() as unit:
            chunk, sweep = unit.sweeps.chunk(sweep_id, number), unit.sweeps.get(sweep_id)
            rows = unit.traces.read(chunk, sweep.upto) if chunk and sweep else None
        if chunk is None or sweep is None:
            with self._store.transaction() as unit:
                unit.jobs.done(job)
            return
        compared, found = 0, 0
        if rows is not None:
            self._wait_for(sweep.upto)
            near, compared = self._near(sweep, rows)
            for group in _blocks(near):
                found += self._screen(held, sweep, rows, group)
        self._end(job, chunk, compared, found, time.thread_time() - began)

    def _end(self, job: Job, chunk: SweepChunk, compared: int, found: int, seconds: float) -> None:
        with self._store.transaction() as unit:
            if not unit.jobs.done(job):
                raise Lost
            unit.sweeps.done(chunk, self._clock(), compared, found, seconds)

    def _near(self, sweep: Sweep, rows: Rows) -> tuple[list[int], int]:
        """Rows that are near to anything asked, and how many pairs were compared."""
        near: set[int] = set()
        compared = 0
        for key, file in self._questions(sweep).items():
            column = rows.columns.get(key)
            if column is None or not len(file):
                continue
            scanned = self._scan(column.codes, file.path)
            compared += scanned.compared
            said = column.quality[scanned.row] > 0
            near.update(scanned.row[said].tolist())
        return sorted(near), compared

    def _questions(self, sweep: Sweep) -> dict[str, Questions]:
        # Under the lock from reading to keeping: what is removed meanwhile is removed from these.
        with self._lock:
            if self._asking is not None and self._asking.sweep.id == sweep.id:
                return self._asking.files
            self._drop()
            with self._store.transaction() as unit:
                files = {
                    space.key: self._file(unit, sweep, space, near, wide)
                    for space, (near, wide) in self._reach.items()
                }
            self._asking = _Asking(sweep, files)
            return files

    def _file(self, unit: Unit, sweep: Sweep, space: Space, near: float, wide: float) -> Questions:
        """The codes of a sweep's entries, in all turns, each with its radius."""
        labels, codes = [np.empty(0, np.int64)], [np.empty((0, space.stride), np.uint8)]
        for entry, packed in unit.registry.unseal_all(unit.sweeps.questions(sweep, [space.key])):
            slots, _, table = unpack(space, packed)
            labels.append(entry.id * SLOTS + slots)
            codes.append(table)
        label, plain = np.concatenate(labels), np.concatenate(codes)
        far = wide if len(plain) <= WIDE_QUESTIONS else near
        if space.width != 256 or space.name != "pdq":
            return self._ask_in(label, plain, np.full(len(plain), int(far), np.int64))
        turned = in_all_turns(plain)
        within = np.full(turned.shape[:2], int(near), np.int64)
        within[0] = int(far)
        return self._ask_in(
            np.tile(label, len(turned)), turned.reshape(-1, space.stride), within.ravel()
        )

    def _screen(self, held: Held, sweep: Sweep, rows: Rows, near: Sequence[int]) -> int:
        """Screen uploads once more, each in a transaction of its own; how many have a case now."""
        by_upload: dict[ScreeningId, list[int]] = {}
        for row in near:
            by_upload.setdefault(rows.screening(row), []).append(row)
        with self._store.transaction() as unit:
            screenings = unit.screenings.of(by_upload)
        found = 0
        for screening, at in by_upload.items():
            was = screenings.get(screening)
            if was is None or (sweep.since is not None and was.received_at < sweep.since):
                continue
            film = rows.film(at[0], self._films.space.key)
            codes = () if film is not None else self._codes(rows, at)
            earlier = Earlier(was, rows.fingerprint(at[0]), codes, film)
            screener = self._screener if film is None else self._films
            held.check()
            with self._store.transaction() as unit:
                answered = screener.screen_again(unit, earlier)
                if answered is not None:
                    found += 1
                    tell_answer(unit, answered, "screening.completed", self._clock())
        return found

    def _codes(self, rows: Rows, at: Sequence[int]) -> tuple[Signals, ...]:
        """What an upload left, as signals."""
        spaces = {signal.space.key: signal.space for signal in self._screener.signals}
        return tuple(
            Signals(
                spaces[key],
                column.codes[list(at)],
                column.quality[list(at)],
                (WHOLE,) * len(at),
            )
            for key, column in rows.columns.items()
            if key in spaces and (column.quality[list(at)] > 0).all()
        )

    def _wait_for(self, sequence: int) -> None:
        """This process's indexes must know what is asked for."""
        if self._live.applied < sequence:
            self._live.catch_up()

    def _let_go(self, entries: tuple[EntryId, ...] | None) -> None:
        with self._lock:
            if entries is None:
                self._drop()
            elif self._asking is not None:
                ids = np.fromiter(entries, np.int64)
                labels = (ids[:, None] * SLOTS + np.arange(SLOTS)).ravel()
                for file in self._asking.files.values():
                    file.remove(labels)

    def _drop(self) -> None:
        if self._asking is not None:
            for file in self._asking.files.values():
                file.close()
            self._asking = None


def _blocks(near: Sequence[Any]) -> Iterator[Sequence[Any]]:
    return (near[at : at + _BLOCK] for at in range(0, len(near), _BLOCK))
