"""The way in: was she a minor, is it her, is it intimate, does she agree. Nothing is stored yet.

Every answer is an address of its own, so that it works without scripts and leaves nothing behind
but the browser's history, whose titles and addresses say nothing.
"""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from services.portal.refusals import pages_of
from services.portal.visits import WorldOf

router = APIRouter()

_STEPS = {
    "begin": "begin_age.html",
    "begin/young": "begin_young.html",
    "begin/2": "begin_you.html",
    "begin/someone": "begin_someone.html",
    "begin/3": "begin_intimate.html",
    "begin/ordinary": "begin_ordinary.html",
}


@router.get("/")
def home(request: Request, world: WorldOf) -> Response:
    """What this is, and the doors."""
    return pages_of(request).answer(request, "home.html", faces=bool(world.settings.faces))


def _step(template: str) -> None:
    def show(request: Request) -> Response:
        return pages_of(request).answer(request, template)

    path = next(path for path, name in _STEPS.items() if name == template)
    router.add_api_route(f"/{path}", show, methods=["GET"])


for _template in _STEPS.values():
    _step(_template)


@router.get("/begin/4")
def consent(request: Request, world: WorldOf) -> Response:
    """What she agrees to, in plain words, with its version."""
    return pages_of(request).answer(
        request, "begin_consent.html", version=world.settings.consent_text, missed=False
    )
