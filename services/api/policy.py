"""``/v1/policy``: what a platform asks of the operator's policy, tried before it is set."""

from __future__ import annotations

from typing import Annotated, Any

import anyio.to_thread
from fastapi import APIRouter, Header, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, TypeAdapter

from pipeline.journeys.policies import InForce, look_up, set_terms, try_terms
from pipeline.ports import StoredPolicy
from services.api.bodies import LARGEST_JSON, receive_json
from services.api.description import REPLAYED, problems
from services.api.door import Called, door_of
from services.api.paging import USUAL, Cursor, Limit, Page, Paged
from services.api.policy_schemas import (
    PolicyAnswered,
    PolicyAsked,
    RangeAnswered,
    ThresholdAnswered,
    TrialAnswered,
    TryAsked,
    VersionAnswered,
)
from services.api.posts import made
from services.api.screenings import IdempotencyKey
from services.wiring import now

router = APIRouter(prefix="/v1", tags=["policy"])

_SHAPE, _TRY = TypeAdapter(PolicyAsked), TypeAdapter(TryAsked)
_ETAG = {"ETag": {"schema": {"type": "string"}, "description": "The version, for If-Match."}}


def _body(model: type[BaseModel]) -> dict[str, Any]:
    reference = {"$ref": f"#/components/schemas/{model.__name__}"}
    return {
        "requestBody": {"required": True, "content": {"application/json": {"schema": reference}}}
    }


@router.get(
    "/policy",
    response_model=PolicyAnswered,
    responses={200: {"headers": _ETAG}, **problems(401, 422, 429, 500, 503)},
    summary="Read your policy",
)
async def read(request: Request, caller: Called) -> Response:
    """Your terms, the thresholds that follow, and how far you may move them."""
    door = door_of(request)

    def find() -> InForce:
        with door.store.transaction() as unit:
            return look_up(unit, door.world.policy, caller.platform)

    return _answered(await anyio.to_thread.run_sync(find, limiter=door.questions))


@router.put(
    "/policy",
    response_model=PolicyAnswered,
    responses={
        200: {"headers": _ETAG},
        **problems(401, 408, 412, 413, 415, 422, 429, 500, 503),
    },
    openapi_extra=_body(PolicyAsked),
    summary="Set your policy",
)
async def put(
    request: Request,
    caller: Called,
    if_match: Annotated[
        str,
        Header(
            pattern=r'^"[0-9]{1,9}"$',
            description="The ETag of the version that you have read, so that no two people set"
            " theirs over each other.",
        ),
    ],
) -> Response:
    """In force in every process within a second. Terms beyond the operator's bounds are refused."""
    door = door_of(request)
    with door.budget.share() as share:
        asked = await receive_json(request, _SHAPE, LARGEST_JSON, share, door.limits.patience)

    def work() -> InForce:
        return set_terms(
            door.store,
            now,
            door.world.policy,
            caller.platform,
            asked.model_dump(mode="json"),
            int(if_match.strip('"')),
            f"platform:{caller.platform}",
        )

    return _answered(await anyio.to_thread.run_sync(work, limiter=door.questions))


@router.post(
    "/policy:try",
    response_model=TrialAnswered,
    responses={200: REPLAYED, **problems(401, 408, 409, 413, 415, 422, 429, 500, 503)},
    openapi_extra=_body(TryAsked),
    summary="Try a policy on earlier uploads",
)
async def attempt(
    request: Request, caller: Called, idempotency_key: IdempotencyKey = None
) -> Response:
    """Judge your newest uploads again by other terms: how many more cases, how many fewer."""
    door = door_of(request)

    def work(asked: TryAsked) -> TrialAnswered:
        document = asked.policy.model_dump(mode="json")
        tried = try_terms(door.store, door.world.policy, caller.platform, document, asked.last)
        return TrialAnswered.model_validate(tried, from_attributes=True)

    return await made(request, caller, idempotency_key, _TRY, work)


@router.get(
    "/policy/versions",
    response_model=Page[VersionAnswered],
    dependencies=[Paged],
    responses=problems(401, 422, 429, 500, 503),
    summary="List the versions of your policy",
)
async def versions(
    request: Request, caller: Called, limit: Limit = USUAL, cursor: Cursor = None
) -> Response:
    """Every version that you have set, the newest first. None is ever changed."""
    door = door_of(request)
    about = ("policy", caller.platform)
    place = door.cursors.read(about, cursor)

    def find() -> list[StoredPolicy]:
        with door.store.transaction() as unit:
            before = int(place[0]) if place else None
            return unit.policies.history(caller.platform, before, limit + 1)

    rows = await anyio.to_thread.run_sync(find, limiter=door.questions)
    page = door.cursors.page(about, rows, limit, _version, lambda row: [row.version])
    return JSONResponse(page.model_dump(mode="json"))


def _version(row: StoredPolicy) -> VersionAnswered:
    return VersionAnswered(
        version=row.version,
        set_at=row.made_at,
        set_by="you" if row.actor.startswith("platform:") else "the operator",
        terms=PolicyAsked.model_validate(row.document),
    )


def _answered(found: InForce) -> Response:
    said = PolicyAnswered(
        version=found.version,
        policy=found.policy.version,
        set_at=found.set_at,
        terms=PolicyAsked.model_validate(found.terms.document()),
        in_force=[ThresholdAnswered(**one) for one in found.policy.thresholds()],
        bounds={
            bank: {name: RangeAnswered(least=of.least, most=of.most) for name, of in ranges.items()}
            for bank, ranges in found.operators.ranges().items()
        },
    )
    return JSONResponse(said.model_dump(mode="json"), headers={"etag": f'"{found.version}"'})
