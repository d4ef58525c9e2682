"""The lead's page of banks: what lists are tried, and teaching a negative bank a false match."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from pipeline.domain.bank import BankKind
from pipeline.domain.ids import CaseId
from pipeline.errors import Conflict, Invalid, NotFound
from pipeline.journeys import banks
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

router = APIRouter(prefix="/lead/banks")


@router.get("", dependencies=[LEADS])
def show(
    request: Request, world: WorldOf, session: SessionOf, case: str = "", learned: int = 0
) -> Response:
    """Every bank, and the form; ``case`` is the one that it is filled in with."""
    return _page(request, world, session, case=case, learned=learned)


@router.post("/learn", dependencies=[POSTS_LEADS])
def learn(request: Request, world: WorldOf, posted: PostedBy) -> Response:
    """Put the pictures of a case that was dismissed as a wrong match into a negative bank."""
    session, case = posted.session, posted.fields["case"].strip()
    try:
        many = banks.learn(
            world.store, posted.fields["bank"], _case(case), session.reviewer, session.role
        )
    except (Invalid, NotFound) as refused:
        return _page(request, world, session, case=case, problem=str(refused), status=422)
    except Conflict as refused:
        return _page(request, world, session, case=case, problem=str(refused), status=409)
    return RedirectResponse(f"/lead/banks?learned={many}", 303)


def _case(text: str) -> CaseId:
    try:
        return CaseId(UUID(text))
    except ValueError:
        raise Invalid("give the case's whole number, as its address has it") from None


def _page(
    request: Request,
    world: World,
    session: Session,
    *,
    case: str,
    learned: int = 0,
    problem: str | None = None,
    status: int = 200,
) -> Response:
    with world.store.transaction(snapshot=True) as unit:
        rows = unit.banks.all()
        trials = unit.banks.trials_by_bank()
    return pages_of(request).answer(
        "banks.html",
        status=status,
        session=session,
        rows=[(bank, trials.get(bank.name, 0)) for bank in rows],
        negative=[bank.name for bank in rows if bank.kind is BankKind.NEGATIVE],
        case=case,
        learned=learned,
        problem=problem,
    )
