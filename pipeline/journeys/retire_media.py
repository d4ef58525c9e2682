"""Media under review are destroyed when their case and the appeal window have ended."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from pipeline.domain.ids import MediaId
from pipeline.ports import Blobs, Clock, Store, StoredMedium, Unit

ORPHAN_AGE = timedelta(hours=1)
"""A blob without a row is younger than this only while its upload is still being recorded."""


def destroy(unit: Unit, medium: StoredMedium, now: datetime, why: str) -> None:
    """Shred a medium's key and codes and audit it.

    The blob is unreadable from here on; the caller removes it once this is committed.
    """
    unit.vault.shred(medium.id)
    unit.media.destroyed(medium.id, now)
    unit.audit.append(
        "service:media",
        "media.destroyed",
        f"case:{medium.case}",
        {"media": str(medium.id), "why": why},
    )


def retire_due(store: Store, blobs: Blobs, clock: Clock, limit: int = 100) -> int:
    """Destroy media whose time has come; how many."""
    with store.transaction() as unit:
        due = unit.media.due(clock(), limit)
        for medium in due:
            destroy(unit, medium, clock(), "window ended")
    for medium in due:
        blobs.destroy(medium.id)
    return len(due)


def sweep_orphans(store: Store, blobs: Blobs, age: timedelta = ORPHAN_AGE) -> int:
    """Remove blobs that belong to no medium (a crash between sealing and recording); how many."""
    swept = 0
    for names in _batches(blobs.older_than(age)):
        with store.transaction() as unit:
            known = unit.media.known_blobs(names)
            unknown = [name for name in names if name not in known]
            for name in unknown:
                unit.vault.shred(name)
        for name in unknown:
            swept += blobs.destroy(name)
    return swept


def _batches(names: Iterable[MediaId], size: int = 500) -> Iterable[list[MediaId]]:
    batch: list[MediaId] = []
    for name in names:
        batch.append(name)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
