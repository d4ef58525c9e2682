"""Who is signed in to her own case: digests of tokens, deleted with the person."""

from __future__ import annotations

from datetime import datetime

from pipeline.domain.ids import PersonId
from pipeline.ports import Visit
from pipeline.storage import Queries


class PgVisits:
    """See ``pipeline.ports.Visits``."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    def begin(
        self, person: PersonId, digest: bytes, csrf: str, now: datetime, expires: datetime
    ) -> None:
        """See the port."""
        self._queries.run(
            "visit_begin", person=person, digest=digest, csrf=csrf, now=now, expires=expires
        )

    def get(self, digest: bytes, now: datetime) -> Visit | None:
        """See the port."""
        row = self._queries.one("visit_get", digest=digest, now=now)
        return Visit(row["person"], row["csrf"]) if row else None

    def end(self, digest: bytes) -> None:
        """See the port."""
        self._queries.run("visit_end", digest=digest)

    def purge(self, now: datetime) -> int:
        """See the port."""
        return self._queries.run("visits_purge", now=now)
