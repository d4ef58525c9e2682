"""The reviewers' console: log in, take a case, judge it by its facts, decide.

The rules of review live in ``pipeline.journeys.review``; these pages only show them. They work
without scripts except for looking at an upload, which needs a key held down.
"""

from __future__ import annotations

import signal
import threading
from importlib import resources
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse
from fastapi.staticfiles import StaticFiles

from services.console import (
    bank_page,
    case_page,
    film,
    flood_page,
    lead_page,
    list_page,
    login_page,
    me_page,
    media,
    office_page,
    queue_page,
    refusals,
    rest_page,
    second_page,
    sso_page,
)
from services.console.pages import Pages
from services.web.guard import EVERYWHERE, Guard
from services.wiring import World

HEADERS = {
    **EVERYWHERE,
    # Security keys are used here, on this address alone.
    "permissions-policy": EVERYWHERE["permissions-policy"].replace(
        "publickey-credentials-get=()",
        "publickey-credentials-create=(self), publickey-credentials-get=(self)",
    ),
}
PARTS = (
    login_page, second_page, queue_page, list_page, case_page, media, film, rest_page, me_page,
    lead_page, flood_page, bank_page, office_page, sso_page,
)  # fmt: skip
"""Every page there is; what each route asks for, the route says itself."""


def create_app(world: World) -> FastAPI:
    """The console over a world that stays open as long as the app is used."""
    app = FastAPI(title="Consentry console", openapi_url=None)
    app.state.world = world
    app.state.pages = Pages(secure=world.settings.secure_cookies)
    app.add_middleware(Guard, broken=refusals.broken, headers=lambda _: HEADERS)
    refusals.install(app)
    for part in PARTS:
        app.include_router(part.router)
    app.mount("/static", StaticFiles(directory=Path(str(resources.files(__name__) / "static"))))
    app.add_api_route("/healthz", _healthy, methods=["GET"])
    return app


def serve(world: World, host: str, port: int) -> None:
    """Serve the console until the process is told to end."""
    if threading.current_thread() is threading.main_thread():
        # Uvicorn ends its work, then raises the signal again: that must not keep the world open.
        signal.signal(signal.SIGTERM, lambda *_: None)
    uvicorn.run(
        create_app(world),
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
