"""A person names accounts that may post her, and takes that back.

Nothing is cleared by it: what such an account uploads is still looked at, later than the rest.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime

from pipeline.domain.enrolment import expiry
from pipeline.domain.grant import MOST_YEARS, Grant, asked_for
from pipeline.domain.ids import GrantId, PersonId, PlatformId, uuid7
from pipeline.errors import Invalid, NotFound
from pipeline.ports import Clock, Store

SEALED = "grants.account"


@dataclass(frozen=True, slots=True)
class Allowed:
    """A grant as its person sees it."""

    grant: Grant
    account: str


def allow(
    store: Store,
    clock: Clock,
    person: PersonId,
    platform: PlatformId,
    account: str,
    until: datetime | None = None,
    actor: str = "person",
) -> Grant:
    """An account may post a person until a day, one year on unless she says otherwise."""
    now = clock()
    until = until or expiry(now, 1)
    if not account.strip() or len(account) > 200:
        raise Invalid("an account's name has 1 to 200 characters, as the platform writes it")
    if not now < until <= expiry(now, MOST_YEARS):
        raise Invalid(f"a grant ends in the future and within {MOST_YEARS} years")
    grant = Grant(GrantId(uuid7(now, secrets.token_bytes(10))), person, platform, now, until)
    with store.transaction() as unit:
        if not unit.registry.hold(person):
            raise NotFound("there is no such person (any more)")
        digest = unit.vault.fingerprint(asked_for(person, platform, account))
        sealed = unit.vault.seal(person, SEALED, account.strip().encode())
        unit.grants.add(grant, digest, sealed)
        unit.audit.append(actor, "grant.given", f"grant:{grant.id}", {})
    return grant


def allowed(store: Store, person: PersonId) -> list[Allowed]:
    """What a person has allowed, newest first, grants that ended included."""
    with store.transaction() as unit:
        return [
            Allowed(grant, unit.vault.unseal(person, SEALED, sealed).decode())
            for grant, sealed in unit.grants.of(person)
        ]


def revoke(
    store: Store, clock: Clock, person: PersonId, grant: GrantId, actor: str = "person"
) -> None:
    """Take a grant back; raises ``NotFound`` when there is none in force."""
    with store.transaction() as unit:
        if not unit.grants.revoke(person, grant, clock()):
            raise NotFound("there is no such grant in force; see: consentry grants list CASE")
        unit.audit.append(actor, "grant.revoked", f"grant:{grant}", {})
