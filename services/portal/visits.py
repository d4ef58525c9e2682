"""Who is signed in to her own case. The browser holds a random token, the database its digest.

There is no cookie before somebody signs in, and none that outlives the browser's session.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import IPv6Address, ip_address
from typing import Annotated, cast

from fastapi import Depends, Request, Response

from pipeline.domain.ids import PersonId
from pipeline.errors import Denied
from pipeline.journeys import sign_in as journeys
from pipeline.ports import Visit
from services.web import csrf
from services.web.forms import Fields, read_form
from services.wiring import World

ABSOLUTE = timedelta(hours=2)
"""How long a visit lasts however busy it is; twenty minutes without use end it."""

HASHING = threading.BoundedSemaphore(2)
"""Each argon2 check takes 64 MiB: strangers may not ask for as many at once as they like."""


class SignedOut(Denied):
    """Nobody is signed in, or the visit has ended."""

    code = "signed_out"


@dataclass(frozen=True, slots=True)
class Posted:
    """A form that she sent from our own page."""

    visit: Visit
    fields: Fields = field(repr=False)


def world_of(request: Request) -> World:
    """The world that the app was made with."""
    return cast(World, request.app.state.world)


WorldOf = Annotated[World, Depends(world_of)]


def enter(request: Request, world: World, case_number: str, pin: str) -> str:
    """The token of a new visit; raises ``Denied`` or ``TooManyAttempts``."""
    with HASHING:
        person = journeys.sign_in(
            world.store, world.pins, world.desk.clock, case_number, pin, address_of(request)
        )
    return begin(world, person)


def begin(world: World, person: PersonId) -> str:
    """A visit of somebody who has proved who she is; its token."""
    token, now = secrets.token_urlsafe(32), world.desk.clock()
    with world.store.transaction() as unit:
        unit.visits.begin(person, digest(token), csrf.new_token(), now, now + ABSOLUTE)
    return token


def leave(request: Request, world: World) -> None:
    """End the visit, if there is one."""
    token = request.cookies.get(cookie_name(world))
    if token:
        with world.store.transaction() as unit:
            unit.visits.end(digest(token))


def address_of(request: Request) -> str:
    """Whose network this is: an IPv4 address, or the 64 bits that an IPv6 customer is given."""
    host = request.client.host if request.client else ""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if isinstance(address, IPv6Address):
        return str(IPv6Address(int(address) >> 64 << 64))
    return str(address)


def digest(token: str) -> bytes:
    """What is kept of a token: it is 256 random bits, so a plain SHA-256 is enough."""
    return hashlib.sha256(token.encode()).digest()


def cookie_name(world: World) -> str:
    """A name that says nothing; with TLS it also forbids setting the cookie for other hosts."""
    return "__Host-visit" if world.settings.secure_cookies else "visit"


def set_cookie(response: Response, world: World, token: str) -> None:
    """A cookie that scripts cannot read, other sites cannot send, and the browser forgets."""
    response.set_cookie(
        cookie_name(world), token, path="/", httponly=True, samesite="strict",
        secure=world.settings.secure_cookies,
    )  # fmt: skip


def forget_cookie(response: Response, world: World) -> None:
    """Take the cookie away."""
    response.delete_cookie(
        cookie_name(world), path="/", httponly=True, samesite="strict",
        secure=world.settings.secure_cookies,
    )  # fmt: skip


def visit_or_none(request: Request, world: WorldOf) -> Visit | None:
    """Whose request this is, if anybody is signed in."""
    token = request.cookies.get(cookie_name(world))
    if not token:
        return None
    with world.store.transaction() as unit:
        return unit.visits.get(digest(token), world.desk.clock())


MaybeVisit = Annotated[Visit | None, Depends(visit_or_none)]


def signed_in(visit: MaybeVisit) -> Visit:
    """Whose request this is; raises ``SignedOut``."""
    if visit is None:
        raise SignedOut("you are not signed in; sign in to go on")
    return visit


VisitOf = Annotated[Visit, Depends(signed_in)]


def posted(fields: Annotated[Fields, Depends(read_form)], visit: VisitOf) -> Posted:
    """A form with its visit's token; raises ``Denied`` without it."""
    csrf.require(fields.csrf, visit.csrf)
    return Posted(visit, fields)


PostedBy = Annotated[Posted, Depends(posted)]
