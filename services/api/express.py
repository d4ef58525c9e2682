"""A shorter way for the two requests that come most: a look-up by value, and a file as the body.

The framework's way to a route costs more than a look-up itself. This goes to the same functions
with the same caller, and says what is wrong in the same words. Whatever is out of the ordinary
takes the framework's way, which is also the one that is described in ``/openapi.json``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from fastapi import Request
from fastapi.responses import Response
from pydantic import ValidationError
from starlette.types import ASGIApp, Receive, Scope, Send

from pipeline.errors import ConsentryError
from services.api.auth import Caller
from services.api.door import Door, called
from services.api.problems import Declined, answer, of_error
from services.api.schemas import UploadFields
from services.api.screenings import screen, screen_hashes

PATH = "/v1/screenings/hashes"
FILES = "/v1/screenings"

Work = Callable[[Request, Caller], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class _Route:
    """By what the edge's log and figures know a route."""

    path: str


class Express:
    """The layer right within the edge."""

    def __init__(self, app: ASGIApp, door: Door) -> None:
        self._app, self._door = app, door
        self._routes = {path: _Route(path) for path in (PATH, FILES)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a look-up by value and a file; pass everything else on."""
        work = _work_for(scope)
        if work is None:
            await self._app(scope, receive, send)
            return
        scope["route"] = self._routes[scope["path"]]
        request = Request(scope, receive, send)
        try:
            response = await work(request, await called(request))
        except Declined as declined:
            response = answer(request.state.request_id, declined)
        except ConsentryError as error:
            if (known := of_error(error)).status == 500:
                raise
            response = answer(request.state.request_id, known)
        await response(scope, receive, send)


def _work_for(scope: Scope) -> Work | None:
    """What answers a request, if it is one of the two and nothing about it is unusual."""
    if scope["type"] != "http" or scope["method"] != "POST":
        return None
    if scope["path"] not in (PATH, FILES):
        return None
    if any(name == b"idempotency-key" for name, _ in scope["headers"]):
        return None
    return screen_hashes if scope["path"] == PATH else _file(Request(scope))


def _file(request: Request) -> Work | None:
    if request.headers.get("content-type", "").lower().startswith("multipart/"):
        return None
    try:
        asked = UploadFields.model_validate_strings(dict(request.query_params))
    except ValidationError:
        return None

    def work(request: Request, caller: Caller) -> Awaitable[Response]:
        return screen(request, caller, asked.content_id, asked.uploader, asked.rating)

    return work
