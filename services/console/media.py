"""Pixels, last of all: a blurred grey derivative, and the upload itself while a key is held.

Nobody ever gets the bytes that were uploaded: they are hostile until proven otherwise and carry
metadata. What is shown is made anew of the canonical picture, and a decoder's process makes it.
"""

from __future__ import annotations

import io
from uuid import UUID

import numpy as np
from fastapi import APIRouter, Response
from numpy.typing import NDArray
from PIL import Image

from pipeline.domain.ids import CaseId, MediaId
from pipeline.errors import Invalid
from pipeline.journeys import review
from services.console.case_facts import visible
from services.console.sessions import PostedBy, SessionOf, WorldOf

router = APIRouter(prefix="/cases/{case}/media/{medium}")

FULL_SIDE = 2048


@router.get("/preview")
def preview(world: WorldOf, session: SessionOf, case: UUID, medium: UUID) -> Response:
    """The derivative, for whoever holds the case."""
    with world.store.transaction() as unit:
        visible(unit, CaseId(case), session)
    chunks = review.preview(world.desk, CaseId(case), MediaId(medium), session.reviewer)
    return _jpeg(world.decoders.preview(b"".join(chunks)), quality=70)


@router.post("/reveal")
def reveal(world: WorldOf, posted: PostedBy, case: UUID, medium: UUID) -> Response:
    """The upload itself, for whoever holds the case; every look is audited."""
    try:
        token = UUID(posted.fields["token"])
    except ValueError:
        raise Invalid("the page lost its claim on the case; reload it") from None
    chunks = review.reveal(
        world.desk, CaseId(case), MediaId(medium), token, posted.session.reviewer
    )
    return _jpeg(world.decoders.bounded(b"".join(chunks), FULL_SIDE), quality=90)


def _jpeg(pixels: NDArray[np.uint8], *, quality: int) -> Response:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=quality, subsampling=0)
    return Response(out.getvalue(), media_type="image/jpeg")
