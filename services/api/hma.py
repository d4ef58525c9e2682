"""``/m/lookup`` and ``/h/hash``: the words of Hasher-Matcher-Actioner, for clients that stay.

Paths, parameters and shapes are those of HMA's API as documented in facebook/ThreatExchange
(``hasher-matcher-actioner/docs/api.md``). What differs: a platform's key is needed; each look-up is
a screening like any other, recorded, counted against the key's pace, and a match opens a case; the
"banks" say what the answer is (``REVIEW``: a person will decide, ``UPHELD``: a person has), for
nobody is told from whose bank a match comes; a ``bank_content_id`` stands for the case. Nothing
lists what is held: there is no ``/c``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any
from uuid import uuid4

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from pydantic import BaseModel, Field, StringConstraints

from pipeline.domain.media import Rating, Upload
from pipeline.domain.screening import Screening, Verdict
from pipeline.errors import Refused
from pipeline.journeys.screen_upload import Hashed, summary
from pipeline.media.moments import film_mime
from services.api.bodies import receive_only_file
from services.api.description import REPLAYED, problems
from services.api.door import Called, Door, door_of
from services.api.problems import Declined, invalid
from services.api.schemas import Name, ScreeningAnswered
from services.api.screenings import IdempotencyKey, described_upload
from services.api.several import fetch_for

router = APIRouter(tags=["hma"])

_BANKS = {Verdict.REVIEW: "REVIEW", Verdict.KNOWN: "UPHELD"}
_MANTISSA = (1 << 52) - 1  # what every JSON reader keeps of a whole number

Signal = Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F]{64}$")]
Address = Annotated[
    str, StringConstraints(min_length=9, max_length=2048, pattern=r"^https?://[\x21-\x7e]+$")
]
Seed = Annotated[
    Name | None,
    Query(description="What you call this upload, as HMA's consistent coin flip has it."),
]
Rated = Annotated[Rating, Query(description="What you say of the content yourself.")]
_FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["photo"],
                    "additionalProperties": False,
                    "properties": {"photo": {"type": "string", "format": "binary"}},
                }
            }
        },
    }
}
_STATUSES = (401, 408, 409, 413, 415, 422, 429, 500, 503)


class HmaMatch(BaseModel):
    """A match as HMA shows it."""

    bank_content_id: int = Field(description="A number that stands for the case.")
    distance: str


Banks = dict[str, list[HmaMatch]]


@router.get(
    "/m/lookup",
    response_model=Banks | dict[str, Banks],
    responses=problems(401, 409, 422, 429, 500, 503),
    summary="Look up a hash, or a file by address, as in HMA",
)
async def look_up(
    request: Request,
    caller: Called,
    signal_type: Annotated[str | None, Query(max_length=40)] = None,
    signal: Annotated[Signal | None, Query(description="256 bits as hexadecimal digits.")] = None,
    url: Annotated[Address | None, Query(description="On a host that is entered for you.")] = None,
    seed: Seed = None,
    rating: Rated = Rating.UNKNOWN,
) -> Response:
    """By `signal_type` and `signal`: banks with their matches. By `url`: the same by signal type.

    Recorded as a screening; a match opens a case for a person to decide.
    """
    door, upload = door_of(request), _upload(seed, rating)
    if url is not None:
        door.line.check()
        with door.budget.share() as share:
            body = _still(await fetch_for(door, caller.platform, url, share))
            return await _answered(door, lambda: door.screen(caller.platform, upload, body), None)
    if signal_type is None or signal is None:
        where = "query.signal_type" if signal_type is None else "query.signal"
        raise invalid(where, "name signal_type and signal, or url")
    hashed = Hashed(signal_type, bytes.fromhex(signal), 100)

    def screened() -> Screening:
        return door.screener.screen_hashes(caller.platform, upload, [hashed])

    door.quick.check()
    return await _answered(door, screened, signal_type)


@router.post(
    "/m/lookup",
    response_model=dict[str, Banks],
    responses={200: REPLAYED, **problems(*_STATUSES)},
    openapi_extra=_FORM,
    summary="Hash and look up a file, as in HMA",
)
async def look_up_file(
    request: Request,
    caller: Called,
    seed: Seed = None,
    rating: Rated = Rating.UNKNOWN,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """A photo in a form: for each signal type that matched, the banks with their matches.

    More is found than by looking up its hash, for its pixels are here. Videos take their time: send
    them to `/v1/screenings`.
    """
    door, upload = door_of(request), _upload(seed, rating)
    door.line.check()

    async def work(body: bytes) -> Response:
        def replayed() -> tuple[ScreeningAnswered, bool]:
            named = upload if seed else Upload("-", None, rating)
            return door.replay.once(
                caller.platform,
                idempotency_key,
                lambda: (b"hma", *described_upload(named), body),
                lambda: door.screen(caller.platform, upload, body),
            )

        found, before = await door.line.run(replayed)
        if not before:
            door.metrics.screening(found)
        return _said(found, None, replayed=before)

    return await _with_file(request, door, work)


@router.post(
    "/h/hash",
    response_model=dict[str, str],
    responses=problems(*_STATUSES),
    openapi_extra=_FORM,
    summary="Hash a file, as in HMA",
)
async def hash_file(request: Request, caller: Called) -> Response:  # noqa: ARG001
    """A photo in a form: each signal type with its hash. Nothing is looked up, nothing is kept."""
    door = door_of(request)
    door.line.check()

    async def work(body: bytes) -> Response:
        return JSONResponse(await door.line.run(lambda: _hashes(door, body)))

    return await _with_file(request, door, work)


@router.get(
    "/h/hash",
    response_model=dict[str, str],
    responses=problems(401, 422, 429, 500, 503),
    summary="Hash a file by address, as in HMA",
)
async def hash_url(
    request: Request,
    caller: Called,
    url: Annotated[Address, Query(description="On a host that is entered for you.")],
) -> Response:
    """Each signal type with its hash. Nothing is looked up, nothing is kept."""
    door = door_of(request)
    door.line.check()
    with door.budget.share() as share:
        body = _still(await fetch_for(door, caller.platform, url, share))
        return JSONResponse(await door.line.run(lambda: _hashes(door, body)))


@router.get(
    "/status",
    response_class=PlainTextResponse,
    responses=problems(500, 503),
    summary="Can look-ups be answered? As in HMA",
)
async def status(request: Request) -> Response:
    """`I-AM-ALIVE` when the index is loaded."""
    if not door_of(request).live.ready:
        raise Declined(503, "index_not_ready", "the index is being loaded",
                       headers={"retry-after": "2"})  # fmt: skip
    return PlainTextResponse("I-AM-ALIVE")


def _upload(seed: str | None, rating: Rating) -> Upload:
    """HMA's clients name no content; one that gives a seed means what it calls the content."""
    return Upload(seed or f"hma-{uuid4().hex}", None, rating)


async def _with_file(request: Request, door: Door, work: Callable[[bytes], Any]) -> Response:
    arrival = door.arrival()
    try:
        with door.budget.share() as share:
            await receive_only_file(request, arrival, share, door.limits.patience)
            body = await arrival.finish()
            if not isinstance(body, bytes):
                raise _no_film()
            response: Response = await work(_still(body))
            return response
    finally:
        await arrival.leave()


async def _answered(door: Door, screen: Callable[[], Screening], signal: str | None) -> Response:
    line = door.line if signal is None else door.quick

    found = await line.run(lambda: ScreeningAnswered.model_validate(summary(screen())))
    door.metrics.screening(found)
    return _said(found, signal, replayed=False)


def _said(found: ScreeningAnswered, signal: str | None, *, replayed: bool) -> Response:
    """The answer in HMA's words; 422 for a file that cannot be looked at."""
    if found.refused is not None:
        raise Declined(422, "invalid", f"{found.refused.value}: {found.message}")
    bank = _BANKS.get(found.verdict)
    banks: dict[str, Banks] = {}
    for match in found.matches if bank else ():
        assert bank is not None
        number = match.case.int & _MANTISSA if match.case else 0
        shown = HmaMatch(bank_content_id=number, distance=f"{match.distance:g}")
        listing = banks.setdefault(match.signal, {}).setdefault(bank, [])
        if shown.bank_content_id not in {one.bank_content_id for one in listing}:
            listing.append(shown)  # nearest first
    dumped = {
        name: {one: [match.model_dump() for match in ms] for one, ms in inner.items()}
        for name, inner in banks.items()
    }
    headers = {"consentry-screening": str(found.screening)}
    if replayed:
        headers["idempotency-replayed"] = "true"
    return JSONResponse(dumped if signal is None else dumped.get(signal, {}), headers=headers)


def _hashes(door: Door, body: bytes) -> dict[str, str]:
    try:
        return door.hashes(body)
    except Refused as refused:
        raise Declined(422, "invalid", f"{refused.reason.value}: {refused.message}") from None


def _still(body: bytes) -> bytes:
    if film_mime(body) is not None:
        raise _no_film()
    return body


def _no_film() -> Declined:
    return Declined(
        415, "unsupported_media_type", "videos and animations take their time: /v1/screenings"
    )
