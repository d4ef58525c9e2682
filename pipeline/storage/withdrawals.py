"""Withdrawals under way, and the receipts of those that ended."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from pipeline.domain.erasure import Confirmation, Holder, Receipt, Step
from pipeline.domain.ids import PersonId, ProcessId, ReceiptId
from pipeline.storage import Queries


class PgWithdrawals:
    """See ``pipeline.ports.Withdrawals``."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    def add(self, person: PersonId, receipt: Receipt) -> None:
        """See the port."""
        self._queries.run(
            "withdrawal_add",
            id=receipt.id,
            person=person,
            asked_at=receipt.asked_at,
            seq=receipt.sequence,
            entries=receipt.entries,
            holders=_holders(receipt),
            done=_done(receipt),
        )

    def save(self, receipt: Receipt) -> None:
        """See the port."""
        self._queries.run(
            "withdrawal_save",
            id=receipt.id,
            cases_closed=receipt.cases_closed,
            media_destroyed=receipt.media_destroyed,
            kept_by_law=receipt.kept_by_law,
            kept_until=receipt.kept_until,
            holders=_holders(receipt),
            done=_done(receipt),
            signature=receipt.signature,
            erased=any(step is Step.DATA_DESTROYED for step, _ in receipt.done),
            complete=receipt.signature is not None,
        )

    def get(
        self, receipt: ReceiptId, *, lock: bool = False
    ) -> tuple[Receipt, PersonId | None] | None:
        """See the port."""
        row = self._queries.one("withdrawal_get_locked" if lock else "withdrawal_get", id=receipt)
        return (_receipt(row), row["person"]) if row else None

    def of(self, person: PersonId) -> ReceiptId | None:
        """See the port."""
        found: ReceiptId | None = self._queries.value("withdrawal_of", person=person)
        return found

    def pending(self) -> list[ReceiptId]:
        """See the port."""
        return [row["id"] for row in self._queries.all("withdrawals_pending")]


def _holders(receipt: Receipt) -> Jsonb:
    return Jsonb(
        [
            [str(holder.process), holder.role, holder.confirmed and holder.confirmed.value]
            for holder in receipt.holders
        ]
    )


def _done(receipt: Receipt) -> Jsonb:
    return Jsonb([[step.value, at.isoformat()] for step, at in receipt.done])


def _receipt(row: dict[str, Any]) -> Receipt:
    return Receipt(
        id=row["id"],
        asked_at=row["asked_at"],
        sequence=row["seq"],
        entries=row["entries"],
        cases_closed=row["cases_closed"],
        media_destroyed=row["media_destroyed"],
        kept_by_law=row["kept_by_law"],
        kept_until=row["kept_until"],
        holders=tuple(
            Holder(ProcessId(UUID(process)), role, Confirmation(how) if how else None)
            for process, role, how in row["holders"]
        ),
        done=tuple((Step(step), datetime.fromisoformat(at)) for step, at in row["done"]),
        signature=row["signature"],
    )
