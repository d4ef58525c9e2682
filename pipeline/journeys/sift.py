"""Old media are read again, because a face in an old upload is found in no other way.

A source is listed into batches of references, each a job that a hand on any host claims. What a
batch shows is computed by ``screen_batch``, which keeps nothing and asks nobody; then each is
screened by the journey of an upload. Of what is clear nothing stays but how many there were: no
screening, no hash, no reference. A batch that was read half-way is read again, and what has its
case is passed over.
"""

from __future__ import annotations

import itertools
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol
from uuid import UUID

from pipeline.domain.ids import PlatformId, SiftId, uuid7
from pipeline.domain.media import Rating, Upload
from pipeline.domain.screening import Screening
from pipeline.errors import Invalid, Refused
from pipeline.journeys.hold_job import Held, Lost, take_up
from pipeline.journeys.restore_index import LiveIndexes
from pipeline.journeys.screen_film import Projector, tell_answer
from pipeline.journeys.screen_upload import Screener, Subject
from pipeline.media.moments import film_mime
from pipeline.ports import Clock, Job, Reference, Sift, SiftProgress, Store, Unit

KIND = "sift"
ATTEMPTS = 5
BATCH = 64
"""References in a batch."""
_AT_ONCE = 50
"""Batches that are listed in one transaction."""


class Source(Protocol):
    """Where old media lie."""

    def references(self) -> Iterator[Reference]:
        """All of them, always in the same order."""
        ...

    def read(self, place: str) -> bytes:
        """A medium. Raises ``Refused`` when it is gone or cannot be read, ``Unavailable`` now."""
        ...


@dataclass(frozen=True, slots=True)
class Item:
    """One medium to be looked at."""

    upload: Upload
    body: bytes = field(repr=False)


def screen_batch(
    items: Sequence[Item], look: Callable[[Upload, bytes], Subject]
) -> list[Subject | Refused]:
    """What each medium shows, or why it cannot be looked at: of its pixels alone.

    The same on every executor: no database, no clock, nothing kept.
    """
    seen: list[Subject | Refused] = []
    for item in items:
        try:
            seen.append(look(item.upload, item.body))
        except Refused as refused:
            seen.append(refused)
    return seen


def begin(
    store: Store, clock: Clock, platform: PlatformId, source: str, rating: Rating, by: str
) -> Sift:
    """A reading of a source, or the one of it that somebody began."""
    with store.transaction() as unit:
        there = unit.sifts.unfinished(platform, source)
        if there is not None:
            unit.sifts.revive(there.id)
            return there
        now = clock()
        sift = Sift(SiftId(uuid7(now, secrets.token_bytes(10))), platform, source, rating, now, by)
        unit.sifts.add(sift)
        unit.audit.append(by, "sift.asked", f"sift:{sift.id}", {"platform": str(platform)})
        return sift


def list_all(
    store: Store, sift: Sift, source: Source, heard: Callable[[int], None] = lambda _: None
) -> Sift:
    """List a source into batches, from where somebody ended before."""
    if sift.complete:
        return sift
    references = itertools.islice(source.references(), sift.listed, None)
    while True:
        batches = list(itertools.islice(_batches(references), _AT_ONCE))
        complete = len(batches) < _AT_ONCE
        with store.transaction() as unit:
            if not unit.sifts.list_more(sift, batches, KIND, ATTEMPTS, complete=complete):
                raise Invalid("somebody else is listing this source; let them, or try again")
        sift = replace(
            sift, listed=sift.listed + sum(len(one) for one in batches), complete=complete
        )
        heard(sift.listed)
        if complete:
            return sift


def progress_of(store: Store, sift: SiftId) -> SiftProgress:
    """How far a reading has come."""
    with store.transaction() as unit:
        return unit.sifts.progress(sift)


class Sifter:
    """Reads batches of old media, one after another."""

    def __init__(
        self,
        store: Store,
        live: LiveIndexes,
        screener: Screener,
        source_of: Callable[[Sift], Source],
        clock: Clock,
        films: Projector,
    ) -> None:
        self._store, self._live, self._screener, self._films = store, live, screener, films
        self._source_of, self._clock = source_of, clock

    def work(self, pause: Callable[[int], float]) -> bool:
        """Read one batch, if one waits; whether there was one."""
        if not self._live.ready:
            return False
        return take_up(self._store, self._clock, KIND, pause, self._read)

    def _read(self, job: Job, held: Held) -> None:
        began = time.process_time()
        sift_id, number = SiftId(UUID(str(job.payload["sift"]))), int(job.payload["number"])
        with self._store.transaction() as unit:
            sift = unit.sifts.get(sift_id)
            references = unit.sifts.batch(sift, number) if sift else None
        if sift is None or references is None:
            with self._store.transaction() as unit:
                unit.jobs.done(job)
            return
        source = self._source_of(sift)
        items, refused = _fetched(sift, source, references)
        held.check()
        clear = found = 0
        pictures = []
        for item in items:
            if film_mime(item.body) is None:
                pictures.append(item)
                continue
            answered = self._old_film(sift, item, held)
            refused += isinstance(answered, Refused)
            found += isinstance(answered, Screening)
            clear += answered is None
        for seen in screen_batch(pictures, self._screener.look):
            held.check()
            if isinstance(seen, Refused):
                refused += 1
            elif self._screener.screen_old(sift.platform, seen, self._tell) is not None:
                found += 1
            else:
                clear += 1
        with self._store.transaction() as unit:
            if not unit.jobs.done(job):
                raise Lost
            seconds = time.process_time() - began
            unit.sifts.done(
                sift.id, number, self._clock(), clear=clear, refused=refused, found=found,
                seconds=seconds,
            )  # fmt: skip

    def _old_film(self, sift: Sift, film: Item, held: Held) -> Screening | Refused | None:
        held.check()
        try:
            return self._films.screen_old(
                sift.platform, film.upload, film.body, self._tell, held.check
            )
        except Refused as refused:
            return refused

    def _tell(self, unit: Unit, answered: Screening) -> None:
        tell_answer(unit, answered, "screening.completed", self._clock())


def _fetched(sift: Sift, source: Source, references: Sequence[Reference]) -> tuple[list[Item], int]:
    """The media of a batch, and how many could not be read."""
    items, gone = [], 0
    for one in references:
        try:
            body = source.read(one.place)
        except Refused:
            gone += 1
            continue
        items.append(Item(Upload(one.content_id, None, sift.rating), body))
    return items, gone


def _batches(references: Iterable[Reference]) -> Iterator[list[Reference]]:
    stream = iter(references)
    while batch := list(itertools.islice(stream, BATCH)):
        yield batch
