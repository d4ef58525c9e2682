"""Somebody uploads variants of a picture until one passes: that is noticed, and the platform told.

Counted are different uploads of one account that came near to one registered picture or video,
those that were let through for being a little too far away included. What is kept for the length
of a window is two keyed digests and whose picture it was; it is gone with the person, or when the
window has passed. The account is the platform's own name for it, and the platform is told of the
upload by which it was noticed, not of the account.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from pipeline.domain.evidence import Hit
from pipeline.domain.ids import ItemId, PersonId
from pipeline.domain.screening import Screening, Verdict
from pipeline.domain.signal import Metric
from pipeline.journeys.desk import announce, event_of
from pipeline.ports import Clock, Store, Unit

PROBING = "uploads.probing"


@dataclass(frozen=True, slots=True)
class Suspicion:
    """From how many uploads within how long an account is taken to be probing; 0 for never."""

    uploads: int = 6
    within: timedelta = timedelta(hours=24)


def notice_probing(
    unit: Unit,
    suspicion: Suspicion,
    answered: Screening,
    account: str | None,
    fingerprint: bytes,
    hits: Iterable[Hit],
    now: datetime,
) -> bool:
    """Count an upload that came near to somebody's item; whether an alarm was raised just now.

    Faces don't count: different pictures of one person are no variants of a picture.
    """
    if not account or suspicion.uploads <= 0:
        return False
    near: dict[ItemId, PersonId] = {
        hit.owner.item: hit.owner.person for hit in hits if hit.metric is Metric.HAMMING
    }
    hit = answered.verdict in (Verdict.REVIEW, Verdict.KNOWN)
    raised = False
    for item, person in sorted(near.items(), key=lambda one: one[0].bytes):
        subject = unit.vault.fingerprint(
            b"probe|" + answered.platform.bytes + item.bytes + account.encode()
        )
        unit.probes.add(subject, fingerprint, person, now, hit=hit)
        uploads, around_a_hit, before = unit.probes.count(subject, now - suspicion.within)
        if uploads >= suspicion.uploads and around_a_hit and not before:
            unit.probes.raise_alarm(subject, answered.platform, uploads, now)
            if not raised:
                _tell(unit, suspicion, answered, uploads, now)
            raised = True
    return raised


def forget_probes(store: Store, clock: Clock, suspicion: Suspicion) -> int:
    """Destroy what has left the window; how many digests."""
    with store.transaction() as unit:
        return unit.probes.forget(clock() - suspicion.within)


def _tell(
    unit: Unit, suspicion: Suspicion, answered: Screening, uploads: int, now: datetime
) -> None:
    hours = suspicion.within / timedelta(hours=1)
    unit.audit.append(
        "service:screening",
        "probing.noticed",
        f"screening:{answered.id}",
        {"platform": str(answered.platform), "uploads": uploads, "hours": hours},
    )
    data = {
        "screening": str(answered.id),
        "content_id": answered.upload.content_id,
        "variants": uploads,  # `uploads` is a list wherever an event has it
        "hours": hours,
    }
    announce(unit, event_of(answered.platform, PROBING, data, now))
