"""Every decision reaches the platform at least once.

Deliveries are jobs. Each attempt is recorded; a failed one comes again after a jittered, growing
pause; one that has used up its attempts becomes a dead letter, which the operator sees and can
replay. The event's id is constant over all attempts, so that a platform can tell a repeat.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from pipeline.actions import Action, DeliveryFailed
from pipeline.domain.ids import PlatformId
from pipeline.ports import Clock, Endpoint, Event, Job, Store, Unit

KIND = "deliver"
LEASE = timedelta(seconds=60)
BATCH = 20


@dataclass(frozen=True, slots=True)
class Delivered:
    """What one round did."""

    sent: int = 0
    failed: int = 0


def deliver_due(
    store: Store, action: Action, clock: Clock, pause: Callable[[int], float], limit: int = BATCH
) -> Delivered:
    """Claim due deliveries and try each once. ``pause(attempt)`` is the seconds until the next."""
    with store.transaction() as unit:
        jobs = unit.jobs.claim(KIND, limit, LEASE)
    sent = failed = 0
    for job in jobs:
        if _deliver(store, action, clock, pause, job):
            sent += 1
        else:
            failed += 1
    return Delivered(sent, failed)


def _deliver(
    store: Store, action: Action, clock: Clock, pause: Callable[[int], float], job: Job
) -> bool:
    with store.transaction() as unit:
        if not unit.jobs.renew(job, LEASE):
            return False  # it took so long to get here that somebody else has it
        event = unit.events.get(str(job.payload["event"]))
        endpoint = _endpoint(unit, event.platform) if event else None
    began, status, error = time.perf_counter(), None, None
    if event is None:
        error = "the event of this delivery is gone"
    elif endpoint is None:
        error = "the platform has no webhook address; set one with: consentry platforms webhook"
    else:
        try:
            status = action.deliver(event, endpoint)
        except DeliveryFailed as failure:
            status, error = failure.status, str(failure)
    milliseconds = (time.perf_counter() - began) * 1000
    now = clock()
    with store.transaction() as unit:
        if event is not None:
            unit.events.attempt(event.id, job, now, status, error, milliseconds)
        if error is None and event is not None:
            unit.events.delivered(event.id, now)
            if unit.jobs.done(job):
                _audit(unit, event, "delivery.made", job)
            return True
        last = event is None or job.attempts >= job.max_attempts
        retry_at = None if last else now + timedelta(seconds=pause(job.attempts))
        if unit.jobs.failed(job, error or "", retry_at) and last and event is not None:
            _audit(unit, event, "delivery.dead", job)
        return False


def _endpoint(unit: Unit, platform: PlatformId) -> Endpoint | None:
    found = unit.platforms.endpoint(platform)
    if found is None:
        return None
    url, sealed = found
    secret = unit.vault.unseal(platform, "platforms.webhook_secret", sealed).decode()
    return Endpoint(url, secret)


def _audit(unit: Unit, event: Event, action: str, job: Job) -> None:
    unit.audit.append(
        "service:deliver",
        action,
        f"case:{event.case}" if event.case else f"event:{event.id}",
        {"event": event.id, "platform": str(event.platform), "attempt": job.attempts},
    )
