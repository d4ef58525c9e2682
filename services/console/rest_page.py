"""A break, and the limits of a day: why no new case comes, and until when."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from pipeline.errors import Resting
from pipeline.journeys import rest
from services.console.case_page import just_decided
from services.console.refusals import pages_of
from services.console.sessions import CASES, POSTS_CASES, PostedBy, SessionOf, WorldOf

router = APIRouter(prefix="/rest")


@router.get("", dependencies=[CASES])
def show(
    request: Request, world: WorldOf, session: SessionOf, decided: UUID | None = None
) -> Response:
    """Why somebody rests, and how long it lasts at least."""
    now = world.desk.clock()
    with world.store.transaction() as unit:
        due = rest.rest_due(unit, session.reviewer, now)
        rules, shift = unit.house.rules(), unit.house.shift(session.reviewer)
    resting = shift is not None and shift.resting_since is not None
    before, seconds = just_decided(world, session, decided)
    left = 0
    if due is not None and due.until is not None and resting:
        left = max(0, round((due.until - now).total_seconds()))
    return pages_of(request).answer(
        "rest.html",
        session=session,
        due=due,
        resting=resting,
        left=left,
        least=rules.breaks.seconds,
        before=before,
        before_seconds=seconds,
    )


@router.post("/begin", dependencies=[POSTS_CASES])
def begin(world: WorldOf, posted: PostedBy) -> Response:
    """Begin a break."""
    rest.begin_break(world.desk, posted.session.reviewer)
    return RedirectResponse("/rest", 303)


@router.post("/end", dependencies=[POSTS_CASES])
def end(world: WorldOf, posted: PostedBy) -> Response:
    """Go on, once the break has lasted long enough."""
    try:
        rest.end_break(world.desk, posted.session.reviewer)
    except Resting:
        return RedirectResponse("/rest", 303)
    return RedirectResponse("/queue", 303)
