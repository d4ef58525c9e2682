"""The lead's page of quarantine: entries that suddenly match too much, in numbers and in words.

No picture, no name, no way to what was registered: how many uploads, on which codes they fell and
how far off, which is what tells a plain picture or a bad list from copies that a reviewer must see.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from pipeline.domain.ids import ItemId, ReviewerId
from pipeline.errors import Conflict
from pipeline.journeys import notice_flood
from pipeline.journeys.desk import Desk
from pipeline.ports import Flooded, Unit
from services.console import words
from services.console.refusals import pages_of
from services.console.sessions import (
    LEADS,
    POSTS_LEADS,
    PostedBy,
    Session,
    SessionOf,
    WorldOf,
)
from services.wiring import World

router = APIRouter(prefix="/lead/floods")

_BANKS = {
    "registered": "a picture or video that somebody registered",
    "upheld": "an upload that was upheld",
    "faces": "a face that its owner protects",
    "partner": "a picture on a partner's list",
}
_ANSWERS: Mapping[str, tuple[str, Callable[[Desk, ItemId, ReviewerId, str], object]]] = {
    "release": ("released", notice_flood.let_go),
    "keep_out": ("kept_out", notice_flood.keep_out),
    "allow": ("allowed", notice_flood.allow_again),
}
_DONE = frozenset(done for done, _ in _ANSWERS.values())


@dataclass(frozen=True, slots=True)
class Line:
    """One item, as the page shows it."""

    flood: Flooded
    what: str
    since: str
    codes: tuple[str, ...]
    distances: tuple[str, ...]


@router.get("", dependencies=[LEADS])
def show(request: Request, world: WorldOf, session: SessionOf, done: str = "") -> Response:
    """What waits for an answer, then what is kept out."""
    return _page(request, world, session, done=done)


@router.post("/{item}", dependencies=[POSTS_LEADS])
def decide(request: Request, world: WorldOf, posted: PostedBy, item: UUID) -> Response:
    """Let the cases go to the reviewers, keep the offending codes out, or allow them again."""
    by, role = posted.session.reviewer, posted.session.role
    answer, which = posted.fields["answer"], ItemId(item)
    if answer not in _ANSWERS:
        problem = "choose one of the answers"
        return _page(request, world, posted.session, problem=problem, status=422)
    done, act = _ANSWERS[answer]
    try:
        act(world.desk, which, by, role)
    except Conflict as refused:
        return _page(request, world, posted.session, problem=str(refused), status=409)
    return RedirectResponse(f"/lead/floods?done={done}", 303)


def _page(
    request: Request,
    world: World,
    session: Session,
    *,
    done: str = "",
    problem: str | None = None,
    status: int = 200,
) -> Response:
    now = world.desk.clock()
    with world.store.transaction(snapshot=True) as unit:
        lines = [
            Line(
                one,
                _BANKS.get(one.bank, one.bank),
                words.lasting(now - one.since),
                tuple(_codes(unit, one)),
                tuple(_distances(unit, one)),
            )
            for one in unit.floods.all()
        ]
    return pages_of(request).answer(
        "floods.html",
        status=status,
        session=session,
        waiting=[line for line in lines if line.flood.parked],
        kept=[line for line in lines if line.flood.kept_out],
        done=done if done in _DONE else "",
        problem=problem,
    )


def _codes(unit: Unit, flood: Flooded) -> Iterable[str]:
    for name, slot, uploads in unit.floods.codes(flood.item):
        part = "the whole picture" if slot == 0 else f"part {slot}"
        yield f"{words.signal(name)}, {part}: {_uploads(uploads)}"


def _distances(unit: Unit, flood: Flooded) -> Iterable[str]:
    for name, alike, step, uploads in unit.floods.distances(flood.item):
        if alike:
            span = f"alike by {step / 20:.2f} to {(step + 1) / 20:.2f}"
        else:
            span = f"{4 * step} to {4 * step + 3} bits off"
        yield f"{words.signal(name)}, {span}: {_uploads(uploads)}"


def _uploads(many: int) -> str:
    return f"{many} upload{'' if many == 1 else 's'}"
