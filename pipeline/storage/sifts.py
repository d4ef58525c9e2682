"""Old media that are read again: their references, sealed, and how it went."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pipeline.domain.ids import PlatformId, SiftId
from pipeline.domain.media import Rating
from pipeline.ports import Reference, Sift, SiftProgress
from pipeline.storage import Queries
from pipeline.storage.jobs import PgJobs
from pipeline.storage.vault import PgVault

_COLUMN = "sift_batches.refs"


class PgSifts:
    """See ``pipeline.ports.Sifts``."""

    def __init__(self, queries: Queries, vault: PgVault) -> None:
        self._queries, self._vault = queries, vault

    def add(self, sift: Sift) -> None:
        """See the port."""
        self._queries.run(
            "sift_add",
            id=sift.id,
            platform=sift.platform,
            source=sift.source,
            rating=sift.rating.value,
            asked_at=sift.asked_at,
            asked_by=sift.asked_by,
        )

    def get(self, sift: SiftId) -> Sift | None:
        """See the port."""
        row = self._queries.one("sift_get", id=sift)
        return _sift(row) if row else None

    def unfinished(self, platform: PlatformId, source: str) -> Sift | None:
        """See the port."""
        row = self._queries.one("sift_unfinished", platform=platform, source=source)
        return _sift(row) if row else None

    def list_more(
        self,
        sift: Sift,
        batches: Sequence[Sequence[Reference]],
        kind: str,
        max_attempts: int,
        *,
        complete: bool,
    ) -> bool:
        """See the port."""
        more = sum(len(batch) for batch in batches)
        ours = self._queries.one(
            "sift_listed", id=sift.id, before=sift.listed, more=more, complete=complete
        )
        if ours is None:
            return False
        jobs, number = PgJobs(self._queries), sift.listed
        for batch in batches:
            number += len(batch)
            job = jobs.add(
                kind, {"sift": str(sift.id), "number": number}, max_attempts=max_attempts
            )
            clear = json.dumps([[one.content_id, one.place] for one in batch]).encode()
            self._queries.run(
                "sift_batch_add",
                sift=sift.id,
                number=number,
                job=job,
                items=len(batch),
                refs=self._vault.seal(sift.platform, _COLUMN, clear),
            )
        return True

    def batch(self, sift: Sift, number: int) -> list[Reference] | None:
        """See the port."""
        row = self._queries.one("sift_batch", sift=sift.id, number=number)
        if row is None:
            return None
        clear = self._vault.unseal(sift.platform, _COLUMN, row["refs"])
        return [Reference(content_id, place) for content_id, place in json.loads(clear)]

    def done(
        self, sift: SiftId, number: int, now: datetime, *, clear: int, refused: int, found: int,
        seconds: float,
    ) -> None:  # fmt: skip
        """See the port."""
        self._queries.run(
            "sift_batch_done",
            sift=sift,
            number=number,
            now=now,
            clear=clear,
            refused=refused,
            found=found,
            seconds=seconds,
        )

    def progress(self, sift: SiftId) -> SiftProgress:
        """See the port."""
        row = self._queries.one("sift_progress", sift=sift)
        assert row is not None  # an aggregate always has a row
        return SiftProgress(**row)

    def revive(self, sift: SiftId) -> int:
        """See the port."""
        return self._queries.run("sift_revive", sift=sift)


def _sift(row: dict[str, Any]) -> Sift:
    return Sift(**{**row, "rating": Rating(row["rating"])})
