"""A platform is given the reasons for a restriction, to pass on to the uploader.

Only a person's decision has reasons, and only while it stands: there are none before it, none for
a dismissal, and none any more once an appeal has overturned it or the platform has put the upload
back.
"""

from __future__ import annotations

from datetime import datetime

from pipeline.domain.case import Case, State
from pipeline.domain.ids import CaseId, PlatformId, ScreeningId
from pipeline.domain.screening import Form, Screening, Verdict
from pipeline.domain.statement import Statement, content_of, restriction_of
from pipeline.errors import Conflict, NotFound
from pipeline.ports import Store, Unit

_WITHOUT = {
    State.DISMISSED: "this case was dismissed: nothing is restricted, so there are no reasons",
    State.WITHDRAWN: "this case was closed without a decision; nothing is restricted because of it",
    State.REPORTED: "this case was reported to the authorities; ask them what the uploader may be"
    " told",
}


def state_reasons(
    store: Store, platform: PlatformId, case: CaseId, screening: ScreeningId | None = None
) -> Statement:
    """The reasons for one of the platform's uploads in a case: ``screening``, or its first.

    Raises ``NotFound`` where the platform has no such upload in the case, ``Conflict`` where there
    are no reasons to give, or not yet.
    """
    with store.transaction() as unit:
        found = unit.cases.get(case)
        decided = _as_it_stands(unit, found)
        upload = _upload(unit, found, platform, case, screening)
        if found is None or upload is None:
            raise NotFound("you have no upload in a case of this id")
        if decided is None:
            raise Conflict(
                _WITHOUT.get(found.state, "nobody has decided this case yet; ask again after that")
            )
        actions = [one for one, _ in unit.screenings.actions(upload.id, platform)]
    # A repeat is restricted from the moment when it was answered.
    repeat = upload.verdict is Verdict.KNOWN
    since = max(decided, upload.received_at) if repeat else decided
    restriction = restriction_of(actions, since)
    if restriction is None:
        raise Conflict("you told that this upload is not restricted; so there are no reasons")
    return Statement(
        case=case,
        screening=upload.id,
        kind=found.kind,
        content=content_of(upload.mime, notice=upload.form is Form.NOTICE),
        restriction=restriction[0],
        uploaded=upload.received_at.date(),
        decided=decided.date(),
        applied=restriction[1].date(),
        by_repeat=repeat,
    )


def _as_it_stands(unit: Unit, found: Case | None) -> datetime | None:
    """When a person decided that it must go, if that stands: by the case, or by an appeal."""
    if found is None or found.about is not None or found.verdict is None:
        return None
    turned = [
        unit.cases.get(appeal[0])
        for side in ("uploader", "registered", "quality")
        if (appeal := unit.cases.appeal_against(found.id, side)) and appeal[1] is State.OVERTURNED
    ]
    if found.state is State.UPHELD:
        if turned:
            raise Conflict("this decision was overturned; there are no reasons for it any more")
        return found.verdict.at
    if found.state is State.DISMISSED and turned and turned[0] and turned[0].verdict:
        return turned[0].verdict.at
    return None


def _upload(
    unit: Unit,
    found: Case | None,
    platform: PlatformId,
    case: CaseId,
    screening: ScreeningId | None,
) -> Screening | None:
    """The upload that the reasons are for; a repeat that was ``known`` must be named."""
    if found is None:
        return None
    if screening is None:
        mine = [one.screening for one in found.uploads if one.platform == platform]
        every = [unit.screenings.get(one, platform) for one in mine]
        there = [one for one in every if one is not None]
        return min(there, key=lambda one: (one.received_at, one.id), default=None)
    upload = unit.screenings.get(screening, platform)
    return upload if upload is not None and upload.case == case else None
