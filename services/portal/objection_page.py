"""She does not agree with a decision to leave something: somebody else decides again."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from pipeline.domain.ids import CaseId
from pipeline.errors import Invalid, NotFound
from pipeline.journeys.appeal import LONGEST_STATEMENT, by_registered
from pipeline.journeys.follow_case import Open, follow_case
from pipeline.ports import Visit
from services.portal.paces import paces_of
from services.portal.pages import language_of
from services.portal.refusals import pages_of
from services.portal.visits import PostedBy, VisitOf, WorldOf, address_of
from services.wiring import World

router = APIRouter()


@router.get("/case/say/{case}")
def show(request: Request, world: WorldOf, visit: VisitOf, case: UUID) -> Response:
    """The form; nothing where there is nothing (any more) that she could object to."""
    return _form(request, world, visit, CaseId(case))


@router.post("/case/say/{case}")
def give(request: Request, world: WorldOf, posted: PostedBy, case: UUID) -> Response:
    """Take her words in; what was typed comes back where they are too few."""
    paces_of(request).objections.spend(address_of(request))
    why = posted.fields["why"].replace("\r\n", "\n")  # as the page counts them
    try:
        by_registered(world.desk, posted.visit.person, CaseId(case), why)
    except Invalid:
        return _form(request, world, posted.visit, CaseId(case), why, missing=True)
    return RedirectResponse(f"/{language_of(request).code}/case", 303)


def _form(
    request: Request,
    world: World,
    visit: Visit,
    case: CaseId,
    why: str = "",
    *,
    missing: bool = False,
) -> Response:
    return pages_of(request).answer(
        request, "say.html", visit=visit, open=_open(world, visit, case), why=why,
        missing=missing, longest=LONGEST_STATEMENT, status=422 if missing else 200,
    )  # fmt: skip


def _open(world: World, visit: Visit, case: CaseId) -> Open:
    """What she may object to; raises ``NotFound``."""
    for item in follow_case(world.desk, visit.person):
        for one in item.objections:
            if one.case == case:
                return one
    raise NotFound("there is nothing here that you could object to")
