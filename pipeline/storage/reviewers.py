"""The people who decide, and their sessions.

A session is a random token that only the browser has; here lies its digest. It ends by itself at
a set time, after half an hour without use, or when its reviewer is disabled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from pipeline.domain.ids import PlatformId, ReviewerId
from pipeline.domain.roles import Role
from pipeline.errors import Conflict, Invalid
from pipeline.ports import Factor, Reviewer, Session
from pipeline.storage import Queries

IDLE = timedelta(minutes=30)
"""How long a session may lie unused."""

ROLES = tuple(role.value for role in Role)


class PgReviewers:
    """Reviewers and sessions within one transaction."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    def add(self, login: str, password: str, role: str) -> ReviewerId:
        """A new reviewer; ``password`` is a digest. Raises ``Conflict`` when the login is taken."""
        _known(role)
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
        self,
        reviewer: ReviewerId,
        digest: bytes,
        csrf: str,
        now: datetime,
        expires: datetime,
        *,
        proven: bool = True,
    ) -> None:
        """A session begins; ``digest`` is that of its token."""
        self._queries.run(
            "sessions_create",
            reviewer=reviewer,
            digest=digest,
            csrf=csrf,
            now=now,
            expires=expires,
            proven=proven,
        )

    def session(self, digest: bytes, now: datetime) -> Session | None:
        """The session of a token's digest, used now; None when it has ended."""
        row = self._queries.one("sessions_get", digest=digest, now=now, idle=IDLE)
        return Session(_reviewer(row), row["csrf"], row["proven"]) if row else None

    def prove_session(self, digest: bytes) -> None:
        """The second factor was given."""
        self._queries.run("sessions_prove", digest=digest)

    def set_challenge(self, digest: bytes, challenge: bytes | None) -> None:
        """Keep what a security key was asked to sign."""
        self._queries.run("sessions_challenge_set", digest=digest, challenge=challenge)

    def challenge(self, digest: bytes) -> bytes | None:
        """What a security key was asked to sign."""
        found = self._queries.value("sessions_challenge", digest=digest)
        return None if found is None else bytes(found)

    def set_role(self, reviewer: ReviewerId, role: str) -> bool:
        """Another role; all sessions end. False when there is no such reviewer."""
        _known(role)
        self._queries.run("sessions_end_all", reviewer=reviewer)
        return self._queries.run("reviewers_set_role", reviewer=reviewer, role=role) > 0

    def set_queues(self, reviewer: ReviewerId, queues: Sequence[str] | None) -> None:
        """Which queues somebody works at; None for all."""
        listed = None if queues is None else list(queues)
        self._queries.run("reviewers_set_queues", reviewer=reviewer, queues=listed)

    def set_preferences(self, reviewer: ReviewerId, preferences: Mapping[str, Any]) -> None:
        """What somebody chose for themself."""
        self._queries.run(
            "reviewers_set_preferences", reviewer=reviewer, preferences=Jsonb(dict(preferences))
        )

    def exclude_platform(self, reviewer: ReviewerId, platform: PlatformId) -> None:
        """Never give somebody a case of this platform."""
        self._queries.run("platform_exclude", reviewer=reviewer, platform=platform)

    def factors(self, reviewer: ReviewerId) -> list[Factor]:
        """Somebody's second factors."""
        return [Factor(**row) for row in self._queries.all("factors_of", reviewer=reviewer)]

    def add_key(
        self, reviewer: ReviewerId, credential: bytes, public_key: bytes, counter: int
    ) -> None:
        """A security key."""
        self._queries.run(
            "factor_add",
            reviewer=reviewer,
            kind="key",
            credential=credential,
            public_key=public_key,
            counter=counter,
            sealed=None,
        )

    def add_totp(self, reviewer: ReviewerId, sealed: bytes, counter: int) -> None:
        """An app that shows codes; its secret sealed, and the step whose code proved it."""
        self._queries.run(
            "factor_add",
            reviewer=reviewer,
            kind="totp",
            credential=None,
            public_key=None,
            counter=counter,
            sealed=sealed,
        )

    def use_factor(self, factor: UUID, counter: int, now: datetime) -> bool:
        """A factor was used; false when its counter has not grown, which is a replay."""
        return self._queries.run("factor_use", id=factor, counter=counter, now=now) > 0

    def forget_factors(self, reviewer: ReviewerId) -> int:
        """Somebody lost theirs; how many there were. All sessions end."""
        self._queries.run("sessions_end_all", reviewer=reviewer)
        return self._queries.run("factors_forget", reviewer=reviewer)

    def end_session(self, digest: bytes) -> bool:
        """She logs out; false when the session was gone already."""
        return self._queries.run("sessions_delete", digest=digest) > 0

    def purge(self, now: datetime) -> int:
        """Remove sessions that ended by themselves; how many."""
        return self._queries.run("sessions_purge", now=now, idle=IDLE)


def _reviewer(row: Mapping[str, Any]) -> Reviewer:
    queues = row["queues"]
    return Reviewer(
        ReviewerId(row["id"]),
        row["login"],
        row["role"],
        row["pseudonym"],
        None if queues is None else tuple(queues),
        row["preferences"],
    )


def _known(role: str) -> None:
    if role not in ROLES:
        raise Invalid(f"there is no role {role!r}; there are: {', '.join(ROLES)}")
