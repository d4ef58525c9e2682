"""Pixels, last of all: a blurred grey derivative, and the upload itself while a key is held.

Nobody ever gets the bytes that were uploaded: they are hostile until proven otherwise and carry
metadata. What is shown is made anew of the canonical picture, and a decoder's process makes it.
"""

from __future__ import annotations

import io
import math
from typing import Annotated
from uuid import UUID

import numpy as np
from fastapi import APIRouter, Query, Response
from numpy.typing import NDArray
from PIL import Image

from pipeline.domain.ids import CaseId, MediaId
from pipeline.errors import Invalid
from pipeline.journeys import rest, review
from pipeline.media.moments import film_mime
from pipeline.media.strip import Wanted
from services.console.case_facts import visible
from services.console.sessions import CASES, POSTS_CASES, PostedBy, SessionOf, WorldOf
from services.console.showing import cartoon, watermarked

router = APIRouter(prefix="/cases/{case}/media/{medium}")

FULL_SIDE = 2048
_HEAD = 1 << 16
"""Bytes by which a video is known."""


@router.get("/preview", dependencies=[CASES])
def preview(
    world: WorldOf,
    session: SessionOf,
    case: UUID,
    medium: UUID,
    at: Annotated[float, Query(ge=0, le=1e6)] = 0.0,
) -> Response:
    """The derivative, for whoever holds the case; of a video, of the picture ``at`` a moment."""
    with world.store.transaction() as unit:
        visible(unit, CaseId(case), session)
    with review.preview(world.desk, CaseId(case), MediaId(medium), session.reviewer) as file:
        head = file.read(_HEAD)
        if film_mime(head):
            return _jpeg(next(world.strip(file, Wanted(at))).pixels, quality=70)
        return _jpeg(world.decoders.preview(head + file.read()), quality=70)


@router.post("/reveal", dependencies=[POSTS_CASES])
def reveal(world: WorldOf, posted: PostedBy, case: UUID, medium: UUID) -> Response:
    """The upload itself, for whoever holds the case; every look is audited and counted.

    It carries the reviewer's pseudonym, and is drawn as a cartoon for whoever asks for that.
    """
    try:
        token = UUID(posted.fields["token"])
    except ValueError:
        raise Invalid("the page lost its claim on the case; reload it") from None
    session = posted.session
    look, file = review.reveal(world.desk, CaseId(case), MediaId(medium), token, session.reviewer)
    with file:
        pixels = world.decoders.bounded(file.read(), FULL_SIDE)
    drawn = cartoon(pixels) if posted.fields["as"] == "cartoon" else pixels
    marked = watermarked(Image.fromarray(drawn), session.pseudonym)
    answer = _jpeg(np.asarray(marked), quality=90)
    answer.headers["x-look"] = str(look)
    return answer


@router.post("/looked", dependencies=[POSTS_CASES])
def looked(world: WorldOf, posted: PostedBy, case: UUID, medium: UUID) -> Response:  # noqa: ARG001
    """A look has ended after so many seconds."""
    try:
        look, seconds = UUID(posted.fields["look"]), float(posted.fields["seconds"])
    except ValueError:
        raise Invalid("a look has an id and a number of seconds") from None
    if not math.isfinite(seconds):
        raise Invalid("a look has an id and a number of seconds")
    rest.end_look(world.desk, look, posted.session.reviewer, seconds)
    return Response(status_code=204)


def _jpeg(pixels: NDArray[np.uint8], *, quality: int) -> Response:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=quality, subsampling=0)
    return Response(out.getvalue(), media_type="image/jpeg")
