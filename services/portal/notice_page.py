"""A report of something that is online already: the form, its receipt, and following it."""

from __future__ import annotations

from contextlib import suppress

from fastapi import APIRouter, Request, Response

from pipeline.domain.case import UNDECIDED
from pipeline.domain.notice import LONGEST, MOST_LOCATIONS, Element, Notice
from pipeline.errors import Conflict, Denied
from pipeline.journeys import notice as journeys
from services.portal.paces import paces_of
from services.portal.refusals import pages_of
from services.portal.sign_in_page import OurForm
from services.portal.visits import WorldOf, address_of
from services.web.forms import Fields
from services.wiring import World

router = APIRouter()

_EMPTY = Notice((), "", not_consented=False, accurate=False, signature="", contact="")


@router.get("/tell")
def show(request: Request, world: WorldOf) -> Response:
    """The form."""
    return _form(request, world, "", _EMPTY, (), 200)


@router.post("/tell")
def give(request: Request, world: WorldOf, fields: OurForm) -> Response:
    """Take a report in. Whatever is missing is named, and what was typed comes back."""
    notice, platform = _notice(fields), fields["site"][:200]
    missing: tuple[str, ...] = tuple(element.value for element in notice.missing)
    if platform not in _platforms(world):
        missing = ("site", *missing)
    if len(notice.locations) > MOST_LOCATIONS and Element.LOCATION.value not in missing:
        missing = (*missing, Element.LOCATION.value)
    if missing:
        return _form(request, world, platform, notice, missing, 422)
    paces_of(request).reports.spend(address_of(request))
    receipt = journeys.give(world.store, world.desk.clock, platform, notice)
    return pages_of(request).answer(request, "told.html", receipt=receipt)


@router.get("/told")
def ask(request: Request) -> Response:
    """The form for a report's code."""
    return pages_of(request).answer(
        request, "follow.html", status_of=None, problem=False, code="", gone=False
    )


@router.post("/told")
def follow(request: Request, world: WorldOf, fields: OurForm) -> Response:
    """Where a report stands; or, when asked to, its writer's data is destroyed first."""
    paces_of(request).looks.spend(address_of(request))
    code, gone = fields["code"][:200], False
    try:
        if fields["then"] == "delete":
            with suppress(Conflict):  # a second press of the button
                journeys.take_back(world.store, world.desk.clock, code)
            gone = True
        found = journeys.follow(world.store, code)
    except Denied:
        return pages_of(request).answer(
            request, "follow.html", status=401, status_of=None, problem=True, code=code, gone=False
        )
    return pages_of(request).answer(
        request, "follow.html", status_of=found, problem=False, code=code, gone=gone,
        open=found.state in UNDECIDED,
    )  # fmt: skip


def _notice(fields: Fields) -> Notice:
    locations = tuple(line.strip() for line in fields["where"].splitlines() if line.strip())
    return Notice(
        locations=locations,
        explanation=fields["what"].strip()[:LONGEST],
        not_consented=fields["not_consented"] == "yes",
        accurate=fields["accurate"] == "yes",
        signature=fields["name"].strip()[:200],
        contact=fields["contact"].strip()[:200],
        for_another=fields["who"] == "other",
    )


def _platforms(world: World) -> list[str]:
    """Sites that can be told; files of this machine are no site."""
    with world.store.transaction() as unit:
        return sorted(row["name"] for row in unit.platforms.all() if row["name"] != "local")


def _form(
    request: Request,
    world: World,
    platform: str,
    notice: Notice,
    missing: tuple[str, ...],
    status: int,
) -> Response:
    return pages_of(request).answer(
        request, "tell.html", status=status, sites=_platforms(world), site=platform,
        notice=notice, missing=missing, longest=LONGEST, most=MOST_LOCATIONS,
    )  # fmt: skip
