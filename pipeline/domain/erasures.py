"""What was erased, in a list that outlives the database: opaque ids, never what they stood for."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pipeline.domain.audit import canonical_json, stamp
from pipeline.domain.ids import EntryId

What = Literal["person", "key", "entries"]

START = hashlib.sha256(b"consentry-erasures/1").hexdigest()
"""The link before the first line."""


@dataclass(frozen=True, slots=True)
class Erasure:
    """One line: a person who left, a data key that was destroyed, or codes that were deleted."""

    seq: int
    what: What
    at: datetime
    owner: UUID | None = None
    entries: tuple[EntryId, ...] = ()

    def document(self) -> dict[str, Any]:
        """As JSON data."""
        about: dict[str, Any] = (
            {"entries": list(self.entries)}
            if self.what == "entries"
            else {"owner": str(self.owner)}
        )
        return {"seq": self.seq, "what": self.what, "at": stamp(self.at), **about}

    def link(self, before: str) -> str:
        """What ties this line to all before it: SHA-256 of the link before and the line, hex."""
        return hashlib.sha256((before + canonical_json(self.document())).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Place:
    """How far a list reaches: the last number in it and the link that ties it to all before."""

    seq: int = 0
    link: str = START
