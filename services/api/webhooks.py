"""``/v1/webhooks`` and ``/v1/events``: where a platform is told, what it was told, and again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

import anyio
import anyio.to_thread
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import TypeAdapter

from pipeline.domain.ids import WebhookId
from pipeline.domain.webhook import Attempt, Webhook
from pipeline.journeys import webhooks
from pipeline.journeys.webhooks import Opened
from pipeline.ports import Unit
from services.api.auth import Caller
from services.api.bodies import LARGEST_JSON, receive_json
from services.api.description import (
    REPLAY_BODY,
    REPLAYED,
    ROTATION_BODY,
    WEBHOOK_BODY,
    problems,
)
from services.api.door import Called, Door, door_of
from services.api.paging import USUAL, Cursor, Limit, Page, Paged
from services.api.posts import made, once
from services.api.schemas import (
    AttemptAnswered,
    PublicKeyAnswered,
    ReplayAnswered,
    ReplayEvent,
    ReplaySince,
    RotationAsked,
    ToldAnswered,
    WebhookAnswered,
    WebhookAsked,
    WebhookOpened,
)
from services.api.screenings import IdempotencyKey
from services.wiring import now

router = APIRouter(prefix="/v1", tags=["webhooks"])

T = TypeVar("T")

_asked = TypeAdapter(WebhookAsked)
_rotation = TypeAdapter(RotationAsked)
_replay: TypeAdapter[ReplayEvent | ReplaySince] = TypeAdapter(ReplayEvent | ReplaySince)

_READING = (401, 422, 429, 500, 503)
_MAKING = (401, 408, 409, 413, 415, 422, 429, 500, 503)


@router.get(
    "/webhooks",
    response_model=Page[WebhookAnswered],
    dependencies=[Paged],
    responses=problems(*_READING),
    summary="List webhooks",
)
async def listed(
    request: Request, caller: Called, limit: Limit = USUAL, cursor: Cursor = None
) -> Response:
    """Your webhooks, the oldest first; never their secrets."""
    door, about = door_of(request), (caller.platform, "webhooks")
    place = door.cursors.read(about, cursor)

    def find(unit: Unit) -> Page[Any]:
        after = UUID(place[0]) if place else None
        rows = [one for one in unit.webhooks.of(caller.platform) if not after or one.id > after]
        return door.cursors.page(
            about, rows[: limit + 1], limit, lambda one: _shown(unit, one),
            lambda one: (str(one.id),),
        )  # fmt: skip

    return _json(await _in(door, find))


@router.post(
    "/webhooks",
    status_code=201,
    response_model=WebhookOpened,
    responses={201: REPLAYED, **problems(*_MAKING)},
    openapi_extra={"requestBody": WEBHOOK_BODY},
    summary="Add a webhook",
)
async def add(request: Request, caller: Called, idempotency_key: IdempotencyKey = None) -> Response:
    """A further address where you are told; up to 16. The answer holds its secret, this once.

    Events that reached you nowhere yet are told there, too.
    """
    door = door_of(request)

    def work(asked: WebhookAsked) -> WebhookOpened:
        with door.store.transaction() as unit:
            opened = webhooks.add(unit, caller.platform, asked.url, asked.events, _actor(caller))
            return _opened(unit, opened)

    return await made(
        request, caller, idempotency_key, _asked, work, status=201,
        remember=_without_secret, recall=_recalled(door, caller),
    )  # fmt: skip


@router.get(
    "/webhooks/{webhook}",
    response_model=WebhookAnswered,
    responses=problems(404, *_READING),
    summary="Read a webhook",
)
async def read(request: Request, caller: Called, webhook: UUID) -> Response:
    """Its address, its events, and the public keys that its signatures can be checked with."""

    def find(unit: Unit) -> WebhookAnswered:
        return _shown(unit, webhooks.owned(unit, caller.platform, WebhookId(webhook)))

    return _json(await _in(door_of(request), find))


@router.put(
    "/webhooks/{webhook}",
    response_model=WebhookAnswered,
    responses=problems(404, *_MAKING),
    openapi_extra={"requestBody": WEBHOOK_BODY},
    summary="Change a webhook",
)
async def change(request: Request, caller: Called, webhook: UUID) -> Response:
    """Another address, or other events. Secrets stay; what waits goes to the new address."""
    door = door_of(request)
    with door.budget.share() as share:
        asked = await receive_json(request, _asked, LARGEST_JSON, share, door.limits.patience)

    def work(unit: Unit) -> WebhookAnswered:
        changed = webhooks.change(
            unit, caller.platform, WebhookId(webhook), asked.url, asked.events, _actor(caller)
        )
        return _shown(unit, changed)

    return _json(await _in(door, work))


@router.delete(
    "/webhooks/{webhook}",
    status_code=204,
    response_class=Response,
    responses=problems(404, *_READING),
    summary="Remove a webhook",
)
async def remove(request: Request, caller: Called, webhook: UUID) -> Response:
    """Nothing is sent there any more. What waited is told to webhooks that you add later."""

    def work(unit: Unit) -> None:
        webhooks.end(unit, caller.platform, WebhookId(webhook), _actor(caller))

    await _in(door_of(request), work)
    return Response(status_code=204)


@router.post(
    "/webhooks/{webhook}:rotate",
    response_model=WebhookOpened,
    responses={200: REPLAYED, **problems(404, *_MAKING)},
    openapi_extra={"requestBody": ROTATION_BODY},
    summary="Rotate a webhook's secret and key",
)
async def rotate(
    request: Request, caller: Called, webhook: UUID, idempotency_key: IdempotencyKey = None
) -> Response:
    """A new secret and a new key, from now on. The earlier ones sign beside them for the overlap.

    Give your receiver the new secret within that time: no message is lost.
    """
    door = door_of(request)

    def work(asked: RotationAsked) -> WebhookOpened:
        overlap = timedelta(hours=asked.overlap_hours)
        with door.store.transaction() as unit:
            opened = webhooks.rotate(
                unit, caller.platform, WebhookId(webhook), now(), _actor(caller), overlap
            )
            return _opened(unit, opened)

    return await made(
        request, caller, idempotency_key, _rotation, work,
        remember=_without_secret,
        recall=_recalled(door, caller),
    )  # fmt: skip


@router.post(
    "/webhooks/{webhook}:test",
    response_model=AttemptAnswered,
    responses={200: REPLAYED, **problems(404, 409, *_READING)},
    summary="Send a test to a webhook",
)
async def try_out(
    request: Request, caller: Called, webhook: UUID, idempotency_key: IdempotencyKey = None
) -> Response:
    """Sends `webhook.test` there at once and says what came of it, within some ten seconds."""
    door = door_of(request)

    def work() -> AttemptAnswered:
        return _attempt(
            webhooks.try_out(door.store, door.action, now, caller.platform, WebhookId(webhook))
        )

    parts = (request.method, request.url.path)
    return await once(door, caller, idempotency_key, parts, work, limiter=door.calls)


@router.post(
    "/webhooks/{webhook}:replay",
    response_model=ReplayAnswered,
    responses={200: REPLAYED, **problems(404, *_MAKING)},
    openapi_extra={"requestBody": REPLAY_BODY},
    summary="Be told again",
)
async def replay(
    request: Request, caller: Called, webhook: UUID, idempotency_key: IdempotencyKey = None
) -> Response:
    """One event, or everything since a time: after a failure of yours, or for a new receiver.

    Events keep their ids, so that you can tell a repeat.
    """
    door = door_of(request)

    def work(asked: ReplayEvent | ReplaySince) -> ReplayAnswered:
        with door.store.transaction() as unit:
            return ReplayAnswered(
                queued=webhooks.replay(
                    unit, caller.platform, WebhookId(webhook), _actor(caller),
                    event=asked.event if isinstance(asked, ReplayEvent) else None,
                    since=asked.since if isinstance(asked, ReplaySince) else None,
                )
            )  # fmt: skip

    return await made(request, caller, idempotency_key, _replay, work)


@router.get(
    "/webhooks/{webhook}/deliveries",
    response_model=Page[AttemptAnswered],
    dependencies=[Paged],
    responses=problems(404, *_READING),
    summary="Read a webhook's delivery log",
)
async def log(
    request: Request, caller: Called, webhook: UUID, limit: Limit = USUAL, cursor: Cursor = None
) -> Response:
    """Every attempt, the latest first: when, what your side answered, how long it took."""
    door, about = door_of(request), (caller.platform, "deliveries", webhook)
    place = door.cursors.read(about, cursor)

    def find(unit: Unit) -> Page[Any]:
        found = webhooks.owned(unit, caller.platform, WebhookId(webhook))
        rows = unit.webhooks.attempts(found.id, int(place[0]) if place else None, limit + 1)
        return door.cursors.page(about, rows, limit, _attempt, lambda one: (one.id,))

    return _json(await _in(door, find))


@router.get(
    "/events",
    response_model=Page[ToldAnswered],
    dependencies=[Paged],
    responses=problems(*_READING),
    summary="List events",
)
async def events(
    request: Request, caller: Called, limit: Limit = USUAL, cursor: Cursor = None
) -> Response:
    """Everything that you were or will be told, the latest first, as webhooks get it.

    For those who have no webhook, and to make sure that none was missed.
    """
    door, about = door_of(request), (caller.platform, "events")
    place = door.cursors.read(about, cursor)

    def find(unit: Unit) -> Page[Any]:
        rows = unit.events.page(caller.platform, str(place[0]) if place else None, limit + 1)
        return door.cursors.page(about, rows, limit, _told, lambda row: (str(row["id"]),))

    return _json(await _in(door, find))


# --- what the routes share ---------------------------------------------------------------------


async def _in(door: Door, work: Callable[[Unit], T]) -> T:
    """What ``work`` makes of one transaction, in a thread for short questions."""

    def do() -> T:
        with door.store.transaction() as unit:
            return work(unit)

    return await anyio.to_thread.run_sync(do, limiter=door.questions)


def _json(said: WebhookAnswered | Page[Any]) -> Response:
    return JSONResponse(said.model_dump(mode="json"))


def _actor(caller: Caller) -> str:
    return f"platform:{caller.platform}"


def _shown(unit: Unit, webhook: Webhook) -> WebhookAnswered:
    return WebhookAnswered(
        webhook=webhook.id,
        url=webhook.url,
        events=list(webhook.kinds),
        created_at=webhook.created_at,
        public_keys=[
            PublicKeyAnswered(key=key.text, until=key.until)
            for key in webhooks.public_keys(unit, webhook, now())
        ],
    )


def _opened(unit: Unit, opened: Opened) -> WebhookOpened:
    shown = _shown(unit, opened.webhook).model_dump()
    return WebhookOpened(**shown, secret=opened.secret, generation=opened.generation)


def _without_secret(said: WebhookOpened) -> Mapping[str, Any]:
    """What is remembered of an answer with a secret: which one it was, never the secret itself."""
    return {"webhook": str(said.webhook), "generation": said.generation}


def _recalled(door: Door, caller: Caller) -> Callable[[Mapping[str, Any]], WebhookOpened]:
    def recall(kept: Mapping[str, Any]) -> WebhookOpened:
        which = WebhookId(UUID(kept["webhook"]))
        with door.store.transaction() as unit:
            opened = webhooks.secret_of(unit, caller.platform, which, kept["generation"], now())
            return _opened(unit, opened)

    return recall


def _attempt(attempt: Attempt) -> AttemptAnswered:
    return AttemptAnswered(
        event=attempt.event,
        kind=attempt.kind,
        at=attempt.at,
        attempt=attempt.number,
        delivered=attempt.delivered,
        status=attempt.status,
        error=attempt.error,
        milliseconds=round(attempt.milliseconds, 1),
    )


def _told(row: Mapping[str, Any]) -> ToldAnswered:
    return ToldAnswered(
        event=row["id"],
        kind=row["kind"],
        case=row["case"],
        created_at=row["created_at"],
        delivered_at=row["delivered_at"],
        body=row["body"],
    )
