"""What a withdrawal must destroy, and the receipt that proves it.

The order is the promise: matches stop first, then cases close, then every process that held the
entries says that it has let go, then the person's key and everything under it is destroyed. A
process that cannot be reached delays the receipt, never the destruction. Each step can be repeated
until the receipt is complete. A receipt holds no personal data: it names the withdrawal,
not the person.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from pipeline.domain.ids import ProcessId, ReceiptId


class Step(StrEnum):
    """The steps of a withdrawal, in order."""

    MATCHES_STOPPED = "matches_stopped"
    """The entries are out of force: no hit on them counts from this moment on, anywhere."""
    CASES_CLOSED = "cases_closed"
    """Open cases that rested on the entries alone are closed, their media destroyed."""
    INDEXES_CLEAR = "indexes_clear"
    """Every running process has removed the entries from its memory."""
    KEY_SHREDDED = "key_shredded"
    """The person's data key is destroyed; what it sealed can never be read again."""
    DATA_DESTROYED = "data_destroyed"
    """Entries, consents and the case number's PIN are deleted."""


ORDER = tuple(Step)


class Confirmation(StrEnum):
    """How we know that a process holds the entries no longer."""

    APPLIED = "applied"
    """It reported that it has applied the change."""
    ENDED = "ended"
    """It has ended, and its memory with it."""
    EXPIRED = "expired"
    """It has not been heard of for longer than a process may answer without renewing itself."""


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that held the entries, and how it is known to be free of them."""

    process: ProcessId
    role: str
    confirmed: Confirmation | None


@dataclass(frozen=True, slots=True)
class Receipt:
    """How far a withdrawal has come. Counts only; never ids of entries, never whose they were."""

    id: ReceiptId
    asked_at: datetime
    sequence: int
    entries: int
    cases_closed: int = 0
    media_destroyed: int = 0
    kept_by_law: int = 0
    """Uploads that concern the person and that a law has us keep; nothing of them matches."""
    kept_until: datetime | None = None
    holders: tuple[Holder, ...] = ()
    done: tuple[tuple[Step, datetime], ...] = ()
    signature: str | None = None
    """Ed25519 by the deployment's signing key over ``statement``; base64."""

    @property
    def complete(self) -> bool:
        """Whether nothing is left to do."""
        return {step for step, _ in self.done} == set(ORDER)

    @property
    def next_step(self) -> Step | None:
        """The first step that is not done; None when complete."""
        finished = {step for step, _ in self.done}
        return next((step for step in ORDER if step not in finished), None)

    def document(self) -> dict[str, Any]:
        """The receipt as data to print or download."""
        kept = {
            "kept_by_law": {
                "media": self.kept_by_law,
                "until": _iso(self.kept_until) if self.kept_until else None,
                "why": "the law has what may show a minor preserved (18 USC 2258A)",
            }
        }
        return {
            "receipt": str(self.id),
            "asked_at": _iso(self.asked_at),
            "complete": self.complete,
            "entries_destroyed": self.entries,
            "cases_closed": self.cases_closed,
            "media_destroyed": self.media_destroyed,
            "change_sequence": self.sequence,
            **(kept if self.kept_by_law else {}),
            "processes": [
                {
                    "process": str(holder.process),
                    "role": holder.role,
                    "confirmed": holder.confirmed.value if holder.confirmed else None,
                }
                for holder in self.holders
            ],
            "steps": [{"step": step.value, "at": _iso(at)} for step, at in self.done],
        }

    def statement(self) -> bytes:
        """The bytes that are signed: the document as JSON, keys sorted, no spaces."""
        return json.dumps(self.document(), sort_keys=True, separators=(",", ":")).encode()


def _iso(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
