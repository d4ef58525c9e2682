"""Nobody sees more than they should: limits that truly stop new cases, and breaks that are taken.

Looks and the seconds they last are counted by the hour and by the day; a break is due after so
many minutes at cases. A pause of the break's own length, whatever it was for, begins a new shift.
Nothing here compares anybody with anybody.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID, uuid4

from pipeline.domain.case import CaseKind
from pipeline.domain.house import HouseRules
from pipeline.domain.ids import ReviewerId
from pipeline.errors import Conflict, Resting
from pipeline.journeys.desk import Desk
from pipeline.ports import Exposure, Shift, Unit

ASSUMED_SECONDS = 20.0
"""How long a look lasts whose end nobody told us of."""

LONGEST_LOOK = 600.0

PAUSE = timedelta(minutes=10)
"""Whoever was away from cases for so long has had a break."""


class Limit(StrEnum):
    """Why somebody rests."""

    HOUR = "hour"
    DAY = "day"
    BREAK = "break"


@dataclass(frozen=True, slots=True)
class Rest:
    """No new case until then; ``until`` is None while a break that is due has not begun."""

    why: Limit
    until: datetime | None


def rest_due(unit: Unit, reviewer: ReviewerId, now: datetime) -> Rest | None:
    """Why somebody may take no case now; None when they may."""
    rules = unit.house.rules()
    exposure = unit.house.exposure(reviewer, now, ASSUMED_SECONDS)
    return over_budget(rules, exposure) or break_due(rules, unit.house.shift(reviewer), now)


def over_budget(rules: HouseRules, seen: Exposure) -> Rest | None:
    """Whether the day's or the hour's limit is reached; the day's is told first."""
    budget = rules.budget
    day = _reached(seen.looks_today, budget.looks_per_day) or _reached(
        seen.seconds_today, budget.minutes_per_day * 60
    )
    if day:
        return Rest(Limit.DAY, seen.day_frees_at)
    hour = _reached(seen.looks_this_hour, budget.looks_per_hour) or _reached(
        seen.seconds_this_hour, budget.minutes_per_hour * 60
    )
    return Rest(Limit.HOUR, seen.hour_frees_at) if hour else None


def break_due(rules: HouseRules, shift: Shift | None, now: datetime) -> Rest | None:
    """Whether somebody has been at cases for too long without a break, or is in one."""
    if shift is None or not rules.breaks.after_minutes:
        return None
    if shift.resting_since is not None:
        return Rest(Limit.BREAK, shift.resting_since + timedelta(seconds=rules.breaks.seconds))
    if now - shift.worked_at >= PAUSE:
        return None
    due = now - shift.began_at >= timedelta(minutes=rules.breaks.after_minutes)
    return Rest(Limit.BREAK, None) if due else None


def refuse_if_resting(unit: Unit, reviewer: ReviewerId, now: datetime) -> None:
    """Raise ``Resting`` when a limit is reached or a break is due."""
    rest = rest_due(unit, reviewer, now)
    if rest is not None:
        raise Resting(_SAID[rest.why], rest.why.value, rest.until)


_SAID = {
    Limit.HOUR: "you have seen as much as is good for one hour; new cases come later",
    Limit.DAY: "you have seen as much as is good for one day; new cases come tomorrow",
    Limit.BREAK: "it is time for a break; new cases come after it",
}


def at_work(unit: Unit, reviewer: ReviewerId, now: datetime) -> None:
    """Somebody works at a case: their shift goes on, or begins after a pause."""
    shift = unit.house.shift(reviewer)
    if shift is None or now - shift.worked_at >= PAUSE:
        unit.house.set_shift(reviewer, Shift(now, now, None))
    elif shift.resting_since is None:
        unit.house.set_shift(reviewer, replace(shift, worked_at=now))


def begin_break(desk: Desk, reviewer: ReviewerId) -> datetime:
    """Somebody begins a break; when it may end."""
    now = desk.clock()
    with desk.store.transaction() as unit:
        rules, shift = unit.house.rules(), unit.house.shift(reviewer)
        since = shift.resting_since if shift and shift.resting_since else now
        began = shift.began_at if shift else now
        unit.house.set_shift(reviewer, Shift(began, now, since))
        return since + timedelta(seconds=rules.breaks.seconds)


def end_break(desk: Desk, reviewer: ReviewerId) -> None:
    """Somebody goes on after a break; raises ``Resting`` before it has lasted long enough."""
    now = desk.clock()
    with desk.store.transaction() as unit:
        rules, shift = unit.house.rules(), unit.house.shift(reviewer)
        if shift is None or shift.resting_since is None:
            return
        until = shift.resting_since + timedelta(seconds=rules.breaks.seconds)
        if now < until:
            raise Resting(_SAID[Limit.BREAK], Limit.BREAK.value, until)
        unit.house.set_shift(reviewer, Shift(now, now, None))


def begin_look(unit: Unit, reviewer: ReviewerId, now: datetime) -> UUID:
    """Count a look that begins; its id. Raises ``Resting`` when the limit is reached."""
    unit.house.lock_exposure(reviewer)
    rules = unit.house.rules()
    over = over_budget(rules, unit.house.exposure(reviewer, now, ASSUMED_SECONDS))
    if over is not None:
        raise Resting(_SAID[over.why], over.why.value, over.until)
    look = uuid4()
    unit.house.look(look, reviewer, now)
    at_work(unit, reviewer, now)
    return look


def go_on_looking(unit: Unit, reviewer: ReviewerId, look: UUID, now: datetime) -> None:
    """A look goes on, as at a video: its own seconds count while they pass.

    Raises ``Conflict`` when the look has ended or has lasted too long, ``Resting`` when a limit is
    reached.
    """
    unit.house.lock_exposure(reviewer)
    began = unit.house.look_began(look, reviewer)
    lasted = (now - began).total_seconds() if began is not None else LONGEST_LOOK
    if lasted >= LONGEST_LOOK:
        raise Conflict("this look has ended; let go and look again")
    seen = unit.house.exposure(reviewer, now, max(lasted, ASSUMED_SECONDS))
    # The look that goes on is counted already, and is no further one.
    seen = replace(seen, looks_this_hour=seen.looks_this_hour - 1, looks_today=seen.looks_today - 1)
    over = over_budget(unit.house.rules(), seen)
    if over is not None:
        raise Resting(_SAID[over.why], over.why.value, over.until)
    at_work(unit, reviewer, now)


def end_look(desk: Desk, look: UUID, reviewer: ReviewerId, seconds: float) -> None:
    """Somebody let go of a picture after so many seconds."""
    with desk.store.transaction() as unit:
        unit.house.looked(look, reviewer, min(max(seconds, 0.0), LONGEST_LOOK))


def opt_out(desk: Desk, reviewer: ReviewerId, kind: CaseKind) -> datetime:
    """No cases of this kind for somebody for the rest of the day; nobody is asked why."""
    now = desk.clock()
    midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    with desk.store.transaction() as unit:
        unit.house.opt_out(reviewer, kind, midnight)
    return midnight


def opt_in(desk: Desk, reviewer: ReviewerId, kind: CaseKind) -> None:
    """Cases of this kind again."""
    with desk.store.transaction() as unit:
        unit.house.opt_in(reviewer, kind)


def _reached(seen: float, limit: int) -> bool:
    return limit > 0 and seen >= limit
