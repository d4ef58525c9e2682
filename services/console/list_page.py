"""The table of what waits: dense, filtered, and without a single picture.

A lead sees all of it, a verifier the enrolments.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Request, Response

from pipeline.domain.case import CaseKind, State
from pipeline.domain.house import why_first
from pipeline.domain.ids import CaseId
from pipeline.ports import QueueFilter, QueueRow
from services.console import words
from services.console.refusals import pages_of
from services.console.sessions import LISTS, SessionOf, WorldOf

router = APIRouter()

PAGE = 100
_SHOWN = (State.OPEN, State.ESCALATED, State.PARKED)


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the table."""

    row: QueueRow
    age: str
    due: str
    late: bool
    reason: str


@router.get("/cases", dependencies=[LISTS])
def show(
    request: Request,
    world: WorldOf,
    session: SessionOf,
    state: str = "",
    kind: str = "",
    queue: str = "",
    platform: str = "",
    due: str = "",
    after: UUID | None = None,
) -> Response:
    """A page of the table, first what comes first; frozen cases are not in it."""
    now = world.desk.clock()
    states = tuple(one for one in _SHOWN if state in ("", one.value))
    wanted = QueueFilter(
        states=states,
        kind=_kind(kind) if session.leads else CaseKind.ENROLMENT,
        queue=queue or None,
        platform=platform or None,
        before=now + timedelta(hours=int(due)) if due.isdecimal() and len(due) < 5 else None,
    )
    with world.store.transaction(snapshot=True) as unit:
        rules = unit.house.rules()
        found = unit.cases.queue(now, PAGE + 1, wanted, CaseId(after) if after else None)
        platforms = [str(row["name"]) for row in unit.platforms.all()]
    rows, more = found[:PAGE], found[PAGE - 1].id if len(found) > PAGE else None
    chosen = {"state": state, "kind": kind, "queue": queue, "platform": platform, "due": due}
    return pages_of(request).answer(
        "list.html",
        session=session,
        lines=[
            Line(
                row,
                words.lasting(now - row.opened_at),
                words.due(row.deadline, now),
                row.deadline is not None and row.deadline <= now,
                words.reason(why_first(row.standing, rules.order), row.standing, now),
            )
            for row in rows
        ],
        more=_onward(chosen, more) if more else None,
        first=_onward(chosen, None) if after else None,
        chosen=chosen,
        kinds=list(CaseKind) if session.leads else [],
        states=_SHOWN,
        queues=rules.queue_names,
        platforms=platforms,
    )


def _kind(said: str) -> CaseKind | None:
    return CaseKind(said) if said in list(CaseKind) else None


def _onward(chosen: Mapping[str, Any], after: CaseId | None) -> str:
    kept = {key: value for key, value in chosen.items() if value}
    return "/cases?" + urlencode({**kept, **({"after": after} if after else {})})
