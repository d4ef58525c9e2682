"""``/v1/screenings``: an upload comes in, its answer goes out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import anyio.to_thread
import structlog
from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import StringConstraints, TypeAdapter

from pipeline.domain.ids import PlatformId, ScreeningId
from pipeline.domain.media import Rating, Upload
from pipeline.domain.screening import Screening, Verdict
from pipeline.errors import NotFound
from pipeline.journeys.screen_reference import fetching
from pipeline.journeys.screen_upload import Hashed, Lookup, summary
from pipeline.journeys.take_in_film import Taken, early_of, waiting
from pipeline.ports import Unit
from services.api.bodies import LARGEST_JSON, receive, receive_form, receive_json
from services.api.description import ACCEPTED, HASHES_BODY, REPLAYED, UPLOAD_BODY, problems
from services.api.door import Called, Door, door_of
from services.api.line import Line
from services.api.paging import USUAL, Cursor, Limit, Page, Paged
from services.api.problems import Declined, invalid
from services.api.replay import LONGEST_KEY
from services.api.schemas import HashesAsked, Name, ScreeningAnswered

router = APIRouter(prefix="/v1/screenings", tags=["screenings"])

_SHAPE = TypeAdapter(HashesAsked)

IdempotencyKey = Annotated[
    Annotated[
        str,
        StringConstraints(min_length=1, max_length=LONGEST_KEY, pattern=r"^[\x21-\x7e]+$"),
    ]
    | None,
    Header(
        alias="Idempotency-Key",
        description="Any text of your own. For 24 hours the same request with the same key gets"
        " the same answer instead of a new screening.",
    ),
]


@router.post(
    "",
    response_model=ScreeningAnswered,
    responses={
        200: REPLAYED,
        202: ACCEPTED,
        **problems(401, 408, 409, 413, 415, 422, 429, 500, 503),
    },
    openapi_extra={"requestBody": UPLOAD_BODY},
    summary="Screen an upload",
)
async def screen(
    request: Request,
    caller: Called,
    content_id: Annotated[
        Name | None,
        Query(
            description="What you call this upload. Needed unless the body is a form,"
            " whose own fields count instead of these."
        ),
    ] = None,
    uploader: Annotated[Name | None, Query(description="What you call the account.")] = None,
    rating: Annotated[
        Rating, Query(description="What you say of the content yourself.")
    ] = Rating.UNKNOWN,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Send the image or video as the body, or a form with it in.

    An image's answer comes at once. A video or an animation is answered with 202 and the address
    where its answer will be: `pending`, with progress, until it has been looked at; a webhook
    tells of it, too. A file that cannot be screened is answered: verdict `refused`, with the
    reason by name. Clear uploads are not kept.
    """
    door = door_of(request)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    is_form = kind == "multipart/form-data"
    if not (is_form or kind == "application/octet-stream" or kind.startswith(("image/", "video/"))):
        raise Declined(
            415,
            "unsupported_media_type",
            "send the file as image/*, video/* or application/octet-stream, or in"
            " multipart/form-data",
        )
    _each_once(request, ("content_id", "uploader", "rating"))
    if not is_form and content_id is None:
        raise invalid("query.content_id", "Field required")
    door.line.check()
    arrival = door.arrival()
    try:
        with door.budget.share() as share:
            if is_form:
                upload = await receive_form(request, arrival, share, door.limits.patience)
            else:
                upload = Upload(content_id or "", uploader, rating)
                await receive(request, arrival, share, door.limits.patience)
            body = await arrival.finish()

            def work() -> tuple[ScreeningAnswered, bool]:
                return door.replay.once(
                    caller.platform,
                    idempotency_key,
                    lambda: (b"file", *described_upload(upload), *_content(body)),
                    screened,
                )

            def screened() -> Screening:
                if isinstance(body, bytes):
                    return door.screen(caller.platform, upload, body)
                arrival.hand_over()
                return door.enlist(caller.platform, upload, body, arrival.film or "video/mp4")

            return await answered(door, work)
    finally:
        await arrival.leave()


@router.post(
    "/hashes",
    response_model=ScreeningAnswered,
    responses={200: REPLAYED, **problems(401, 408, 409, 413, 415, 422, 429, 500, 503)},
    openapi_extra={"requestBody": HASHES_BODY},
    summary="Screen hashes that you computed",
)
async def screen_hashes(
    request: Request, caller: Called, idempotency_key: IdempotencyKey = None
) -> Response:
    """Less is found than with the image: crops, frames and mirrored copies need its pixels."""
    door = door_of(request)
    door.quick.check()
    with door.budget.share() as share:
        asked = await receive_json(request, _SHAPE, LARGEST_JSON, share, door.limits.patience)
        upload = Upload(asked.content_id, asked.uploader, asked.rating)
        hashes = [
            Hashed(hashed.signal, bytes.fromhex(hashed.hash), hashed.quality)
            for hashed in asked.hashes
        ]
        if idempotency_key is None and door.together:
            lookup = Lookup(caller.platform, upload, hashes)
            found = ScreeningAnswered.model_validate(summary(await door.lookups.screen(lookup)))
            return said(door, found, replayed=False)

        def work() -> tuple[ScreeningAnswered, bool]:
            return door.replay.once(
                caller.platform,
                idempotency_key,
                lambda: (b"hashes", *described_upload(upload), *listed(hashes)),
                lambda: door.screener.screen_hashes(caller.platform, upload, hashes),
            )

        return await answered(door, work, door.quick)


@router.get(
    "",
    response_model=Page[ScreeningAnswered],
    dependencies=[Paged],
    responses=problems(401, 422, 429, 500, 503),
    summary="List answers",
)
async def listed_answers(
    request: Request, caller: Called, limit: Limit = USUAL, cursor: Cursor = None
) -> Response:
    """Your own answers, the latest first; videos that are still looked at come once they are."""
    door, about = door_of(request), (caller.platform, "screenings")
    place = door.cursors.read(about, cursor)
    before = (datetime.fromisoformat(place[0]), ScreeningId(UUID(place[1]))) if place else None

    def find() -> Page[Any]:
        with door.store.transaction() as unit:
            rows = unit.screenings.page(caller.platform, before, limit + 1)
        return door.cursors.page(
            about, rows, limit, lambda one: ScreeningAnswered.model_validate(summary(one)),
            lambda one: (one.received_at.isoformat(), str(one.id)),
        )  # fmt: skip

    found = await anyio.to_thread.run_sync(find, limiter=door.questions)
    return JSONResponse(found.model_dump(mode="json"))


@router.get(
    "/{screening}",
    response_model=ScreeningAnswered,
    responses=problems(401, 404, 422, 429, 500, 503),
    summary="Read an answer again",
)
async def read(request: Request, caller: Called, screening: UUID) -> Response:
    """Your own screenings only; the milliseconds are rounded as they were kept."""
    door = door_of(request)

    def find() -> Screening:
        with door.store.transaction() as unit:
            which = ScreeningId(screening)
            found = unit.screenings.get(which, caller.platform)
            if found is None:
                found = pending(unit, door, which, caller.platform)
            if found is None:  # it was answered between two of these questions
                found = unit.screenings.get(which, caller.platform)
        if found is None:
            raise NotFound("you have no screening of this id")
        return found

    found = await anyio.to_thread.run_sync(find, limiter=door.questions)
    return _json(ScreeningAnswered.model_validate(summary(found)))


def pending(unit: Unit, door: Door, which: ScreeningId, platform: PlatformId) -> Screening | None:
    """What can be said of an upload that waits: to be fetched, or to be looked at."""
    sequence = max(0, door.live.applied)
    reference = unit.references.get(which, platform)
    if reference is not None:
        return door.pending(fetching(reference, "", sequence))
    film = unit.films.get(which, platform)
    if film is not None:
        return door.pending(waiting(film, "", sequence, early_of(unit, film)))
    return None


def _each_once(request: Request, names: tuple[str, ...]) -> None:
    """A misspelt ``rating`` must not pass for none, nor one of two ids be taken in silence."""
    seen = set()
    for name, _ in request.query_params.multi_items():
        if name not in names:
            raise invalid("query.(unknown field)", f"the query has {', '.join(names)}")
        if name in seen:
            raise invalid(f"query.{name}", "this field is there twice")
        seen.add(name)


async def answered(
    door: Door, work: Callable[[], tuple[ScreeningAnswered, bool]], line: Line | None = None
) -> Response:
    """What ``work`` answers, as a response: 202 for a video that is still to be looked at."""
    found, replayed = await (line or door.line).run(work)
    return said(door, found, replayed=replayed)


def said(door: Door, found: ScreeningAnswered, *, replayed: bool) -> Response:
    """An answer as a response, counted unless it was given before."""
    headers = {"idempotency-replayed": "true"} if replayed else {}
    # The line that tells of this request names the screening too.
    structlog.contextvars.bind_contextvars(screening=str(found.screening))
    if not replayed:
        door.metrics.screening(found)
    if found.verdict is Verdict.PENDING:
        headers["location"] = f"/v1/screenings/{found.screening}"
        return _json(found, headers, 202)
    return _json(found, headers)


def _json(
    answered: ScreeningAnswered, headers: dict[str, Any] | None = None, status: int = 200
) -> Response:
    body = answered.model_dump_json().encode()
    return Response(body, status, headers=headers, media_type="application/json")


def described_upload(upload: Upload) -> Iterable[bytes]:
    """What makes an upload the same one, for its idempotency key."""
    uploader = b"" if upload.uploader is None else upload.uploader.encode()
    return upload.content_id.encode(), uploader, upload.rating.value.encode()


def _content(body: bytes | Taken) -> Iterable[bytes]:
    return (body,) if isinstance(body, bytes) else (b"sha256", body.digests.sha256)


def listed(hashes: Iterable[Hashed]) -> Iterable[bytes]:
    """The same of hashes."""
    for hashed in hashes:
        yield from (hashed.signal.encode(), hashed.code, bytes([hashed.quality]))
