"""Banks are kept: set, taught by a lead from dismissed cases, emptied in time, tried, given up.

No codes ever come out of a bank, and nobody can look for anybody in one: it is only ever asked
while an upload is judged.
"""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from pipeline.domain.bank import NEGATIVE, WITHIN, Bank, BankKind, said_of
from pipeline.domain.case import Ground, State
from pipeline.domain.consent import Consent, ConsentState, Purpose
from pipeline.domain.entry import Layout, read_key
from pipeline.domain.evidence import Source
from pipeline.domain.ids import (
    CaseId,
    ItemId,
    PersonId,
    PlatformId,
    ReceiptId,
    ReviewerId,
    ScreeningId,
)
from pipeline.domain.roles import Role
from pipeline.domain.signal import rows_of, split_all
from pipeline.errors import Conflict, Denied, Invalid, NotFound
from pipeline.journeys.register import join
from pipeline.journeys.sign_in import new_credentials
from pipeline.journeys.withdraw import close_if_empty, leave
from pipeline.ports import Blobs, Clock, NewEntry, Pins, Store, Unit

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


def bank_named(unit: Unit, name: str) -> Bank:
    """A bank by its name."""
    there = {bank.name: bank for bank in unit.banks.all()}
    if name not in there:
        raise NotFound(f"there is no bank {name!r}; there are: {', '.join(there) or 'none yet'}")
    return there[name]


@dataclass(frozen=True, slots=True)
class Changes:
    """What is to be said of a bank; what is None stays.

    ``keeps`` of nothing means for as long as a partner's list names it.
    """

    keeps: timedelta | None = None
    owners: str | None = None
    notes: str | None = None
    test: bool | None = None
    share: float | None = None
    seed: int | None = None
    within: Mapping[str, float] | None = None


def set_bank(store: Store, name: str, changes: Changes, actor: str = "operator:cli") -> Bank:
    """Say something else of a bank; in force in every process with its next look-up."""
    with store.transaction() as unit:
        bank = bank_named(unit, name)
        said: dict[str, Any] = {
            field: value
            for field in ("owners", "notes", "test", "share", "seed", "within")
            if (value := getattr(changes, field)) is not None
        }
        if changes.keeps is not None:
            said["keeps"] = changes.keeps or None
        after = replace(bank, **said)
        unit.banks.set(after)
        body = {key: value for key, value in said_of(after).items() if key in _AUDITED}
        unit.audit.append(actor, "bank.set", f"person:{bank.holder}", body)
    return after


_AUDITED = frozenset({"days", "test", "share", "seed", "within"})


def only_try(store: Store, name: str, platform: PlatformId, *, only: bool, actor: str) -> Bank:
    """Let a platform try a partner's list: its hits count for nothing there, and are counted."""
    with store.transaction() as unit:
        bank = bank_named(unit, name)
        if bank.kind is not BankKind.PARTNER:
            raise Invalid(f"{name} is a negative bank: it raises nothing that could be tried")
        unit.banks.only_try(bank.holder, platform, only=only)
        body = {"platform": str(platform), "only": only}
        unit.audit.append(actor, "bank.tried", f"person:{bank.holder}", body)
    return bank


def tried(
    store: Store, name: str, platform: PlatformId | None, before: ScreeningId | None, limit: int
) -> list[tuple[ScreeningId, datetime]]:
    """Uploads that a tried bank would have had a person look at, the latest first."""
    with store.transaction() as unit:
        holder = bank_named(unit, name).holder
        return unit.banks.trials(holder, platform, before, limit)


def learn(store: Store, name: str, case: CaseId, who: ReviewerId, role: str) -> int:
    """Put the uploads of a case into a bank; how many pictures that are. A lead's decision.

    Only of a case that was dismissed as a wrong match, while its media are kept. Of each upload
    the hashes of the whole picture join the bank, nothing else.
    """
    if role != Role.LEAD:
        raise Denied("only a lead puts false matches into a bank")
    with store.transaction() as unit:
        bank = bank_named(unit, name)
        if bank.kind is not BankKind.NEGATIVE:
            raise Invalid(f"{name} is a partner's list; false matches go into a negative bank")
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
        bank = bank_named(unit, name)
    if bank.kind is not BankKind.NEGATIVE:
        raise Invalid(f"{name} is a partner's list; give it up with: consentry exchange remove")
    return leave(store, clock, bank.holder)


def empty_outdated(store: Store, blobs: Blobs, clock: Clock) -> int:
    """Destroy what has lain in a bank for as long as it is kept; how many pictures.

    What was upheld because of it alone goes with it, and undecided cases that rest on nothing
    else close. A partner's record is still known, so that its next reading does not bring it back.
    """
    now, gone = clock(), []
    with store.transaction() as unit:
        outdated = unit.banks.outdated(now, _BATCH)
        by_holder: dict[PersonId, list[ItemId]] = defaultdict(list)
        for holder, item in outdated:
            by_holder[holder].append(item)
        for holder, items in by_holder.items():
            entries = unit.exchanges.because_of(holder, items)
            undecided = unit.following.undecided_on(entries)
            unit.following.remove(holder, entries)
            for case in undecided:
                closed = close_if_empty(unit, case, now, "service:worker")
                gone += [medium.id for medium in closed or ()]
            body = {"pictures": len(items)}
            unit.audit.append("service:worker", "bank.outdated", f"person:{holder}", body)
    for name in gone:
        blobs.destroy(name)
    return len(outdated)


def _entries(unit: Unit, holder: PersonId, packed: bytes) -> list[NewEntry]:
    return [
        NewEntry(space, rows, unit.vault.seal(holder, f"entries.{space}", codes), layout)
        for key, codes in split_all(packed)
        for space, layout in (read_key(key),)
        if layout is Layout.PICTURE
        and space.partition("/")[0] in WITHIN
        and (rows := rows_of(codes))
    ]
