"""Work to be done at least once, in one table.

An attempt is counted when a job is claimed, not when it fails: a job that kills its worker each
time runs out of attempts like any other. The fence grows with every claim, so that a worker who
was thought dead cannot answer for a job that somebody else has taken since.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg.types.json import Jsonb

from pipeline.errors import Invalid
from pipeline.ports import Depth, Job
from pipeline.storage import Queries

BASE_SECONDS = 5.0
CAP_SECONDS = 6 * 3600.0
_ERROR_LENGTH = 500


@dataclass(frozen=True, slots=True)
class DeadJob:
    """A job that nobody will try again until it is replayed."""

    id: int
    kind: str
    payload: Mapping[str, Any]
    attempts: int
    error: str | None
    died_at: datetime


def backoff(attempt: int, rng: random.Random) -> float:
    """Seconds to wait after the ``attempt``-th failure, counted from 1.

    Uniform between 5 s and a ceiling that doubles from 10 s up to 6 h: jitter over the whole range
    keeps those who failed together from coming back together.
    """
    if attempt < 1:
        raise Invalid("attempts are counted from 1")
    return rng.uniform(BASE_SECONDS, min(CAP_SECONDS, BASE_SECONDS * 2 ** min(attempt, 32)))


class PgJobs:
    """Jobs within one transaction; its claims hold once it commits."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    def add(
        self,
        kind: str,
        payload: Mapping[str, Any],
        *,
        max_attempts: int,
        run_at: datetime | None = None,
    ) -> int:
        """A new job, due now unless a time is given; its id."""
        if max_attempts < 1:
            raise Invalid("a job needs at least one attempt")
        return int(
            self._queries.value(
                "jobs_add",
                kind=kind,
                payload=Jsonb(dict(payload)),
                max_attempts=max_attempts,
                run_at=run_at,
            )
        )

    def claim(self, kind: str, limit: int, lease: timedelta) -> list[Job]:
        """Take up to ``limit`` jobs: first those whose lease ran out, then those that are due.

        The attempt is counted now. A job that has used up its attempts without an answer is made
        dead instead, and counts for nothing here.
        """
        taken = self._queries.all("jobs_reclaim", kind=kind, limit=limit, lease=lease)
        if len(taken) < limit:
            rest = limit - len(taken)
            taken += self._queries.all("jobs_claim", kind=kind, limit=rest, lease=lease)
        return [Job(**row) for row in taken]

    def renew(self, job: Job, lease: timedelta) -> bool:
        """Hold a job for ``lease`` from now; false when the claim was lost."""
        return self._queries.run("jobs_renew", id=job.id, fence=job.fence, lease=lease) > 0

    def done(self, job: Job) -> bool:
        """The work is done; false when the claim was lost."""
        return self._queries.run("jobs_done", id=job.id, fence=job.fence) > 0

    def failed(self, job: Job, error: str, retry_at: datetime | None) -> bool:
        """The attempt failed: again later, or dead without ``retry_at`` or after the last attempt.

        False when the claim was lost.
        """
        return (
            self._queries.run(
                "jobs_failed",
                id=job.id,
                fence=job.fence,
                error=error.replace("\0", "")[:_ERROR_LENGTH],
                retry_at=retry_at,
            )
            > 0
        )

    def hand_back(self, job: Job) -> bool:
        """The work goes on elsewhere, now, and no attempt is lost; false when the claim was."""
        return self._queries.run("jobs_hand_back", id=job.id, fence=job.fence) > 0

    def replay(self, job: int) -> bool:
        """Give a dead job its attempts back; false when it is not dead."""
        return self._queries.run("jobs_replay", id=job) > 0

    def depth(self) -> list[Depth]:
        """Figures for every kind that has jobs which are not done."""
        return [Depth(**row) for row in self._queries.all("jobs_depth")]

    def dead(self, limit: int) -> list[DeadJob]:
        """Dead jobs, the latest first."""
        return [
            DeadJob(
                id=row["id"],
                kind=row["kind"],
                payload=row["payload"],
                attempts=row["attempts"],
                error=row["last_error"],
                died_at=row["finished_at"],
            )
            for row in self._queries.all("jobs_dead", limit=limit)
        ]
