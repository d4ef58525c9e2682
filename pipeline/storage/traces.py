"""What uploads leave, sealed by the day, and the searches among it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID, uuid4

from psycopg.types.json import Jsonb

from pipeline.domain.ids import MediaId, ScreeningId, SweepId
from pipeline.domain.screening import Screening
from pipeline.domain.trace import Rows, packed, read_rows, rows_of
from pipeline.ports import Kept, StoredEntry, Sweep, SweepChunk, SweepProgress
from pipeline.storage import Database, Queries
from pipeline.storage.keyring import KeyRing
from pipeline.storage.vault import PgVault, Secrets, sealed_by

_STRIDE = 32
"""Bytes a code of every Hamming signal."""
_AT_ONCE = 512
"""Loose rows that are taken at a time: a video's may have hundreds of kilobytes."""
_LOOSE, _UPLOADS = "traces", "trace_segments.uploads"


class Days:
    """The keys of the days of which uploads are being recorded, remembered by a process."""

    def __init__(self, database: Database, keyring: KeyRing, secrets: Secrets) -> None:
        self._database, self._keyring, self._secrets = database, keyring, secrets
        self._lock = threading.Lock()
        self._known: dict[date, tuple[UUID, bytes]] = {}

    def sealed(self, screenings: Sequence[Screening]) -> list[dict[str, Any]]:
        """What these uploads leave, as rows."""
        rows = []
        for one in screenings:
            if one.trace is None or not one.trace.telling:
                continue
            day = one.received_at.astimezone(UTC).date()
            owner, key = self._of(day)
            clear = packed(self._secrets.fingerprint(one.trace.digest), one.trace)
            rows.append(
                {
                    "day": day,
                    "screening": one.id,
                    "index_seq": one.index_seq,
                    "sealed": sealed_by(key, owner, _LOOSE, clear),
                }
            )
        return rows

    def _of(self, day: date) -> tuple[UUID, bytes]:
        with self._lock:
            found = self._known.get(day)
            if found is None:
                found = self._opened(day)
                # Yesterday's is still needed around midnight; older ones are not.
                newest = sorted((*self._known, day))[-2:]
                self._known = {d: k for d, k in self._known.items() if d in newest} | {day: found}
            return found

    def _opened(self, day: date) -> tuple[UUID, bytes]:
        # A transaction of its own: one that is rolled back must not take the day with it.
        with self._database.transaction() as connection:
            queries = Queries(connection)
            owner = MediaId(queries.value("traces_open", day=day))
            vault = PgVault(queries, self._keyring, self._secrets)
            if queries.one("vault_key", owner=owner) is None:
                vault.create(owner, kind="traces")
            return owner, vault.key(owner)


class PgTraces:
    """See ``pipeline.ports.Traces``."""

    def __init__(self, queries: Queries, vault: PgVault) -> None:
        self._queries, self._vault = queries, vault

    def press(self, day: date, size: int, *, whole: bool) -> int:
        """See the port."""
        owner = self._owners().get(day)
        if owner is None:
            return 0
        taken, codes = list[dict[str, Any]](), 0
        while codes < size:
            some = self._queries.all(
                "traces_to_press", day=day, limit=min(_AT_ONCE, size - codes),
                after=taken[-1]["screening"] if taken else None,
            )  # fmt: skip
            taken += some
            codes += sum(_about(row["sealed"]) for row in some)
            if not some:
                break
        if not taken or (codes < size and not whole):
            return 0
        rows = self._unsealed(owner, taken)
        segment = uuid4()
        self._queries.run(
            "trace_segment_add",
            day=day,
            id=segment,
            rows=len(rows),
            least_seq=min(row["index_seq"] for row in taken),
            last_at=max(_made_at(row["screening"]) for row in taken),
            uploads=self._vault.seal(owner, _bound(_UPLOADS, segment), rows.uploads.tobytes()),
        )
        for space, column in rows.columns.items():
            block = self._vault.seal(owner, _bound(space, segment), column.tobytes())
            self._queries.run(
                "trace_column_add", day=day, segment=segment, space=space, codes=block
            )
        self._queries.run("traces_pressed", day=day, screenings=[row["screening"] for row in taken])
        return len(taken)

    def loose(self, upto: int) -> dict[date, int]:
        """See the port."""
        return {row["day"]: row["rows"] for row in self._queries.all("traces_loose", upto=upto)}

    def expire(self, before: date) -> int:
        """See the port."""
        days = [day for day in self._owners() if day < before]
        for day in days:
            owner = self._queries.value("traces_close", day=day)
            if owner is not None:
                self._vault.shred(MediaId(owner))
        return len(days)

    def read(self, chunk: SweepChunk, upto: int) -> Rows | None:
        """See the port."""
        if chunk.owner is None:
            return None
        owner = MediaId(chunk.owner)
        if chunk.segment is None:
            loose = self._queries.all("traces_read", day=chunk.day, upto=upto, after=chunk.after)
            return self._unsealed(owner, loose) if loose else None
        row = self._queries.one("trace_segment", day=chunk.day, id=chunk.segment)
        if row is None:
            return None
        columns = self._queries.all("trace_columns", day=chunk.day, segment=chunk.segment)
        return read_rows(
            self._vault.unseal(owner, _bound(_UPLOADS, chunk.segment), row["uploads"]),
            (
                (
                    one["space"],
                    self._vault.unseal(owner, _bound(one["space"], chunk.segment), one["codes"]),
                )
                for one in columns
            ),
        )

    def kept(self) -> Kept:
        """See the port."""
        row = self._queries.one("traces_figures")
        assert row is not None  # an aggregate always has a row
        return Kept(int(row["segments"]), int(row["rows"]), row["first_day"])

    def _owners(self) -> dict[date, MediaId]:
        return {row["day"]: MediaId(row["owner"]) for row in self._queries.all("trace_days")}

    def _unsealed(self, owner: MediaId, rows: Sequence[dict[str, Any]]) -> Rows:
        clear = [
            (ScreeningId(row["screening"]), self._vault.unseal(owner, _LOOSE, row["sealed"]))
            for row in rows
        ]
        return rows_of(clear, _STRIDE)


class PgSweeps:
    """See ``pipeline.ports.Sweeps``."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    def add(self, sweep: Sweep) -> None:
        """See the port."""
        self._queries.run(
            "sweep_add",
            id=sweep.id,
            asked_at=sweep.asked_at,
            asked_by=sweep.asked_by,
            after_seq=sweep.after,
            upto_seq=sweep.upto,
            since=sweep.since,
            radii=Jsonb(dict(sweep.radii)),
        )

    def get(self, sweep: SweepId) -> Sweep | None:
        """See the port."""
        row = self._queries.one("sweep_get", id=sweep)
        return _sweep(row) if row else None

    def latest(self) -> Sweep | None:
        """See the port."""
        row = self._queries.one("sweep_latest")
        return _sweep(row) if row else None

    def open(self) -> list[Sweep]:
        """See the port."""
        return [_sweep(row) for row in self._queries.all("sweeps_open")]

    def plan(self, sweep: SweepId, kind: str, max_attempts: int) -> int:
        """See the port."""
        if self._queries.one("sweep_lock", id=sweep) is None:
            return 0
        added = self._queries.run("sweep_plan_segments", sweep=sweep)
        added += self._queries.run("sweep_plan_loose", sweep=sweep)
        if added:
            self._queries.run("sweep_jobs", sweep=sweep, kind=kind, max_attempts=max_attempts)
        return added

    def chunk(self, sweep: SweepId, number: int) -> SweepChunk | None:
        """See the port."""
        row = self._queries.one("sweep_chunk", sweep=sweep, number=number)
        return SweepChunk(**row) if row else None

    def done(
        self, chunk: SweepChunk, now: datetime, compared: float, found: int, seconds: float
    ) -> None:
        """See the port."""
        self._queries.run(
            "sweep_chunk_done",
            sweep=chunk.sweep,
            number=chunk.number,
            now=now,
            compared=compared,
            found=found,
            seconds=seconds,
        )

    def progress(self, sweep: SweepId) -> SweepProgress:
        """See the port."""
        row = self._queries.one("sweep_progress", sweep=sweep)
        assert row is not None  # an aggregate always has a row
        return SweepProgress(**row)

    def revive(self, sweep: SweepId) -> int:
        """See the port."""
        return self._queries.run("sweep_revive", sweep=sweep)

    def close(self, sweep: SweepId, now: datetime) -> None:
        """See the port."""
        self._queries.run("sweep_close", sweep=sweep, now=now)

    def questions(self, sweep: Sweep, spaces: Sequence[str]) -> list[StoredEntry]:
        """See the port."""
        rows = self._queries.all(
            "sweep_questions", after_seq=sweep.after, upto_seq=sweep.upto, spaces=list(spaces)
        )
        return [StoredEntry(**row) for row in rows]

    def anything_new(self, after: int, upto: int, spaces: Sequence[str]) -> bool:
        """See the port."""
        return bool(
            self._queries.value(
                "sweep_anything_new", after_seq=after, upto_seq=upto, spaces=list(spaces)
            )
        )


def _sweep(row: dict[str, Any]) -> Sweep:
    return Sweep(
        id=row["id"],
        asked_at=row["asked_at"],
        asked_by=row["asked_by"],
        after=row["after_seq"],
        upto=row["upto_seq"],
        since=row["since"],
        radii=row["radii"],
        planned=row["planned"],
        closed_at=row["closed_at"],
    )


def _about(sealed: bytes) -> int:
    """How many codes an upload left, about: a picture's few spaces fit in a kilobyte.

    As ``traces_loose`` counts them.
    """
    return max(1, (len(sealed) - 1024) // 43)


def _bound(what: str, segment: UUID) -> str:
    """What a block is sealed as: neither another's nor another segment's opens in its place."""
    return f"{what}|{segment}"


def _made_at(screening: UUID) -> datetime:
    """When an id of version 7 was made: its first 48 bits are milliseconds."""
    return datetime.fromtimestamp((screening.int >> 80) / 1000, UTC)
