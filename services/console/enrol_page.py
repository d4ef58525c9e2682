"""Enrolments that wait for a verifier: is this face the person's own? Frozen duplicates first.

There are no photos to look at: they were destroyed when the face was learned. A verifier makes sure
in the way that the organisation has agreed (a call, a visit, a partner), and says so here.
"""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from pipeline.domain.ids import EnrolmentId
from pipeline.errors import Conflict, Invalid
from pipeline.journeys import enrol_face
from services.console import words
from services.console.refusals import pages_of
from services.console.sessions import (
    POSTS_VERIFIES,
    VERIFIES,
    PostedBy,
    Session,
    SessionOf,
    WorldOf,
)
from services.wiring import World

router = APIRouter(prefix="/enrolments")

_MOST = 200


@router.get("", dependencies=[VERIFIES])
def show(request: Request, world: WorldOf, session: SessionOf, done: str = "") -> Response:
    """What waits, frozen ones first."""
    return _page(request, world, session, done=done)


@router.post("/{enrolment}", dependencies=[POSTS_VERIFIES])
def decide(request: Request, world: WorldOf, posted: PostedBy, enrolment: UUID) -> Response:
    """Approve or refuse. Approving asks once more whether somebody else has the same face."""
    by, answer = posted.session.reviewer, posted.fields["answer"]
    if answer not in ("approve", "refuse"):
        raise Invalid("choose one of the two answers")
    try:
        with world.live("console") as live:
            office = world.office(live)
            if answer == "approve":
                ended = enrol_face.approve(office, EnrolmentId(enrolment), by=by)
            else:
                reason = posted.fields["reason"]
                ended = enrol_face.refuse(office, EnrolmentId(enrolment), reason, by=by)
    except Invalid as refused:
        return _page(request, world, posted.session, problem=str(refused), status=422)
    except Conflict as refused:
        return _page(request, world, posted.session, problem=str(refused), status=409)
    return RedirectResponse(f"/enrolments?done={ended.state.value}", 303)


def _page(
    request: Request,
    world: World,
    session: Session,
    *,
    done: str = "",
    problem: str | None = None,
    status: int = 200,
) -> Response:
    now = world.desk.clock()
    return pages_of(request).answer(
        "enrolments.html",
        status=status,
        session=session,
        rows=[
            (one, words.lasting(now - one.asked_at))
            for one in enrol_face.waiting(world.store, _MOST)
        ],
        done=done if done in ("approved", "frozen", "refused") else "",
        problem=problem,
    )
