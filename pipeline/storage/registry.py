"""People, their entries, the change log, and the processes that follow it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any
from uuid import uuid4

from pipeline.domain.bank import enabled
from pipeline.domain.consent import Consent
from pipeline.domain.entry import Layout
from pipeline.domain.evidence import Owner, Source
from pipeline.domain.ids import CaseId, EntryId, ItemId, PersonId, ProcessId
from pipeline.errors import Conflict
from pipeline.ports import Change, Follower, NewEntry, RegisteredPerson, StoredEntry
from pipeline.storage import Queries
from pipeline.storage.vault import PgVault


class PgRegistry:
    """See ``pipeline.ports.Registry``."""

    def __init__(self, queries: Queries, vault: PgVault) -> None:
        self._queries, self._vault = queries, vault

    def add_person(self, case_number: str, pin: str, consent: Consent, recovery: bytes) -> PersonId:
        """See the port."""
        person: PersonId = self._queries.value(
            "person_add", case_number=case_number, pin=pin, recovery=recovery
        )
        self.put_consent(person, consent)
        return person

    def put_consent(self, person: PersonId, consent: Consent) -> None:
        """See the port."""
        self._queries.run(
            "consent_put",
            person=person,
            purpose=consent.purpose.value,
            text_version=consent.text_version,
            state=consent.state.value,
            changed_at=consent.changed_at,
        )

    def person(self, case_number: str, *, lock: bool = False) -> RegisteredPerson | None:
        """See the port."""
        name = "person_by_case_number_locked" if lock else "person_by_case_number"
        row = self._queries.one(name, case_number=case_number)
        return RegisteredPerson(row["id"], row["pin"], row["withdrawn"]) if row else None

    def by_recovery(self, recovery: bytes) -> tuple[str, PersonId] | None:
        """See the port."""
        row = self._queries.one("person_by_recovery", recovery=recovery)
        return (row["case_number"], row["id"]) if row else None

    def set_credentials(self, person: PersonId, pin: str, recovery: bytes) -> None:
        """See the port."""
        self._queries.run("person_credentials", person=person, pin=pin, recovery=recovery)
        self._queries.run("visits_end", person=person)
        self._queries.run("answers_forget", person=person)

    def lock(self, person: PersonId) -> bool:
        """See the port."""
        return self._queries.one("person_lock", person=person) is not None

    def add_item(
        self,
        person: PersonId,
        bank: str,
        source: Source,
        entries: Sequence[NewEntry],
        case: CaseId | None = None,
    ) -> tuple[ItemId, tuple[EntryId, ...]]:
        """See the port."""
        item, ids = self._put_item(person, bank, source, entries, case)
        self._queries.run("change_append", op="add", entries=list(ids))
        return item, ids

    def extend_item(
        self,
        person: PersonId,
        item: ItemId,
        bank: str,
        source: Source,
        entries: Sequence[NewEntry],
    ) -> tuple[EntryId, ...]:
        """See the port."""
        ids = self._put_entries(person, item, bank, source, entries, None)
        self._queries.run("change_append", op="add", entries=list(ids))
        return ids

    def add_items(
        self, person: PersonId, bank: str, items: Sequence[Sequence[NewEntry]]
    ) -> list[ItemId]:
        """See the port."""
        put = [self._put_item(person, bank, Source.REGISTERED, entries, None) for entries in items]
        if put:
            ids = [entry for _, entries in put for entry in entries]
            self._queries.run("change_append", op="add", entries=ids)
        return [item for item, _ in put]

    def _put_item(
        self,
        person: PersonId,
        bank: str,
        source: Source,
        entries: Sequence[NewEntry],
        case: CaseId | None,
    ) -> tuple[ItemId, tuple[EntryId, ...]]:
        item = ItemId(uuid4())
        return item, self._put_entries(person, item, bank, source, entries, case)

    def _put_entries(
        self,
        person: PersonId,
        item: ItemId,
        bank: str,
        source: Source,
        entries: Sequence[NewEntry],
        case: CaseId | None,
    ) -> tuple[EntryId, ...]:
        if not self.hold(person):
            raise Conflict("this person has left; nothing of hers may be added")
        return tuple(
            EntryId(
                self._queries.value(
                    "entry_add",
                    person=person,
                    item=item,
                    bank=bank,
                    source=source.value,
                    upheld_case=case,
                    space=entry.space,
                    slots=entry.slots,
                    sealed=entry.sealed,
                    layout=entry.layout.value,
                )
            )
            for entry in entries
        )

    def hold(self, person: PersonId) -> bool:
        """See the port."""
        return self._queries.one("person_hold", person=person) is not None

    def owners(self, entries: Iterable[EntryId]) -> dict[EntryId, Owner]:
        """See the port."""
        rows = self._queries.all("entry_owners", entries=sorted(entries))
        return {
            EntryId(row["id"]): Owner(
                EntryId(row["id"]),
                row["item"],
                row["person"],
                row["bank"],
                Source(row["source"]),
                row["upheld_case"],
                Layout(row["layout"]),
                frozenset(row["parked"] or ()),
                frozenset(row["kept_out"] or ()),
                tuple((row["within"] or {}).items()),
                bool(row["test"]),
                frozenset(row["tried_by"] or ()),
            )
            for row in rows
            if row["share"] is None or enabled(row["item"], row["share"], row["seed"])
        }

    def remove_upheld(self, case: CaseId) -> tuple[EntryId, ...]:
        """See the port."""
        rows = self._queries.all("entries_remove_upheld", case=case)
        ended = tuple(EntryId(row["id"]) for row in rows)
        if ended:
            self._queries.run("change_append", op="remove", entries=list(ended))
        return ended

    def stop_matches(self, person: PersonId, now: datetime) -> tuple[int, tuple[EntryId, ...]]:
        """See the port."""
        self._queries.run("person_leave", person=person, now=now)
        self._queries.run("consents_withdraw", person=person, now=now)
        rows = self._queries.all("entries_stop", person=person, now=now)
        stopped = tuple(EntryId(row["id"]) for row in rows)
        sequence = self._queries.value("change_append", op="remove", entries=list(stopped))
        return int(sequence), stopped

    def freeze(self, item: ItemId, now: datetime) -> tuple[EntryId, ...]:
        """See the port."""
        return self._changed("remove", self._queries.all("item_freeze", item=item, now=now))

    def thaw(self, item: ItemId) -> tuple[EntryId, ...]:
        """See the port."""
        return self._changed("add", self._queries.all("item_thaw", item=item))

    def of_item(self, item: ItemId) -> list[StoredEntry]:
        """See the port."""
        return [
            StoredEntry(row["id"], row["person"], row["space"], row["sealed"])
            for row in self._queries.all("entries_of_item", item=item)
        ]

    def destroy_item(self, item: ItemId) -> tuple[EntryId, ...]:
        """See the port."""
        rows = self._queries.all("item_destroy", item=item)
        for person in {row["person"] for row in rows}:
            self._queries.run("floods_sweep", person=person)
        return self._changed("remove", rows)

    def _changed(self, op: str, rows: list[dict[str, Any]]) -> tuple[EntryId, ...]:
        ids = tuple(EntryId(row["id"]) for row in rows)
        if ids:
            self._queries.run("change_append", op=op, entries=list(ids))
        return ids

    def destroy(self, person: PersonId) -> None:
        """See the port."""
        self._queries.run("grants_destroy", person=person)
        self._queries.run("enrolments_destroy", person=person)
        self._queries.run("entries_destroy", person=person)
        self._queries.run("person_destroy", person=person)

    def head(self) -> int:
        """See the port."""
        return int(self._queries.value("change_head"))

    def mark(self, sequence: int) -> str | None:
        """See the port."""
        row = self._queries.one("change_mark", sequence=sequence)
        return None if row is None else str(row["mark"])

    def changes(self, after: int, limit: int) -> list[Change]:
        """See the port."""
        return [
            Change(row["seq"], row["op"], tuple(row["entries"]))
            for row in self._queries.all("changes_after", after=after, limit=limit)
        ]

    def in_force(self) -> Iterator[StoredEntry]:
        """See the port."""
        for row in self._queries.stream("entries_in_force"):
            yield StoredEntry(row["id"], row["person"], row["space"], row["sealed"])

    def entries(self, ids: Sequence[EntryId]) -> list[StoredEntry]:
        """See the port."""
        return [
            StoredEntry(row["id"], row["person"], row["space"], row["sealed"])
            for row in self._queries.all("entries_by_id", entries=list(ids))
        ]

    def film_lengths(self, items: Iterable[ItemId]) -> dict[ItemId, tuple[int, EntryId]]:
        """See the port."""
        rows = self._queries.all("film_lengths", items=sorted(items))
        return {row["item"]: (row["rows"], EntryId(row["last"])) for row in rows}

    def unseal_all(self, entries: Iterable[StoredEntry]) -> Iterator[tuple[StoredEntry, bytes]]:
        """See the port; keys are fetched for many entries at a time."""
        return self._vault.unseal_entries(entries)


class PgFollowers:
    """See ``pipeline.ports.Followers``."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    def announce(self, process: ProcessId, role: str, host: str, pid: int, born: int) -> None:
        """See the port."""
        self._queries.run(
            "follower_announce", process=process, role=role, host=host, pid=pid, born=born
        )

    def report(self, process: ProcessId, applied: int) -> bool:
        """See the port."""
        return self._queries.run("follower_report", process=process, applied=applied) == 1

    def all(self) -> list[Follower]:
        """See the port."""
        return [Follower(**row) for row in self._queries.all("followers_all")]

    def forget(self, process: ProcessId) -> None:
        """See the port."""
        self._queries.run("follower_forget", process=process)
