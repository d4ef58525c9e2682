"""Choosing pictures and clips, and taking in the codes that her device made of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from pydantic import ValidationError

from pipeline.errors import Invalid
from pipeline.journeys.answer_again import message_of
from pipeline.journeys.register_codes import Fate, Gauge, add_codes, register_codes, registered
from pipeline.journeys.sign_in import grouped
from services.portal import words
from services.portal.paces import paces_of
from services.portal.pages import say
from services.portal.refusals import pages_of
from services.portal.schemas import Sent
from services.portal.visits import HASHING, VisitOf, WorldOf, address_of
from services.web import csrf
from services.web.guard import require_same_site
from services.wiring import World

router = APIRouter()

LARGEST = 8 << 20
"""Bytes of what one device sends at once: some hundred pictures with their crops, or long clips."""


@router.get("/begin/5")
def choose(request: Request, world: WorldOf, agree: str = "") -> Response:
    """Choose files. Whoever did not agree to the text in force is shown it (again)."""
    version = world.settings.consent_text
    if agree != version:
        return pages_of(request).answer(
            request, "begin_consent.html", version=version, missed=True, status=422
        )
    return pages_of(request).answer(request, "add.html", version=version, said=_said(request))


@router.get("/case/add")
def choose_more(request: Request, world: WorldOf, visit: VisitOf) -> Response:
    """Choose more files, signed in."""
    return pages_of(request).answer(
        request, "add.html", visit=visit, version=world.settings.consent_text, said=_said(request)
    )


@dataclass(frozen=True, slots=True)
class Received:
    """A device's message, and what stands for it where its answer is lost on the way."""

    sent: Sent
    message: bytes = field(repr=False)


async def read_sent(request: Request) -> Received:
    """The device's message, checked; nothing of it is repeated in a refusal."""
    require_same_site(request.headers, frozenset({None}))
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise HTTPException(415)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST:
            raise HTTPException(413)
    try:
        sent = Sent.model_validate_json(bytes(body))
    except ValidationError:
        raise Invalid("this message does not have the form that our page sends") from None
    asked = "more items" if request.url.path.endswith("/case/items") else "items"
    return Received(sent, message_of(asked, bytes(body)))


SentBy = Annotated[Received, Depends(read_sent)]


@router.post("/items")
def register(request: Request, world: WorldOf, received: SentBy) -> Response:
    """A new case. Case number, PIN and recovery code are in this answer and nowhere else.

    The very same message, sent again soon because the answer did not arrive, is answered the same.
    """
    sent, message = received.sent, received.message
    if sent.consent != world.settings.consent_text or not sent.answers.all_yes:
        raise Invalid("the questions before must be answered with yes")
    joined = registered(world.store, world.desk.clock, message)
    if joined is None:
        paces_of(request).cases.spend(address_of(request))
        with HASHING:
            joined = register_codes(
                world.store, world.pins, world.desk.clock, gauge_of(world), sent.taken(),
                sent.consent, message,
            )  # fmt: skip
    given = joined.given
    return JSONResponse(
        {
            "case": grouped(given.case_number),
            "pin": given.pin,
            "recovery": grouped(given.recovery),
            "fates": _fates(request, joined.fates),
        },
        201,
    )


@router.post("/case/items")
def add(request: Request, world: WorldOf, received: SentBy, visit: VisitOf) -> Response:
    """More items for the case that is signed in."""
    csrf.require(request.headers.get(csrf.HEADER, ""), visit.csrf)
    fates = add_codes(
        world.store, world.desk.clock, gauge_of(world), visit.person, received.sent.taken(),
        received.message,
    )  # fmt: skip
    return JSONResponse({"fates": _fates(request, fates)}, 201)


def gauge_of(world: World) -> Gauge:
    """What judges codes here; raises ``Invalid`` where the deployment has no such signal."""
    for signal in world.signals:
        if signal.space.name == "pdq":
            return Gauge(signal, world.generic.get("pdq"))
    raise Invalid("this deployment does not use the signal that devices compute; ask its operator")


def _fates(request: Request, fates: tuple[Fate, ...]) -> list[dict[str, str]]:
    return [{"fate": fate.value, "said": say(request, words.FATES[fate])} for fate in fates]


def _said(request: Request) -> dict[str, str]:
    """What the page's script says, in the reader's language."""
    return {code: say(request, text) for code, text in words.PROBLEMS.items()}
