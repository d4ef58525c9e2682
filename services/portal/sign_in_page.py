"""Signing in with case number and PIN, signing out, and getting back in with a recovery code."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse

from pipeline.errors import Denied, NotFound
from pipeline.journeys.sign_in import recover
from services.portal import visits
from services.portal.paces import paces_of
from services.portal.pages import language_of
from services.portal.refusals import pages_of
from services.portal.visits import MaybeVisit, PostedBy, WorldOf
from services.web.forms import Fields, read_form
from services.web.guard import require_same_site

router = APIRouter()


async def read_our_form(request: Request) -> Fields:
    """A form of our own page, sent by nobody who is signed in: its origin must be this host."""
    require_same_site(request.headers, frozenset({None}))
    return await read_form(request)


OurForm = Annotated[Fields, Depends(read_our_form)]


@router.get("/in")
def show(request: Request, visit: MaybeVisit) -> Response:
    """The form; whoever is signed in goes on."""
    if visit is not None:
        return RedirectResponse(f"/{language_of(request).code}/case", 303)
    return pages_of(request).answer(request, "sign_in.html", case="", problem=False)


@router.post("/in")
def enter(request: Request, world: WorldOf, fields: OurForm) -> Response:
    """Sign in. What was typed as a case number comes back with the form; a PIN never does."""
    paces_of(request).sign_ins.spend(visits.address_of(request))
    case = fields["case"][:100]
    try:
        token = visits.enter(request, world, case, fields["pin"][:100])
    except Denied as refused:
        if refused.code != Denied.code:
            raise
        return pages_of(request).answer(
            request, "sign_in.html", case=case, problem=True, status=401
        )
    answer = RedirectResponse(f"/{language_of(request).code}/case", 303)
    visits.set_cookie(answer, world, token)
    return answer


@router.post("/out")
def leave(request: Request, world: WorldOf, posted: PostedBy) -> Response:  # noqa: ARG001
    """Sign out, here and in the database."""
    visits.leave(request, world)
    answer = RedirectResponse(f"/{language_of(request).code}/", 303)
    visits.forget_cookie(answer, world)
    return answer


@router.get("/lost")
def lost(request: Request) -> Response:
    """A PIN was lost: what can be done."""
    return pages_of(request).answer(request, "lost.html", problem=False)


@router.post("/lost")
def found(request: Request, world: WorldOf, fields: OurForm) -> Response:
    """A new PIN and recovery code for the old code; shown once."""
    paces_of(request).recoveries.spend(visits.address_of(request))
    try:
        with visits.HASHING:
            given = recover(world.store, world.pins, fields["code"][:200])
    except (Denied, NotFound):
        return pages_of(request).answer(request, "lost.html", problem=True, status=401)
    return pages_of(request).answer(request, "found.html", given=given)
