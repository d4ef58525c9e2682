"""What a case asks of whom, until when, and how urgent it is, as the database keeps it."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

from pipeline.domain.case import ORDINARY, CaseKind
from pipeline.domain.ids import CaseId
from tests.world import Town


def test_a_case_keeps_its_kind_its_deadline_and_its_priority(town: Town) -> None:
    now = town.clock()
    plain, notice = CaseId(uuid4()), CaseId(uuid4())
    until = now + timedelta(hours=48)
    with town.world.store.transaction() as unit:
        unit.cases.open(plain, now)
        unit.cases.open(notice, now, kind=CaseKind.NOTICE, deadline=until, priority=-3)
        ordinary, urgent = unit.cases.get(plain), unit.cases.get(notice)
    assert ordinary is not None
    assert urgent is not None
    assert (ordinary.kind, ordinary.deadline, ordinary.priority) == (CaseKind.HASH, None, ORDINARY)
    assert (urgent.kind, urgent.deadline, urgent.priority) == (CaseKind.NOTICE, until, -3)
