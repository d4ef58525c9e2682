"""What anybody may read: how it works, what is kept, what the law asks us to say, totals."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import APIRouter, Request, Response

from services.portal.refusals import pages_of
from services.portal.visits import WorldOf

router = APIRouter()

SMALLEST = 10
"""Counts below this say only that they are few: a small cell could point at a person."""


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
    with world.store.transaction() as unit:
        counts = rounded(unit.following.counts())
    return pages_of(request).answer(request, "numbers.html", counts=counts, smallest=SMALLEST)


def rounded(counts: Mapping[str, int]) -> dict[str, int | None]:
    """Each count rounded down to tens, so that a change shows nobody; None for a small one."""
    return {
        name: None if count < SMALLEST else count // SMALLEST * SMALLEST
        for name, count in counts.items()
    }
