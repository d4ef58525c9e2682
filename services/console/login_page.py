"""Signing in and out."""

from __future__ import annotations

import math

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from pipeline.errors import Denied, TooManyAttempts
from services.console.refusals import pages_of
from services.console.sessions import (
    HalfOf,
    WorldOf,
    cookie_name,
    set_cookie,
    sign_in,
    sign_out,
)
from services.web import csrf
from services.web.forms import Form
from services.wiring import World

router = APIRouter()

_LONGEST_LOGIN, _LONGEST_PASSWORD = 100, 1024


@router.get("/login")
def show(request: Request, world: WorldOf) -> Response:
    """The form."""
    return _form(request, world)


@router.post("/login")
def enter(request: Request, world: WorldOf, fields: Form) -> Response:
    """Sign in; the session's token is a new one every time."""
    csrf.require(fields.csrf, csrf.of_cookie(request.cookies.get(_form_cookie(world), "")))
    login = fields["login"].strip()[:_LONGEST_LOGIN]
    try:
        token = sign_in(
            world,
            login,
            fields["password"][:_LONGEST_PASSWORD],
            request.cookies.get(cookie_name(world)),
        )
    except TooManyAttempts as refused:
        seconds = math.ceil(refused.retry_after)
        said = f"{refused} Try again in {_waiting(seconds)}."
        return _form(request, world, login, said, 429, {"retry-after": str(seconds)})
    except Denied as refused:
        return _form(request, world, login, str(refused), 401)
    answer = RedirectResponse("/", 303)  # which leads on to the second factor where that is due
    set_cookie(answer, world, cookie_name(world), token)
    answer.delete_cookie(
        _form_cookie(world), path="/", httponly=True, samesite="strict",
        secure=world.settings.secure_cookies,
    )  # fmt: skip
    return answer


@router.post("/logout")
def leave(request: Request, world: WorldOf, fields: Form, half: HalfOf) -> Response:
    """End the session, here and in the database, the second factor given or not."""
    csrf.require(fields.csrf, half.session.csrf)
    sign_out(world, request.cookies[cookie_name(world)], half.session.reviewer)
    answer = RedirectResponse("/login", 303)
    answer.delete_cookie(
        cookie_name(world), path="/", httponly=True, samesite="strict",
        secure=world.settings.secure_cookies,
    )  # fmt: skip
    return answer


def _form(
    request: Request,
    world: World,
    login: str = "",
    problem: str | None = None,
    status: int = 200,
    headers: dict[str, str] | None = None,
) -> Response:
    cookie = request.cookies.get(_form_cookie(world)) or csrf.new_token()
    page = pages_of(request).answer(
        "login.html",
        status=status,
        headers=headers,
        token=csrf.of_cookie(cookie),
        login=login,
        problem=problem,
        single_sign_on=world.settings.oidc_issuer is not None,
    )
    set_cookie(page, world, _form_cookie(world), cookie)
    return page


def _form_cookie(world: World) -> str:
    return cookie_name(world) + "-form"


def _waiting(seconds: int) -> str:
    if seconds < 90:
        return f"{seconds} second{'' if seconds == 1 else 's'}"
    return f"{math.ceil(seconds / 60)} minutes"
