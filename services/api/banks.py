"""``/v1/banks``: which lists uploads are held against, and trying one before it counts.

A platform may say for itself that it only tries a partner's list, and read which of its own uploads
that list would have had a person look at. What a list holds, how much, and of whom is told to
nobody; everything else about banks is the operator's (``consentry banks``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any
from uuid import UUID

import anyio.to_thread
from fastapi import APIRouter, Path, Request
from fastapi.responses import JSONResponse, Response
from pydantic import TypeAdapter

from pipeline.domain.bank import Bank
from pipeline.domain.ids import PersonId, PlatformId, ScreeningId
from pipeline.journeys import banks
from services.api.bank_schemas import BankAnswered, BankAsked, WouldHave
from services.api.bodies import LARGEST_JSON, receive_json
from services.api.description import problems
from services.api.door import Called, Door, door_of
from services.api.paging import USUAL, Cursor, Limit, Page, Paged

router = APIRouter(prefix="/v1/banks", tags=["banks"])

Named = Annotated[str, Path(min_length=1, max_length=100, description="The bank's name.")]


_SHAPE = TypeAdapter(BankAsked)
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/BankAsked"}}},
    }
}


@router.get(
    "",
    response_model=Page[BankAnswered],
    dependencies=[Paged],
    responses=problems(401, 422, 429, 500, 503),
    summary="List banks",
)
async def listed(
    request: Request, caller: Called, limit: Limit = USUAL, cursor: Cursor = None
) -> Response:
    """Every bank that may have a word in your answers, by name; never what it holds."""
    door, about = door_of(request), (caller.platform, "banks")
    place = door.cursors.read(about, cursor)

    def find() -> Page[BankAnswered]:
        with door.store.transaction() as unit:
            rows = [one for one in unit.banks.all() if not place or one.name > place[0]]
            said = _said(
                unit.banks.tried_by(caller.platform), unit.banks.trials_of(caller.platform)
            )
        rows.sort(key=lambda one: one.name)
        return door.cursors.page(about, rows, limit, said, lambda one: (one.name,))

    found = await anyio.to_thread.run_sync(find, limiter=door.questions)
    return JSONResponse(found.model_dump(mode="json"))


@router.put(
    "/{bank}",
    response_model=BankAnswered,
    responses=problems(401, 404, 408, 413, 415, 422, 429, 500, 503),
    openapi_extra=_BODY,
    summary="Try a list, or let it count",
)
async def put(request: Request, caller: Called, bank: Named) -> Response:
    """For yourself alone, from your next upload on. A negative bank cannot be tried."""
    door = door_of(request)
    with door.budget.share() as share:
        asked = await receive_json(request, _SHAPE, LARGEST_JSON, share, door.limits.patience)

    def work() -> BankAnswered:
        actor = f"platform:{caller.platform}"
        done = banks.only_try(door.store, bank, caller.platform, only=asked.only_tried, actor=actor)
        return _one(door, caller.platform, done)

    said = await anyio.to_thread.run_sync(work, limiter=door.questions)
    return JSONResponse(said.model_dump(mode="json"))


@router.get(
    "/{bank}/trials",
    response_model=Page[WouldHave],
    dependencies=[Paged],
    responses=problems(401, 404, 422, 429, 500, 503),
    summary="List what a tried list would have brought up",
)
async def trials(
    request: Request, caller: Called, bank: Named, limit: Limit = USUAL, cursor: Cursor = None
) -> Response:
    """Your own uploads, the latest first: what a person would have looked at."""
    door, about = door_of(request), (caller.platform, "trials", bank)
    place = door.cursors.read(about, cursor)

    def find() -> Page[WouldHave]:
        before = ScreeningId(UUID(place[0])) if place else None
        rows = banks.tried(door.store, bank, caller.platform, before, limit + 1)
        return door.cursors.page(
            about, rows, limit, lambda row: WouldHave(screening=row[0], at=row[1]),
            lambda row: (str(row[0]),),
        )  # fmt: skip

    found = await anyio.to_thread.run_sync(find, limiter=door.questions)
    return JSONResponse(found.model_dump(mode="json"))


def _one(door: Door, platform: PlatformId, bank: Bank) -> BankAnswered:
    with door.store.transaction() as unit:
        return _said(unit.banks.tried_by(platform), unit.banks.trials_of(platform))(bank)


def _said(
    tried: frozenset[PersonId], counts: dict[PersonId, int]
) -> Callable[[Bank], BankAnswered]:
    def said(bank: Bank) -> BankAnswered:
        return BankAnswered(
            bank=bank.name,
            kind=bank.kind,
            test=bank.test,
            only_tried=bank.holder in tried,
            within=dict(bank.within),
            would_have=counts.get(bank.holder, 0),
        )

    return said
