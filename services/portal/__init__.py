"""The portal: a person registers her pictures, follows what happens, and leaves.

Her pictures never leave her device: ``static/device`` turns them into codes there, in a worker
that may not connect to anything. Pages are rendered here, in every language; they work without
scripts except where a device must compute. Nothing is asked for that is not needed: there is no
cookie before somebody signs in, no name, no address, no third party.
"""

from __future__ import annotations

import signal
import threading
from contextlib import ExitStack
from importlib import resources
from pathlib import Path

import uvicorn
from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles

from pipeline.errors import Unavailable
from pipeline.journeys.restore_index import LiveIndexes
from services.portal import (
    add_page,
    case_page,
    check_page,
    face_page,
    info_pages,
    journey_pages,
    notice_page,
    objection_page,
    refusals,
    sign_in_page,
)
from services.portal.device import worker_response
from services.portal.languages import wanted
from services.portal.paces import Paces
from services.portal.pages import Pages, known_language
from services.portal.policy import headers_of
from services.portal.visits import world_of
from services.web.guard import Guard
from services.wiring import World

_PARTS = (
    journey_pages, add_page, sign_in_page, case_page, objection_page, check_page, notice_page,
    face_page, info_pages,
)  # fmt: skip


def create_app(world: World, live: LiveIndexes | None = None) -> FastAPI:
    """The portal over a world that stays open as long as the app is used.

    ``live`` is there where faces are enrolled: whether somebody else has the same one is asked.
    """
    app = FastAPI(title="Portal", openapi_url=None)
    app.state.world, app.state.live, app.state.paces = world, live, Paces()
    app.state.pages = Pages(world.settings.exit_url)
    app.add_middleware(Guard, broken=refusals.broken, headers=headers_of)
    refusals.install(app)
    app.mount("/static", StaticFiles(directory=Path(str(resources.files(__name__) / "static"))))
    app.add_api_route("/healthz", _healthy, methods=["GET"])
    app.add_api_route("/readyz", _ready, methods=["GET"])
    app.add_api_route("/device/worker.js", worker_response, methods=["GET"])
    app.add_api_route("/", _front_door, methods=["GET"])
    for part in _PARTS:
        app.include_router(
            part.router, prefix="/{language}", dependencies=[Depends(known_language)]
        )
    return app


def serve(world: World, host: str, port: int) -> None:
    """Serve the portal until the process is told to end."""
    if threading.current_thread() is threading.main_thread():
        # Uvicorn ends its work, then raises the signal again: that must not keep the world open.
        signal.signal(signal.SIGTERM, lambda *_: None)
    with ExitStack() as stack:
        # Only who enrols faces needs the indexes in this process.
        faces = bool(world.settings.faces)
        live = stack.enter_context(world.live("portal", wait=False)) if faces else None
        _run(create_app(world, live), host, port)


def _run(app: FastAPI, host: str, port: int) -> None:
    uvicorn.run(
        app,
        host=host,
        port=port,
        server_header=False,
        access_log=False,
        log_level="warning",
        timeout_graceful_shutdown=5,
        http="h11",  # it bounds what it holds of a request's head
    )


def _healthy() -> PlainTextResponse:
    return PlainTextResponse("ok")


def _ready(request: Request) -> Response:
    """200 when the database answers, 503 otherwise."""
    try:
        with world_of(request).store.transaction() as unit:
            unit.registry.head()
    except Unavailable:
        return JSONResponse({"ready": False}, 503, {"retry-after": "2"})
    return JSONResponse({"ready": True})


def _front_door(request: Request) -> RedirectResponse:
    code = wanted(request.headers.get("accept-language", ""))
    return RedirectResponse(f"/{code}/", 303, {"vary": "accept-language"})
