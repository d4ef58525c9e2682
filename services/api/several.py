"""Uploads by address, and many uploads in one request.

What lies at an address is fetched while the request waits, for as long as its platform wants that;
what has not come by then, and every batch of addresses, is a worker's to fetch. So no request is
open for longer than ``MOST_SECONDS`` and a screening.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import closing
from functools import partial
from typing import Annotated, Any
from uuid import UUID

import anyio
import anyio.from_thread
import anyio.to_thread
from fastapi import APIRouter, Header, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, TypeAdapter

from pipeline import outside
from pipeline.domain.ids import BatchId, PlatformId
from pipeline.domain.media import Upload
from pipeline.domain.screening import Screening
from pipeline.errors import ConsentryError, NotFound
from pipeline.journeys.fetch import PICTURE_SECONDS, FilmTooLarge, coming, fetched, host_for
from pipeline.journeys.screen_reference import accept_reference, begin_batch
from pipeline.journeys.screen_upload import Hashed, Lookup, summary
from pipeline.journeys.take_in_film import Taken, take_in
from services.api.auth import Caller
from services.api.bodies import LARGEST_JSON, NoRoom, Share, receive_json
from services.api.description import ACCEPTED, BATCH_BODY, BEGUN, REFERENCE_BODY, REPLAYED, problems
from services.api.door import BATCHED, Called, Door, door_of
from services.api.paging import MOST, Cursor, Limit, Paged
from services.api.problems import Declined, described, of_error, unexpected
from services.api.schemas import (
    BatchAnswered,
    BatchStanding,
    BatchState,
    HashBatch,
    HashesAsked,
    ReferenceAsked,
    ReferenceBatch,
    ResultAnswered,
    ScreeningAnswered,
)
from services.api.screenings import IdempotencyKey, described_upload, listed, pending, said
from services.wiring import now

router = APIRouter(prefix="/v1", tags=["screenings"])

_LARGEST_BATCH = 16 << 20
USUAL_SECONDS = 10.0
MOST_SECONDS = 30.0
"""How long a request by address waits: unless it says otherwise, and at most."""
_LOOK_AGAIN = 0.5
_STEP = 256 << 10

_batch: TypeAdapter[HashBatch | ReferenceBatch] = TypeAdapter(HashBatch | ReferenceBatch)
_reference: TypeAdapter[ReferenceAsked] = TypeAdapter(ReferenceAsked)

_WAIT = re.compile(r"(?:^|[,;])\s*wait\s*=\s*\"?(\d{1,9})\"?\s*(?=$|[,;])", re.IGNORECASE)
_ASYNC = re.compile(r"(?:^|,)\s*respond-async\s*(?=$|[,;])", re.IGNORECASE)

Prefer = Annotated[
    str | None,
    Header(
        description="`wait=20`: keep the request open for up to so many seconds, 30 at most;"
        " `respond-async`: answer 202 at once (RFC 7240). What is not understood is ignored.",
    ),
]


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
    request: Request,
    caller: Called,
    prefer: Prefer = None,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """The file is fetched from your host and screened as if you had sent it.

    Only hosts that an operator has entered for you are gone to, over https, without following
    redirects. An address that gives nothing is a problem with the code `unreachable`. One that has
    not given all of a file within 10 seconds, or those of `Prefer: wait=`, is answered with 202: it
    is fetched in the background, for 30 seconds (a video for five minutes), and its answer is at
    the address in `Location`; where nothing came, `refused` for `unreachable`. A webhook that
    chose `screening.completed` is told.
    """
    door = door_of(request)
    wait, applied = _patience(prefer, USUAL_SECONDS)
    request.state.headers |= applied
    with door.budget.share() as share:
        asked = await receive_json(request, _reference, LARGEST_JSON, share, door.limits.patience)
        promise = partial(_promised, door, caller.platform, asked)
        if wait > 0 and door.away.free_for(caller.platform):
            door.line.check()
            screen = partial(_fetched, door, caller.platform, asked, wait, promise, share)
            found, replayed = await door.away.run(
                caller.platform,
                partial(_once, door, caller.platform, asked, idempotency_key, screen),
            )
        else:
            found, replayed = await anyio.to_thread.run_sync(
                _once, door, caller.platform, asked, idempotency_key, promise,
                limiter=door.questions,
            )  # fmt: skip
    return said(door, found, replayed=replayed)


@router.post(
    "/screenings:batch",
    response_model=BatchAnswered | BatchStanding,
    responses={202: BEGUN, **problems(401, 408, 409, 413, 415, 422, 429, 500, 503)},
    openapi_extra={"requestBody": BATCH_BODY},
    summary="Screen many uploads",
)
async def screen_batch(
    request: Request,
    caller: Called,
    prefer: Prefer = None,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Up to 1,000 uploads by their hashes, answered at once, or up to 100 by address.

    **By hashes** each upload has a result of its own, in order: an answer, or a problem that says
    whether to send it again. With an idempotency key the same batch can be sent again whole: what
    was answered keeps its answer, what failed is tried anew.

    **By address** the batch is taken on whole or not at all and answered with 202: its standing is
    at the address in `Location`. Each upload has a screening of its own from the beginning, which
    is `pending` until the file was fetched and looked at; several are fetched at once. `Prefer:
    wait=20` keeps the request open for as long, and is answered with 200 if all were answered by
    then. Webhooks tell of each (`screening.completed`) and of the whole (`batch.completed`). Up to
    1,000 of your uploads may wait to be fetched; what goes beyond is refused with `busy`. The same
    batch with the same idempotency key is the same batch.

    Another batch with the key is refused whole. Each upload counts as one request.
    """
    door = door_of(request)
    with door.batching(caller.platform), door.budget.share() as share:
        asked = await receive_json(request, _batch, _LARGEST_BATCH, share, door.limits.patience)
        if isinstance(asked, HashBatch):
            return await _looked_up(request, door, caller, asked.hashes, idempotency_key)
    return await _begun(request, door, caller, asked.references, prefer, idempotency_key)


async def _looked_up(
    request: Request,
    door: Door,
    caller: Caller,
    uploads: list[HashesAsked],
    idempotency_key: str | None,
) -> Response:
    door.quick.check()
    request.state.headers = door.pace.spend(caller, len(uploads) - 1)
    if idempotency_key:
        parts = [one.model_dump_json().encode() for one in uploads]
        await anyio.to_thread.run_sync(
            lambda: door.replay.bind(caller.platform, idempotency_key, [b"batch", *parts]),
            limiter=door.questions,
        )
    results: list[ResultAnswered | None] = [None] * len(uploads)
    numbers, turns = iter(range(len(uploads))), door.turns(caller.platform)

    async def one_after_the_other() -> None:
        for number in numbers:
            key = f"{idempotency_key}#{number}" if idempotency_key else None
            async with turns:
                answer = _by_hashes(door, caller.platform, uploads[number], key)
                content_id = uploads[number].content_id
                results[number] = await _result(request, door, content_id, answer)

    async with anyio.create_task_group() as group:
        for _ in range(min(BATCHED, len(uploads))):
            group.start_soon(one_after_the_other)
    answered = BatchAnswered(results=[result for result in results if result is not None])
    return JSONResponse(_shown(answered))


@router.get(
    "/batches/{batch}",
    response_model=BatchStanding,
    dependencies=[Paged],
    responses=problems(401, 404, 422, 429, 500, 503),
    summary="How far a batch of addresses has come",
)
async def read_batch(
    request: Request, caller: Called, batch: UUID, limit: Limit = MOST, cursor: Cursor = None
) -> Response:
    """Its standing, and its results so far, in order; kept for 30 days after its end."""
    door = door_of(request)
    about = (caller.platform, "batch", batch)
    place = door.cursors.read(about, cursor)
    after = int(place[0]) if place else -1
    standing = await anyio.to_thread.run_sync(
        _standing, door, caller.platform, BatchId(batch), limit, after, limiter=door.questions
    )
    return JSONResponse(_shown(standing))


async def _begun(
    request: Request,
    door: Door,
    caller: Caller,
    asked: list[ReferenceAsked],
    prefer: str | None,
    key: str | None,
) -> Response:
    wait, applied = _patience(prefer, 0.0)
    request.state.headers = door.pace.spend(caller, len(asked) - 1) | applied
    ends = time.monotonic() + wait

    def begin() -> tuple[Mapping[str, Any], bool]:
        once = door.world.secrets.digest("batch", key.encode()).hex() if key else None
        uploads = [(_upload(one), one.media_url) for one in asked]
        parts = [one.model_dump_json().encode() for one in asked]
        made = partial(begin_batch, door.store, now, door.screener, caller.platform, uploads, once)
        return door.replay.document(
            caller.platform,
            key,
            lambda: [b"batch", *parts],
            lambda: {"batch": str(made())},
            202,
        )

    begun, replayed = await anyio.to_thread.run_sync(begin, limiter=door.questions)
    batch = BatchId(UUID(begun["batch"]))
    while True:
        standing = await anyio.to_thread.run_sync(
            _standing, door, caller.platform, batch, MOST, -1, limiter=door.questions
        )
        left = ends - time.monotonic()
        if standing.state is BatchState.COMPLETED or left <= 0:
            break
        await anyio.sleep(min(_LOOK_AGAIN, left))
    headers = {"location": f"/v1/batches/{batch}"}
    if replayed:
        headers["idempotency-replayed"] = "true"
    status = 200 if standing.state is BatchState.COMPLETED else 202
    return JSONResponse(_shown(standing), status, headers)


def _standing(
    door: Door, platform: PlatformId, batch: BatchId, limit: int, after: int
) -> BatchStanding:
    with door.store.transaction(snapshot=True) as unit:
        found = unit.batches.get(batch, platform)
        if found is None:
            raise NotFound("you have no batch of this id")
        rows = unit.batches.page(batch, after, limit + 1)
        answers = unit.screenings.of([which for _, which in rows])
        results = []
        for _, which in rows[:limit]:
            answer = answers.get(which) or pending(unit, door, which, platform)
            assert answer is not None, "an upload that was promised an answer has none"
            shown = ScreeningAnswered.model_validate(summary(answer))
            results.append(
                ResultAnswered(content_id=shown.content_id, screening=shown, problem=None)
            )
    about = (platform, "batch", batch)
    more = len(rows) > limit
    over = found.answered == found.items
    return BatchStanding(
        batch=batch,
        state=BatchState.COMPLETED if over else BatchState.PENDING,
        total=found.items,
        answered=found.answered,
        received_at=found.received_at,
        completed_at=found.done_at,
        results=results,
        next=door.cursors.write(about, (rows[limit - 1][0],)) if more else None,
    )


def _patience(prefer: str | None, usual: float) -> tuple[float, dict[str, str]]:
    """For how many seconds a request may wait, and the header that says what was heeded."""
    if prefer and (asked := _WAIT.search(prefer)):
        wait = min(float(asked[1]), MOST_SECONDS)
        return wait, {"preference-applied": f"wait={wait:g}"}
    if prefer and _ASYNC.search(prefer):
        return 0.0, {"preference-applied": "respond-async"}
    return usual, {}


def _shown(said: BaseModel) -> Any:
    document = said.model_dump(mode="json")
    for result in document["results"]:
        if result["problem"] and result["problem"]["errors"] is None:
            del result["problem"]["errors"]  # as in every other problem
    return document


async def _by_hashes(
    door: Door, platform: PlatformId, asked: HashesAsked, key: str | None
) -> tuple[ScreeningAnswered, bool]:
    upload, hashes = _by_value(asked)
    if key is None and door.together:
        # Answers are recorded together when several wait at once.
        screening = await door.lookups.screen(Lookup(platform, upload, hashes))
        return ScreeningAnswered.model_validate(summary(screening)), False
    return await door.quick.run(
        lambda: door.replay.once(
            platform,
            key,
            lambda: (b"hashes", *described_upload(upload), *listed(hashes)),
            lambda: door.screener.screen_hashes(platform, upload, hashes),
        )
    )


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


def _upload(asked: ReferenceAsked) -> Upload:
    return Upload(asked.content_id, asked.uploader, asked.rating)


def _once(
    door: Door,
    platform: PlatformId,
    asked: ReferenceAsked,
    key: str | None,
    screen: Callable[[], Screening],
) -> tuple[ScreeningAnswered, bool]:
    upload = _upload(asked)
    return door.replay.once(
        platform,
        key,
        lambda: (b"reference", *described_upload(upload), asked.media_url.encode()),
        screen,
    )


def _promised(door: Door, platform: PlatformId, asked: ReferenceAsked) -> Screening:
    return door.pending(
        accept_reference(door.store, now, platform, _upload(asked), asked.media_url)
    )


def _fetched(
    door: Door,
    platform: PlatformId,
    asked: ReferenceAsked,
    seconds: float,
    promise: Callable[[], Screening],
    share: Share,
) -> Screening:
    """The answer to what comes within so many seconds, else ``promise``; in ``away``'s thread.

    ``share`` grows with what has come: who sends nothing takes no room from others' uploads. Where
    there is no more room it is promised, too.
    """
    upload, is_film = _upload(asked), threading.Event()

    def seal(pieces: Iterator[bytes]) -> Taken:
        return take_in(door.store, door.world.blobs, now(), pieces)

    most = door.world.settings.max_video_bytes
    try:
        with coming(door.store, platform, asked.media_url, outside.Term(seconds)) as pieces:
            came, kind = fetched(
                _counted(pieces, share, is_film), door.largest, most, seal, is_film.set
            )
    except (outside.Slow, NoRoom):
        return promise()
    except FilmTooLarge as large:
        raise Declined(413, "video_too_large", large.message) from None
    if isinstance(came, Taken):
        return door.enlist(platform, upload, came, kind or "video/mp4")
    # Pictures are screened by those who screen, not by those who wait for others' servers.
    return anyio.from_thread.run(door.line.run, partial(door.screen, platform, upload, came))


async def fetch_for(door: Door, platform: PlatformId, url: str, share: Share) -> bytes:
    """The picture at a platform's address, if its host is one of the platform's.

    At most one byte more than may be; ``share`` grows with what comes.
    """

    def fetch() -> bytes:
        body = bytearray()
        with (
            host_for(door.store, platform, url, PICTURE_SECONDS) as http,
            closing(outside.pieces(http, url, seconds=PICTURE_SECONDS)) as pieces,
        ):
            for piece in _counted(pieces, share, threading.Event()):
                body += piece
                if len(body) > door.largest:
                    break
        return bytes(body[: door.largest + 1])

    return await door.away.run(platform, fetch)


def _counted(pieces: Iterator[bytes], share: Share, is_film: threading.Event) -> Iterator[bytes]:
    """What comes, once there is room for it; a video's bytes do not stay. Raises ``NoRoom``."""
    size = 0
    for piece in pieces:
        size += len(piece)
        if not is_film.is_set() and size > share.size:
            anyio.from_thread.run_sync(share.grow, size + _STEP)
        yield piece
