"""Entries that matched too much: what waits for a lead, what was kept out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from pipeline.domain.ids import CaseId, ItemId, MediaId, PersonId, ReviewerId
from pipeline.ports import Flooded, FloodSeen
from pipeline.storage import Queries

_MOST = 200


class PgFloods:
    """See ``pipeline.ports.Floods``."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    def understood(self) -> bool:
        """See the port."""
        return bool(self._queries.value("flood_understood"))

    def seen(self, item: ItemId, since: datetime) -> list[FloodSeen]:
        """See the port."""
        self._queries.one("flood_lock", item=item)
        return [
            FloodSeen(
                row["account"],
                MediaId(row["medium"]) if row["medium"] else None,
                row["codes"],
                frozenset(row["hit"]),
            )
            for row in self._queries.all("flood_seen", item=item, since=since, limit=_MOST)
        ]

    def put(
        self,
        item: ItemId,
        person: PersonId,
        codes: Sequence[str],
        uploads: int,
        accounts: int,
        now: datetime,
    ) -> None:
        """See the port."""
        self._queries.run(
            "flood_put", item=item, person=person, codes=sorted(codes), uploads=uploads,
            accounts=accounts, now=now,
        )  # fmt: skip

    def get(self, item: ItemId) -> Flooded | None:
        """See the port."""
        row = self._queries.one("flood_get", item=item)
        if row is None:
            return None
        return Flooded(
            item, "", tuple(row["parked"]), tuple(row["kept_out"]), row["uploads"],
            row["accounts"], row["since"], row["decided_at"], len(self.cases(item)),
        )  # fmt: skip

    def decide(self, item: ItemId, by: ReviewerId, now: datetime, *, keep_out: bool) -> None:
        """See the port."""
        self._queries.run("flood_decide", item=item, by=by, now=now, keep_out=keep_out)
        if keep_out:
            self._queries.run("flood_hits_end", item=item)

    def allow(self, item: ItemId, by: ReviewerId, now: datetime) -> bool:
        """See the port."""
        return self._queries.run("flood_allow", item=item, by=by, now=now) == 1

    def park(self, item: ItemId, now: datetime) -> list[CaseId]:
        """See the port."""
        return [row["id"] for row in self._queries.all("flood_park", item=item, now=now)]

    def unpark(self, item: ItemId) -> list[CaseId]:
        """See the port."""
        return [row["id"] for row in self._queries.all("flood_unpark", item=item)]

    def open_case(self, case: CaseId) -> bool:
        """See the port."""
        return self._queries.run("flood_case_open", case=case) == 1

    def cases(self, item: ItemId) -> list[CaseId]:
        """See the port."""
        return [row["id"] for row in self._queries.all("flood_cases", item=item)]

    def all(self) -> list[Flooded]:
        """See the port."""
        return [
            Flooded(
                row["item"], row["bank"], tuple(row["parked"]), tuple(row["kept_out"]),
                row["uploads"], row["accounts"], row["since"], row["decided_at"], row["cases"],
            )
            for row in self._queries.all("floods_all")
        ]  # fmt: skip

    def distances(self, item: ItemId) -> list[tuple[str, bool, int, int]]:
        """See the port."""
        return [
            (row["signal"], row["metric"] == "inner_product", row["step"], row["uploads"])
            for row in self._queries.all("flood_distances", item=item)
        ]

    def codes(self, item: ItemId) -> list[tuple[str, int, int]]:
        """See the port."""
        return [
            (row["signal"], row["slot"], row["uploads"])
            for row in self._queries.all("flood_codes", item=item)
        ]

    def of(self, person: PersonId) -> dict[ItemId, tuple[bool, bool, datetime, datetime | None]]:
        """See the port."""
        return {
            row["item"]: (row["waits"], row["kept"], row["since"], row["decided_at"])
            for row in self._queries.all("floods_of", person=person)
        }

    def waiting(self) -> tuple[int, int]:
        """See the port."""
        row = self._queries.one("floods_waiting")
        assert row is not None
        return row["items"], row["cases"]
