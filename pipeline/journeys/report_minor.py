"""The report of an apparent minor is prepared from a case that the protected role decided."""

from __future__ import annotations

from pipeline.domain.case import State
from pipeline.domain.cybertip import Reporter, Sighting, document
from pipeline.domain.ids import CaseId
from pipeline.errors import Conflict, NotFound
from pipeline.journeys.desk import Desk


def prepare(desk: Desk, case: CaseId, reporter: Reporter, actor: str) -> str:
    """The CyberTipline report of a reported case, as XML; that somebody read it is audited.

    Raises ``NotFound`` for no such case, ``Conflict`` while nobody has decided to report it.
    """
    with desk.store.transaction() as unit:
        found = unit.cases.get(case)
        if found is None:
            raise NotFound("there is no such case")
        if found.state is not State.REPORTED or found.verdict is None:
            raise Conflict("this case is not reported; the protected role decides that first")
        names = {row["id"]: str(row["name"]) for row in unit.platforms.all()}
        viewed = unit.cases.was_viewed(case)
        sightings = []
        for upload in found.uploads:
            screening = unit.screenings.get(upload.screening, upload.platform)
            sightings.append(
                Sighting(
                    names.get(upload.platform, "?"),
                    upload.content_id,
                    str(upload.screening),
                    screening.received_at if screening else found.opened_at,
                    viewed,
                )
            )
        unit.audit.append(actor, "case.report_prepared", f"case:{case}", {})
    return document(str(case), found.verdict.at, sightings, reporter)
