"""A person leaves: matches stop, every copy is let go of, her key is destroyed, with a receipt.

Step by step, each repeatable: a crash anywhere leaves a withdrawal that ``finish`` completes. A
process that cannot be reached delays the receipt, never the destruction.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from pipeline.domain.case import State
from pipeline.domain.erasure import Confirmation, Holder, Receipt, Step
from pipeline.domain.ids import CaseId, PersonId, ReceiptId, uuid7
from pipeline.errors import NotFound
from pipeline.journeys.desk import by_platform, tell
from pipeline.journeys.restore_index import WRITE_OFF
from pipeline.journeys.retire_media import destroy
from pipeline.journeys.sign_in import sign_in
from pipeline.ports import Blobs, Clock, Follower, Pins, Store, StoredMedium, Unit

Alive = Callable[[Follower], bool | None]
"""Whether a process still runs; None where that cannot be seen from here (another host)."""


def ask(store: Store, pins: Pins, clock: Clock, case_number: str, pin: str) -> ReceiptId:
    """Begin a withdrawal: from the moment this returns, nothing of hers matches anywhere.

    Asking again gives the same receipt while the withdrawal is under way. Raises ``Denied`` for a
    wrong case number or PIN (the same words for both), ``TooManyAttempts`` when it is too soon to
    try again: waiting grows with wrong answers and always ends.
    """
    return leave(store, clock, sign_in(store, pins, clock, case_number, pin))


def leave(store: Store, clock: Clock, person: PersonId) -> ReceiptId:
    """The same for somebody who has proved who she is."""
    now = clock()
    with store.transaction() as unit:
        if not unit.registry.lock(person):
            raise NotFound("this withdrawal has just been completed")
        under_way = unit.withdrawals.of(person)
        return under_way if under_way is not None else _stop_matches(unit, person, now)


def finish(
    store: Store,
    blobs: Blobs,
    clock: Clock,
    alive: Alive,
    receipt_id: ReceiptId,
    patience: timedelta = timedelta(seconds=10),
    sleep: Callable[[float], None] = time.sleep,
    progress: Callable[[Receipt], None] = lambda _: None,
) -> Receipt:
    """Do whatever is left of a withdrawal; waits up to ``patience`` for processes to confirm."""
    deadline = clock() + patience
    _close_cases(store, blobs, clock, receipt_id)
    receipt = _confirm_processes(store, clock, alive, receipt_id)
    while _unconfirmed(receipt) and clock() < deadline:
        progress(receipt)
        sleep(0.05)
        receipt = _confirm_processes(store, clock, alive, receipt_id)
    receipt = _destroy(store, clock, receipt_id)
    progress(receipt)
    return receipt


def _stop_matches(unit: Unit, person: PersonId, now: datetime) -> ReceiptId:
    sequence, entries = unit.registry.stop_matches(person, now)
    receipt = Receipt(
        id=ReceiptId(uuid7(now, secrets.token_bytes(10))),
        asked_at=now,
        sequence=sequence,
        entries=len(entries),
        holders=tuple(
            Holder(follower.process, follower.role, None) for follower in unit.followers.all()
        ),
        done=((Step.MATCHES_STOPPED, now),),
    )
    unit.withdrawals.add(person, receipt)
    unit.audit.append(
        "person", "withdrawal.asked", f"receipt:{receipt.id}", {"entries": len(entries)}
    )
    return receipt.id


def _close_cases(store: Store, blobs: Blobs, clock: Clock, receipt_id: ReceiptId) -> None:
    with store.transaction() as unit:
        receipt, person = _under_way(unit, receipt_id)
        if person is None or _is_done(receipt, Step.CASES_CLOSED):
            return
        resting = unit.cases.resting_on(person)
    for case in resting:
        _close_case(store, blobs, clock, receipt_id, case)
    with store.transaction() as unit:
        receipt, _ = _under_way(unit, receipt_id)
        # What the law has us keep is said before it can no longer be told whom it concerns.
        kept, until = unit.cases.kept_by_law(person, clock())
        receipt = replace(receipt, kept_by_law=kept, kept_until=until)
        unit.cases.forget_person(person)
        unit.withdrawals.save(_after(receipt, Step.CASES_CLOSED, clock()))


def _close_case(
    store: Store, blobs: Blobs, clock: Clock, receipt_id: ReceiptId, case_id: CaseId
) -> None:
    """Close a case if it rests on nothing any more, and count it in the receipt."""
    with store.transaction() as unit:
        receipt, _ = _under_way(unit, receipt_id)
        held = close_if_empty(unit, case_id, clock(), "person")
        if held is None:
            return
        unit.withdrawals.save(
            replace(
                receipt,
                cases_closed=receipt.cases_closed + 1,
                media_destroyed=receipt.media_destroyed + len(held),
            )
        )
    for medium in held:
        blobs.destroy(medium.id)


def close_if_empty(
    unit: Unit, case_id: CaseId, now: datetime, actor: str
) -> list[StoredMedium] | None:
    """Close a case if it rests on nothing any more: its hits in force are read anew.

    The media whose rows were destroyed, to be removed from the blob store once this transaction
    has ended; None when the case goes on.
    """
    case = unit.cases.get(case_id, lock=True)
    if case is None:
        return None
    closed = case.without_entries(frozenset())
    if closed.state is not State.WITHDRAWN or case.state is State.WITHDRAWN:
        return None
    if unit.cases.rests_on_frozen(case_id):  # a verifier is yet to say whose face it is
        return None
    unit.cases.save(closed)
    held: list[StoredMedium] = []
    if closed.about is None:  # a second look or an appeal has no uploads of its own
        for platform, uploads in by_platform(closed):
            tell(unit, closed, platform, uploads, now)
        held = [one for one in unit.media.of_case(case_id) if one.destroyed_at is None]
    for medium in held:
        destroy(unit, medium, now, "withdrawn")
    unit.audit.append(actor, "case.withdrawn", f"case:{case_id}", {"media_destroyed": len(held)})
    return held


def _confirm_processes(store: Store, clock: Clock, alive: Alive, receipt_id: ReceiptId) -> Receipt:
    with store.transaction() as unit:
        receipt, _ = _under_way(unit, receipt_id)
        if _is_done(receipt, Step.INDEXES_CLEAR):
            return receipt
        now_running = {follower.process: follower for follower in unit.followers.all()}
        holders = []
        for holder in receipt.holders:
            follower = now_running.get(holder.process)
            confirmed = holder.confirmed or _confirmation(follower, receipt.sequence, alive)
            if confirmed in (Confirmation.ENDED, Confirmation.EXPIRED) and follower is not None:
                unit.followers.forget(holder.process)
            holders.append(replace(holder, confirmed=confirmed))
        receipt = replace(receipt, holders=tuple(holders))
        if not _unconfirmed(receipt):
            receipt = _after(receipt, Step.INDEXES_CLEAR, clock())
        unit.withdrawals.save(receipt)
        return receipt


def _confirmation(follower: Follower | None, sequence: int, alive: Alive) -> Confirmation | None:
    if follower is None:
        return Confirmation.ENDED
    if follower.applied is not None and follower.applied >= sequence:
        return Confirmation.APPLIED
    runs = alive(follower)
    if runs is False:
        return Confirmation.ENDED
    if runs is None and follower.silent > WRITE_OFF:
        return Confirmation.EXPIRED
    return None


def _destroy(store: Store, clock: Clock, receipt_id: ReceiptId) -> Receipt:
    with store.transaction() as unit:
        receipt, person = _under_way(unit, receipt_id)
        if receipt.signature is not None:
            return receipt
        if person is not None and not _is_done(receipt, Step.DATA_DESTROYED):
            unit.vault.shred(person)
            receipt = _after(receipt, Step.KEY_SHREDDED, clock())
            unit.registry.destroy(person)
            unit.films.forget_places()
            receipt = _after(receipt, Step.DATA_DESTROYED, clock())
            unit.audit.append(
                "service:withdraw",
                "person.erased",
                f"receipt:{receipt.id}",
                {"entries": receipt.entries},
            )
        if receipt.complete:
            receipt = replace(receipt, signature=unit.vault.sign(receipt.statement()))
            unit.audit.append(
                "service:withdraw", "withdrawal.completed", f"receipt:{receipt.id}", {}
            )
        unit.withdrawals.save(receipt)
        return receipt


def _under_way(unit: Unit, receipt_id: ReceiptId) -> tuple[Receipt, PersonId | None]:
    found = unit.withdrawals.get(receipt_id, lock=True)
    if found is None:
        raise NotFound("there is no such receipt")
    return found


def _after(receipt: Receipt, step: Step, now: datetime) -> Receipt:
    return (
        receipt if _is_done(receipt, step) else replace(receipt, done=(*receipt.done, (step, now)))
    )


def _is_done(receipt: Receipt, step: Step) -> bool:
    return any(step is done for done, _ in receipt.done)


def _unconfirmed(receipt: Receipt) -> bool:
    return any(holder.confirmed is None for holder in receipt.holders)
