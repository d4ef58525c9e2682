"""The hosting platforms' door: uploads come in over HTTP, answers go out at once."""

from __future__ import annotations

import asyncio
import signal
import threading
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

import uvicorn
from fastapi import FastAPI

from pipeline.domain.signal import Metric
from pipeline.journeys.restore_index import LiveIndexes
from services.api import (
    banks,
    cases,
    description,
    feedback,
    health,
    hma,
    policy,
    problems,
    screenings,
    several,
    statements,
    webhooks,
)
from services.api.door import Door, Limits
from services.api.edge import Edge
from services.api.express import Express
from services.traces import Traced, Traces, traces
from services.wiring import World

_GRACE = 8
_HASH_BITS = 256


def create_app(
    world: World,
    live: LiveIndexes,
    limits: Limits | None = None,
    tracing: Traces | None = None,
) -> FastAPI:
    """The API over a world and indexes that stay open as long as the app is used."""
    app = FastAPI(
        title="Consentry",
        version=_version(),
        description=description.ABOUT,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    door = app.state.door = Door(world, live, limits or Limits.of(world))
    app.add_middleware(Express, door=door)
    app.add_middleware(Edge, metrics=door.metrics)
    if tracing is not None:
        door.together = False
        app.add_middleware(Traced, traces=tracing)
    problems.install(app)
    for part in (
        several,
        screenings,
        feedback,
        cases,
        statements,
        webhooks,
        policy,
        banks,
        hma,
        health,
    ):
        app.include_router(part.router)
    spaces = (signal.space for signal in world.signals)
    description.install(
        app,
        (
            space.name
            for space in spaces
            if space.metric is Metric.HAMMING and space.width == _HASH_BITS
        ),
    )
    return app


def serve(world: World, host: str, port: int) -> None:
    """Serve until told to end; 503 at ``/readyz`` until the index is loaded.

    Those who are being answered are answered, then the index is let go and that is recorded, so
    that no withdrawal waits for a process that is gone.
    """
    if threading.current_thread() is threading.main_thread():
        # uvicorn ends in good order and then raises the signal again, as if it had never caught
        # it: without this the process would end before the index is let go.
        signal.signal(signal.SIGTERM, lambda *_: None)
    with world.live("api", wait=False) as live:
        uvicorn.run(
            create_app(world, live, tracing=traces("api")),
            host=host,
            port=port,
            server_header=False,
            access_log=False,
            log_level="warning",
            http=_http(),
            timeout_graceful_shutdown=_GRACE,
        )


def _http() -> type[asyncio.Protocol] | Literal["h11"]:
    try:
        from services.api.wire import Bounded
    except ImportError:  # an environment older than this lock, or a system without a wheel
        return "h11"
    return Bounded


def _version() -> str:
    try:
        return version("consentry")
    except PackageNotFoundError:  # run from a checkout
        return "0"
