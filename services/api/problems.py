"""Errors as RFC 9457 problem details: one schema, stable codes, nothing of the request repeated."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from pipeline.errors import (
    Conflict,
    ConsentryError,
    IdempotencyMismatch,
    IndexNotReady,
    Invalid,
    NotFound,
    Unavailable,
)
from pipeline.journeys.policies import VersionChanged
from pipeline.outside import Unreachable
from services.api.schemas import FieldError, Problem

MEDIA_TYPE = "application/problem+json"

TITLES = {
    "unauthorized": "No valid API key",
    "not_found": "There is no such thing",
    "method_not_allowed": "This method is not for this address",
    "body_timed_out": "The body came too slowly",
    "conflict": "The world has moved on",
    "version_changed": "Another version has come first",
    "in_progress": "The same request is being answered just now",
    "too_large": "The body is too large",
    "video_too_large": "The video is too large",
    "unsupported_media_type": "This kind of body is not read here",
    "invalid": "The request cannot be used as it is",
    "incomplete_notice": "The notice lacks what the law wants of it",
    "idempotency_mismatch": "The idempotency key came with another request",
    "rate_limited": "Too many requests",
    "unreachable": "The file's address was not gone to, or gave nothing",
    "internal": "Something went wrong here",
    "busy": "More work than can be taken on",
    "unavailable": "Not available just now",
    "index_not_ready": "The index is being loaded",
}
"""Every code there is, with its title."""

_STATUSES: tuple[tuple[type[ConsentryError], int], ...] = (
    (Unavailable, 503),
    (NotFound, 404),
    (IdempotencyMismatch, 422),
    (Invalid, 422),
    (Unreachable, 422),
    (VersionChanged, 412),
    (Conflict, 409),
)
_OF_STATUS = {404: "not_found", 405: "method_not_allowed", 413: "too_large"}


class Declined(Exception):
    """A request that is answered with a problem."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        errors: Sequence[FieldError] = (),
    ) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail
        self.headers, self.errors = dict(headers or {}), tuple(errors)


def busy(detail: str, after: float = 1.0) -> Declined:
    """More than this process takes on at once; worth trying again after ``after`` seconds."""
    return Declined(503, "busy", detail, headers=retry_after(after))


def retry_after(seconds: float) -> dict[str, str]:
    """The header that says when to come back, in whole seconds."""
    return {"retry-after": str(max(1, math.ceil(seconds)))}


def invalid(where: str, problem: str) -> Declined:
    """One field is not as it must be."""
    return Declined(
        422,
        "invalid",
        "a field is not as it must be; see errors",
        errors=[FieldError(where=where, problem=problem)],
    )


def field_errors(found: Sequence[Any], place: str | None = None) -> list[FieldError]:
    """What pydantic found, without the values it found it in, nor keys that we did not define."""
    errors = []
    for one in found:
        parts = [str(part) for part in one["loc"]]
        if one["type"] == "extra_forbidden":
            parts[-1] = "(unknown field)"
        where = ".".join([place, *parts] if place else parts)
        errors.append(FieldError(where=where, problem=str(one["msg"])))
    return errors


def described(request_id: str, declined: Declined) -> Problem:
    """The problem as RFC 9457 has it."""
    return Problem(
        type=f"urn:consentry:problem:{declined.code}",
        title=TITLES[declined.code],
        status=declined.status,
        detail=declined.detail,
        code=declined.code,
        instance=f"urn:consentry:request:{request_id}",
        errors=list(declined.errors) or None,
    )


def answer(request_id: str, declined: Declined) -> Response:
    """The problem as a response."""
    return JSONResponse(
        described(request_id, declined).model_dump(mode="json", exclude_none=True),
        declined.status,
        declined.headers,
        media_type=MEDIA_TYPE,
    )


def unexpected() -> Declined:
    """A defect of ours; what it was stays here."""
    return Declined(500, "internal", "this was not foreseen; tell the operator the request's id")


def of_error(error: ConsentryError) -> Declined:
    """What the pipeline raised on purpose, as the caller may see it."""
    status = next((status for kind, status in _STATUSES if isinstance(error, kind)), None)
    if status is None:  # the operator's trouble, not the caller's
        return unexpected()
    code = error.code if error.code in TITLES else "conflict"
    wait = 5.0 if isinstance(error, IndexNotReady) else 2.0
    return Declined(status, code, str(error), headers=retry_after(wait) if status == 503 else {})


def install(app: FastAPI) -> None:
    """Answer everything that is raised on purpose; the rest comes to ``edge.Edge``."""
    app.add_exception_handler(Declined, _declined)
    app.add_exception_handler(ConsentryError, _pipeline)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(HTTPException, _http)


async def _declined(request: Request, error: Exception) -> Response:
    assert isinstance(error, Declined)
    return answer(request.state.request_id, error)


async def _pipeline(request: Request, error: Exception) -> Response:
    assert isinstance(error, ConsentryError)
    declined = of_error(error)
    if declined.status == 500:
        raise error
    return answer(request.state.request_id, declined)


async def _validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    declined = Declined(
        422,
        "invalid",
        "fields are not as they must be; see errors",
        errors=field_errors(error.errors()),
    )
    return answer(request.state.request_id, declined)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = _OF_STATUS.get(error.status_code, "invalid")
    said = "see the addresses and methods at /openapi.json" if error.status_code < 500 else ""
    declined = Declined(error.status_code, code, said, headers=error.headers)
    return answer(request.state.request_id, declined)
