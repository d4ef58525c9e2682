"""Where a reviewer's work begins: what waits, why the next case is next, and one button."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from pipeline.domain.case import CaseKind
from pipeline.domain.ids import CaseId
from pipeline.domain.roles import Power, desks
from pipeline.errors import Denied, IllegalTransition, Invalid, Resting
from pipeline.journeys import rest, review
from services.console.refusals import pages_of
from services.console.sessions import CASES, POSTS_CASES, PostedBy, Session, SessionOf, WorldOf
from services.wiring import World

router = APIRouter()

MOST_REPORTED = 50
MOST_COUNTED = 1000
"""Nobody needs to know how many more wait, and counting them all takes its time."""


@router.get("/")
def home(session: SessionOf) -> Response:
    """To where somebody's work begins."""
    return RedirectResponse(session.home, 303)


@router.get("/queue", dependencies=[CASES])
def show(
    request: Request,
    world: WorldOf,
    session: SessionOf,
    decided: UUID | None = None,
    empty: bool = False,
) -> Response:
    """The reviewer's start; ``decided`` names the case that was just decided."""
    now = world.desk.clock()
    with world.store.transaction(snapshot=True) as unit:
        rules = unit.house.rules()
        out = unit.house.opted_out(session.reviewer, now)
        open_to = review.open_to(unit, session.reviewer, session.role, now)
        queues = session.queues or rules.queue_names
        waiting = unit.cases.waiting_for(open_to, queues, MOST_COUNTED + 1)
        held = unit.cases.held_by(session.reviewer, now)
        done = unit.cases.get(CaseId(decided)) if decided else None
        exposure = unit.house.exposure(session.reviewer, now, rest.ASSUMED_SECONDS)
        reported = unit.cases.reported() if session.can(Power.PROTECT) else []
        resting = rest.rest_due(unit, session.reviewer, now)
    kinds = dict.fromkeys(kind for _, kind in desks(session.role))
    verdict = (done.pending.verdict if done.pending else done.verdict) if done else None
    mine = verdict is not None and verdict.reviewer == session.reviewer
    return pages_of(request).answer(
        "queue.html",
        session=session,
        waiting=waiting,
        most=MOST_COUNTED,
        held=held,
        done=done if mine else None,
        verdict=verdict if mine else None,
        undo_seconds=_left(done.pending.until, now) if mine and done and done.pending else 0,
        empty=empty,
        exposure=exposure,
        budget=rules.budget,
        resting=resting,
        reported=reported[:MOST_REPORTED],
        kinds=[(kind, kind in out) for kind in kinds],
    )


@router.post("/queue/next", dependencies=[POSTS_CASES])
def take_next(world: WorldOf, posted: PostedBy) -> Response:
    """Take the case that comes first."""
    return next_case(world, posted.session)


@router.post("/queue/undo", dependencies=[POSTS_CASES])
def undo(world: WorldOf, posted: PostedBy) -> Response:
    """Take a decision back before it has taken effect: the case is in hand again."""
    case = CaseId(_uuid(posted.fields["case"]))
    try:
        review.undo(world.desk, case, posted.session.reviewer)
    except IllegalTransition:
        # It is too late: say where the decision stands rather than only that it is refused.
        return RedirectResponse(f"/queue?decided={case}", 303)
    return RedirectResponse(f"/cases/{case}?undone=1", 303)


@router.post("/queue/kinds", dependencies=[POSTS_CASES])
def choose_kinds(world: WorldOf, posted: PostedBy) -> Response:
    """No cases of a kind for today, or cases of it again; nobody is asked why."""
    try:
        kind = CaseKind(posted.fields["kind"])
    except ValueError:
        raise Invalid("choose one of the kinds on the page") from None
    if kind not in {own for _, own in desks(posted.session.role)}:
        raise Denied("your role takes no cases of this kind")
    if posted.fields["out"]:
        rest.opt_out(world.desk, posted.session.reviewer, kind)
    else:
        rest.opt_in(world.desk, posted.session.reviewer, kind)
    return RedirectResponse("/queue", 303)


def next_case(world: World, session: Session, decided: CaseId | None = None) -> Response:
    """To the next case; to the start when there is none, to a rest when one is due."""
    done = f"decided={decided}" if decided else ""
    try:
        claim = review.claim_next(
            world.desk, session.reviewer, role=session.role, queues=session.queues
        )
    except Resting:
        return RedirectResponse(f"/rest?{done}" if done else "/rest", 303)
    if claim is not None:
        return RedirectResponse(f"/cases/{claim.case}{'?' + done if done else ''}", 303)
    return RedirectResponse(f"/queue?empty=1{'&' + done if done else ''}", 303)


def _left(until: datetime, now: datetime) -> int:
    return max(0, round((until - now).total_seconds()))


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise Invalid("the form lost the case; reload the page") from None
