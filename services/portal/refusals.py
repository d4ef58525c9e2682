"""Every refusal as a page in the reader's language that says what to do next."""

from __future__ import annotations

import math
from typing import cast

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from pipeline.errors import (
    Conflict,
    ConsentryError,
    Denied,
    Invalid,
    NotFound,
    TooManyAttempts,
    Unavailable,
)
from services.portal import words
from services.portal.pages import Pages, say
from services.portal.visits import SignedOut

log = structlog.get_logger()

_STATUS: tuple[tuple[type[ConsentryError], int, str], ...] = (
    (SignedOut, 401, "signed_out"),
    (TooManyAttempts, 429, "too_many_attempts"),
    (Denied, 403, "other_site"),
    (NotFound, 404, "not_found"),
    (Conflict, 409, "conflict"),
    (Invalid, 422, "invalid"),
    (Unavailable, 503, "unavailable"),
)


def pages_of(request: Request) -> Pages:
    """The app's templates."""
    return cast(Pages, request.app.state.pages)


def install(app: FastAPI) -> None:
    """Answer what handlers refuse; what they did not foresee comes to ``broken``."""
    app.add_exception_handler(ConsentryError, _refused)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _no_such_page)


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, ConsentryError)
    found = next((row for row in _STATUS if isinstance(error, row[0])), None)
    if found is None:
        return broken(request, error)
    _, status, code = found
    return answer(request, status, code, waiting_of(error))


def waiting_of(error: Exception) -> int:
    """Seconds to wait after a refusal, 0 where waiting is no cure."""
    if isinstance(error, TooManyAttempts):
        return math.ceil(error.retry_after)
    return 2 if isinstance(error, Unavailable) else 0


def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = {404: "not_found", 405: "not_found", 413: "too_large"}.get(error.status_code, "invalid")
    return answer(request, error.status_code, code)


def _no_such_page(request: Request, error: Exception) -> Response:  # noqa: ARG001
    return answer(request, 404, "not_found")


def broken(request: Request, error: Exception) -> Response:
    """The answer to an error that nobody foresaw; its message may quote data, so it stays out."""
    log.error("portal.failed", error=type(error).__name__)
    return answer(request, 500, "error")


def answer(request: Request, status: int, code: str, wait: int = 0) -> Response:
    """One refusal, as a page or, to a script, as problem details."""
    title, said = words.REFUSALS[code]
    minutes = math.ceil(wait / 60)
    headers = {"retry-after": str(wait)} if wait else {}
    title, said = say(request, title), say(request, said, minutes=minutes)
    if "text/html" not in request.headers.get("accept", ""):
        problem = {"title": title, "status": status, "detail": said, "code": code}
        return JSONResponse(problem, status, headers, media_type="application/problem+json")
    return pages_of(request).answer(
        request, "refusal.html", status=status, headers=headers, title=title, said=said
    )
