"""One case: taking it, holding it, deciding it."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse

from pipeline.domain.case import GROUNDS, Ground, State
from pipeline.domain.ids import CaseId
from pipeline.errors import Conflict, Invalid, Resting
from pipeline.journeys import enrol_face, review
from services.console.case_facts import facts_of, visible
from services.console.queue_page import next_case
from services.console.refusals import pages_of
from services.console.sessions import (
    POSTS_CASES,
    READS,
    Posted,
    PostedBy,
    Session,
    SessionOf,
    WorldOf,
)
from services.wiring import World

router = APIRouter(prefix="/cases/{case}")

LONGEST_REASON = 4000


@router.get("", dependencies=[READS])
def show(
    request: Request,
    world: WorldOf,
    session: SessionOf,
    case: UUID,
    decided: UUID | None = None,
    undone: bool = False,
) -> Response:
    """The case: its facts to whoever may read it, its upload and the form to whoever holds it.

    ``decided`` names the case that was decided just before, which can still be undone from here.
    """
    return _page(request, world, session, CaseId(case), decided=decided, undone=undone)


@router.post("/claim", dependencies=[POSTS_CASES])
def claim(request: Request, world: WorldOf, posted: PostedBy, case: UUID) -> Response:
    """Take the case. Whoever comes back with a decision half written finds it in the form."""
    with world.store.transaction() as unit:
        visible(unit, CaseId(case), posted.session)
    try:
        review.claim(world.desk, CaseId(case), posted.session.reviewer, role=posted.session.role)
    except Resting:
        return RedirectResponse("/rest", 303)
    except Conflict as refused:
        return _page(request, world, posted.session, CaseId(case), posted, refused, 409)
    if posted.fields["reason"]:
        return _page(request, world, posted.session, CaseId(case), posted)
    return RedirectResponse(f"/cases/{case}", 303)


@router.post("/renew", dependencies=[POSTS_CASES])
def renew(world: WorldOf, posted: PostedBy, case: UUID) -> Response:
    """Hold the case for longer; the seconds it is held from now."""
    held = review.renew(world.desk, CaseId(case), _token(posted))
    return JSONResponse({"seconds": int((held.until - world.desk.clock()).total_seconds())})


@router.post("/release", dependencies=[POSTS_CASES])
def release(world: WorldOf, posted: PostedBy, case: UUID) -> Response:
    """Give the case back, undecided."""
    review.release(world.desk, CaseId(case), _token(posted))
    return RedirectResponse("/queue", 303)


@router.post("/leave", dependencies=[POSTS_CASES])
def leave(world: WorldOf, posted: PostedBy, case: UUID) -> Response:
    """The page was left. Whoever loads it again has the case still; a browser sends this itself."""
    review.leave(world.desk, CaseId(case), _token(posted))
    return Response(status_code=204)


@router.post("/skip", dependencies=[POSTS_CASES])
def skip(world: WorldOf, posted: PostedBy, case: UUID) -> Response:
    """Not this one: it never comes to this reviewer again, and the next one does."""
    review.skip(world.desk, CaseId(case), _token(posted))
    return next_case(world, posted.session)


@router.post("/decision", dependencies=[POSTS_CASES])
def decide(request: Request, world: WorldOf, posted: PostedBy, case: UUID) -> Response:
    """Decide. Whatever stands in the way, what was typed comes back with the page."""
    try:
        to, ground = _outcome(posted.fields["outcome"])
        if ground is Ground.OWN_FACE:
            with world.live("console") as live:
                enrol_face.look_again(world.office(live), CaseId(case), _token(posted))
        review.decide(world.desk, CaseId(case), _token(posted), to, ground, _reason(posted))
    except Invalid as refused:
        return _page(request, world, posted.session, CaseId(case), posted, refused, 422)
    except Conflict as refused:
        return _page(request, world, posted.session, CaseId(case), posted, refused, 409)
    if posted.fields["then"] == "next":
        return next_case(world, posted.session, CaseId(case))
    return RedirectResponse(f"/queue?decided={case}", 303)


def _page(
    request: Request,
    world: World,
    session: Session,
    case: CaseId,
    posted: Posted | None = None,
    problem: Exception | None = None,
    status: int = 200,
    *,
    decided: UUID | None = None,
    undone: bool = False,
) -> Response:
    before, seconds = just_decided(world, session, decided)
    return pages_of(request).answer(
        "case.html",
        status=status,
        session=session,
        facts=facts_of(world, case, session),
        problem=str(problem) if problem else None,
        outcome=posted.fields["outcome"] if posted else "",
        reason=posted.fields["reason"] if posted else "",
        longest=LONGEST_REASON,
        before=before,
        before_seconds=seconds,
        undone=undone,
    )


def just_decided(world: World, session: Session, decided: UUID | None) -> tuple[CaseId | None, int]:
    """The case decided just before and the seconds in which that can be undone."""
    if decided is None:
        return None, 0
    now = world.desk.clock()
    with world.store.transaction() as unit:
        found = unit.cases.get(CaseId(decided))
    pending = found.pending if found else None
    if pending is None or pending.verdict.reviewer != session.reviewer or pending.until <= now:
        return None, 0
    return CaseId(decided), max(1, round((pending.until - now).total_seconds()))


def _outcome(text: str) -> tuple[State, Ground]:
    """The decision and its ground, as the form sends them: ``dismissed:consented``."""
    if not text:
        raise Invalid("choose a decision")
    state, _, ground = text.partition(":")
    try:
        to, why = State(state), Ground(ground)
    except ValueError:
        raise Invalid("choose one of the decisions in the form") from None
    if to not in GROUNDS:
        raise Invalid("choose one of the decisions in the form")
    return to, why


def _reason(posted: Posted) -> str:
    reason = posted.fields["reason"]
    if len(reason) > LONGEST_REASON:
        raise Invalid(f"shorten the reason to {LONGEST_REASON} characters")
    return reason


def _token(posted: Posted) -> UUID:
    try:
        return UUID(posted.fields["token"])
    except ValueError:
        raise Invalid("the form lost its claim on the case; reload the page") from None
