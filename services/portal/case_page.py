"""Her case: what became of each item, taking items back, and leaving with a receipt."""

from __future__ import annotations

import json
from datetime import timedelta
from uuid import UUID

import structlog
from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from pipeline.domain.erasure import ORDER, Receipt
from pipeline.domain.ids import ItemId, ReceiptId
from pipeline.errors import Invalid, NotFound, Unavailable
from pipeline.journeys.follow_case import follow_case
from pipeline.journeys.keep_features import drop_features
from pipeline.journeys.withdraw import finish
from pipeline.journeys.withdraw import leave as leave_for_good
from pipeline.journeys.withdraw_items import withdraw_items
from pipeline.ports import Visit
from services.portal import visits
from services.portal.face_page import of_face
from services.portal.pages import language_of
from services.portal.receipts import full, of_features, of_items
from services.portal.refusals import pages_of
from services.portal.visits import PostedBy, VisitOf, WorldOf
from services.wiring import World, alive

router = APIRouter()
log = structlog.get_logger()

_PATIENCE = timedelta(seconds=4)
"""How long one answer waits for processes to confirm; the worker goes on with the rest."""


@router.get("/case")
def show(request: Request, world: WorldOf, visit: VisitOf) -> Response:
    """Everything that she registered, with what happened to it; or how far her leaving is."""
    with world.store.transaction() as unit:
        leaving = unit.withdrawals.of(visit.person)
    if leaving is not None:
        return RedirectResponse(f"/{language_of(request).code}/receipt/{leaving}", 303)
    return _case(request, world, visit)


@router.post("/case/take")
def take_back(request: Request, world: WorldOf, posted: PostedBy) -> Response:
    """Take one item back."""
    visit = posted.visit
    taken = withdraw_items(
        world.store, world.blobs, world.desk.clock, visit.person, [_item(posted.fields["item"])]
    )
    receipt = json.dumps(of_items(taken, world.secrets.public_key()), indent=2)
    return _case(request, world, visit, receipt)


@router.post("/case/features")
def drop_finer_traces(request: Request, world: WorldOf, posted: PostedBy) -> Response:
    """End her consent to local features alone; the pictures go on being looked for by hashes."""
    visit = posted.visit
    try:
        dropped = drop_features(world.store, world.blobs, world.desk.clock, visit.person)
    except NotFound:  # asked for twice
        return RedirectResponse(f"/{language_of(request).code}/case", 303)
    receipt = json.dumps(of_features(dropped, world.secrets.public_key()), indent=2)
    return _case(request, world, visit, receipt, only_finer=True)


@router.get("/case/end")
def sure(request: Request, visit: VisitOf) -> Response:
    """What leaving means, and the button."""
    return pages_of(request).answer(request, "end.html", visit=visit)


@router.post("/case/end")
def end(request: Request, world: WorldOf, posted: PostedBy) -> Response:
    """Leave. Matches have stopped when this answers, whatever else still takes its time."""
    receipt = leave_for_good(world.store, world.desk.clock, posted.visit.person)
    _go_on(world, receipt, _PATIENCE)
    answer = RedirectResponse(f"/{language_of(request).code}/receipt/{receipt}", 303)
    visits.forget_cookie(answer, world)
    return answer


@router.get("/receipt/{number}")
def receipt_of(request: Request, world: WorldOf, number: UUID) -> Response:
    """How far a withdrawal has come. Its number is random and the page names nobody."""
    receipt = _receipt(world, number)
    done = dict(receipt.done)
    return pages_of(request).answer(
        request, "receipt.html", receipt=receipt, steps=[(step, done.get(step)) for step in ORDER]
    )


@router.post("/receipt/{number}")
def go_on(request: Request, world: WorldOf, number: UUID) -> Response:
    """Do what is left of a withdrawal, and look again. Anybody may: it only ever destroys."""
    if not _receipt(world, number).complete:
        _go_on(world, ReceiptId(number), timedelta(seconds=1))
    return RedirectResponse(f"/{language_of(request).code}/receipt/{number}", 303)


@router.get("/receipt/{number}/file")
def download(world: WorldOf, number: UUID) -> Response:
    """The receipt as a file, signed once it is complete."""
    document = full(_receipt(world, number), world.secrets.public_key())
    return Response(
        json.dumps(document, indent=2) + "\n",
        media_type="application/json",
        headers={"content-disposition": 'attachment; filename="receipt.json"'},
    )


def _case(
    request: Request, world: World, visit: Visit, receipt: str = "", *, only_finer: bool = False
) -> Response:
    """The page; ``receipt`` is that of something just taken back, or of finer traces alone."""
    with world.store.transaction() as unit:
        finer = bool(unit.features.kept_of(visit.person))
    return pages_of(request).answer(
        request, "case.html", visit=visit, items=follow_case(world.desk, visit.person),
        receipt=receipt, only_finer=only_finer, finer=finer,
        face=of_face(world, visit.person), version=world.settings.face_text,
    )  # fmt: skip


def _go_on(world: World, receipt: ReceiptId, patience: timedelta) -> None:
    try:
        finish(world.store, world.blobs, world.desk.clock, alive, receipt, patience=patience)
    except Unavailable:
        log.warning("portal.withdrawal_waits")  # the worker goes on with it


def _receipt(world: World, number: UUID) -> Receipt:
    with world.store.transaction() as unit:
        found = unit.withdrawals.get(ReceiptId(number))
    if found is None:
        raise NotFound("there is no such receipt")
    return found[0]


def _item(text: str) -> ItemId:
    try:
        return ItemId(UUID(text))
    except ValueError:
        raise Invalid("choose an item from the list") from None
