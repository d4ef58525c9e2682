"""Uploads by address, and many uploads in one request."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from urllib.parse import urlsplit

import anyio
import anyio.to_thread
import httpx
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import TypeAdapter

from pipeline import outside
from pipeline.domain.ids import PlatformId
from pipeline.domain.media import Upload
from pipeline.domain.screening import Screening
from pipeline.errors import ConsentryError
from pipeline.journeys.screen_upload import Hashed, Lookup, summary
from pipeline.journeys.take_in_film import Taken, take_in
from services.api.arriving import fetched
from services.api.bodies import LARGEST_JSON, receive_json
from services.api.description import ACCEPTED, BATCH_BODY, REFERENCE_BODY, REPLAYED, problems
from services.api.door import Called, Door, door_of
from services.api.problems import Declined, described, of_error, unexpected
from services.api.schemas import (
    BatchAnswered,
    HashBatch,
    HashesAsked,
    ReferenceAsked,
    ReferenceBatch,
    ResultAnswered,
    ScreeningAnswered,
)
from services.api.screenings import IdempotencyKey, answered, described_upload, listed
from services.wiring import now

router = APIRouter(prefix="/v1", tags=["screenings"])

_LARGEST_BATCH = 16 << 20
_SECONDS = 30.0
_AT_ONCE = 16
"""Hashes of one batch that are asked at once: few enough to leave others room in the line."""
_FILM_SECONDS = 300.0
"""How long a file may be on its way whose first bytes may be a video's."""

_batch: TypeAdapter[HashBatch | ReferenceBatch] = TypeAdapter(HashBatch | ReferenceBatch)
_reference: TypeAdapter[ReferenceAsked] = TypeAdapter(ReferenceAsked)


@router.post(
    "/screenings/references",
    response_model=ScreeningAnswered,
    responses={
        200: REPLAYED,
        202: ACCEPTED,
        **problems(401, 408, 409, 413, 415, 422, 429, 500, 503),
    },
    openapi_extra={"requestBody": REFERENCE_BODY},
    summary="Screen an upload that lies at an address of yours",
)
async def screen_reference(
    request: Request, caller: Called, idempotency_key: IdempotencyKey = None
) -> Response:
    """The file is fetched from your host and screened as if you had sent it.

    Only hosts that an operator has entered for you are gone to, over https, without following
    redirects. An address that gives nothing is a problem with the code `unreachable`.
    """
    door = door_of(request)
    door.line.check()
    with door.budget.share() as share:
        asked = await receive_json(request, _reference, LARGEST_JSON, share, door.limits.patience)
        share.grow(door.largest)
        return await answered(door, lambda: _fetched(door, caller.platform, asked, idempotency_key))


@router.post(
    "/screenings:batch",
    response_model=BatchAnswered,
    responses=problems(401, 408, 409, 413, 415, 422, 429, 500, 503),
    openapi_extra={"requestBody": BATCH_BODY},
    summary="Screen many uploads",
)
async def screen_batch(
    request: Request, caller: Called, idempotency_key: IdempotencyKey = None
) -> Response:
    """Up to 1,000 uploads by their hashes, or up to 100 by address, answered in order.

    Files at addresses are fetched one after the other, each for 30 seconds at most, so that a slow
    host keeps nobody else waiting: give the request time, or ask for fewer at once.

    Each upload has a result of its own: an answer, or a problem that says whether to send it
    again. With an idempotency key the same batch can be sent again whole: what was answered keeps
    its answer, what failed is tried anew; another batch with the key is refused whole. Each upload
    counts as one request.
    """
    door = door_of(request)
    door.line.check()
    with door.budget.share() as share:
        asked = await receive_json(request, _batch, _LARGEST_BATCH, share, door.limits.patience)
        uploads: list[HashesAsked | ReferenceAsked]
        if isinstance(asked, HashBatch):
            uploads = [*asked.hashes]
        else:
            uploads = [*asked.references]
            share.grow(door.largest)  # they are fetched one after the other
        request.state.headers = door.pace.spend(caller, len(uploads) - 1)
        if idempotency_key:
            parts = [one.model_dump_json().encode() for one in uploads]
            await anyio.to_thread.run_sync(
                lambda: door.replay.bind(caller.platform, idempotency_key, [b"batch", *parts]),
                limiter=door.questions,
            )
        results: list[ResultAnswered | None] = [None] * len(uploads)
        numbers = iter(range(len(uploads)))

        async def one_after_the_other() -> None:
            for number in numbers:
                key = f"{idempotency_key}#{number}" if idempotency_key else None
                one = uploads[number]
                if isinstance(one, HashesAsked) and key is None and door.together:
                    answer = _looked_up(door, caller.platform, one)
                else:
                    answer = line.run(_work(door, caller.platform, one, key))
                results[number] = await _result(request, door, one.content_id, answer)

        # Answers to hashes are recorded together when several wait at once.
        by_value = isinstance(asked, HashBatch)
        line = door.quick if by_value else door.line
        async with anyio.create_task_group() as group:
            for _ in range(_AT_ONCE if by_value else 1):
                group.start_soon(one_after_the_other)
    said = BatchAnswered(results=[result for result in results if result is not None]).model_dump(
        mode="json"
    )
    for result in said["results"]:
        if result["problem"] and result["problem"]["errors"] is None:
            del result["problem"]["errors"]  # as in every other problem
    return JSONResponse(said)


def _work(
    door: Door, platform: PlatformId, asked: HashesAsked | ReferenceAsked, key: str | None
) -> Callable[[], tuple[ScreeningAnswered, bool]]:
    if isinstance(asked, ReferenceAsked):
        return lambda: _fetched(door, platform, asked, key)
    upload, hashes = _by_value(asked)
    return lambda: door.replay.once(
        platform,
        key,
        lambda: (b"hashes", *described_upload(upload), *listed(hashes)),
        lambda: door.screener.screen_hashes(platform, upload, hashes),
    )


async def _looked_up(
    door: Door, platform: PlatformId, asked: HashesAsked
) -> tuple[ScreeningAnswered, bool]:
    screening = await door.lookups.screen(Lookup(platform, *_by_value(asked)))
    return ScreeningAnswered.model_validate(summary(screening)), False


def _by_value(asked: HashesAsked) -> tuple[Upload, list[Hashed]]:
    hashes = [Hashed(one.signal, bytes.fromhex(one.hash), one.quality) for one in asked.hashes]
    return Upload(asked.content_id, asked.uploader, asked.rating), hashes


async def _result(
    request: Request,
    door: Door,
    content_id: str,
    answer: Awaitable[tuple[ScreeningAnswered, bool]],
) -> ResultAnswered:
    """One upload's answer; what is wrong with it stops no other."""
    try:
        found, replayed = await answer
    except Declined as declined:
        problem = declined
    except ConsentryError as error:
        problem = of_error(error)
    except Exception:  # the others must be answered; the type alone is written by the edge's log
        problem = unexpected()
    else:
        if not replayed:
            door.metrics.screening(found)
        return ResultAnswered(content_id=content_id, screening=found, problem=None)
    said = described(request.state.request_id, problem)
    return ResultAnswered(content_id=content_id, screening=None, problem=said)


def _fetched(
    door: Door, platform: PlatformId, asked: ReferenceAsked, key: str | None
) -> tuple[ScreeningAnswered, bool]:
    upload = Upload(asked.content_id, asked.uploader, asked.rating)

    def screen() -> Screening:
        late = time.monotonic() + _SECONDS

        def hurry() -> None:
            if time.monotonic() > late:
                said = f"this address sent a picture for longer than {_SECONDS:g} seconds"
                raise outside.Unreachable(said)

        most = door.world.settings.max_video_bytes
        with _coming(door, platform, asked.media_url) as pieces:
            came = fetched(pieces, door.largest, most, seal, hurry)
        if came[1] is not None:
            return door.enlist(platform, upload, *came)
        return door.screen(platform, upload, came[0])

    def seal(pieces: Iterator[bytes]) -> Taken:
        return take_in(door.store, door.world.blobs, now(), pieces)

    return door.replay.once(
        platform,
        key,
        lambda: (b"reference", *described_upload(upload), asked.media_url.encode()),
        screen,
    )


def fetch_for(door: Door, platform: PlatformId, url: str) -> bytes:
    """The picture at a platform's address, if its host is one of the platform's."""
    with _host(door, platform, url) as http:
        return outside.fetch(http, url, most=door.largest, seconds=_SECONDS)


@contextmanager
def _coming(door: Door, platform: PlatformId, url: str) -> Iterator[Iterator[bytes]]:
    """The bytes at such an address as they come; the line to it is hung up at the end."""
    with (
        _host(door, platform, url) as http,
        closing(outside.pieces(http, url, seconds=_FILM_SECONDS)) as pieces,
    ):
        yield pieces


def _host(door: Door, platform: PlatformId, url: str) -> httpx.Client:
    try:
        host = (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        host = ""
    with door.store.transaction() as unit:
        private = unit.platforms.hosts(platform).get(host)
    if private is None:
        raise outside.Unreachable(
            "this address is on a host that is not entered for you; ask the operator for:"
            " consentry platforms hosts"
        )
    return outside.client(private=private)
