"""A partner's list is followed: what it adds can be found, what it withdraws matches no more.

A list is read page by page, each page in one transaction with the place where reading goes on, so
that a sync that was cut short loses and doubles nothing. A page's withdrawals stop matching in the
transaction that reads them, and what was upheld because of withdrawn records alone goes with them.
After a reading of the whole list, records that it did not name are withdrawn as well. One record
that cannot be used is named with its reason and stops nothing.

The list is held by a *holder*, a person whose PIN nobody knows: its codes are sealed under a key
of its own, and giving the list up is a withdrawal with a receipt.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import numpy as np

from pipeline.domain import digest
from pipeline.domain.bank import Bank, BankKind
from pipeline.domain.consent import Consent, ConsentState, Purpose
from pipeline.domain.generic import GenericBank
from pipeline.domain.ids import ExchangeId, MediaId, PersonId, ReceiptId
from pipeline.domain.media import WHOLE
from pipeline.domain.signal import Signals, Space, pack
from pipeline.errors import Conflict, Invalid, NotFound
from pipeline.exchanges import (
    Added,
    Exchange,
    ExchangeFailed,
    Feedback,
    Kind,
    Page,
    Report,
    Unanswered,
    Unreadable,
    Withdrawn,
    outdated,
)
from pipeline.journeys.register import join
from pipeline.journeys.sign_in import new_credentials
from pipeline.journeys.withdraw import close_if_empty, leave
from pipeline.ports import (
    Blobs,
    Clock,
    HeldRecord,
    Listing,
    NewEntry,
    Pins,
    Store,
    StoredExchange,
    Unit,
)

BANK = "partner"
LEASE = timedelta(minutes=5)
_TELLING = timedelta(minutes=20)
"""How long a telling may take: longer than a partner that is busy is waited for."""
_DROPPED = 1000
_REPORTED = 200
_SETTINGS = "exchanges.settings"
_KEY = "exchange_records.key"

_FEEDBACK = {"upheld": Feedback.UPHELD, "dismissed": Feedback.DISMISSED}


@dataclass(frozen=True, slots=True)
class Synced:
    """What one sync did. ``problem`` says why it ended early, and that it goes on another time."""

    name: str
    added: int = 0
    withdrawn: int = 0
    unchanged: int = 0
    unreadable: int = 0
    told: int = 0
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Lists:
    """What following partners' lists needs.

    ``build(kind, settings)`` makes a partner's client. ``pdq`` is the space of picture hashes and
    ``generic`` its bank of codes that say nothing.
    """

    store: Store
    blobs: Blobs
    clock: Clock
    build: Callable[[str, Mapping[str, Any]], Exchange]
    pdq: Space
    generic: GenericBank | None


def add_exchange(
    lists: Lists,
    pins: Pins,
    name: str,
    kind: str,
    settings: Mapping[str, Any],
    *,
    test: bool = False,
) -> None:
    """Follow a partner's list from now on; its settings are tried before anything is kept.

    With ``test`` its hits count for nothing until an operator says so; see ``domain.bank``.
    """
    if not name.strip() or len(name) > 100:
        raise Invalid("a list's name has 1 to 100 characters")
    lists.build(kind, settings)
    given = new_credentials()  # nobody is told them: a holder has no other way in or out than ours
    pin = pins.digest(secrets.token_urlsafe(32))
    consent = Consent(Purpose.HASHES, f"list:{kind}").to(ConsentState.GIVEN, lists.clock())
    with lists.store.transaction() as unit:
        holder = join(unit, given, pin, consent)
        sealed = unit.vault.seal(holder, _SETTINGS, json.dumps(settings).encode())
        if unit.exchanges.add(name.strip(), kind, holder, sealed) is None:
            raise Conflict(f"there is a list {name!r} already; choose another name")
        bank = Bank(name.strip(), holder, None, kind=BankKind.PARTNER, test=test)
        if not unit.banks.add(bank):
            raise Conflict(f"there is a bank {name!r} already; choose another name")
        unit.audit.append("operator:cli", "exchange.added", f"person:{holder}", {"kind": kind})


def new_credentials_for(lists: Lists, name: str, settings: Mapping[str, Any]) -> None:
    """Other settings for a list, in place of the old ones."""
    stored = exchange_named(lists.store, name)
    lists.build(stored.kind, settings)
    with lists.store.transaction() as unit:
        sealed = unit.vault.seal(stored.holder, _SETTINGS, json.dumps(settings).encode())
        unit.exchanges.set_settings(stored.id, sealed)
        unit.audit.append("operator:cli", "exchange.settings", f"person:{stored.holder}", {})


def give_up_exchange(lists: Lists, name: str) -> ReceiptId:
    """Let go of a list and all that is held of it; its withdrawal's receipt."""
    holder = exchange_named(lists.store, name).holder
    receipt = leave(lists.store, lists.clock, holder)
    with lists.store.transaction() as unit:
        # The public numbers count who left, and a list is nobody.
        unit.audit.append("operator:cli", "exchange.removed", f"receipt:{receipt}", {})
    return receipt


def exchange_named(store: Store, name: str) -> StoredExchange:
    """A list by its name."""
    with store.transaction() as unit:
        there = {one.name: one for one in unit.exchanges.all()}
    if name not in there:
        names = ", ".join(there) or "none yet"
        raise NotFound(f"there is no list {name!r}; there are: {names}")
    return there[name]


def sync(lists: Lists, name: str, progress: Callable[[Synced], None] = lambda _: None) -> Synced:
    """Read a list from where the last sync ended, and tell the partner of new decisions.

    Trouble with the partner is an answer (``problem``), not an error: everything that was read
    before it is kept, and the next sync goes on from there.
    """
    stored = exchange_named(lists.store, name)
    with lists.store.transaction() as unit:
        if not unit.exchanges.hold(stored.id, LEASE):
            return Synced(name, problem="another process is reading this list just now")
        settings = json.loads(unit.vault.unseal(stored.holder, _SETTINGS, stored.settings))
    partner = lists.build(stored.kind, settings)
    # What another process did before we held the list is only seen now.
    listing, done = exchange_named(lists.store, name).listing, Synced(name)
    try:
        listing = _begun(lists, stored.id, partner, listing)
        for page in partner.pages(listing.cursor):
            listing, step = _apply(lists, stored, listing, page)
            done = replace(
                done,
                added=done.added + step.added,
                withdrawn=done.withdrawn + step.withdrawn,
                unchanged=done.unchanged + step.unchanged,
                unreadable=done.unreadable + step.unreadable,
            )
            progress(done)
        if listing.whole:
            gone = _withdraw_missing(lists, stored, listing)
            done = replace(done, withdrawn=done.withdrawn + gone)
        done = replace(done, told=_tell(lists, stored, partner))
        finished = replace(listing, whole=partner.whole, finished_at=lists.clock(), problem=None)
    except ExchangeFailed as failure:
        done = replace(done, problem=str(failure))
        finished = replace(_now(lists.store, name), problem=str(failure), finished_at=None)
    with lists.store.transaction() as unit:
        unit.exchanges.keep(stored.id, finished, None)
        if done.added or done.withdrawn or done.problem:
            unit.audit.append(
                "service:sync",
                "exchange.synced",
                f"person:{stored.holder}",
                {
                    "added": done.added,
                    "withdrawn": done.withdrawn,
                    "complete": done.problem is None,
                },
            )
    return done


def _now(store: Store, name: str) -> Listing:
    return exchange_named(store, name).listing


def _begun(lists: Lists, exchange: ExchangeId, partner: Exchange, listing: Listing) -> Listing:
    """The reading to go on with, or a new one where the last has ended or is worth nothing."""
    now = lists.clock()
    stale = outdated(partner.keeps, listing.finished_at, now)
    ended = listing.began_at is None or (
        listing.finished_at is not None and listing.finished_at >= listing.began_at
    )
    if not (ended or stale):
        return listing  # it was cut short
    whole = partner.whole or stale or listing.cursor is None
    begun = Listing(
        cursor=None if whole else listing.cursor,
        whole=whole,
        generation=listing.generation + 1 if whole else listing.generation,
        began_at=now,
    )
    with lists.store.transaction() as unit:
        unit.exchanges.forget_troubles(exchange)
        unit.exchanges.keep(exchange, begun, LEASE)
    return begun


def _apply(
    lists: Lists, stored: StoredExchange, listing: Listing, page: Page
) -> tuple[Listing, Synced]:
    """One page, whole or not at all, with the place where reading goes on."""
    after = replace(listing, cursor=page.cursor)
    latest = {one.key: one for one in page.records if not isinstance(one, Unreadable)}
    bad = [one for one in page.records if isinstance(one, Unreadable)]
    gone: list[MediaId] = []
    with lists.store.transaction() as unit:
        if not unit.registry.hold(stored.holder):
            raise Conflict("this list is being given up")
        digests = {key: unit.vault.fingerprint(_name(stored, key)) for key in latest}
        held = unit.exchanges.held(stored.id, list(digests.values()))
        same, fresh, old = [], [], []
        for key, record in latest.items():
            there = held.get(digests[key])
            if isinstance(record, Withdrawn):
                old += [digests[key]] if there else []
                continue
            sign = unit.vault.fingerprint(_print(record))
            if there is not None and there.print == sign:
                same.append(digests[key])
                continue
            old += [digests[key]] if there else []
            signals = _signals(lists, record)
            if signals is None:
                bad.append(Unreadable(f"a {record.kind} record", "it says too little: a sky, text"))
            else:
                fresh.append((key, sign, signals))
        gone += _withdraw(unit, lists, stored, old)
        items = unit.registry.add_items(
            stored.holder, BANK, [[_entry(unit, stored.holder, one)] for _, _, one in fresh]
        )
        for (key, sign, _), item in zip(fresh, items, strict=True):
            sealed = unit.vault.seal(stored.holder, _KEY, key.encode())
            record_of = HeldRecord(sign, item)
            unit.exchanges.put(stored.id, digests[key], record_of, sealed, listing.generation)
        unit.exchanges.seen(stored.id, same, listing.generation)
        for one in bad:
            unit.exchanges.add_trouble(stored.id, one.where, one.why)
        unit.exchanges.keep(stored.id, after, LEASE)
    for medium in gone:
        lists.blobs.destroy(medium)
    left = [one.key for one in latest.values() if isinstance(one, Withdrawn)]
    return after, Synced(
        stored.name,
        added=len(fresh),
        withdrawn=sum(digests[key] in held for key in left),
        unchanged=len(same),
        unreadable=len(bad),
    )


def _withdraw_missing(lists: Lists, stored: StoredExchange, listing: Listing) -> int:
    """Withdraw what the whole list does not name any more."""
    count = 0
    while True:
        with lists.store.transaction() as unit:
            missing = unit.exchanges.missing(stored.id, listing.generation, _DROPPED)
            if not missing:
                return count
            gone = _withdraw(unit, lists, stored, missing)
            unit.exchanges.keep(stored.id, listing, LEASE)
        for medium in gone:
            lists.blobs.destroy(medium)
        count += len(missing)


def _withdraw(
    unit: Unit, lists: Lists, stored: StoredExchange, digests: Sequence[bytes]
) -> list[MediaId]:
    """Records, their codes, and what was upheld because of them alone; media to be destroyed."""
    items = unit.exchanges.drop(stored.id, digests) if digests else []
    if not items:
        return []
    entries = unit.exchanges.because_of(stored.holder, items)
    undecided = unit.following.undecided_on(entries)
    unit.following.remove(stored.holder, entries)
    now, gone = lists.clock(), []
    for case in undecided:
        gone += [medium.id for medium in close_if_empty(unit, case, now, "service:sync") or ()]
    return gone


def _tell(lists: Lists, stored: StoredExchange, partner: Exchange) -> int:
    """Tell the partner of decisions, each once; what it does not take is not offered again.

    What is about to be told is marked first. A process that dies between the telling and its
    second mark leaves the first: then nobody knows whether the partner has heard, and it is told
    again only where that is the same as once.
    """
    _settle(lists, stored, partner)
    told, most = 0, _REPORTED if partner.repeatable else 1
    while True:
        with lists.store.transaction() as unit:
            untold = unit.exchanges.untold(stored.id, most)
            keys = [unit.vault.unseal(stored.holder, _KEY, one.sealed).decode() for one in untold]
            unit.exchanges.telling(stored.id, untold, lists.clock(), _TELLING)
        if not untold:
            return told
        try:
            told += partner.report(
                [Report(key, _FEEDBACK[one.state]) for key, one in zip(keys, untold, strict=True)]
            )
        except Unanswered:
            _settle(lists, stored, partner)
            raise
        except ExchangeFailed:
            with lists.store.transaction() as unit:
                unit.exchanges.not_told(stored.id)
            raise
        with lists.store.transaction() as unit:
            unit.exchanges.told(stored.id)


def _settle(lists: Lists, stored: StoredExchange, partner: Exchange) -> None:
    """What was being told when nobody heard the end of it."""
    with lists.store.transaction() as unit:
        if partner.repeatable:
            unit.exchanges.not_told(stored.id)
            return
        unsure = unit.exchanges.told(stored.id, sure=False)
        if unsure:
            why = f"{unsure} told when the connection or this process ended; not told again"
            unit.exchanges.add_trouble(stored.id, "a decision", why)
            about = f"person:{stored.holder}"
            unit.audit.append("service:sync", "exchange.unsure", about, {"decisions": unsure})


def _signals(lists: Lists, record: Added) -> Signals | None:
    """A record's code as an index holds it; None for one that very many pictures share."""
    if record.kind is Kind.PDQ:
        codes = np.frombuffer(record.code, np.uint8).reshape(1, -1)
        if lists.generic is not None and lists.generic.generic(codes)[0]:
            return None
        return Signals(lists.pdq, codes, np.array([100], np.uint8), (WHOLE,))
    # MD5 twice over, as ``domain.digest`` has it.
    code = record.code * 2 if record.kind is Kind.MD5 else record.code
    codes = np.frombuffer(code, np.uint8).reshape(1, -1)
    return Signals(digest.SPACE, codes, np.array([100], np.uint8), (WHOLE,))


def _entry(unit: Unit, holder: PersonId, signals: Signals) -> NewEntry:
    space = signals.space.key
    return NewEntry(space, 1, unit.vault.seal(holder, f"entries.{space}", pack(signals)))


def _name(stored: StoredExchange, key: str) -> bytes:
    return b"exchange|" + stored.id.bytes + b"|" + key.encode()


def _print(record: Added) -> bytes:
    return b"exchange-code|" + record.kind.value.encode() + b"|" + record.code
