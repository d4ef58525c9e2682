"""Enrolled faces, and the accounts that people allow to post them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from pipeline.domain.enrolment import NEXT, Enrolment, EnrolmentState
from pipeline.domain.grant import Grant
from pipeline.domain.ids import CaseId, EnrolmentId, GrantId, ItemId, PersonId, ReviewerId
from pipeline.storage import Queries


class PgEnrolments:
    """See ``pipeline.ports.Enrolments``."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    def alone(self) -> None:
        """See the port."""
        self._queries.one("enrolments_alone")

    def add(self, enrolment: Enrolment, sealed: bytes) -> None:
        """See the port."""
        self._queries.run(
            "enrolment_add",
            id=enrolment.id,
            person=enrolment.person,
            state=enrolment.state.value,
            photos=enrolment.photos,
            spaces=list(enrolment.spaces),
            text_version=enrolment.text_version,
            asked_at=enrolment.asked_at,
            expires_at=enrolment.expires_at,
            item=enrolment.item,
            organisation=enrolment.organisation,
            rival=enrolment.rival,
            likeness=enrolment.likeness,
            sealed=sealed,
        )

    def get(self, enrolment: EnrolmentId) -> Enrolment | None:
        """See the port."""
        row = self._queries.one("enrolment_get", id=enrolment)
        return _enrolment(row) if row else None

    def of(self, person: PersonId) -> list[Enrolment]:
        """See the port."""
        return [_enrolment(row) for row in self._queries.all("enrolments_of", person=person)]

    def of_item(self, item: ItemId) -> Enrolment | None:
        """See the port."""
        row = self._queries.one("enrolment_of_item", item=item)
        return _enrolment(row) if row else None

    def of_case(self, case: CaseId) -> Enrolment | None:
        """See the port."""
        row = self._queries.one("enrolment_of_case", case=case)
        return _enrolment(row) if row else None

    def unasked(self, limit: int) -> list[EnrolmentId]:
        """See the port."""
        return [row["id"] for row in self._queries.all("enrolments_unasked", limit=limit)]

    def save(self, enrolment: Enrolment, *, by: ReviewerId | None = None) -> None:
        """See the port."""
        self._queries.run(
            "enrolment_save",
            id=enrolment.id,
            state=enrolment.state.value,
            expires_at=enrolment.expires_at,
            item=enrolment.item,
            text_version=enrolment.text_version,
            rival=enrolment.rival,
            likeness=enrolment.likeness,
            decided_at=enrolment.decided_at,
            reason=enrolment.reason,
            case=enrolment.case,
            by=by,
            keeps=enrolment.item is None and bool(NEXT[enrolment.state]),
        )

    def sealed(self, enrolment: EnrolmentId) -> bytes | None:
        """See the port."""
        found: bytes | None = self._queries.value("enrolment_sealed", id=enrolment)
        return found

    def use_voucher(self, digest: bytes, now: datetime) -> bool:
        """See the port."""
        return self._queries.run("voucher_use", digest=digest, now=now) == 1

    def waiting(self, limit: int) -> list[Enrolment]:
        """See the port."""
        return [_enrolment(row) for row in self._queries.all("enrolments_waiting", limit=limit)]

    def due(self, now: datetime, limit: int) -> list[Enrolment]:
        """See the port."""
        return [
            _enrolment(row) for row in self._queries.all("enrolments_due", now=now, limit=limit)
        ]


class PgGrants:
    """See ``pipeline.ports.Grants``."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    def add(self, grant: Grant, digest: bytes, sealed: bytes) -> None:
        """See the port."""
        self._queries.run("grant_end_earlier", digest=digest, now=grant.given_at)
        self._queries.run(
            "grant_add",
            id=grant.id,
            person=grant.person,
            platform=grant.platform,
            digest=digest,
            sealed=sealed,
            given_at=grant.given_at,
            expires_at=grant.expires_at,
        )

    def of(self, person: PersonId) -> list[tuple[Grant, bytes]]:
        """See the port."""
        rows = self._queries.all("grants_of", person=person)
        return [(Grant(**row), sealed) for row in rows if (sealed := row.pop("sealed"))]

    def holding(self, digests: Iterable[bytes], now: datetime) -> list[Grant]:
        """See the port."""
        rows = self._queries.all("grants_holding", digests=list(digests), now=now)
        return [Grant(**row) for row in rows]

    def revoke(self, person: PersonId, grant: GrantId, now: datetime) -> bool:
        """See the port."""
        return self._queries.run("grant_revoke", person=person, id=grant, now=now) == 1


def _enrolment(row: dict[str, Any]) -> Enrolment:
    return Enrolment(
        **{**row, "state": EnrolmentState(row["state"]), "spaces": tuple(row["spaces"])}
    )
