"""An account on a platform that a person allows to post her: her own, a studio's.

A grant never clears anything. It says to the reviewer that the person herself named this account,
so that the case can wait behind those without one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pipeline.domain.ids import GrantId, PersonId, PlatformId

MOST_YEARS = 3
UNDER_GRANT = -10
"""The priority of a case in which everybody has allowed the account: after the ordinary ones."""


@dataclass(frozen=True, slots=True)
class Grant:
    """Until when which account may post whom. The account's name is sealed elsewhere."""

    id: GrantId
    person: PersonId
    platform: PlatformId
    given_at: datetime
    expires_at: datetime
    revoked_at: datetime | None = None

    def holds(self, now: datetime) -> bool:
        """Whether the grant is in force."""
        return self.revoked_at is None and now < self.expires_at


def in_words(given_at: datetime, expires_at: datetime, revoked_at: datetime | None) -> str:
    """A grant as a reviewer reads it."""
    said = (
        "The person has allowed this account to post her,"
        f" from {given_at:%Y-%m-%d} until {expires_at:%Y-%m-%d}"
    )
    return f"{said}; she revoked it on {revoked_at:%Y-%m-%d}." if revoked_at else f"{said}."


def asked_for(person: PersonId, platform: PlatformId, account: str) -> bytes:
    """What the keyed digest of a grant is made of.

    Capitals and a leading @ make no difference: people write their own accounts in many ways, and
    a grant that reaches too far only orders cases.
    """
    return f"grant|{person}|{platform}|{account.strip().removeprefix('@').casefold()}".encode()
