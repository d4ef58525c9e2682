"""Negative banks."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pipeline.domain.bank import Bank
from pipeline.domain.ids import ItemId
from pipeline.storage import Queries


class PgBanks:
    """See ``pipeline.ports.Banks``."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    def add(self, bank: Bank) -> bool:
        """See the port."""
        return self._queries.one("bank_add", holder=bank.holder, **_said(bank)) is not None

    def all(self) -> list[tuple[Bank, int]]:
        """See the port."""
        return [
            (Bank(row["name"], row["holder"], row["keeps"], row["owners"], row["notes"]),
             row["pictures"])
            for row in self._queries.all("banks_all")
        ]  # fmt: skip

    def set(self, bank: Bank) -> None:
        """See the port."""
        self._queries.run("bank_set", **_said(bank))

    def outdated(self, now: datetime, limit: int) -> list[ItemId]:
        """See the port."""
        rows = self._queries.all("banks_outdated", now=now, limit=limit)
        return [row["item"] for row in rows]


def _said(bank: Bank) -> dict[str, Any]:
    return {
        "name": bank.name, "keeps": bank.keeps, "owners": bank.owners, "notes": bank.notes,
    }  # fmt: skip
