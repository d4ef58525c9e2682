"""Every decision reaches each of the platform's webhooks that chose such events, at least once.

Deliveries are jobs, one for each event and webhook. Each attempt is recorded; a failed one comes
again after a jittered, growing pause; one that has used up its attempts becomes a dead letter,
which operator and platform see and can replay. The event's id is constant over all attempts, so
that a platform can tell a repeat.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from pipeline.actions import Action, DeliveryFailed
from pipeline.domain.ids import WebhookId
from pipeline.domain.webhook import Webhook
from pipeline.journeys.webhooks import endpoint_of
from pipeline.ports import Clock, Event, Job, Store, Unit

KIND = "deliver"
LEASE = timedelta(seconds=60)
BATCH = 20


@dataclass(frozen=True, slots=True)
class Delivered:
    """What one round did."""

    sent: int = 0
    failed: int = 0


def deliver_due(
    store: Store,
    action: Action,
    clock: Clock,
    pause: Callable[[int], float],
    limit: int = BATCH,
    lanes: int = 1,
) -> Delivered:
    """Claim due deliveries and try each once. ``pause(attempt)`` is the seconds until the next.

    With several ``lanes`` a slow receiver keeps its own lane waiting, and no other's.
    """
    with store.transaction() as unit:
        jobs = unit.jobs.claim(KIND, limit, LEASE)

    def attempt(job: Job) -> bool:
        return _deliver(store, action, clock, pause, job)

    if lanes > 1 and len(jobs) > 1:
        with ThreadPoolExecutor(lanes, thread_name_prefix="deliver") as pool:
            done = list(pool.map(attempt, jobs))
    else:
        done = [attempt(job) for job in jobs]
    return Delivered(sum(done), len(done) - sum(done))


def _deliver(
    store: Store, action: Action, clock: Clock, pause: Callable[[int], float], job: Job
) -> bool:
    with store.transaction() as unit:
        if not unit.jobs.renew(job, LEASE):
            return False  # it took so long to get here that somebody else has it
        event = unit.events.get(str(job.payload["event"]))
        webhook = _webhook(unit, event, job) if event else None
        endpoint = endpoint_of(unit, webhook, clock()) if webhook else None
    began, status, error = time.perf_counter(), None, None
    if event is None:
        error = "the event of this delivery is gone"
    elif endpoint is None:
        error = "the webhook was removed; add one with: consentry platforms webhook add"
    else:
        try:
            status = action.deliver(event, endpoint)
        except DeliveryFailed as failure:
            status, error = failure.status, str(failure)
    milliseconds = (time.perf_counter() - began) * 1000
    now = clock()
    with store.transaction() as unit:
        if event is not None:
            to = webhook.id if webhook else None
            unit.events.attempt(event.id, job, to, now, status, error, milliseconds)
        if error is None and event is not None:
            unit.events.delivered(event.id, now)
            if unit.jobs.done(job):
                _audit(unit, event, "delivery.made", job)
            return True
        last = event is None or endpoint is None or job.attempts >= job.max_attempts
        retry_at = None if last else now + timedelta(seconds=pause(job.attempts))
        if unit.jobs.failed(job, error or "", retry_at) and last and event is not None:
            _audit(unit, event, "delivery.dead", job)
        return False


def _webhook(unit: Unit, event: Event, job: Job) -> Webhook | None:
    """The webhook of a delivery; one that a process of the version before made has the oldest."""
    named = job.payload.get("webhook")
    if named is not None:
        return unit.webhooks.get(WebhookId(UUID(str(named))))
    return next(iter(unit.webhooks.of(event.platform)), None)


def _audit(unit: Unit, event: Event, action: str, job: Job) -> None:
    unit.audit.append(
        "service:deliver",
        action,
        f"case:{event.case}" if event.case else f"event:{event.id}",
        {"event": event.id, "platform": str(event.platform), "attempt": job.attempts},
    )
