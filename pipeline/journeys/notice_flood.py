"""An entry suddenly matches many unrelated uploads: it stops raising cases until a lead has looked.

Nothing is lost meanwhile: each upload is answered ``review`` as before, with the note
``quarantine``, and has its case, which waits outside the reviewers' queues (``State.PARKED``) with
its deadline running. A lead, who sees how many uploads and how far off, but no picture and no name,
lets the cases go to the reviewers or keeps the entry's offending codes out. Close copies, notices,
and what a reviewer already holds are never parked. Nor is anything while a process of a version is
at work that could not read a parked case. See ``domain.flood`` for what is counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from pipeline.domain.entry import Layout, read_key
from pipeline.domain.flood import code_of, unrelated
from pipeline.domain.ids import CaseId, EntryId, ItemId, PersonId, ReviewerId
from pipeline.domain.policy import Match
from pipeline.domain.roles import Role
from pipeline.domain.signal import Metric, Space, split_all, unpack
from pipeline.domain.terms import Flood
from pipeline.errors import Conflict, Denied, NotFound
from pipeline.journeys.desk import Desk, announce, by_platform, event_of, named
from pipeline.journeys.withdraw import close_if_empty
from pipeline.ports import FloodSeen, Unit

_LEAST_SHARE = 0.1
"""A code on which a smaller share of the uploads fell is not what floods."""


def notice_flood(
    unit: Unit, limit: Flood, matches: Iterable[Match], loose: Collection[EntryId], now: datetime
) -> list[ItemId]:
    """Count an upload whose case was opened or joined; the items that flood as of now."""
    if limit.uploads <= 0:
        return []
    fallen: dict[ItemId, PersonId] = {}
    for match in matches:
        if match.hit.entry in loose and code_of(match.hit) not in match.hit.owner.parked:
            fallen[match.hit.owner.item] = match.hit.owner.person
    return [
        item
        for item, person in sorted(fallen.items(), key=lambda one: one[0].bytes)
        if _floods(unit, limit, item, person, now)
    ]


def _floods(unit: Unit, limit: Flood, item: ItemId, person: PersonId, now: datetime) -> bool:
    seen = unit.floods.seen(item, now - timedelta(hours=limit.hours))
    accounts = len({one.account for one in seen})
    if len(seen) < limit.uploads or accounts < limit.accounts:
        return False
    uploads = unrelated(_picture(unit, one) for one in seen)
    if uploads < limit.uploads:  # one picture, again and again: that is what a person must see
        return False
    if not unit.floods.understood():  # in a rolling upgrade reviewers see these cases meanwhile
        return False
    hit = Counter(code for one in seen for code in one.hit)
    codes = [code for code, many in hit.items() if many >= max(2, _LEAST_SHARE * len(seen))]
    unit.floods.put(item, person, codes, uploads, accounts, now)
    parked = unit.floods.park(item, now)
    unit.audit.append(
        "service:screening",
        "entry.quarantined",
        f"item:{item}",
        {"uploads": uploads, "accounts": accounts, "codes": sorted(codes), "cases": len(parked)},
    )
    for case in parked:
        _tell(unit, case, "case.parked", now)
    return True


def release(unit: Unit, case: CaseId, now: datetime) -> None:
    """Let a parked case go to the reviewers, because something else speaks for it now."""
    if unit.floods.open_case(case):
        _to_reviewers(unit, case, now)


def let_go(desk: Desk, item: ItemId, by: ReviewerId, role: str) -> int:
    """A lead says that an item's matches are worth a reviewer's look: its cases open. How many."""
    now = desk.clock()
    with desk.store.transaction() as unit:
        _in_question(unit, item, role)
        unit.floods.decide(item, by, now, keep_out=False)
        opened = unit.floods.unpark(item)
        _audit(unit, by, "entry.released", item, len(opened))
        for case in opened:
            _to_reviewers(unit, case, now)
    return len(opened)


def keep_out(desk: Desk, item: ItemId, by: ReviewerId, role: str) -> int:
    """A lead says that an item's offending codes match what they should not. How many cases end.

    What is only roughly like them raises nothing any more; close copies do, and so does whatever
    falls on the item's other codes.
    """
    now = desk.clock()
    gone = []
    with desk.store.transaction() as unit:
        _in_question(unit, item, role)
        cases = unit.floods.cases(item)
        unit.floods.decide(item, by, now, keep_out=True)
        ended = 0
        for case in cases:
            held = close_if_empty(unit, case, now, f"reviewer:{by}")
            ended += held is not None
            gone += [medium.id for medium in held or ()]
        for case in unit.floods.unpark(item):
            _to_reviewers(unit, case, now)
        _audit(unit, by, "entry.kept_out", item, ended)
    for name in gone:
        desk.blobs.destroy(name)
    return ended


def allow_again(desk: Desk, item: ItemId, by: ReviewerId, role: str) -> None:
    """A lead takes it back that codes of an item are kept out: from now on they count as before."""
    _must_lead(role)
    with desk.store.transaction() as unit:
        if not unit.floods.allow(item, by, desk.clock()):
            raise NotFound("nothing of this item is kept out")
        _audit(unit, by, "entry.allowed", item, 0)


def _picture(unit: Unit, seen: FloodSeen) -> NDArray[np.uint8] | None:
    """The PDQ code of an upload's whole picture; None where nobody has it."""
    if seen.medium is None or seen.sealed is None:
        return None
    packed = unit.vault.unseal(seen.medium, "media.codes", seen.sealed)
    for key, codes in split_all(packed):
        name, layout = read_key(key)
        if name.startswith("pdq/") and layout is Layout.PICTURE:
            space = Space("pdq", name.partition("/")[2], Metric.HAMMING, 256)
            rows = unpack(space, codes)[2]
            return rows[0] if len(rows) else None
    return None


def _in_question(unit: Unit, item: ItemId, role: str) -> None:
    _must_lead(role)
    found = unit.floods.get(item)
    if found is None:
        raise NotFound("this item is not in quarantine; its owner may have taken it back")
    if not found.parked:
        raise Conflict("somebody has answered this already; look at the list again")


def _must_lead(role: str) -> None:
    if role != Role.LEAD:
        raise Denied("only a lead decides what becomes of a flood")


def _to_reviewers(unit: Unit, case: CaseId, now: datetime) -> None:
    unit.cases.place(case)
    unit.audit.append("service:desk", "case.released", f"case:{case}", {})
    _tell(unit, case, "case.released", now)


def _tell(unit: Unit, case: CaseId, kind: str, now: datetime) -> None:
    found = unit.cases.get(case)
    assert found is not None
    for platform, uploads in by_platform(found):
        data = {"case": str(case), "state": found.state.value, "uploads": named(uploads)}
        announce(unit, event_of(platform, kind, data, now, case))


def _audit(unit: Unit, by: ReviewerId, action: str, item: ItemId, cases: int) -> None:
    unit.audit.append(f"reviewer:{by}", action, f"item:{item}", {"cases": cases})
