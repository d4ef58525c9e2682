"""A video, a strip of pictures at a time: blurred and grey, or clear while a key is held.

The browser never gets the video: what it plays are decoded frames, made anew as JPEGs, which our
own script shows one after another. So there is nothing in a hostile file that a browser's own
player could trip over, nothing plays by itself, and there is no sound: none is ever sent.
"""

from __future__ import annotations

import io
import math
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import replace
from uuid import UUID

import numpy as np
from fastapi import APIRouter, Request, Response
from numpy.typing import NDArray
from PIL import Image

from pipeline.domain.ids import CaseId, MediaId
from pipeline.errors import Invalid
from pipeline.journeys import review
from pipeline.media.strip import MOST, Shown, Wanted
from services.console.case_facts import visible
from services.console.sessions import CASES, POSTS_CASES, PostedBy, SessionOf, WorldOf
from services.console.showing import cartoon, marked, watermark

router = APIRouter(prefix="/cases/{case}/media/{medium}")

_CARTOONS, _CARTOON_SIDE = 3, 400


@router.get("/frames", dependencies=[CASES])
def blurred(
    request: Request, world: WorldOf, session: SessionOf, case: UUID, medium: UUID
) -> Response:
    """Derivatives of the pictures around a moment, for whoever holds the case."""
    wanted = _wanted(request.query_params, blurred=True)
    with world.store.transaction() as unit:
        visible(unit, CaseId(case), session)
    reviewer = session.reviewer
    with review.preview(world.desk, CaseId(case), MediaId(medium), reviewer, wanted.at) as file:
        return _strip((one, one.pixels) for one in world.strip(file, wanted))


@router.post("/frames", dependencies=[POSTS_CASES])
def clear(world: WorldOf, posted: PostedBy, case: UUID, medium: UUID) -> Response:
    """The pictures around a moment as they are, for whoever holds the case and the key.

    The first strip of a hold is a look; ``look`` names it while the hold goes on. Every strip is
    audited with its moment, carries the reviewer's pseudonym, and is drawn as a cartoon for
    whoever asks for that.
    """
    fields, session = posted.fields, posted.session
    wanted = _wanted(fields.values, blurred=False)
    drawn_as_cartoon = fields["as"] == "cartoon"
    if drawn_as_cartoon:  # half a second of work each: a short strip of small ones
        few = (min(wanted.before, 1), min(wanted.after, _CARTOONS))
        wanted = replace(wanted, before=few[0], after=few[1], side=_CARTOON_SIDE)
    try:
        token, look = UUID(fields["token"]), UUID(fields["look"]) if fields["look"] else None
    except ValueError:
        raise Invalid("the page lost its claim on the case; reload it") from None
    look, file = review.reveal(
        world.desk, CaseId(case), MediaId(medium), token, session.reviewer, wanted.at, look
    )

    def shown(one: Shown) -> NDArray[np.uint8]:
        drawn = cartoon(one.pixels) if drawn_as_cartoon else one.pixels
        picture = Image.fromarray(drawn)
        if picture.size not in layers:
            layers[picture.size] = watermark(picture.size, session.pseudonym)
        return np.asarray(marked(picture, layers[picture.size]))

    layers: dict[tuple[int, int], Image.Image] = {}
    with file:
        answer = _strip((one, shown(one)) for one in world.strip(file, wanted))
    answer.headers["x-look"] = str(look)
    return answer


def _wanted(said: Mapping[str, str], *, blurred: bool) -> Wanted:
    """Which pictures a page asks for; raises ``Invalid`` for what no page of ours asks."""

    def number(name: str, least: float, most: float, usual: float) -> float:
        try:
            value = float(said.get(name) or usual)
        except ValueError:
            value = math.nan
        if not least <= value <= most:
            raise Invalid(f"{name} is a number from {least:g} to {most:g}")
        return value

    return Wanted(
        at=number("at", 0, 1e6, 0),
        before=int(number("before", 0, MOST, 0)),
        after=int(number("after", 1, MOST, 1)),
        rate=number("rate", 0.1, 60, 0.1) if said.get("rate") else None,
        reach=number("reach", 0.1, 120, 2),
        stream=int(number("stream", 0, 15, 0)),
        blurred=blurred,
    )


def _strip(pictures: Iterable[tuple[Shown, NDArray[np.uint8]]]) -> Response:
    """JPEGs as the fields of a form, each under its time: a browser reads that by itself."""
    boundary = f"strip-{secrets.token_hex(16)}"
    body, headers = io.BytesIO(), {}
    for shown, pixels in pictures:
        body.write(
            f"--{boundary}\r\ncontent-disposition: form-data; "
            f'name="{shown.time:.6f}"; filename="frame"\r\n'
            "content-type: image/jpeg\r\n\r\n".encode()
        )
        Image.fromarray(pixels).save(body, "JPEG", quality=80)
        body.write(b"\r\n")
        headers = {"x-seconds": f"{shown.seconds or 0:.3f}", "x-streams": str(shown.streams)}
    body.write(f"--{boundary}--\r\n".encode())
    kind = f"multipart/form-data; boundary={boundary}"
    return Response(body.getvalue(), headers=headers, media_type=kind)
