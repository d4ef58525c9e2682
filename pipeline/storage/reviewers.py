"""The people who decide, and their sessions.

A session is a random token that only the browser has; here lies its digest. It ends by itself at
a set time, after half an hour without use, or when its reviewer is disabled.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from pipeline.domain.ids import ReviewerId
from pipeline.errors import Conflict, Invalid
from pipeline.ports import Reviewer, Session
from pipeline.storage import Queries

IDLE = timedelta(minutes=30)
"""How long a session may lie unused."""

ROLES = ("reviewer", "senior")


class PgReviewers:
    """Reviewers and sessions within one transaction."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    def add(self, login: str, password: str, role: str) -> ReviewerId:
        """A new reviewer; ``password`` is a digest. Raises ``Conflict`` when the login is taken."""
        if role not in ROLES:
            raise Invalid(f"there is no role {role!r}; there are: {', '.join(ROLES)}")
        found = self._queries.value("reviewers_add", login=login, password=password, role=role)
        if found is None:
            raise Conflict(f"the login {login!r} is taken; choose another")
        return ReviewerId(found)

    def by_login(self, login: str) -> tuple[Reviewer, str] | None:
        """A reviewer who may log in and the digest of her password."""
        row = self._queries.one("reviewers_by_login", login=login)
        return (_reviewer(row), str(row["password"])) if row else None

    def all(self) -> list[Mapping[str, Any]]:
        """Reviewers for the operator: id, login, role, created_at, disabled_at."""
        return list(self._queries.all("reviewers_all"))

    def set_password(self, reviewer: ReviewerId, password: str) -> bool:
        """Another password's digest; all her sessions end. False when there is no such reviewer."""
        self._queries.run("sessions_end_all", reviewer=reviewer)
        return self._queries.run("reviewers_set_password", reviewer=reviewer, password=password) > 0

    def disable(self, reviewer: ReviewerId, now: datetime) -> bool:
        """She may not log in any more, and her sessions end; false when it was so already."""
        self._queries.run("sessions_end_all", reviewer=reviewer)
        return self._queries.run("reviewers_disable", reviewer=reviewer, now=now) > 0

    def create_session(
        self, reviewer: ReviewerId, digest: bytes, csrf: str, now: datetime, expires: datetime
    ) -> None:
        """A session begins; ``digest`` is that of its token."""
        self._queries.run(
            "sessions_create",
            reviewer=reviewer,
            digest=digest,
            csrf=csrf,
            now=now,
            expires=expires,
        )

    def session(self, digest: bytes, now: datetime) -> Session | None:
        """The session of a token's digest, used now; None when it has ended."""
        row = self._queries.one("sessions_get", digest=digest, now=now, idle=IDLE)
        return Session(_reviewer(row), row["csrf"]) if row else None

    def end_session(self, digest: bytes) -> bool:
        """She logs out; false when the session was gone already."""
        return self._queries.run("sessions_delete", digest=digest) > 0

    def purge(self, now: datetime) -> int:
        """Remove sessions that ended by themselves; how many."""
        return self._queries.run("sessions_purge", now=now, idle=IDLE)


def _reviewer(row: Mapping[str, Any]) -> Reviewer:
    return Reviewer(ReviewerId(row["id"]), row["login"], row["role"])
