"""Uploads by address between their request and their answer, and the batches they came in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from pipeline.domain.ids import BatchId, PlatformId, ScreeningId
from pipeline.domain.media import Rating, Upload
from pipeline.ports import Batch, Job, PendingReference
from pipeline.storage import Queries
from pipeline.storage.vault import PgVault

_COLUMN = "pending_references.sealed"


class PgReferences:
    """See ``pipeline.ports.References``."""

    def __init__(self, queries: Queries, vault: PgVault) -> None:
        self._queries, self._vault = queries, vault

    def understood(self) -> bool:
        """See the port."""
        return bool(self._queries.value("references_understood"))

    def waiting(self, platform: PlatformId) -> int:
        """See the port."""
        return int(self._queries.value("reference_waiting", platform=platform))

    def add(self, reference: PendingReference) -> None:
        """See the port."""
        clear = json.dumps([reference.url, reference.upload.uploader]).encode()
        self._queries.run(
            "reference_add",
            id=reference.id,
            platform=reference.platform,
            content_id=reference.upload.content_id,
            rating=reference.upload.rating.value,
            sealed=self._vault.seal(reference.platform, _COLUMN, clear),
            job=reference.job,
            received_at=reference.received_at,
        )

    def get(
        self, screening: ScreeningId, platform: PlatformId | None = None
    ) -> PendingReference | None:
        """See the port."""
        row = self._queries.one("reference_get", id=screening)
        if row is None or (platform is not None and row["platform"] != platform):
            return None
        return self._reference(row)

    def end(self, screening: ScreeningId) -> bool:
        """See the port."""
        return self._queries.run("reference_end", id=screening) == 1

    def claim(self, kind: str, lease: timedelta, most: int) -> list[Job]:
        """See the port."""
        taken = self._queries.all("jobs_reclaim", kind=kind, limit=1, lease=lease)
        if not taken:
            taken = self._queries.all("reference_claim", kind=kind, lease=lease, most=most)
        return [Job(**row) for row in taken]

    def given_up(self, limit: int) -> list[PendingReference]:
        """See the port."""
        return [
            self._reference(row) for row in self._queries.all("references_given_up", limit=limit)
        ]

    def _reference(self, row: Mapping[str, Any]) -> PendingReference:
        url, uploader = json.loads(self._vault.unseal(row["platform"], _COLUMN, row["sealed"]))
        return PendingReference(
            id=row["id"],
            platform=row["platform"],
            upload=Upload(row["content_id"], uploader, Rating(row["rating"])),
            url=url,
            job=row["job"],
            received_at=row["received_at"],
        )


class PgBatches:
    """See ``pipeline.ports.Batches``."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    def add(self, batch: Batch, screenings: list[ScreeningId], once: str | None) -> None:
        """See the port."""
        self._queries.run(
            "batch_add",
            id=batch.id,
            platform=batch.platform,
            once=once,
            items=batch.items,
            received_at=batch.received_at,
        )
        self._queries.many(
            "batch_item_add",
            [
                {"batch": batch.id, "number": number, "screening": one}
                for number, one in enumerate(screenings)
            ],
        )

    def get(self, batch: BatchId, platform: PlatformId) -> Batch | None:
        """See the port."""
        row = self._queries.one("batch_get", id=batch)
        return Batch(**row) if row and row["platform"] == platform else None

    def found(self, platform: PlatformId, once: str, since: datetime) -> BatchId | None:
        """See the port."""
        found = self._queries.value("batch_found", platform=platform, once=once, since=since)
        return BatchId(found) if found else None

    def page(self, batch: BatchId, after: int, limit: int) -> list[tuple[int, ScreeningId]]:
        """See the port."""
        rows = self._queries.all("batch_items_page", batch=batch, after=after, limit=limit)
        return [(row["number"], ScreeningId(row["screening"])) for row in rows]

    def over(self, now: datetime, limit: int) -> list[Batch]:
        """See the port."""
        return [Batch(**row) for row in self._queries.all("batches_over", now=now, limit=limit)]

    def verdicts(self, batch: BatchId) -> dict[str, int]:
        """See the port."""
        rows = self._queries.all("batches_verdicts", batch=batch)
        return {row["verdict"]: row["count"] for row in rows}

    def forget(self, ended: datetime, keys: datetime) -> int:
        """See the port."""
        self._queries.run("batches_forget_keys", before=keys)
        return max(0, self._queries.run("batches_purge", before=ended))
