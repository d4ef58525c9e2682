"""A JSON request that makes something: read, checked, done once by its key, answered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import anyio
import anyio.to_thread
from fastapi import Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, TypeAdapter

from services.api.auth import Caller
from services.api.bodies import LARGEST_JSON, receive_json
from services.api.door import Door, door_of

T = TypeVar("T")


async def made(
    request: Request,
    caller: Caller,
    key: str | None,
    shape: TypeAdapter[T],
    work: Callable[[T], BaseModel],
    *,
    status: int = 200,
    recall: Callable[[Mapping[str, Any]], BaseModel] | None = None,
    remember: Callable[[Any], Mapping[str, Any]] | None = None,
) -> Response:
    """Answer a request with what ``work`` makes of its body, once for each idempotency key.

    The same key with another address or body is refused. Where an answer holds a secret,
    ``remember`` says what is kept of it for the day and ``recall`` makes the answer of that again:
    answers are remembered in clear.
    """
    door = door_of(request)
    with door.budget.share() as share:
        asked = await receive_json(request, shape, LARGEST_JSON, share, door.limits.patience)
    parts = (request.method, request.url.path, shape.dump_json(asked).decode())
    return await once(
        door, caller, key, parts, lambda: work(asked), status, recall=recall, remember=remember
    )


async def once(
    door: Door,
    caller: Caller,
    key: str | None,
    parts: tuple[str, ...],
    work: Callable[[], BaseModel],
    status: int = 200,
    *,
    recall: Callable[[Mapping[str, Any]], BaseModel] | None = None,
    remember: Callable[[Any], Mapping[str, Any]] | None = None,
    limiter: anyio.CapacityLimiter | None = None,
) -> Response:
    """The same for a request that has no body; ``parts`` is what makes it the same request."""

    def do() -> Response:
        fresh: list[BaseModel] = []

        def first() -> Mapping[str, Any]:
            fresh.append(work())
            return remember(fresh[0]) if remember else fresh[0].model_dump(mode="json")

        kept, replayed = door.replay.document(
            caller.platform, key, lambda: (part.encode() for part in parts), first, status
        )
        said: Mapping[str, Any]
        if fresh:
            said = fresh[0].model_dump(mode="json")
        else:
            said = recall(kept).model_dump(mode="json") if recall else kept
        return JSONResponse(said, status, {"idempotency-replayed": "true"} if replayed else None)

    return await anyio.to_thread.run_sync(do, limiter=limiter or door.questions)
