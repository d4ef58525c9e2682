"""What a registered person is told of, and takes back item by item."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pipeline.domain.action import ActionKind
from pipeline.domain.case import Ground, State
from pipeline.domain.ids import CaseId, EntryId, ItemId, PersonId
from pipeline.ports import Acted, Appealed, Asked, Finding, Item, Repeat
from pipeline.storage import Queries


class PgFollowing:
    """See ``pipeline.ports.Following``."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    def items(self, person: PersonId) -> list[Item]:
        """See the port."""
        return [
            Item(row["item"], row["kind"], row["added_at"], row["active"])
            for row in self._queries.all("following_items", person=person)
        ]

    def findings(self, person: PersonId) -> list[Finding]:
        """See the port."""
        return [
            Finding(
                row["item"],
                row["case"],
                State(row["state"]),
                row["opened_at"],
                row["decided_at"],
                Ground(row["ground"]) if row["ground"] else None,
            )
            for row in self._queries.all("following_findings", person=person)
        ]

    def takedowns(self, cases: Sequence[CaseId]) -> list[Asked]:
        """See the port."""
        return [Asked(**row) for row in self._queries.all("following_takedowns", cases=list(cases))]

    def acted(self, cases: Sequence[CaseId]) -> list[Acted]:
        """See the port."""
        rows = self._queries.all("following_acted", cases=list(cases))
        return [
            Acted(row["case"], row["platform"], ActionKind(row["kind"]), row["at"]) for row in rows
        ]

    def appeals(self, cases: Sequence[CaseId]) -> list[Appealed]:
        """See the port."""
        return [
            Appealed(
                row["case"], row["side"], row["made_at"], State(row["state"]), row["decided_at"]
            )
            for row in self._queries.all("following_appeals", cases=list(cases))
        ]

    def repeats(self, cases: Sequence[CaseId]) -> list[Repeat]:
        """See the port."""
        return [Repeat(**row) for row in self._queries.all("following_repeats", cases=list(cases))]

    def because_of(self, person: PersonId, items: Iterable[ItemId]) -> tuple[EntryId, ...]:
        """See the port."""
        rows = self._queries.all("following_because_of", person=person, items=list(items))
        return tuple(EntryId(row["entry"]) for row in rows)

    def undecided_on(self, entries: Sequence[EntryId]) -> list[CaseId]:
        """See the port."""
        rows = self._queries.all("following_undecided_on", entries=list(entries))
        return [row["id"] for row in rows]

    def remove(self, person: PersonId, entries: Sequence[EntryId]) -> int:
        """See the port."""
        those = list(entries)
        self._queries.run("screening_notes_forget_entries", entries=those)
        self._queries.run("following_hits_forget", person=person, entries=those)
        self._queries.run("following_dismissals_forget", entries=those)
        self._queries.run("following_entries_delete", person=person, entries=those)
        self._queries.run("floods_sweep", person=person)
        return int(self._queries.value("change_append", op="remove", entries=those))
