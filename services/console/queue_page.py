"""The queue: what waits, oldest first, and one button to begin."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from pipeline.domain.case import State
from pipeline.domain.ids import CaseId
from pipeline.journeys import review
from pipeline.ports import QueueRow, Unit
from services.console.pages import lasting
from services.console.refusals import pages_of
from services.console.sessions import PostedBy, Session, SessionOf, WorldOf

router = APIRouter()

PAGE = 50


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the table."""

    row: QueueRow
    age: str
    mine: bool


@router.get("/")
def home(session: SessionOf) -> Response:  # noqa: ARG001 - whoever is signed out goes to the login
    """The queue is where everything begins."""
    return RedirectResponse("/queue", 303)


@router.get("/queue")
def show(
    request: Request,
    world: WorldOf,
    session: SessionOf,
    after: UUID | None = None,
    decided: UUID | None = None,
    empty: bool = False,
) -> Response:
    """A page of the table; ``decided`` names the case that was just decided."""
    now = world.desk.clock()
    with world.store.transaction(snapshot=True) as unit:
        rows, more = _rows(unit, session, now, CaseId(after) if after else None)
        done = unit.cases.get(CaseId(decided)) if decided else None
        waiting, _ = unit.cases.waiting()
    lines = [Line(row, lasting(now - row.opened_at), row.reviewer == session.login) for row in rows]
    return pages_of(request).answer(
        "queue.html",
        session=session,
        lines=lines,
        more=more,
        after=after,
        waiting=waiting,
        done=done if done and done.verdict and done.verdict.reviewer == session.reviewer else None,
        empty=empty,
    )


@router.post("/queue/next")
def take_next(world: WorldOf, posted: PostedBy) -> Response:
    """Take the case that has waited longest."""
    return next_case(world, posted.session)


def next_case(world: WorldOf, session: Session, decided: CaseId | None = None) -> Response:
    """To the next case, or back to the queue when there is none."""
    claim = review.claim_next(world.desk, session.reviewer, senior=session.senior)
    if claim is not None:
        return RedirectResponse(f"/cases/{claim.case}", 303)
    done = f"&decided={decided}" if decided else ""
    return RedirectResponse(f"/queue?empty=1{done}", 303)


def _rows(
    unit: Unit, session: Session, now: datetime, after: CaseId | None
) -> tuple[list[QueueRow], CaseId | None]:
    """A page's rows and where the next page begins; escalated cases are shown to seniors only."""
    kept: list[QueueRow] = []
    while True:
        found = unit.cases.queue(now, PAGE + 1, after)
        for row in found:
            if row.state is State.ESCALATED and not session.senior:
                continue
            if len(kept) == PAGE:
                return kept, kept[-1].id
            kept.append(row)
        if len(found) <= PAGE:
            return kept, None
        after = found[-1].id
