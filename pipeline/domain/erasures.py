"""What was erased, in a list that outlives the database: digests of ids, never what they named."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

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
    owner: bytes | None = None
    """SHA-256 of the 16 bytes of a random id: only who still has the id knows whose it was."""
    entries: tuple[EntryId, ...] = ()

    def document(self) -> dict[str, Any]:
        """As JSON data."""
        about: dict[str, Any] = (
            {"entries": list(self.entries)}
            if self.what == "entries"
            else {"owner": self.owner.hex() if self.owner else None}
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
