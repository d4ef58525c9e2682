"""Every refusal as a page that says what to do next, or as problem details to a script."""

from __future__ import annotations

from typing import cast

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse
from starlette.exceptions import HTTPException

from pipeline.errors import (
    Conflict,
    ConsentryError,
    Denied,
    Invalid,
    NotFound,
    Refused,
    Unavailable,
)
from services.console.pages import Pages
from services.console.sessions import HalfSignedIn, SignedOut
from services.web.forms import Fields

log = structlog.get_logger()

_STATUS: tuple[tuple[type[ConsentryError], int, str], ...] = (
    (SignedOut, 401, "You are signed out"),
    (Denied, 403, "Not allowed"),
    (NotFound, 404, "Not here"),
    (Conflict, 409, "Things have moved on"),
    (Invalid, 422, "Something is missing"),
    (Refused, 422, "This upload cannot be shown"),
    (Unavailable, 503, "Not available just now"),
)
_TITLES = {413: "Too large", 415: "Not a form"}


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
    _, status, title = found
    fields = cast(Fields | None, getattr(request.state, "fields", None))
    if isinstance(error, HalfSignedIn) and request.method == "GET" and _wants_page(request):
        return RedirectResponse("/second", 303)
    if isinstance(error, SignedOut) and request.method == "GET" and _wants_page(request):
        return RedirectResponse("/login", 303)
    headers = {"retry-after": "2"} if status == 503 else {}
    return answer(
        request, status, title, str(error), error.code, headers, fields["reason"] if fields else ""
    )


def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code in (404, 405):
        return _no_such_page(request, error)
    title = _TITLES.get(error.status_code, "That did not work")
    headers = dict(error.headers or {})
    return answer(request, error.status_code, title, str(error.detail), "http", headers)


def _no_such_page(request: Request, error: Exception) -> Response:  # noqa: ARG001
    """Wrong ids in an address too: nobody types them, and the answer repeats none."""
    said = "there is no such page; go back to the queue"
    return answer(request, 404, "Not here", said, NotFound.code)


def broken(request: Request, error: Exception) -> Response:
    """The answer to an error that nobody foresaw; its message may quote data, so it stays out."""
    log.error("console.failed", route=request.url.path, error=type(error).__name__)
    return answer(
        request,
        500,
        "Something went wrong",
        "nothing was decided; try again, and tell your operator if it happens twice",
        "error",
    )


def answer(
    request: Request,
    status: int,
    title: str,
    said: str,
    code: str,
    headers: dict[str, str] | None = None,
    draft: str = "",
) -> Response:
    """One refusal. ``draft`` is what the reviewer had typed, given back so that it is not lost."""
    if not _wants_page(request):
        return JSONResponse(
            {"type": "about:blank", "title": title, "status": status, "detail": said, "code": code},
            status,
            headers,
            media_type="application/problem+json",
        )
    return pages_of(request).answer(
        "refusal.html", status=status, headers=headers, title=title, said=said, draft=draft
    )


def _wants_page(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "")
