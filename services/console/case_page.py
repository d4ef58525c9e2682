"""One case: taking it, holding it, deciding it."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse

from pipeline.domain.case import Case, Ground, State
from pipeline.domain.ids import CaseId
from pipeline.errors import Conflict, Invalid
from pipeline.journeys import review
from services.console.case_facts import facts_of, visible
from services.console.queue_page import next_case
from services.console.refusals import pages_of
from services.console.sessions import Posted, PostedBy, Session, SessionOf, WorldOf
from services.wiring import World

router = APIRouter(prefix="/cases/{case}")

LONGEST_REASON = 4000

_DECIDE: dict[State, Callable[[review.Desk, CaseId, UUID, Ground, str], Case]] = {
    State.UPHELD: review.uphold,
    State.DISMISSED: review.dismiss,
    State.ESCALATED: review.escalate,
}


@router.get("")
def show(request: Request, world: WorldOf, session: SessionOf, case: UUID) -> Response:
    """The case: its facts to everyone, its upload and the form to whoever holds it."""
    return _page(request, world, session, CaseId(case))


@router.post("/claim")
def claim(request: Request, world: WorldOf, posted: PostedBy, case: UUID) -> Response:
    """Take the case. Whoever comes back with a decision half written finds it in the form."""
    with world.store.transaction() as unit:
        visible(unit, CaseId(case), posted.session)
    try:
        review.claim(
            world.desk, CaseId(case), posted.session.reviewer, senior=posted.session.senior
        )
    except Conflict as refused:
        return _page(request, world, posted.session, CaseId(case), posted, refused, 409)
    if posted.fields["reason"]:
        return _page(request, world, posted.session, CaseId(case), posted)
    return RedirectResponse(f"/cases/{case}", 303)


@router.post("/renew")
def renew(world: WorldOf, posted: PostedBy, case: UUID) -> Response:
    """Hold the case for longer; the seconds it is held from now."""
    held = review.renew(world.desk, CaseId(case), _token(posted))
    return JSONResponse({"seconds": int((held.until - world.desk.clock()).total_seconds())})


@router.post("/release")
def release(world: WorldOf, posted: PostedBy, case: UUID) -> Response:
    """Give the case back, undecided."""
    review.release(world.desk, CaseId(case), _token(posted))
    return RedirectResponse("/queue", 303)


@router.post("/decision")
def decide(request: Request, world: WorldOf, posted: PostedBy, case: UUID) -> Response:
    """Decide. Whatever stands in the way, what was typed comes back with the page."""
    try:
        to, ground = _outcome(posted.fields["outcome"])
        reason = _reason(posted)
        _DECIDE[to](world.desk, CaseId(case), _token(posted), ground, reason)
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
) -> Response:
    return pages_of(request).answer(
        "case.html",
        status=status,
        session=session,
        facts=facts_of(world, case, session),
        problem=str(problem) if problem else None,
        outcome=posted.fields["outcome"] if posted else "",
        reason=posted.fields["reason"] if posted else "",
        longest=LONGEST_REASON,
    )


def _outcome(text: str) -> tuple[State, Ground]:
    """The decision and its ground, as the form sends them: ``dismissed:consented``."""
    if not text:
        raise Invalid("choose a decision")
    state, _, ground = text.partition(":")
    try:
        to, why = State(state), Ground(ground)
    except ValueError:
        raise Invalid("choose one of the decisions in the form") from None
    if to not in _DECIDE:
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
