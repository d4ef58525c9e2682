"""The audit trail as a hash chain: each record's hash covers the one before it.

The canonical form of a record is its fields joined by newlines, so that PostgreSQL (which
appends) and Python (which verifies) compute the same bytes. Records hold ids, counts and
commitments; never a hash of an image, a template, a name or an address.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pipeline.errors import Tampered

GENESIS = bytes(32)
"""What stands before the first record of a chain."""


@dataclass(frozen=True, slots=True)
class Record:
    """One link of a chain. ``body`` is canonical JSON text, exactly as it was hashed."""

    chain: str
    seq: int
    at: datetime
    actor: str
    action: str
    subject: str
    body: str
    hash: bytes

    def canonical(self) -> bytes:
        """The bytes that the hash covers, after the previous hash."""
        if any("\n" in field for field in (self.actor, self.action, self.subject)):
            raise Tampered("an audit record's fields have one line each")
        fields = (self.chain, str(self.seq), stamp(self.at), self.actor, self.action, self.subject)
        return "\n".join((*fields, self.body)).encode()

    def computed(self, previous: bytes) -> bytes:
        """The hash that this record must have after ``previous``: SHA-256, 32 bytes."""
        return hashlib.sha256(previous + self.canonical()).digest()


@dataclass(frozen=True, slots=True)
class Head:
    """The newest link of a chain, to be published elsewhere."""

    chain: str
    seq: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Break:
    """Where a chain does not hold, and in what way."""

    chain: str
    seq: int
    what: str


def verify(records: Iterable[Record], head: Head) -> Break | None:
    """The first break of a chain read in order, or None when it holds up to its head."""
    previous, expected = GENESIS, 1
    for record in records:
        if record.seq != expected:
            return Break(head.chain, expected, "a record is missing")
        if not _holds(record, previous):
            return Break(head.chain, record.seq, "a record was changed")
        if record.chain != head.chain:
            return Break(head.chain, record.seq, "a record of another chain")
        previous, expected = record.hash, expected + 1
    if head.seq != expected - 1:
        return Break(head.chain, expected, "the chain is shorter than its head says")
    if head.hash != previous:
        return Break(head.chain, head.seq, "the head does not belong to the chain")
    return None


def _holds(record: Record, previous: bytes) -> bool:
    try:
        return record.computed(previous) == record.hash
    except Tampered:
        return False


def canonical_json(body: Mapping[str, Any]) -> str:
    """JSON with sorted keys, no spaces and no escapes beyond JSON's own."""
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def stamp(at: datetime) -> str:
    """A time as both sides write it: UTC with microseconds, as ``2026-11-24T03:01:02.000003Z``."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
