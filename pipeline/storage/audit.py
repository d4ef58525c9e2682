"""The audit trail in PostgreSQL: appended by a function, read and verified here.

The application's role can call that function and read; it can change nothing. Whoever owns the
database can, and is found out by a signed head that was published elsewhere beforehand.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import chain
from typing import Any
from uuid import UUID

from pipeline.domain.audit import Break, Head, Record, canonical_json, stamp, verify
from pipeline.errors import Invalid, Tampered
from pipeline.storage import Queries

CHAIN = "main"

SEALED = "screenings.sealed"
"""The action of a record that covers a batch of screenings by count and digest."""

_TEXTS = ("content_id", "verdict", "refusal", "policy", "form")
_NUMBERS = ("index_seq", "bytes")


def screenings_digest(rows: Iterable[Mapping[str, Any]]) -> str:
    """SHA-256 (hex) over screenings in order of id, one line of canonical JSON each.

    A row has ``id``, ``platform``, ``content_id``, ``verdict``, ``refusal``, ``case_id``,
    ``policy``, ``index_seq``, ``received_at``, ``form`` and ``bytes``; others are left out.
    """
    digest = hashlib.sha256()
    for row in sorted(rows, key=lambda row: str(row["id"])):
        document: dict[str, Any] = {name: _text(row[name]) for name in _TEXTS}
        document |= {name: row[name] for name in _NUMBERS}
        document |= {name: _text(row[name]) for name in ("id", "platform", "case_id")}
        document["received_at"] = stamp(row["received_at"])
        digest.update(canonical_json(document).encode() + b"\n")
    return digest.hexdigest()


def head_statement(head: Head, deployment: UUID, at: datetime) -> bytes:
    """What is signed and published of a head: canonical JSON."""
    statement = {
        "form": "consentry-audit-head/1",
        "deployment": str(deployment),
        "chain": head.chain,
        "seq": head.seq,
        "hash": head.hash.hex(),
        "at": stamp(at),
    }
    return canonical_json(statement).encode()


class PgAudit:
    """The main chain."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    def append(self, actor: str, action: str, subject: str, body: Mapping[str, Any]) -> int:
        """Add a record; its sequence. Other appenders wait until this transaction ends.

        Raises ``Invalid`` for a name with a line break, which would make the chain ambiguous.
        """
        if any("\n" in name or "\0" in name for name in (actor, action, subject)):
            raise Invalid("an audit record's actor, action and subject are one line each")
        sequence = self._queries.value(
            "audit_append", actor=actor, action=action, subject=subject, body=canonical_json(body)
        )
        return int(sequence)

    def recent(
        self, limit: int, before: int | None = None, subject: str | None = None
    ) -> list[Record]:
        """Records, newest first, below a sequence and about a subject where those are given."""
        rows = self._queries.all("audit_recent", limit=limit, before=before, subject=subject)
        return [Record(**{**row, "hash": bytes(row["hash"])}) for row in rows]

    def head(self) -> Head:
        """The newest link; raises ``Tampered`` when there is none, not even of an empty chain."""
        row = self._queries.one("audit_head")
        if row is None:
            raise Tampered("the audit trail has lost its head; compare it with a published one")
        return Head(row["chain"], row["seq"], row["hash"])

    def verify(self) -> Break | None:
        """Read the whole chain, then every batch of screenings that it covers; the first break."""
        rows = self._queries.stream("audit_records")
        first = next(rows, None)
        if first is None:
            return Break(CHAIN, 0, "the head is missing")
        head = Head(CHAIN, first["head_seq"], first["head_hash"])
        covering: list[Record] = []
        found = verify(_noting(_records(chain((first,), rows)), covering), head)
        if found is not None:
            return found
        return next(filter(None, map(self._broken_batch, covering)), None)

    def _broken_batch(self, record: Record) -> Break | None:
        try:
            body = json.loads(record.body)
            count, digest = int(body["count"]), str(body["digest"])
        except (ValueError, KeyError, TypeError):
            return Break(CHAIN, record.seq, "a record of screenings does not say what it covers")
        rows = self._queries.all("audit_screenings", seq=record.seq)
        if len(rows) < count:
            return Break(CHAIN, record.seq, f"{count - len(rows)} screenings are missing")
        if len(rows) > count:
            return Break(CHAIN, record.seq, f"{len(rows) - count} screenings were added")
        if screenings_digest(rows) != digest:
            return Break(CHAIN, record.seq, "a screening was changed")
        return None


def _records(rows: Iterable[Mapping[str, Any]]) -> Iterator[Record]:
    for row in rows:
        if row["seq"] is not None:
            yield Record(
                chain=row["chain"],
                seq=row["seq"],
                at=row["at"],
                actor=row["actor"],
                action=row["action"],
                subject=row["subject"],
                body=row["body"],
                hash=row["hash"],
            )


def _noting(records: Iterable[Record], covering: list[Record]) -> Iterator[Record]:
    for record in records:
        if record.action == SEALED:
            covering.append(record)
        yield record


def _text(value: object) -> str | None:
    return None if value is None else str(value)
