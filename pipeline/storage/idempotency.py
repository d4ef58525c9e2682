"""Requests that may be sent twice and answered once: claims that survive crashes, and answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Any

from psycopg.types.json import Jsonb

from pipeline.domain.ids import PlatformId
from pipeline.storage import Database, Queries

REMEMBERED = timedelta(hours=24)
"""How long an answer is given again."""

PATIENCE = timedelta(seconds=60)
"""After how long a claim without an answer counts as given up: its process has died."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to answer. It can be lost to somebody who thought that we had died."""

    platform: PlatformId
    key: str
    claimed: datetime


@dataclass(frozen=True, slots=True)
class Earlier:
    """An answer that was given before."""

    status: int
    answer: Mapping[str, Any]


class Taken(Enum):
    """Why a key cannot be claimed."""

    IN_PROGRESS = auto()
    """The same request is being answered."""
    OTHER_REQUEST = auto()
    """The key came with another request."""


class Idempotency:
    """Keys of all platforms. ``key`` and ``request`` are keyed digests: nothing is kept in clear.

    Each call is a transaction of its own, so that a claim is seen by others while it is worked on.
    Raises ``Unavailable`` when the database is away.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def claim(self, platform: PlatformId, key: str, request: bytes) -> Claim | Earlier | Taken:
        """Claim a key, or learn what became of it."""
        with self._database.transaction() as connection:
            queries = Queries(connection)
            claimed = queries.value(
                "idempotency_claim",
                platform=platform,
                key=key,
                request=request,
                remembered=REMEMBERED,
                patience=PATIENCE,
            )
            if claimed is not None:
                return Claim(platform, key, claimed)
            row = queries.one("idempotency_get", platform=platform, key=key)
        assert row is not None  # the claim that failed holds the row until here
        if bytes(row["request"]) != request:
            return Taken.OTHER_REQUEST
        if row["status"] is None:
            return Taken.IN_PROGRESS
        return Earlier(row["status"], row["answer"])

    def answer(self, claim: Claim, status: int, answer: Mapping[str, Any]) -> bool:
        """Remember the answer; false when the claim was lost."""
        with self._database.transaction() as connection:
            return (
                Queries(connection).run(
                    "idempotency_answer",
                    platform=claim.platform,
                    key=claim.key,
                    claimed=claim.claimed,
                    status=status,
                    answer=Jsonb(dict(answer)),
                )
                > 0
            )

    def release(self, claim: Claim) -> None:
        """Give a claim up: the request may be tried again at once."""
        with self._database.transaction() as connection:
            Queries(connection).run(
                "idempotency_release",
                platform=claim.platform,
                key=claim.key,
                claimed=claim.claimed,
            )

    def purge(self) -> int:
        """Forget what is older than ``REMEMBERED``; how many."""
        with self._database.transaction() as connection:
            return Queries(connection).run("idempotency_purge", remembered=REMEMBERED)
