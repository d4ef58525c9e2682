"""``/healthz``, ``/readyz`` and ``/metrics``: for those who run this."""

from __future__ import annotations

import anyio.to_thread
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from services.api.description import METRICS, NOT_READY, problems
from services.api.door import door_of
from services.api.problems import retry_after
from services.api.schemas import Health, Readiness

router = APIRouter(tags=["operation"])


@router.get("/healthz", responses=problems(500), summary="Is the process up?")
async def healthy() -> Health:
    """Answers as long as the process runs, whatever else is away."""
    return Health()


@router.get(
    "/readyz",
    response_model=Readiness,
    responses={503: NOT_READY, **problems(500)},
    summary="Can uploads be answered?",
)
async def ready(request: Request) -> Response:
    """200 when the index is loaded and the database answers, 503 otherwise."""
    door = door_of(request)
    pulse = await anyio.to_thread.run_sync(door.pulse, limiter=door.questions)
    index, applied = door.live.ready, door.live.applied
    found = Readiness(
        ready=index and pulse.up,
        index=index,
        database=pulse.up,
        sequence=applied if applied >= 0 else None,
        head=pulse.head if pulse.up else None,
    )
    if found.ready:
        return JSONResponse(found.model_dump(mode="json"))
    return JSONResponse(found.model_dump(mode="json"), 503, retry_after(2))


@router.get(
    "/metrics",
    response_class=PlainTextResponse,
    responses={200: METRICS, **problems(500)},
    summary="Figures for Prometheus",
)
async def metrics(request: Request) -> Response:
    """Needs no key and names nobody; keep it inside your network all the same."""
    door = door_of(request)
    text = await anyio.to_thread.run_sync(
        generate_latest, door.metrics.registry, limiter=door.questions
    )
    return Response(text, media_type=CONTENT_TYPE_LATEST)
