"""Who is signed in. The browser holds a random token, the database only its digest."""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated, Any, cast

from fastapi import Depends, Request, Response

from pipeline.domain.ids import ReviewerId
from pipeline.domain.roles import AT_CASES, Power, Role, can
from pipeline.errors import Denied, TooManyAttempts
from pipeline.ports import Reviewer
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


class HalfSignedIn(SignedOut):
    """The password was right; the second factor is still to come."""


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody at the review desk."""

    reviewer: ReviewerId
    login: str
    pseudonym: str
    role: Role
    csrf: str = field(repr=False)
    queues: tuple[str, ...] | None = None
    preferences: Mapping[str, Any] = field(default_factory=dict)

    def can(self, *powers: Power) -> bool:
        """Whether they have one of these powers."""
        return any(can(self.role, power) for power in powers)

    @property
    def at_cases(self) -> bool:
        """Whether they take cases."""
        return self.can(*AT_CASES)

    @property
    def leads(self) -> bool:
        """Whether they see the queues and the figures."""
        return self.can(Power.LEAD)

    @property
    def operates(self) -> bool:
        """Whether they keep accounts and house rules."""
        return self.can(Power.OPERATE)

    @property
    def audits(self) -> bool:
        """Whether they read the audit trail."""
        return self.can(Power.AUDIT)

    @property
    def verifies(self) -> bool:
        """Whether they decide about enrolments."""
        return self.can(Power.VERIFY)

    @property
    def home(self) -> str:
        """The page where their work begins."""
        if self.leads:
            return "/lead"
        return "/house" if self.operates else "/audit" if self.audits else "/queue"


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
    with world.store.transaction() as unit:
        unit.attempts.cleared(subject)
    return open_session(world, found[0], earlier)


def open_session(world: World, reviewer: Reviewer, earlier: str | None) -> str:
    """The token of a new session for somebody who has proven the first factor.

    It is good for nothing but giving the second one, where there is one to give.
    """
    token = secrets.token_urlsafe(32)
    with world.store.transaction() as unit:
        if earlier:
            unit.reviewers.end_session(digest(earlier))
        began = world.desk.clock()
        has_second = bool(unit.reviewers.factors(reviewer.id))
        unit.reviewers.create_session(
            reviewer.id,
            digest(token),
            csrf.new_token(),
            began,
            began + ABSOLUTE,
            proven=not has_second and world.settings.second_factor == "optional",
        )
        who = f"reviewer:{reviewer.id}"
        unit.audit.append(who, "reviewer.signed_in", who, {})
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


def half_signed_in(request: Request, world: WorldOf) -> Half:
    """Whose request this is, the second factor given or not; raises ``SignedOut``."""
    token = request.cookies.get(cookie_name(world))
    if token:
        with world.store.transaction() as unit:
            found = unit.reviewers.session(digest(token), world.desk.clock())
        if found is not None:
            who = found.reviewer
            session = Session(
                who.id, who.login, who.pseudonym, Role(who.role), found.csrf, who.queues,
                who.preferences,
            )  # fmt: skip
            return Half(session, digest(token), found.proven)
    raise SignedOut("you are not signed in; sign in to go on")


@dataclass(frozen=True, slots=True)
class Half:
    """Somebody whose password was right, and whether the second factor was given too."""

    session: Session
    token_digest: bytes = field(repr=False)
    proven: bool


HalfOf = Annotated[Half, Depends(half_signed_in)]


def signed_in(half: HalfOf) -> Session:
    """Whose request this is; raises ``SignedOut`` without all that signing in takes."""
    if not half.proven:
        raise HalfSignedIn("your second factor is still to come; give it to go on")
    return half.session


SessionOf = Annotated[Session, Depends(signed_in)]


def posted(fields: Annotated[Fields, Depends(read_form)], session: SessionOf) -> Posted:
    """A form with its session's token; raises ``Denied`` without it."""
    csrf.require(fields.csrf, session.csrf)
    return Posted(session, fields)


PostedBy = Annotated[Posted, Depends(posted)]


def needs(*powers: Power) -> Callable[[Session], Session]:
    """Let nobody in but those with one of these powers; raises ``Denied``."""

    def allowed(session: SessionOf) -> Session:
        return _with_power(session, powers)

    return allowed


def posts(*powers: Power) -> Callable[[Posted], Session]:
    """The same for forms, read before anybody is refused: what was typed is given back."""

    def allowed(posted: PostedBy) -> Session:
        return _with_power(posted.session, powers)

    return allowed


def _with_power(session: Session, powers: tuple[Power, ...]) -> Session:
    if not session.can(*powers):
        raise Denied("this page is not for your role; go back to where you work")
    return session


CASES, POSTS_CASES = Depends(needs(*AT_CASES)), Depends(posts(*AT_CASES))
READS = Depends(needs(*AT_CASES, Power.LEAD))
LEADS, POSTS_LEADS = Depends(needs(Power.LEAD)), Depends(posts(Power.LEAD))
LISTS = Depends(needs(Power.LEAD, Power.VERIFY))
OPERATES, POSTS_OPERATES = Depends(needs(Power.OPERATE)), Depends(posts(Power.OPERATE))
AUDITS = Depends(needs(Power.AUDIT))
PROTECTS = Depends(needs(Power.PROTECT))
"""What a route asks for, as a dependency; the table of them all is in the tests."""
