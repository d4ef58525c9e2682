"""Partners' lists and what is held of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from pipeline.domain.ids import EntryId, ExchangeId, ItemId, PersonId
from pipeline.ports import HeldRecord, Listing, StoredExchange, Untold
from pipeline.storage import Queries


class PgExchanges:
    """See ``pipeline.ports.Exchanges``."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    def add(self, name: str, kind: str, holder: PersonId, settings: bytes) -> ExchangeId | None:
        """See the port."""
        found: ExchangeId | None = self._queries.value(
            "exchange_add", name=name, kind=kind, holder=holder, settings=settings
        )
        return found

    def all(self) -> list[StoredExchange]:
        """See the port."""
        return [
            StoredExchange(
                row["id"],
                row["name"],
                row["kind"],
                row["holder"],
                row["settings"],
                Listing(
                    row["cursor"],
                    row["whole"],
                    row["generation"],
                    row["began_at"],
                    row["finished_at"],
                    row["problem"],
                ),
                row["records"],
                row["troubles"],
            )
            for row in self._queries.all("exchanges_all")
            if not row["leaving"]
        ]

    def set_settings(self, exchange: ExchangeId, settings: bytes) -> None:
        """See the port."""
        self._queries.run("exchange_settings", exchange=exchange, settings=settings)

    def hold(self, exchange: ExchangeId, lease: timedelta) -> bool:
        """See the port."""
        return self._queries.one("exchange_hold", exchange=exchange, lease=lease) is not None

    def keep(self, exchange: ExchangeId, listing: Listing, lease: timedelta | None) -> None:
        """See the port."""
        self._queries.run(
            "exchange_keep",
            exchange=exchange,
            cursor=listing.cursor,
            whole=listing.whole,
            generation=listing.generation,
            began=listing.began_at,
            finished=listing.finished_at,
            problem=listing.problem,
            lease=lease,
        )

    def held(self, exchange: ExchangeId, digests: Sequence[bytes]) -> dict[bytes, HeldRecord]:
        """See the port."""
        rows = self._queries.all("exchange_records_find", exchange=exchange, digests=list(digests))
        return {bytes(row["digest"]): HeldRecord(bytes(row["print"]), row["item"]) for row in rows}

    def put(
        self,
        exchange: ExchangeId,
        digest: bytes,
        record: HeldRecord,
        sealed: bytes,
        generation: int,
    ) -> None:
        """See the port."""
        self._queries.run(
            "exchange_record_put",
            exchange=exchange,
            digest=digest,
            print=record.print,
            item=record.item,
            sealed=sealed,
            generation=generation,
        )

    def seen(self, exchange: ExchangeId, digests: Iterable[bytes], generation: int) -> None:
        """See the port."""
        self._queries.run(
            "exchange_records_seen",
            exchange=exchange,
            digests=list(digests),
            generation=generation,
        )

    def drop(self, exchange: ExchangeId, digests: Iterable[bytes]) -> list[ItemId]:
        """See the port."""
        rows = self._queries.all("exchange_records_drop", exchange=exchange, digests=list(digests))
        return [row["item"] for row in rows]

    def because_of(self, holder: PersonId, items: Sequence[ItemId]) -> list[EntryId]:
        """See the port."""
        rows = self._queries.all("exchange_entries_of", holder=holder, items=list(items))
        found = [EntryId(row["id"]) for row in rows]
        while True:
            more = self._queries.all("exchange_because_of", holder=holder, entries=found)
            if not more:
                return found
            found += [EntryId(row["id"]) for row in more]

    def missing(self, exchange: ExchangeId, generation: int, limit: int) -> list[bytes]:
        """See the port."""
        rows = self._queries.all(
            "exchange_records_missing", exchange=exchange, generation=generation, limit=limit
        )
        return [bytes(row["digest"]) for row in rows]

    def forget_troubles(self, exchange: ExchangeId) -> None:
        """See the port."""
        self._queries.run("exchange_troubles_forget", exchange=exchange)

    def add_trouble(self, exchange: ExchangeId, place: str, why: str) -> None:
        """See the port."""
        self._queries.run("exchange_trouble_add", exchange=exchange, place=place, why=why)

    def troubles(self, exchange: ExchangeId) -> list[tuple[str, str]]:
        """See the port."""
        rows = self._queries.all("exchange_troubles", exchange=exchange)
        return [(row["place"], row["why"]) for row in rows]

    def untold(self, exchange: ExchangeId, limit: int) -> list[Untold]:
        """See the port."""
        rows = self._queries.all("exchange_untold", exchange=exchange, limit=limit)
        return [
            Untold(bytes(row["digest"]), row["case"], row["state"], bytes(row["sealed"]))
            for row in rows
        ]

    def telling(
        self, exchange: ExchangeId, those: Sequence[Untold], at: datetime, lease: timedelta
    ) -> None:
        """See the port."""
        self._queries.run("exchange_lease", exchange=exchange, lease=lease)
        for one in those:
            self._queries.run(
                "exchange_telling",
                exchange=exchange,
                digest=one.digest,
                case=one.case,
                feedback=one.state,
                at=at,
            )

    def told(self, exchange: ExchangeId, *, sure: bool = True) -> int:
        """See the port."""
        state = "told" if sure else "unsure"
        return self._queries.run("exchange_told", exchange=exchange, state=state)

    def not_told(self, exchange: ExchangeId) -> int:
        """See the port."""
        return self._queries.run("exchange_not_told", exchange=exchange)
