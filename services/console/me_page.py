"""What somebody chooses for themself: how pictures are shown, what keys do, second factors."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from pipeline.errors import Invalid
from services.console import preferences, words
from services.console.refusals import pages_of
from services.console.sessions import PostedBy, Session, SessionOf, WorldOf
from services.wiring import World

router = APIRouter(prefix="/me")


@router.get("")
def show(request: Request, world: WorldOf, session: SessionOf, saved: bool = False) -> Response:
    """The page."""
    return _page(request, world, session, saved=saved)


@router.post("")
def save(request: Request, world: WorldOf, posted: PostedBy) -> Response:
    """Keep what was chosen."""
    try:
        chosen = preferences.chosen(posted.fields.values)
    except Invalid as refused:
        return _page(request, world, posted.session, problem=str(refused), status=422)
    with world.store.transaction() as unit:
        unit.reviewers.set_preferences(posted.session.reviewer, chosen)
    return RedirectResponse("/me?saved=1", 303)


def _page(
    request: Request,
    world: World,
    session: Session,
    *,
    saved: bool = False,
    problem: str | None = None,
    status: int = 200,
) -> Response:
    with world.store.transaction() as unit:
        rules = unit.house.rules()
        factors = unit.reviewers.factors(session.reviewer)
    mine = preferences.of(rules, session.preferences)
    return pages_of(request).answer(
        "me.html",
        status=status,
        session=session,
        mine=mine,
        usual=rules.display,
        actions=[(action, preferences.name(action), mine.keys[action]) for action in words.KEYS],
        factors=factors,
        saved=saved,
        problem=problem,
    )
