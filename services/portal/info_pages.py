"""What anybody may read: how it works, what is kept, what the law asks us to say, our numbers."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from fastapi import APIRouter, Request, Response

from pipeline.domain.suppression import SMALLEST
from pipeline.journeys.public_numbers import PublicNumbers, last_quarter, public_numbers
from services.portal.refusals import pages_of
from services.portal.visits import WorldOf
from services.wiring import World

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
    """The transparency report of the last quarter. No figure is, or gives away, a small one."""
    found = _report(request, world)
    last = found.until - timedelta(days=1)
    return pages_of(request).answer(
        request, "numbers.html", report=found, last=last, smallest=SMALLEST
    )


_FRESH = timedelta(hours=1)


def _report(request: Request, world: World) -> PublicNumbers:
    """The last quarter's numbers; counted once an hour, whoever asks how often."""
    now = world.desk.clock()
    kept: tuple[date, datetime, PublicNumbers] | None
    kept = getattr(request.app.state, "public_numbers", None)
    since, until = last_quarter(now.date())
    if kept is None or kept[0] != since or now - kept[1] > _FRESH:
        kept = since, now, public_numbers(world.store, world.desk.clock, since, until)
        request.app.state.public_numbers = kept
    return kept[2]
