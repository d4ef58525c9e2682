"""The lead's overview: what waits, how long decisions take, how often people agree. Never who."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from pipeline.domain.case import CaseKind
from pipeline.domain.ids import CaseId
from services.console import words
from services.console.refusals import pages_of
from services.console.sessions import LEADS, SessionOf, WorldOf
from services.web.charts import Chart, bars
from services.wiring import World

router = APIRouter(prefix="/lead", dependencies=[LEADS])

_DUE = (
    ("late", "past the deadline"), ("6h", "within 6 h"), ("24h", "within 24 h"),
    ("48h", "later"), ("none", "no legal deadline"),
)  # fmt: skip
_AGES = (
    ("1h", "up to 1 h"), ("6h", "up to 6 h"), ("24h", "up to 24 h"), ("3d", "up to 3 d"),
    ("older", "longer"),
)  # fmt: skip
_COLUMNS = (
    "id", "kind", "purpose", "state", "queue", "priority", "severity", "spread", "nearness",
    "language", "opened_at", "deadline", "decided_at", "ground", "decided_by", "about",
    "overturned_by",
)  # fmt: skip
_BATCH = 1000


@router.get("")
def show(request: Request, world: WorldOf, session: SessionOf, days: int = 30) -> Response:
    """The page; ``days`` is how far it looks back, at most a year."""
    now = world.desk.clock()
    since = now - timedelta(days=min(max(days, 1), 365))
    with world.store.transaction(snapshot=True) as unit:
        waiting = unit.figures.open_cases(now)
        decided = unit.figures.decided(since)
        durations = unit.figures.durations(since)
        agreement = unit.figures.agreement(since)
        appeals = unit.figures.appeals(since)
        probing = unit.probes.alarms(since)
    return pages_of(request).answer(
        "lead.html",
        session=session,
        days=min(max(days, 1), 365),
        total=sum(row["cases"] for row in waiting),
        charts=[
            *_charts(waiting, durations, agreement, appeals),
            bars(
                "Accounts that tried variants of a picture, by platform",
                [(row["platform"], row["alarms"], str(row["alarms"])) for row in probing],
                warm=[row["platform"] for row in probing],
            ),
        ],
        decided=[
            {
                **row,
                "median": words.lasting(timedelta(seconds=row["median"])),
                "slowest": words.lasting(timedelta(seconds=row["slowest"])),
            }
            for row in decided
        ],
    )


@router.get("/cases.csv")
def export(world: WorldOf, session: SessionOf) -> Response:
    """Every case as CSV, all of them; those that only the protected role may see are not in it."""
    with world.store.transaction() as unit:
        who = f"reviewer:{session.reviewer}"
        unit.audit.append(who, "cases.exported", who, {})
    return StreamingResponse(
        _lines(world),
        media_type="text/csv; charset=utf-8",
        headers={"content-disposition": 'attachment; filename="cases.csv"'},
    )


def _lines(world: World) -> Iterator[str]:
    yield ",".join(_COLUMNS) + "\r\n"
    after: CaseId | None = None
    while True:
        with world.store.transaction() as unit:
            rows = unit.figures.cases(after, _BATCH)
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerows([_cell(row[column]) for column in _COLUMNS] for row in rows)
        yield text.getvalue()
        if len(rows) < _BATCH:
            return
        after = rows[-1]["id"]


def _cell(value: Any) -> str:
    """A value as text that no spreadsheet takes for a formula."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    text = str(value)
    return "'" + text if text[:1] in {"=", "+", "@", "\t"} else text


def _charts(
    waiting: list[Mapping[str, Any]],
    durations: Mapping[int, int],
    agreement: list[Mapping[str, Any]],
    appeals: list[Mapping[str, Any]],
) -> list[Chart]:
    due, age, queue, kind = (Counter[str]() for _ in range(4))
    for row in waiting:
        count = row["cases"]
        due.update({key: row[f"due_{key}"] for key, _ in _DUE})
        age.update({key: row[f"age_{key}"] for key, _ in _AGES})
        queue[row["queue"]] += count
        named = words.kind(CaseKind(row["kind"]))
        apart = {"frozen": "Frozen", "parked": "In quarantine"}
        kind[apart.get(row["state"], named)] += count
    return [
        bars("Waiting, by the law's deadline", _named(_DUE, due), warm=["past the deadline"]),
        bars("Waiting, by age", _named(_AGES, age)),
        bars("Waiting, by queue", [(name, many, str(many)) for name, many in queue.most_common()]),
        bars("Waiting, by kind", [(name, many, str(many)) for name, many in kind.most_common()]),
        bars(
            "Time to decision",
            [(_span(at), durations.get(at, 0), str(durations.get(at, 0))) for at in range(10)],
        ),
        bars(
            "Agreement of second looks and golden cases",
            [
                (
                    f"{row['queue']}, {'golden' if row['purpose'] == 'golden' else 'second look'}",
                    row["agree"] / row["compared"],
                    f"{row['agree']} of {row['compared']}",
                )
                for row in agreement
            ],
            most=1,
        ),
        bars("Appeals overturned, by who appealed", _overturned(appeals), most=1),
    ]


def _named(
    names: tuple[tuple[str, str], ...], counts: Mapping[str, int]
) -> list[tuple[str, float, str]]:
    return [(label, counts.get(key, 0), str(counts.get(key, 0))) for key, label in names]


def _span(bucket: int) -> str:
    shortest = timedelta(minutes=15 * 2**bucket)
    if bucket == 0:
        return "up to 30 min"
    return f"from {words.lasting(shortest)}"


def _overturned(appeals: list[Mapping[str, Any]]) -> list[tuple[str, float, str]]:
    found: dict[str, Counter[str]] = {}
    for row in appeals:
        found.setdefault(row["side"], Counter())[row["state"]] += row["appeals"]
    names = {"uploader": "uploaders", "registered": "registered people", "quality": "second looks"}
    rows = []
    for side, states in found.items():
        ended = states["overturned"] + states["stands"]
        rows.append(
            (
                names[side],
                states["overturned"] / ended if ended else 0.0,
                f"{states['overturned']} of {ended}, {sum(states.values()) - ended} open",
            )
        )
    return rows
