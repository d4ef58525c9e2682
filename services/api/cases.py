"""``/v1/cases``: what became of an upload."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import anyio.to_thread
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import TypeAdapter

from pipeline.domain.case import State
from pipeline.domain.ids import CaseId, PlatformId
from pipeline.errors import NotFound
from pipeline.journeys.appeal import by_uploader
from pipeline.ports import Store
from services.api.description import APPEAL_BODY, REPLAYED, problems
from services.api.door import Called, Door, door_of
from services.api.paging import MOST, USUAL, Cursor, Limit, Page, Paged
from services.api.posts import made
from services.api.schemas import (
    AppealAnswered,
    AppealAsked,
    CaseAnswered,
    CaseListed,
    EventAnswered,
    UploadAnswered,
)
from services.api.screenings import IdempotencyKey

router = APIRouter(prefix="/v1/cases", tags=["cases"])

_appeal = TypeAdapter(AppealAsked)

_DECIDED = frozenset({State.UPHELD, State.DISMISSED, State.REPORTED})

_BETWEEN_REVIEWERS = {State.FROZEN: State.ESCALATED}
"""That a minor may be shown is a suspicion until it is decided: a platform is told no more."""


@router.get(
    "",
    response_model=Page[CaseListed],
    dependencies=[Paged],
    responses=problems(401, 422, 429, 500, 503),
    summary="List cases",
)
async def listed(
    request: Request, caller: Called, limit: Limit = USUAL, cursor: Cursor = None
) -> Response:
    """Cases in which you have an upload, the latest first."""
    door, about = door_of(request), (caller.platform, "cases")
    place = door.cursors.read(about, cursor)

    def find() -> Page[Any]:
        with door.store.transaction() as unit:
            before = CaseId(UUID(place[0])) if place else None
            rows = unit.cases.page(caller.platform, before, limit + 1)
        return door.cursors.page(about, rows, limit, _listed, lambda row: (str(row["id"]),))

    found = await anyio.to_thread.run_sync(find, limiter=door.questions)
    return JSONResponse(found.model_dump(mode="json"))


@router.get(
    "/{case}",
    response_model=CaseAnswered,
    responses=problems(401, 404, 422, 429, 500, 503),
    summary="Read a case",
)
async def read(request: Request, caller: Called, case: UUID) -> Response:
    """A case in which you have an upload: where it stands, and what you were told of it."""
    door = door_of(request)

    def find() -> CaseAnswered:
        return seen_by(door.store, caller.platform, CaseId(case))

    found = await anyio.to_thread.run_sync(find, limiter=door.questions)
    first = _uploads_page(door, caller.platform, found, MOST, None)
    shown = found.model_copy(update={"uploads": first.items, "uploads_next": first.next})
    return JSONResponse(shown.model_dump(mode="json"))


@router.get(
    "/{case}/uploads",
    response_model=Page[UploadAnswered],
    dependencies=[Paged],
    responses=problems(401, 404, 422, 429, 500, 503),
    summary="List your uploads in a case",
)
async def uploads(
    request: Request, caller: Called, case: UUID, limit: Limit = USUAL, cursor: Cursor = None
) -> Response:
    """Your own, in the order in which they came; the same picture can be uploaded many times."""
    door = door_of(request)

    def find() -> Page[Any]:
        found = seen_by(door.store, caller.platform, CaseId(case))
        return _uploads_page(door, caller.platform, found, limit, cursor)

    page = await anyio.to_thread.run_sync(find, limiter=door.questions)
    return JSONResponse(page.model_dump(mode="json"))


@router.post(
    "/{case}/appeals",
    status_code=201,
    response_model=AppealAnswered,
    responses={201: REPLAYED, **problems(401, 404, 408, 409, 413, 415, 422, 429, 500, 503)},
    openapi_extra={"requestBody": APPEAL_BODY},
    summary="Pass on an uploader's appeal",
)
async def appeal(
    request: Request, caller: Called, case: UUID, idempotency_key: IdempotencyKey = None
) -> Response:
    """An uploader disagrees with an upheld case: somebody else decides again.

    The answer comes as the webhook ``case.overturned`` or ``case.appeal_stands``.
    """
    door = door_of(request)

    def work(asked: AppealAsked) -> AppealAnswered:
        opened = by_uploader(door.desk, caller.platform, CaseId(case), asked.statement)
        return AppealAnswered(appeal=opened, case=case)

    return await made(request, caller, idempotency_key, _appeal, work, status=201)


def _uploads_page(
    door: Door, platform: PlatformId, case: CaseAnswered, limit: int, cursor: str | None
) -> Page[UploadAnswered]:
    about = (platform, "case", case.case, "uploads")
    place, rows = door.cursors.read(about, cursor), case.uploads
    if place:
        there = (number for number, one in enumerate(rows, 1) if str(one.screening) == place[0])
        rows = rows[next(there, len(rows)) :]
    return door.cursors.page(
        about, rows[: limit + 1], limit, lambda one: one, lambda one: (str(one.screening),)
    )


def _seen(state: State) -> State:
    return _BETWEEN_REVIEWERS.get(state, state)


def _listed(row: Mapping[str, Any]) -> CaseListed:
    state = State(row["state"])
    decided = state in _DECIDED
    return CaseListed(
        case=row["id"],
        state=State.OVERTURNED if row["overturned"] else _seen(state),
        opened_at=row["opened_at"],
        decision=state if decided else None,
        decided_at=row["decided_at"] if decided else None,
    )


def seen_by(store: Store, platform: PlatformId, case: CaseId) -> CaseAnswered:
    """A case as a platform may see it; raises ``NotFound`` where it has no upload.

    A platform that was told of a repeat (``known``) may read the decision that it repeats.
    """
    with store.transaction() as unit:
        found = unit.cases.get(case)
        mine = [
            UploadAnswered(screening=upload.screening, content_id=upload.content_id)
            for upload in (found.uploads if found else ())
            if upload.platform == platform
        ]
        known = not mine and unit.screenings.mentions(case, platform)
        if found is None or not (mine or known):
            raise NotFound("you have no upload in a case of this id")
        events = unit.events.of_case(case, platform)
        overturned = unit.cases.overturned(case)
    # The grounds of an escalation are between reviewers: a platform is told decisions only.
    verdict = found.verdict if found.state in _DECIDED else None
    return CaseAnswered(
        case=found.id,
        state=State.OVERTURNED if overturned else _seen(found.state),
        opened_at=found.opened_at,
        decision=verdict.state if verdict else None,
        ground=verdict.ground if verdict else None,
        decided_at=verdict.at if verdict else None,
        uploads=mine,
        uploads_next=None,
        events=[EventAnswered.model_validate(event) for event in events],
    )
