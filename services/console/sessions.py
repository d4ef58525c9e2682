"""Who is signed in. The browser holds a random token, the database only its digest."""

from __future__ import annotations

import hashlib
import secrets
import threading
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated, cast

from fastapi import Depends, Request, Response

from pipeline.domain.ids import ReviewerId
from pipeline.errors import Denied, TooManyAttempts
from services.web import csrf
from services.web.forms import Fields, read_form
from services.wiring import World

ABSOLUTE = timedelta(hours=12)
"""How long a session lives however busy it is; idle ones end after half an hour."""

_HASHING = threading.BoundedSemaphore(2)
"""Each argon2 check takes 64 MiB: strangers may not ask for as many at once as they like."""

WRONG = "This login and password do not go together."


class SignedOut(Denied):
    """Nobody is signed in, or the session has ended."""

    code = "signed_out"


@dataclass(frozen=True, slots=True)
class Session:
    """A reviewer at work."""

    reviewer: ReviewerId
    login: str
    role: str
    csrf: str = field(repr=False)

    @property
    def senior(self) -> bool:
        """Whether escalated cases are theirs to see."""
        return self.role == "senior"


@dataclass(frozen=True, slots=True)
class Posted:
    """A form that a signed-in reviewer sent from our own page."""

    session: Session
    fields: Fields


def sign_in(world: World, login: str, password: str, earlier: str | None) -> str:
    """The token of a new session; the ``earlier`` one ends.

    Raises ``Denied`` in the same words for an unknown login and a wrong password, and
    ``TooManyAttempts`` while a login must wait. An attempt counts before it is checked, so that
    many at once are not many for free.
    """
    now = world.desk.clock()
    with world.store.transaction() as unit:
        subject = unit.vault.fingerprint(b"login|" + login.casefold().encode())
        wait = unit.attempts.wait(subject, now)
        if wait <= 0:
            unit.attempts.failed(subject, now)
        found = unit.reviewers.by_login(login)
    if wait > 0:
        raise TooManyAttempts("Too many wrong answers for this login.", wait)
    with _HASHING:
        right = world.pins.matches(found[1] if found else None, password)
    if found is None or not right:
        raise Denied(WRONG)
    reviewer = found[0].id
    token = secrets.token_urlsafe(32)
    with world.store.transaction() as unit:
        unit.attempts.cleared(subject)
        if earlier:
            unit.reviewers.end_session(digest(earlier))
        began = world.desk.clock()
        unit.reviewers.create_session(
            reviewer, digest(token), csrf.new_token(), began, began + ABSOLUTE
        )
        unit.audit.append(f"reviewer:{reviewer}", "reviewer.signed_in", f"reviewer:{reviewer}", {})
    return token


def sign_out(world: World, token: str, reviewer: ReviewerId) -> None:
    """End a session."""
    with world.store.transaction() as unit:
        unit.reviewers.end_session(digest(token))
        unit.audit.append(f"reviewer:{reviewer}", "reviewer.signed_out", f"reviewer:{reviewer}", {})


def digest(token: str) -> bytes:
    """What is kept of a token: it is 256 random bits, so a plain SHA-256 is enough."""
    return hashlib.sha256(token.encode()).digest()


def cookie_name(world: World) -> str:
    """With TLS the name itself forbids setting the cookie for other hosts or without TLS."""
    return "__Host-consentry-console" if world.settings.secure_cookies else "consentry-console"


def set_cookie(response: Response, world: World, name: str, value: str) -> None:
    """A cookie that scripts cannot read and other sites cannot send."""
    response.set_cookie(
        name, value, path="/", httponly=True, samesite="strict",
        secure=world.settings.secure_cookies,
    )  # fmt: skip


def world_of(request: Request) -> World:
    """The world that the app was made with."""
    return cast(World, request.app.state.world)


WorldOf = Annotated[World, Depends(world_of)]


def signed_in(request: Request, world: WorldOf) -> Session:
    """Whose request this is; raises ``SignedOut``."""
    token = request.cookies.get(cookie_name(world))
    if token:
        with world.store.transaction() as unit:
            found = unit.reviewers.session(digest(token), world.desk.clock())
        if found is not None:
            who = found.reviewer
            return Session(who.id, who.login, who.role, found.csrf)
    raise SignedOut("you are not signed in; sign in to go on")


SessionOf = Annotated[Session, Depends(signed_in)]


def posted(fields: Annotated[Fields, Depends(read_form)], session: SessionOf) -> Posted:
    """A form with its session's token; raises ``Denied`` without it."""
    csrf.require(fields.csrf, session.csrf)
    return Posted(session, fields)


PostedBy = Annotated[Posted, Depends(posted)]
