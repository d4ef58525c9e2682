"""Protecting a face against fakes: a choice of its own, with photos that are kept nowhere."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, cast

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.domain.enrolment import NEXT
from pipeline.domain.ids import PersonId
from pipeline.domain.photos import LEAST, MOST, Outcome
from pipeline.domain.voucher import parse
from pipeline.errors import Denied, Invalid, NotFound
from pipeline.journeys import enrol_face
from pipeline.journeys.answer_again import message_of
from pipeline.journeys.restore_index import LiveIndexes
from pipeline.journeys.sign_in import grouped
from services.portal import words
from services.portal.paces import paces_of
from services.portal.pages import language_of, say
from services.portal.refusals import pages_of
from services.portal.schemas import Key
from services.portal.visits import HASHING, MaybeVisit, PostedBy, WorldOf, address_of
from services.web import csrf
from services.web.guard import require_same_site
from services.wiring import World

router = APIRouter()

LARGEST = 40 << 20
"""Bytes of one request: eight photos as base64."""


class Photographed(BaseModel):
    """Photos of a face, and what she agreed to."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    key: Key = Field(repr=False)
    consent: str = Field(max_length=100)
    adult: bool
    photos: list[str] = Field(min_length=1, max_length=MOST, repr=False)
    voucher: str | None = Field(default=None, max_length=20_000, repr=False)


@router.get("/photo")
def show(request: Request, world: WorldOf, visit: MaybeVisit) -> Response:
    """What it does and does not do; the camera, where faces are looked at here."""
    return pages_of(request).answer(
        request, "photo.html", visit=visit, offered=bool(world.settings.faces),
        version=world.settings.face_text, least=LEAST, most=MOST,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Received:
    """A message with photos, and what stands for it where its answer is lost on the way."""

    sent: Photographed
    message: bytes = field(repr=False)


async def read_photos(request: Request) -> Received:
    """The message with its photos, in memory only."""
    require_same_site(request.headers, frozenset({None}))
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST:
            raise HTTPException(413)
    try:
        sent = Photographed.model_validate_json(bytes(body))
    except ValidationError:
        raise Invalid("this message does not have the form that our page sends") from None
    return Received(sent, message_of("a face", bytes(body)))


PhotosBy = Annotated[Received, Depends(read_photos)]


@router.post("/photo")
def enrol(request: Request, world: WorldOf, received: PhotosBy, visit: MaybeVisit) -> Response:
    """Ask for a face to be protected; for a new person, case number and PIN are in the answer.

    The very same message, sent again soon because the answer did not arrive, is answered the same.
    """
    sent = received.sent
    if visit is not None:
        csrf.require(request.headers.get(csrf.HEADER, ""), visit.csrf)
    if not sent.adult:
        raise Invalid("this is for people who are 18 or older")
    live = cast(LiveIndexes | None, request.app.state.live)
    if live is None:
        raise NotFound("faces are not protected here")
    done = enrol_face.submitted(world.store, world.desk.clock, received.message)
    if done is not None:
        return _answer(request, done)
    paces_of(request).enrolments.spend(address_of(request))
    photos = [(str(at), _bytes(one)) for at, one in enumerate(sent.photos)]
    try:
        with HASHING:
            done = enrol_face.submit(
                world.office(live),
                visit.person if visit else None,
                photos,
                consented_to=sent.consent,
                voucher=parse(sent.voucher) if sent.voucher else None,
                message=received.message,
            )
    except enrol_face.PhotosRefused as refused:
        return JSONResponse({"photos": _said(request, refused.outcomes)}, 422)
    except Denied:
        return JSONResponse({"photos": [], "voucher": False}, 403)
    return _answer(request, done)


def _answer(request: Request, done: enrol_face.Submitted) -> Response:
    answer: dict[str, object] = {
        "photos": _said(request, done.outcomes),
        "said": say(request, words.ENROLMENTS[done.state]),
    }
    if done.case_number and done.pin and done.recovery:
        answer["case"] = grouped(done.case_number)
        answer["pin"], answer["recovery"] = done.pin, grouped(done.recovery)
    return JSONResponse(answer, 201)


@router.post("/photo/end")
def take_back(request: Request, world: WorldOf, posted: PostedBy) -> Response:
    """Her face is looked for no more."""
    enrol_face.take_back(world.store, world.blobs, world.desk.clock, posted.visit.person)
    return RedirectResponse(f"/{language_of(request).code}/case", 303)


@router.post("/photo/renew")
def go_on(request: Request, world: WorldOf, posted: PostedBy) -> Response:
    """She agrees anew, to the text that her case page showed."""
    live = cast(LiveIndexes | None, request.app.state.live)
    if live is None:
        raise NotFound("faces are not protected here")
    if posted.fields["agree"] != "yes":
        raise Invalid("tick the box to say that you agree")
    enrol_face.renew(world.office(live), posted.visit.person, consented_to=posted.fields["consent"])
    return RedirectResponse(f"/{language_of(request).code}/case", 303)


@dataclass(frozen=True, slots=True)
class OfFace:
    """What her case page says of her face."""

    said: str | None = None
    """Where it stands, to be translated."""
    until: datetime | None = None
    """When her agreement ends, where there is something that she could take back."""
    again: bool = False
    """Whether she is asked now if it shall go on."""
    ended: datetime | None = None
    """When it ran out, where nothing took its place."""


def of_face(world: World, person: PersonId) -> OfFace:
    """What to tell her of her face, and to ask her."""
    every = enrol_face.of_person(world.store, person)
    if not every:
        return OfFace()
    newest, now = every[0], world.desk.clock()
    going = [one for one in every if NEXT[one.state]]
    return OfFace(
        words.ENROLMENTS.get(newest.state),
        min((one.expires_at for one in going), default=None),
        bool(world.settings.faces) and any(one.ask_again(now) for one in going),
        newest.expires_at if newest.ran_out else None,
    )


def _said(request: Request, outcomes: tuple[Outcome, ...]) -> list[str | None]:
    return [say(request, words.photo(one.problem)) if one.problem else None for one in outcomes]


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Invalid("a photo is not base64") from None
