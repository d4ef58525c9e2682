"""What happens without anybody asking: deliveries, audit seals, unfinished withdrawals, retention.

Several workers may run at once; the database hands each piece of work to one of them.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial

import structlog

from pipeline.errors import ConsentryError, Unavailable
from pipeline.journeys import rescan
from pipeline.journeys.banks import empty_outdated
from pipeline.journeys.deliver import deliver_due
from pipeline.journeys.enrol_face import expire
from pipeline.journeys.forget_again import list_erasures
from pipeline.journeys.notice import retire_notices
from pipeline.journeys.notice_probing import forget_probes
from pipeline.journeys.retire_media import retire_due, sweep_orphans
from pipeline.journeys.review import settle_due
from pipeline.journeys.screen_reference import Fetcher, end_batches, forget_batches
from pipeline.journeys.share_index import compact
from pipeline.journeys.sync_exchange import sync
from pipeline.journeys.try_banks import forget_tried
from pipeline.journeys.verify_face import ask_about_all
from pipeline.journeys.withdraw import finish
from pipeline.ports import Job
from pipeline.storage.erasures import ErasureList
from pipeline.storage.idempotency import Idempotency
from pipeline.storage.jobs import backoff
from services.figures import Figures, served
from services.wiring import World, alive, now

log = structlog.get_logger()

FIGURES = Figures()
"""What this process's duties did; one worker runs in a process."""

_AUDIT_BATCH = 1000
_LANES = 4
"""Receivers that are told at once: fewer than the connections to the database."""
_AWAY = 12
"""Files that are on their way from addresses at once: 100 that take 30 s each take 5 minutes."""
_KEPT_FREE = 2
"""Of these, how many are kept for platforms that have none on its way."""
_HANDING_BACK = 3.0
"""Seconds in which what is being fetched is handed back when the worker ends."""


@dataclass(slots=True)
class Duty:
    """One kind of work, and how often to look for it."""

    name: str
    every: float
    work: Callable[[], int]
    next_at: float = field(default=0.0)


def duties(world: World) -> list[Duty]:
    """All that a worker does, each a function that says how much it did."""

    def settle() -> int:
        return settle_due(replace(world.desk, clock=now))

    def seal_audit() -> int:
        with world.store.transaction() as unit:
            return unit.screenings.audit_batch(_AUDIT_BATCH)

    def finish_withdrawals() -> int:
        with world.store.transaction() as unit:
            pending = unit.withdrawals.pending()
        for receipt in pending:
            finish(world.store, world.blobs, now, alive, receipt, patience=timedelta(0))
        return len(pending)

    def list_what_was_erased() -> int:
        return list_erasures(world.store, ErasureList(world.settings.erasure_list))

    def retire() -> int:
        window = world.desk.appeal_window
        with world.store.transaction() as unit:
            unit.answers.purge(now())
        return retire_due(world.store, world.blobs, now) + retire_notices(world.store, now, window)

    def expire_faces() -> int:
        return expire(world.store, world.blobs, now) + ask_about_all(world.store, now)

    def keep_traces() -> int:
        gone = rescan.expire(world.store, now, world.settings.backscan_days)
        return gone + rescan.press(world.store, now)

    def compact_depot() -> int:
        depot = world.depot()
        return compact(world.store, depot) if depot is not None else 0

    def ask_earlier() -> int:
        return int(rescan.ask(world.store, now, world.reach, "service:worker") is not None)

    def sweep() -> int:
        swept = sweep_orphans(world.store, world.blobs)
        with world.store.transaction() as unit:
            unit.reviewers.purge(now())
            unit.house.forget_looks(now() - timedelta(days=30))
            unit.attempts.purge(now())
            unit.visits.purge(now())
            unit.webhooks.forget_secrets(now())
        Idempotency(world.database).purge()
        forget_probes(world.store, now, world.suspicion)
        forget_tried(world.store, now)
        forget_batches(world.store, now)
        return swept

    return [
        Duty("settle", 0.5, settle),
        Duty("seal_audit", 1.0, seal_audit),
        Duty("finish_withdrawals", 2.0, finish_withdrawals),
        Duty("end_batches", 1.0, partial(end_batches, world.store, now)),
        Duty("list_erasures", 1.0, list_what_was_erased),
        Duty("retire_media", 60.0, retire),
        Duty("expire_faces", 600.0, expire_faces),
        Duty("outdated_banks", 600.0, partial(empty_outdated, world.store, world.blobs, now)),
        Duty("sweep", 600.0, sweep),
        Duty("keep_traces", 60.0, keep_traces),
        Duty("compact_depot", 60.0 * world.settings.compact_minutes, compact_depot),
        Duty("advance_rescans", 30.0, partial(rescan.advance, world.store, now)),
    ] + [
        Duty("rescan", 60.0 * world.settings.rescan_minutes, ask_earlier)
        for _ in range(world.settings.rescan_minutes > 0)
    ]


def project(world: World, stop: threading.Event) -> None:
    """Look at videos until ``stop``, one at a time: in a thread, for one can take many minutes.

    Beside it what lies at addresses is fetched and screened, over the same indexes.
    """
    rng = random.SystemRandom()

    def pause(attempt: int) -> float:
        return backoff(attempt, rng)

    while not stop.is_set():
        try:
            with world.live("worker", wait=False) as live:
                projector = world.projector(live)
                fetcher = world.fetcher(live, world.settings.decoders)
                going_out = threading.Thread(
                    target=go_out, args=(fetcher, stop), name="references", daemon=True
                )
                going_out.start()
                duty = Duty("films", 0.25, partial(projector.work, pause, stop.is_set))
                given_up = Duty("films_given_up", 2.0, projector.answer_given_up)
                unfetched = Duty("references_given_up", 2.0, fetcher.answer_given_up)
                while not stop.is_set():
                    _try(given_up)
                    _try(unfetched)
                    if not _try(duty):
                        stop.wait(duty.every)
                going_out.join(timeout=_HANDING_BACK)
        except Exception as error:  # deliveries must go on, and this must come again
            log.error("worker.defect", duty="films", error=type(error).__name__)
            stop.wait(5)


def go_out(fetcher: Fetcher, stop: threading.Event) -> None:
    """Fetch what lies at platforms' addresses until ``stop``, many at once: most of it is waiting.

    The last places are kept for platforms that have nothing under way, so that none waits for
    another's slow addresses.
    """
    rng = random.SystemRandom()
    under_way: list[threading.Thread] = []

    def pause(attempt: int) -> float:
        return backoff(attempt, rng)

    def fetch(job: Job) -> int:
        fetcher.do(job, pause, stop.is_set)
        return 1

    def claim() -> int:
        most = _AWAY if len(under_way) < _AWAY - _KEPT_FREE else 1
        job = fetcher.claim(most)
        if job is None:
            return 0
        duty = Duty("references", 0.0, partial(fetch, job))
        under_way.append(threading.Thread(target=_try, args=(duty,), daemon=True))
        under_way[-1].start()
        return 1

    while not stop.is_set():
        under_way[:] = [thread for thread in under_way if thread.is_alive()]
        if len(under_way) >= _AWAY or not _try(Duty("references_claimed", 0.0, claim)):
            stop.wait(0.1 if under_way else 0.25)
    ends = time.monotonic() + _HANDING_BACK
    for thread in under_way:
        thread.join(timeout=max(0.0, ends - time.monotonic()))


def look_back(world: World, stop: threading.Event) -> None:
    """Search what earlier uploads left, and read old media, until ``stop``.

    In a thread, for a piece can take seconds.
    """
    rng = random.SystemRandom()

    def pause(attempt: int) -> float:
        return backoff(attempt, rng)

    while not stop.is_set():
        try:
            with world.live("worker", wait=False) as live, closing(world.sweeper(live)) as sweeper:
                searches = Duty("rescans", 1.0, partial(sweeper.work, pause))
                readings = Duty("sifts", 1.0, partial(world.sifter(live).work, pause))
                while not stop.is_set():
                    if not _try(searches) + _try(readings):
                        stop.wait(searches.every)
        except Exception as error:  # deliveries must go on, and this must come again
            log.error("worker.defect", duty="rescans", error=type(error).__name__)
            stop.wait(5)


def delivery(world: World) -> Duty:
    """Telling platforms: beside the other duties, for a receiver can keep us waiting."""
    action, rng = world.action(), random.SystemRandom()

    def deliver() -> int:
        done = deliver_due(
            world.store, action, now, lambda attempt: backoff(attempt, rng), lanes=_LANES
        )
        return done.sent + done.failed

    return Duty("deliver", 0.25, deliver)


def tell(world: World, stop: threading.Event) -> None:
    """Deliver until ``stop``."""
    duty = delivery(world)
    while not stop.is_set():
        # A full plate means that there is more: look again at once.
        if _try(duty) < 20:
            stop.wait(duty.every)


def follow_lists(world: World, stop: threading.Event) -> None:
    """Read partners' lists until ``stop``: in a thread, for a partner can keep us waiting."""
    duty = Duty("lists", 60.0 * world.settings.sync_minutes, partial(read_lists, world))
    while not stop.wait(5.0):
        if time.monotonic() >= duty.next_at:
            _try(duty)
            duty.next_at = time.monotonic() + duty.every


def read_lists(world: World) -> int:
    """Read every list once; how many records were added or withdrawn."""
    with world.store.transaction() as unit:
        names = [one.name for one in unit.exchanges.all()]
    changed = 0
    for name in names:
        done = sync(world.lists(), name)
        changed += done.added + done.withdrawn
        if done.problem:
            log.warning("exchange.trouble", list=name, problem=done.problem)
    return changed


def run(world: World, stop: threading.Event) -> None:
    """Work until ``stop``. Trouble in one duty is logged and never keeps the others from theirs."""
    todo = duties(world)
    films = threading.Thread(target=project, args=(world, stop), name="films", daemon=True)
    films.start()
    lists = threading.Thread(target=follow_lists, args=(world, stop), name="lists", daemon=True)
    lists.start()
    backwards = threading.Thread(target=look_back, args=(world, stop), name="rescans", daemon=True)
    backwards.start()
    telling = threading.Thread(target=tell, args=(world, stop), name="deliver", daemon=True)
    telling.start()
    log.info("worker.started")
    with served(FIGURES, world.settings.metrics_host, world.settings.metrics_port):
        while not stop.is_set():
            FIGURES.turn()
            for duty in todo:
                if time.monotonic() < duty.next_at:
                    continue
                did = _try(duty)
                # A full plate means that there is more: look again at once.
                duty.next_at = time.monotonic() + (0.0 if did >= 20 else duty.every)
            stop.wait(0.1)
    telling.join(timeout=25)  # what is on its way arrives, or is tried again by another
    films.join(timeout=5)
    lists.join(timeout=5)
    backwards.join(timeout=5)
    log.info("worker.stopped")


def _try(duty: Duty) -> int:
    began = time.monotonic()
    try:
        did = duty.work()
    except Unavailable as error:
        log.warning("worker.waiting", duty=duty.name, error=str(error))
        return 0
    except ConsentryError as error:
        log.error("worker.trouble", duty=duty.name, code=error.code, error=str(error))
        FIGURES.trouble(duty.name)
        return 0
    except Exception as error:  # a defect in one duty must not stop deliveries
        # The type alone: a message could carry what was being worked on.
        log.error("worker.defect", duty=duty.name, error=type(error).__name__)
        FIGURES.trouble(duty.name)
        return 0
    if did:
        FIGURES.did(duty.name, did, time.monotonic() - began)
        log.info("worker.did", duty=duty.name, count=did)
    return did
