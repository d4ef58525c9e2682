"""Anybody checks a receipt: here, or with nothing but the public key that stands here."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from services.portal import receipts
from services.portal.refusals import pages_of
from services.portal.sign_in_page import OurForm
from services.portal.visits import WorldOf

router = APIRouter()


@router.get("/check")
def show(request: Request, world: WorldOf) -> Response:
    """How a receipt is checked."""
    return pages_of(request).answer(
        request, "check.html", key=world.secrets.public_key(), finding=None, text=""
    )


@router.post("/check")
def check(request: Request, world: WorldOf, fields: OurForm) -> Response:
    """Check one."""
    text = fields["receipt"]
    finding = receipts.check(world, text)
    return pages_of(request).answer(
        request, "check.html", key=world.secrets.public_key(), finding=finding.value, text=text
    )
