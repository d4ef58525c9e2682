"""Local features of registered pictures: sealed, in force as long as their entry is."""

from __future__ import annotations

from pipeline.domain.ids import EntryId, ItemId, PersonId
from pipeline.ports import StoredEntry, StoredFeatures
from pipeline.storage import Queries


class PgFeatures:
    """See ``pipeline.ports.LocalFeatures``."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    def add(self, entry: EntryId, features: StoredFeatures) -> None:
        """See the port."""
        self._queries.run(
            "features_add",
            entry=entry,
            mirrored=features.mirrored,
            descriptors=features.descriptors,
            places=features.places,
        )

    def of(self, entry: EntryId) -> StoredFeatures | None:
        """See the port."""
        row = self._queries.one("features_of", entry=entry)
        return StoredFeatures(**row) if row else None

    def kept_of(self, person: PersonId) -> list[tuple[EntryId, ItemId]]:
        """See the port."""
        rows = self._queries.all("features_kept_of", person=person)
        return [(EntryId(row["id"]), ItemId(row["item"])) for row in rows]

    def beside(self, entry: EntryId, space: str) -> StoredEntry | None:
        """See the port."""
        row = self._queries.one("entry_beside", entry=entry, space=space)
        return StoredEntry(row["id"], row["person"], row["space"], row["sealed"]) if row else None
