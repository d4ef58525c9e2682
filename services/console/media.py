"""Pixels, last of all: a blurred grey derivative, and the upload itself while a key is held.

Nobody ever gets the bytes that were uploaded: they are hostile until proven otherwise and carry
metadata. What is shown is made anew of the canonical picture, in memory.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Iterable
from uuid import UUID

import numpy as np
from fastapi import APIRouter, Response
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from pipeline.domain.ids import CaseId, MediaId
from pipeline.errors import Invalid
from pipeline.journeys import review
from services.console.case_facts import visible
from services.console.sessions import PostedBy, SessionOf, WorldOf
from services.wiring import World

router = APIRouter(prefix="/cases/{case}/media/{medium}")

PREVIEW_SIDE = 480
PREVIEW_CELLS = 20
"""What a derivative can tell: this many cells along its longer side, whatever a decoder undoes."""

FULL_SIDE = 2048

_DECODING = threading.BoundedSemaphore(2)
"""A large upload takes hundreds of megabytes while it is decoded."""


@router.get("/preview")
def preview(world: WorldOf, session: SessionOf, case: UUID, medium: UUID) -> Response:
    """The derivative, for whoever holds the case."""
    with world.store.transaction() as unit:
        visible(unit, CaseId(case), session)
    chunks = review.preview(world.desk, CaseId(case), MediaId(medium), session.reviewer)
    return _jpeg(derivative(_pixels(world, chunks)), quality=70)


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
    return _jpeg(bounded(_pixels(world, chunks), FULL_SIDE), quality=90)


def derivative(rgb: NDArray[np.uint8]) -> Image.Image:
    """Grey, at most 480 pixels a side, and blurred beyond recognition.

    The picture is first reduced to a few cells, so that no sharpening brings anything back.
    """
    grey = bounded(rgb, PREVIEW_SIDE).convert("L")
    longer = max(grey.size)
    cells = [max(1, round(PREVIEW_CELLS * side / longer)) for side in grey.size]
    coarse = grey.resize((cells[0], cells[1]), Image.Resampling.BOX)
    soft = coarse.resize(grey.size, Image.Resampling.BICUBIC)
    return soft.filter(ImageFilter.GaussianBlur(longer / PREVIEW_CELLS / 2))


def bounded(rgb: NDArray[np.uint8], side: int) -> Image.Image:
    """The picture, made smaller where a side is longer than ``side`` pixels."""
    picture = Image.fromarray(rgb)
    picture.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return picture


def _pixels(world: World, chunks: Iterable[bytes]) -> NDArray[np.uint8]:
    with _DECODING:
        return world.decode(b"".join(chunks)).frames[0].rgb


def _jpeg(picture: Image.Image, *, quality: int) -> Response:
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=quality, subsampling=0)
    return Response(out.getvalue(), media_type="image/jpeg")
