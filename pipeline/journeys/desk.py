"""What every step at the review desk needs: the desk itself, and how platforms are told."""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pipeline.domain.case import LEASE, Case, CaseUpload
from pipeline.domain.ids import CaseId, PlatformId, WebhookId, uuid7
from pipeline.errors import NotFound
from pipeline.ports import Blobs, Clock, Event, Store, Unit

APPEAL_WINDOW = timedelta(days=14)
"""How long media outlive a decision, so that an appeal can be judged."""

DELIVERY_ATTEMPTS = 12


@dataclass(frozen=True, slots=True)
class Desk:
    """Where reviewers work: everything that its steps need."""

    store: Store
    blobs: Blobs
    clock: Clock
    appeal_window: timedelta = APPEAL_WINDOW
    lease: timedelta = LEASE
    chance: Callable[[], float] = random.SystemRandom().random
    """A number from 0 to 1 that decides whether a case is one of a sampled share."""


def tell(
    unit: Unit,
    case: Case,
    platform: PlatformId,
    uploads: tuple[CaseUpload, ...],
    now: datetime,
    *,
    kind: str | None = None,
    more: Mapping[str, Any] | None = None,
) -> str:
    """Keep an event for a platform, and the job that delivers it; the event's id.

    ``kind`` is the state that the platform is told of, where that is not the case's own; an
    appeal tells of the case that it is about.
    """
    said = kind or case.state.value
    data = {
        "case": str(case.subject),
        "decision": said,
        "ground": case.verdict.ground.value if case.verdict else None,
        "decided_at": (case.verdict.at if case.verdict else now).isoformat(),
        "uploads": named(uploads),
        **(more or {}),
    }
    event = event_of(platform, f"case.{said}", data, now, case.subject)
    announce(unit, event)
    return event.id


def named(uploads: Iterable[CaseUpload]) -> list[dict[str, str]]:
    """Uploads as a platform knows them."""
    return [
        {"content_id": upload.content_id, "screening": str(upload.screening)} for upload in uploads
    ]


def event_of(
    platform: PlatformId,
    kind: str,
    data: Mapping[str, Any],
    now: datetime,
    case: CaseId | None = None,
) -> Event:
    """An event as platforms receive it, under an id of its own; ``announce`` keeps it."""
    return Event(
        id=f"evt_{uuid7(now, secrets.token_bytes(10)).hex}",
        platform=platform,
        case=case,
        kind=kind,
        body={"type": kind, "timestamp": now.isoformat(), "data": dict(data)},
    )


def announce(unit: Unit, event: Event) -> None:
    """Keep an event, and a job for each of the platform's webhooks that chose events like it.

    Where none did it waits: a webhook that is added later, or chooses it later, is told of it.
    """
    unit.events.add(event)
    for webhook in unit.webhooks.of(event.platform):
        if webhook.wants(event.kind):
            send_to(unit, event.id, webhook.id)


def send_to(unit: Unit, event: str, webhook: WebhookId) -> None:
    """Have an event delivered to one webhook."""
    payload = {"event": event, "webhook": str(webhook)}
    unit.jobs.add("deliver", payload, max_attempts=DELIVERY_ATTEMPTS)


def by_platform(case: Case) -> list[tuple[PlatformId, tuple[CaseUpload, ...]]]:
    """A case's uploads, a platform at a time."""
    platforms = dict.fromkeys(upload.platform for upload in case.uploads)
    return [
        (platform, tuple(upload for upload in case.uploads if upload.platform == platform))
        for platform in platforms
    ]


def locked(unit: Unit, case: CaseId) -> Case:
    """A case, held until the transaction ends; raises ``NotFound``."""
    found = unit.cases.get(case, lock=True)
    if found is None:
        raise NotFound("there is no such case")
    return found


def fresh_case(now: datetime) -> CaseId:
    """An id for a new case."""
    return CaseId(uuid7(now, secrets.token_bytes(10)))
