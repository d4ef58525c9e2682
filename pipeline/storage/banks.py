"""Banks: what is said of them, and what those that are only tried would have brought up."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from pipeline.domain.bank import LONGEST, Bank, BankKind
from pipeline.domain.ids import ItemId, PersonId, PlatformId, ScreeningId
from pipeline.storage import Queries


class PgBanks:
    """See ``pipeline.ports.Banks``."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    def add(self, bank: Bank) -> bool:
        """See the port."""
        return self._queries.one("bank_add", holder=bank.holder, **_said(bank)) is not None

    def all(self) -> list[Bank]:
        """See the port. The longest time stands for as long as a partner's list names a code."""
        return [
            Bank(
                row["name"],
                row["holder"],
                None if row["kind"] == "partner" and row["keeps"] >= LONGEST else row["keeps"],
                row["owners"],
                row["notes"],
                BankKind(row["kind"]),
                row["test"],
                row["share"],
                row["seed"],
                row["within"],
            )
            for row in self._queries.all("banks_all")
        ]

    def count(self, holder: PersonId) -> tuple[int, int]:
        """See the port."""
        row = self._queries.one("bank_count", holder=holder)
        assert row is not None
        return row["pictures"], row["trials"]

    def trials_by_bank(self) -> dict[str, int]:
        """See the port."""
        return {row["name"]: row["uploads"] for row in self._queries.all("bank_trials_by_bank")}

    def set(self, bank: Bank) -> None:
        """See the port."""
        self._queries.run("bank_set", **_said(bank))

    def outdated(self, now: datetime, limit: int) -> list[tuple[PersonId, ItemId]]:
        """See the port."""
        rows = self._queries.all("banks_outdated", now=now, limit=limit)
        return [(row["holder"], row["item"]) for row in rows]

    def tried(
        self, holder: PersonId, screening: ScreeningId, platform: PlatformId, at: datetime
    ) -> None:
        """See the port."""
        self._queries.run(
            "bank_tried", holder=holder, screening=screening, platform=platform, at=at
        )

    def trials(
        self,
        holder: PersonId,
        platform: PlatformId | None,
        before: ScreeningId | None,
        limit: int,
    ) -> list[tuple[ScreeningId, datetime]]:
        """See the port."""
        rows = self._queries.all(
            "bank_trials_of", holder=holder, platform=platform, before=before, limit=limit
        )
        return [(row["screening"], row["at"]) for row in rows]

    def trials_of(self, platform: PlatformId) -> dict[PersonId, int]:
        """See the port."""
        rows = self._queries.all("bank_trials_count", platform=platform)
        return {row["holder"]: row["uploads"] for row in rows}

    def trials_among(self, screenings: Sequence[ScreeningId]) -> dict[str, int]:
        """See the port."""
        rows = self._queries.all("bank_trials_among", screenings=list(screenings))
        return {row["name"]: row["uploads"] for row in rows}

    def forget_trials(self, before: datetime) -> int:
        """See the port."""
        return self._queries.run("bank_trials_forget", before=before)

    def tried_by(self, platform: PlatformId) -> frozenset[PersonId]:
        """See the port."""
        rows = self._queries.all("bank_tries_of", platform=platform)
        return frozenset(row["holder"] for row in rows)

    def only_try(self, holder: PersonId, platform: PlatformId, *, only: bool) -> None:
        """See the port."""
        self._queries.run("bank_try" if only else "bank_use", holder=holder, platform=platform)


def _said(bank: Bank) -> dict[str, Any]:
    return {
        "name": bank.name, "keeps": bank.keeps or LONGEST, "owners": bank.owners,
        "notes": bank.notes, "kind": bank.kind.value, "test": bank.test, "share": bank.share,
        "seed": bank.seed, "within": Jsonb(dict(bank.within)),
    }  # fmt: skip
