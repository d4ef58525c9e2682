"""For those who see no case: house rules, accounts, the audit trail. And the protected report."""

from __future__ import annotations

import json
from uuid import UUID

from fastapi import APIRouter, Request, Response

from pipeline.domain.cybertip import Reporter
from pipeline.domain.house import parse
from pipeline.domain.ids import CaseId
from pipeline.errors import Invalid
from pipeline.journeys.report_minor import prepare
from pipeline.journeys.set_house_rules import set_house_rules
from services.console.refusals import pages_of
from services.console.sessions import (
    AUDITS,
    OPERATES,
    POSTS_OPERATES,
    PROTECTS,
    PostedBy,
    Session,
    SessionOf,
    WorldOf,
)

router = APIRouter()

_PAGE = 100


@router.get("/house", dependencies=[OPERATES])
def house(request: Request, world: WorldOf, session: SessionOf) -> Response:
    """The house rules as the document that they are."""
    with world.store.transaction() as unit:
        text = json.dumps(unit.house.rules().document(), indent=2)
    return _house(request, session, text)


@router.post("/house", dependencies=[POSTS_OPERATES])
def set_house(request: Request, world: WorldOf, posted: PostedBy) -> Response:
    """Other house rules; what is wrong with them is named and nothing is changed."""
    text = posted.fields["rules"]
    try:
        try:
            document = json.loads(text)
        except ValueError as error:
            raise Invalid(f"this is not JSON: {error}") from None
        rules = parse(document)
        placed = set_house_rules(world.store, rules, f"reviewer:{posted.session.reviewer}")
    except Invalid as refused:
        return _house(request, posted.session, text, problem=str(refused), status=422)
    shown = json.dumps(rules.document(), indent=2)
    return _house(request, posted.session, shown, saved=placed)


@router.get("/people", dependencies=[OPERATES])
def people(request: Request, world: WorldOf, session: SessionOf) -> Response:
    """Who has an account; nothing about how anybody works."""
    with world.store.transaction() as unit:
        rows = unit.reviewers.all()
    return pages_of(request).answer("people.html", session=session, rows=rows)


@router.get("/audit", dependencies=[AUDITS])
def audit(
    request: Request,
    world: WorldOf,
    session: SessionOf,
    before: int | None = None,
    subject: str = "",
) -> Response:
    """The audit trail, newest first; whoever reads it is in it too."""
    about = subject.strip() or None
    with world.store.transaction() as unit:
        who = f"reviewer:{session.reviewer}"
        unit.audit.append(who, "audit.read", about or "audit", {})
        records = unit.audit.recent(_PAGE, before, about)
        head = unit.audit.head()
    return pages_of(request).answer(
        "audit.html",
        session=session,
        records=records,
        head=head,
        subject=subject,
        onward=records[-1].seq if len(records) == _PAGE else None,
    )


@router.get("/cases/{case}/report", dependencies=[PROTECTS])
def report(request: Request, world: WorldOf, session: SessionOf, case: UUID) -> Response:
    """The prepared report to the CyberTipline, to be read; there is no export."""
    reporter = Reporter(world.settings.organisation)
    text = prepare(world.desk, CaseId(case), reporter, f"reviewer:{session.reviewer}")
    return pages_of(request).answer("report.html", session=session, case=case, text=text)


def _house(
    request: Request,
    session: Session,
    text: str,
    *,
    saved: int | None = None,
    problem: str | None = None,
    status: int = 200,
) -> Response:
    return pages_of(request).answer(
        "house.html", status=status, session=session, text=text, saved=saved, problem=problem
    )
