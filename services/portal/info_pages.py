"""What anybody may read: how it works, what is kept, what the law asks us to say, totals."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from pipeline.domain.suppression import SMALLEST
from pipeline.journeys.public_numbers import totals
from services.portal.refusals import pages_of
from services.portal.visits import WorldOf

router = APIRouter()


@router.get("/how")
def how(request: Request) -> Response:
    """How it works, and what it cannot do."""
    return pages_of(request).answer(request, "how.html")


@router.get("/kept")
def kept(request: Request, world: WorldOf) -> Response:
    """The retention policy: what is kept, why, until when."""
    return pages_of(request).answer(request, "kept.html", days=world.settings.appeal_days)


@router.get("/process")
def process(request: Request) -> Response:
    """How a notice is made, and what happens then."""
    return pages_of(request).answer(request, "process.html")


@router.get("/access")
def access(request: Request) -> Response:
    """What we did so that everybody can use this, and what we know is missing."""
    return pages_of(request).answer(request, "access.html")


@router.get("/numbers")
def numbers(request: Request, world: WorldOf) -> Response:
    """Totals. No figure is small enough to be about somebody."""
    counts = totals(world.store)
    return pages_of(request).answer(request, "numbers.html", counts=counts, smallest=SMALLEST)
