"""Negative banks are kept: made, taught by a lead from dismissed cases, emptied in time, given up.

No codes ever come out of a bank, and nobody can look for anybody in one: it is only ever asked
while an upload is judged.
"""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import timedelta

from pipeline.domain.bank import NEGATIVE, WITHIN, Bank
from pipeline.domain.case import Ground, State
from pipeline.domain.consent import Consent, ConsentState, Purpose
from pipeline.domain.entry import Layout, read_key
from pipeline.domain.evidence import Source
from pipeline.domain.ids import CaseId, PersonId, ReceiptId, ReviewerId
from pipeline.domain.roles import Role
from pipeline.domain.signal import rows_of, split_all
from pipeline.errors import Conflict, Denied, Invalid, NotFound
from pipeline.journeys.register import join
from pipeline.journeys.sign_in import new_credentials
from pipeline.journeys.withdraw import leave
from pipeline.ports import Clock, NewEntry, Pins, Store, Unit

_BATCH = 200


def add_bank(
    store: Store,
    clock: Clock,
    pins: Pins,
    name: str,
    keeps: timedelta,
    owners: str = "",
    notes: str = "",
) -> None:
    """A new negative bank; nothing is in it yet."""
    given = new_credentials()  # nobody is told them
    pin = pins.digest(secrets.token_urlsafe(32))
    consent = Consent(Purpose.HASHES, "bank:negative").to(ConsentState.GIVEN, clock())
    with store.transaction() as unit:
        holder = join(unit, given, pin, consent)
        if not unit.banks.add(Bank(name.strip(), holder, keeps, owners, notes)):
            raise Conflict(f"there is a bank {name!r} already; choose another name")
        unit.audit.append("operator:cli", "bank.added", f"person:{holder}", {"kind": NEGATIVE})


def bank_named(unit: Unit, name: str) -> tuple[Bank, int]:
    """A bank by its name, and how many pictures it holds."""
    there = {bank.name: (bank, pictures) for bank, pictures in unit.banks.all()}
    if name not in there:
        raise NotFound(f"there is no bank {name!r}; there are: {', '.join(there) or 'none yet'}")
    return there[name]


def set_bank(
    store: Store,
    name: str,
    keeps: timedelta | None = None,
    owners: str | None = None,
    notes: str | None = None,
) -> Bank:
    """Say something else of a bank; what is None stays."""
    with store.transaction() as unit:
        bank, _ = bank_named(unit, name)
        after = replace(
            bank,
            keeps=bank.keeps if keeps is None else keeps,
            owners=bank.owners if owners is None else owners,
            notes=bank.notes if notes is None else notes,
        )
        unit.banks.set(after)
        body = {"days": after.keeps.days}
        unit.audit.append("operator:cli", "bank.set", f"person:{bank.holder}", body)
    return after


def learn(store: Store, name: str, case: CaseId, who: ReviewerId, role: str) -> int:
    """Put the uploads of a case into a bank; how many pictures that are. A lead's decision.

    Only of a case that was dismissed as a wrong match, while its media are kept. Of each upload
    the hashes of the whole picture join the bank, nothing else.
    """
    if role != Role.LEAD:
        raise Denied("only a lead puts false matches into a bank")
    with store.transaction() as unit:
        bank, _ = bank_named(unit, name)
        found = unit.cases.get(case, lock=True)
        if found is None:
            raise NotFound("there is no such case")
        verdict = found.verdict
        if found.state is not State.DISMISSED or verdict is None:
            raise Invalid("only a case that was dismissed teaches a negative bank")
        if verdict.ground is not Ground.WRONG_MATCH:
            raise Invalid(f"this case was dismissed as {verdict.ground}, not as a wrong match")
        learned = 0
        for medium in unit.media.of_case(case):
            if medium.codes is None or medium.destroyed_at is not None:
                continue
            packed = unit.vault.unseal(medium.id, "media.codes", medium.codes)
            entries = _entries(unit, bank.holder, packed)
            if entries:
                unit.registry.add_item(bank.holder, NEGATIVE, Source.REGISTERED, entries)
                learned += 1
        if not learned:
            raise Conflict("nothing of this case's pictures is kept any more")
        unit.audit.append(
            f"reviewer:{who}", "bank.learned", f"case:{case}",
            {"bank": str(bank.holder), "pictures": learned},
        )  # fmt: skip
    return learned


def give_up_bank(store: Store, clock: Clock, name: str) -> ReceiptId:
    """Let go of a bank and of all that it holds; its withdrawal's receipt."""
    with store.transaction() as unit:
        bank, _ = bank_named(unit, name)
    return leave(store, clock, bank.holder)


def empty_outdated(store: Store, clock: Clock) -> int:
    """Destroy what has lain in a bank for as long as it is kept; how many pictures."""
    with store.transaction() as unit:
        items = unit.banks.outdated(clock(), _BATCH)
        for item in items:
            unit.registry.destroy_item(item)
        if items:
            unit.audit.append("service:worker", "bank.outdated", "banks", {"pictures": len(items)})
    return len(items)


def _entries(unit: Unit, holder: PersonId, packed: bytes) -> list[NewEntry]:
    return [
        NewEntry(space, rows, unit.vault.seal(holder, f"entries.{space}", codes), layout)
        for key, codes in split_all(packed)
        for space, layout in (read_key(key),)
        if layout is Layout.PICTURE
        and space.partition("/")[0] in WITHIN
        and (rows := rows_of(codes))
    ]
