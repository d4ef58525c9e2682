"""``/v1/screenings/{id}/actions`` and ``/v1/notices``: what platforms tell us."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import anyio.to_thread
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import TypeAdapter

from pipeline.domain.action import ActionKind, PlatformAction
from pipeline.domain.ids import ScreeningId
from pipeline.domain.notice import Element, Notice
from pipeline.journeys.act import act, actions_of
from pipeline.journeys.notice import forward
from services.api.description import REPLAYED, problems
from services.api.door import Called, door_of
from services.api.feedback_schemas import (
    ActionAnswered,
    ActionsAnswered,
    ActionTold,
    NoticeAnswered,
    NoticeTold,
)
from services.api.posts import made
from services.api.problems import Declined
from services.api.schemas import FieldError
from services.api.screenings import IdempotencyKey

router = APIRouter(prefix="/v1", tags=["feedback"])

_action, _notice = TypeAdapter(ActionTold), TypeAdapter(NoticeTold)

_FIELDS = {Element.LOCATION: "locations"}
_WANTED = {
    Element.LOCATION: "name at least one address, each http or https and complete",
    Element.EXPLANATION: "say in three words or more what is to be seen and why it must go",
    Element.NOT_CONSENTED: "the notice must state that the person shown did not consent",
    Element.ACCURATE: "the notice must state that it is accurate and complete",
    Element.SIGNATURE: "the notice must be signed",
    Element.CONTACT: "an e-mail address or a telephone number is needed",
}


def _body(model: str) -> dict[str, Any]:
    schema = {"$ref": f"#/components/schemas/{model}"}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


@router.post(
    "/screenings/{screening}/actions",
    status_code=201,
    response_model=ActionAnswered,
    responses={201: REPLAYED, **problems(401, 404, 408, 409, 413, 415, 422, 429, 500, 503)},
    openapi_extra=_body("ActionTold"),
    summary="Tell what you did with an upload",
)
async def tell_action(
    request: Request, caller: Called, screening: UUID, idempotency_key: IdempotencyKey = None
) -> Response:
    """The person whom it concerns is told of it once a reviewer has upheld the case.

    The same action at the same moment is the same one, however often it is told. What was told
    stays; a removal that you undo is followed by `restored`.
    """
    door = door_of(request)

    def work(asked: ActionTold) -> ActionAnswered:
        return _shown(
            act(
                door.store, door.desk.clock, caller.platform, ScreeningId(screening),
                asked.action, asked.at, asked.note,
            )
        )  # fmt: skip

    def recall(kept: Mapping[str, Any]) -> ActionAnswered:
        action, at = ActionKind(kept["action"]), datetime.fromisoformat(kept["at"])
        found = actions_of(door.store, caller.platform, ScreeningId(screening))
        return _shown(next(one for one in found if (one.kind, one.at) == (action, at)))

    return await made(
        request, caller, idempotency_key, _action, work, status=201,
        recall=recall, remember=lambda said: said.model_dump(mode="json", exclude={"note"}),
    )  # fmt: skip


@router.get(
    "/screenings/{screening}/actions",
    response_model=ActionsAnswered,
    responses=problems(401, 404, 409, 422, 429, 500, 503),
    summary="Read what you told of an upload",
)
async def read_actions(request: Request, caller: Called, screening: UUID) -> Response:
    """Your own screenings only, oldest action first. An upload has at most 50."""
    door = door_of(request)

    def work() -> tuple[PlatformAction, ...]:
        return actions_of(door.store, caller.platform, ScreeningId(screening))

    found = await anyio.to_thread.run_sync(work, limiter=door.questions)
    said = ActionsAnswered(screening=screening, actions=[_shown(one) for one in found])
    return JSONResponse(said.model_dump(mode="json"))


@router.post(
    "/notices",
    status_code=201,
    response_model=NoticeAnswered,
    responses={201: REPLAYED, **problems(401, 408, 409, 413, 415, 422, 429, 500, 503)},
    openapi_extra=_body("NoticeTold"),
    summary="Pass on a notice that you received",
)
async def pass_on(
    request: Request, caller: Called, idempotency_key: IdempotencyKey = None
) -> Response:
    """A notice with everything that the law wants of it opens a case; a person decides.

    What is missing is named field by field, and then nothing is kept. Who wrote the notice is
    sealed, and destroyed some time after the decision.
    """
    door = door_of(request)

    def work(asked: NoticeTold) -> NoticeAnswered:
        done = forward(
            door.store, door.desk.clock, caller.platform, _checked(asked), asked.reference,
            asked.received_at,
        )  # fmt: skip
        return NoticeAnswered(
            case=done.case, received_at=done.received_at, deadline=done.deadline, code=done.code
        )

    return await made(
        request, caller, idempotency_key, _notice, work, status=201,
        recall=lambda kept: NoticeAnswered(**kept, code=None),
        remember=lambda said: said.model_dump(mode="json", exclude={"code"}),
    )  # fmt: skip


def _checked(asked: NoticeTold) -> Notice:
    """The notice, if it has everything."""
    notice = Notice(
        tuple(one.strip() for one in asked.locations),
        asked.explanation.strip(),
        asked.not_consented,
        asked.accurate,
        asked.signature.strip(),
        asked.contact.strip(),
        asked.for_another,
    )
    if notice.missing:
        raise Declined(
            422,
            "incomplete_notice",
            "the notice lacks what the law wants of it; see errors",
            errors=[
                FieldError(where=f"body.{_FIELDS.get(one, one.value)}", problem=_WANTED[one])
                for one in notice.missing
            ],
        )
    return notice


def _shown(told: PlatformAction) -> ActionAnswered:
    return ActionAnswered(action=told.kind, at=told.at, told_at=told.told_at, note=told.note)
