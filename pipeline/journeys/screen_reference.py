"""An upload that lies at a platform's address is fetched and screened as a job, and answered.

It is promised its answer under an id when it is taken on. Whoever takes the job up asks first
whether there is an answer under this id: killed at any moment, the work is done again, the answer
is recorded once and told once. One that cannot be fetched is refused by name.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from pipeline import outside
from pipeline.domain.ids import BatchId, PlatformId, ScreeningId, uuid7
from pipeline.domain.media import Upload
from pipeline.domain.screening import Form, Progress, Screening, Verdict
from pipeline.errors import Busy, RefusalReason, Refused
from pipeline.journeys.desk import announce, event_of
from pipeline.journeys.fetch import FILM_SECONDS, PICTURE_SECONDS, coming, fetched, is_private
from pipeline.journeys.hold_job import LEASE, Held, Lost, attempt
from pipeline.journeys.restore_index import LiveIndexes
from pipeline.journeys.screen_film import Stopped, tell_answer
from pipeline.journeys.screen_upload import Given, Screener
from pipeline.journeys.take_in_film import Taken, discard, enlist, take_in
from pipeline.ports import Batch, Blobs, Clock, Job, PendingReference, Store, Unit

KIND = "reference"
ATTEMPTS = 5
MOST = 1000
"""Uploads of one platform that may wait to be fetched."""
REMEMBERED = timedelta(hours=24)
"""How long an idempotency key names its batch."""
KEPT = timedelta(days=30)
"""How long a batch can be read after its end; its answers stay."""

Asked = tuple[Upload, str]
"""An upload and its address."""


def accept_reference(
    store: Store, clock: Clock, platform: PlatformId, upload: Upload, url: str
) -> Screening:
    """Promise an answer to one upload.

    Raises ``Busy`` when too many wait, ``Unreachable`` for a host that is not the platform's; then
    nothing is taken on.
    """
    with store.transaction() as unit:
        is_private(unit, platform, url)
        _make_room(unit, platform, 1)
        return fetching(_add(unit, clock, platform, upload, url), "", 0)


def begin_batch(
    store: Store,
    clock: Clock,
    screener: Screener,
    platform: PlatformId,
    asked: Sequence[Asked],
    once: str | None,
) -> BatchId:
    """Promise each of many an answer, all or none; the same batch for the same key.

    ``once`` is the digest of an idempotency key. One on a host that is not the platform's has its
    answer now. Raises ``Busy`` when too many wait.
    """
    now = clock()
    with store.transaction() as unit:
        unit.references.waiting(platform)  # one batch of a platform after another
        there = unit.batches.found(platform, once, now - REMEMBERED) if once else None
        if there is not None:
            return there
        _make_room(unit, platform, len(asked))
        promised = []
        for upload, url in asked:
            try:
                is_private(unit, platform, url)
            except outside.Unreachable as why:
                refused = refuse(unit, screener, platform, upload, _fresh(now), why)
                tell_answer(unit, refused, "screening.completed", now)
                promised.append(refused.id)
            else:
                promised.append(_add(unit, clock, platform, upload, url).id)
        batch = BatchId(uuid7(now, secrets.token_bytes(10)))
        unit.batches.add(Batch(batch, platform, len(promised), now), promised, once)
    return batch


def refuse(
    unit: Unit,
    screener: Screener,
    platform: PlatformId,
    upload: Upload,
    given: Given,
    why: str | outside.Unreachable | Refused,
) -> Screening:
    """Put on record that an upload cannot be screened: it is ``unreachable``, or as it says."""
    if not isinstance(why, Refused):
        understood = unit.references.understood()
        reason = RefusalReason.UNREACHABLE if understood else RefusalReason.UNDECODABLE
        why = Refused(reason, str(why))
    answered = screener.refusal(platform, upload, None, why, given)
    unit.screenings.add(answered)
    return answered


def end_batches(store: Store, clock: Clock, limit: int = 20) -> int:
    """Tell platforms of batches that are answered to the last upload; how many."""
    now = clock()
    with store.transaction() as unit:
        over = unit.batches.over(now, limit)
        for batch in over:
            data = {
                "batch": str(batch.id),
                "total": batch.items,
                "verdicts": unit.batches.verdicts(batch.id),
            }
            announce(unit, event_of(batch.platform, "batch.completed", data, now))
    return len(over)


def forget_batches(store: Store, clock: Clock) -> int:
    """Forget which uploads came together, some time after; how many batches."""
    with store.transaction() as unit:
        return unit.batches.forget(clock() - KEPT, clock() - REMEMBERED)


def fetching(reference: PendingReference, policy: str, index_sequence: int) -> Screening:
    """What can be said of an upload that is still to be fetched."""
    return Screening(
        id=reference.id,
        platform=reference.platform,
        upload=reference.upload,
        form=Form.FILE,
        verdict=Verdict.PENDING,
        policy=policy,
        index_seq=index_sequence,
        received_at=reference.received_at,
        milliseconds=0.0,
        progress=Progress(0, None, 0.0),
    )


class Fetcher:
    """Fetches and screens what waits, for all platforms of a deployment; for several threads."""

    def __init__(
        self,
        store: Store,
        blobs: Blobs,
        live: LiveIndexes,
        screener: Screener,
        clock: Clock,
        largest: int,
        largest_film: int,
        at_once: int,
    ) -> None:
        """``largest`` and ``largest_film`` are bytes; ``at_once`` are screened, many fetched."""
        self._store, self._blobs, self._live = store, blobs, live
        self._screener, self._clock = screener, clock
        self._largest, self._largest_film = largest, largest_film
        self._turn = threading.BoundedSemaphore(at_once)

    def claim(self, most: int) -> Job | None:
        """Take up one of a platform that has fewer than ``most`` under way, if one waits."""
        if not self._live.ready:
            return None
        with self._store.transaction() as unit:
            jobs = unit.references.claim(KIND, LEASE, most)
        return jobs[0] if jobs else None

    def do(
        self,
        job: Job,
        pause: Callable[[int], float],
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        """Fetch, screen and answer. Once ``stopping`` says so it is handed back as it was."""
        attempt(
            self._store, self._clock, job, pause, lambda job, held: self._do(job, held, stopping)
        )

    def answer_given_up(self, limit: int = 20) -> int:
        """Answer those whose work was given up; how many."""
        with self._store.transaction() as unit:
            given_up = unit.references.given_up(limit)
            for reference in given_up:
                said = f"Fetching and looking at this failed {ATTEMPTS} times; send the file."
                answered = self._there(unit, reference) or self._refused(unit, reference, said)
                unit.references.end(reference.id)
                tell_answer(unit, answered, "screening.completed", self._clock())
        return len(given_up)

    def _do(self, job: Job, held: Held, stopping: Callable[[], bool]) -> None:
        with self._store.transaction() as unit:
            reference = unit.references.get(ScreeningId(UUID(str(job.payload["screening"]))))
            if reference is None:
                unit.jobs.done(job)
                return
            if answered := self._there(unit, reference):
                self._end(unit, job, answered)
                return
        try:
            came, kind = self._fetch(reference, held, stopping)
        except Stopped:
            with self._store.transaction() as unit:
                unit.jobs.hand_back(job)
            return
        except (outside.Unreachable, Refused) as error:
            with self._store.transaction() as unit:
                self._end(unit, job, self._refused(unit, reference, error))
            return
        held.check()
        given = (reference.id, reference.received_at)
        if isinstance(came, Taken):
            self._enlist(reference, job, came, kind)
            return
        with self._turn:
            held.check()
            answered = self._screener.screen_file(reference.platform, reference.upload, came, given)
        with self._store.transaction() as unit:
            self._end(unit, job, answered)

    def _fetch(
        self, reference: PendingReference, held: Held, stopping: Callable[[], bool]
    ) -> tuple[bytes | Taken, str | None]:
        term = outside.Term(PICTURE_SECONDS)

        def seal(pieces: Iterator[bytes]) -> Taken:
            return take_in(self._store, self._blobs, self._clock(), pieces)

        def watched(pieces: Iterator[bytes]) -> Iterator[bytes]:
            for piece in pieces:
                held.check()
                if stopping():
                    raise Stopped
                yield piece

        with coming(self._store, reference.platform, reference.url, term) as pieces:
            return fetched(
                watched(pieces), self._largest, self._largest_film, seal,
                lambda: term.put_off(FILM_SECONDS),
            )  # fmt: skip

    def _enlist(self, reference: PendingReference, job: Job, film: Taken, mime: str | None) -> None:
        def instead(unit: Unit) -> None:
            if not (unit.references.end(reference.id) and unit.jobs.done(job)):
                raise Lost

        given = (reference.id, reference.received_at)
        try:
            enlist(
                self._store, self._clock, reference.platform, reference.upload, film, mime, given,
                instead,
            )  # fmt: skip
        except Lost:  # another has taken it in
            discard(self._store, self._blobs, film.medium)
            raise

    def _end(self, unit: Unit, job: Job, answered: Screening) -> None:
        if not (unit.references.end(answered.id) and unit.jobs.done(job)):
            raise Lost
        tell_answer(unit, answered, "screening.completed", self._clock())

    def _there(self, unit: Unit, reference: PendingReference) -> Screening | None:
        """The answer that an earlier attempt recorded before it was ended."""
        return unit.screenings.get(reference.id, reference.platform)

    def _refused(
        self, unit: Unit, reference: PendingReference, why: str | outside.Unreachable | Refused
    ) -> Screening:
        given = (reference.id, reference.received_at)
        return refuse(unit, self._screener, reference.platform, reference.upload, given, why)


def _make_room(unit: Unit, platform: PlatformId, more: int) -> None:
    if unit.references.waiting(platform) + more > MOST:
        raise Busy(f"{MOST} of your uploads may wait to be fetched; send these again later")


def _add(
    unit: Unit, clock: Clock, platform: PlatformId, upload: Upload, url: str
) -> PendingReference:
    screening, now = _fresh(clock())
    job = unit.jobs.add(KIND, {"screening": str(screening)}, max_attempts=ATTEMPTS)
    reference = PendingReference(screening, platform, upload, url, job, now)
    unit.references.add(reference)
    return reference


def _fresh(now: datetime) -> Given:
    return ScreeningId(uuid7(now, secrets.token_bytes(10))), now
