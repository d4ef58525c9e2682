"""A platform tells what it did with an upload, and reads what it told.

What was told stays: a removal that was undone is followed by a ``restored``, not taken back. A
note may say something about people, so it lies sealed under the platform's key and goes when a
person that the upload concerned leaves.
"""

from __future__ import annotations

from datetime import UTC, datetime

from pipeline.domain.action import (
    AHEAD,
    LONGEST_NOTE,
    MOST_ACTIONS,
    ActionKind,
    PlatformAction,
)
from pipeline.domain.ids import PlatformId, ScreeningId
from pipeline.errors import Conflict, Invalid, NotFound
from pipeline.ports import Clock, Store, Unit

_COLUMN = "screening_actions.note"


def act(
    store: Store,
    clock: Clock,
    platform: PlatformId,
    screening: ScreeningId,
    kind: ActionKind,
    at: datetime,
    note: str | None = None,
) -> PlatformAction:
    """Keep what a platform did, once.

    Raises ``NotFound`` for a screening that is not the platform's, ``Conflict`` while a video is
    still looked at, for a repeat with other words and for too many actions, ``Invalid`` for a
    moment that lies ahead.
    """
    now, said = clock(), (note or "").strip() or None
    with store.transaction() as unit:
        _own(unit, screening, platform)
        if at.tzinfo is None:
            raise Invalid("say when with its time zone, such as 2026-11-25T18:00:00Z")
        if at > now + AHEAD:
            raise Invalid("this lies ahead; tell of it when it has happened")
        if said is not None and len(said) > LONGEST_NOTE:
            raise Invalid(f"a note has at most {LONGEST_NOTE} characters")
        before = _read(unit, screening, platform)
        told = PlatformAction(screening, platform, kind, at.astimezone(UTC), now, said)
        for one in before:
            if (one.kind, one.at) == (told.kind, told.at):
                if said is not None and one.note not in (None, said):
                    raise Conflict("this action was told with another note; what was told stays")
                return one
        if len(before) >= MOST_ACTIONS:
            raise Conflict(f"an upload has at most {MOST_ACTIONS} actions")
        sealed = None if said is None else unit.vault.seal(platform, _COLUMN, said.encode())
        unit.screenings.add_action(told, sealed)
        unit.audit.append(
            f"platform:{platform}",
            "screening.acted",
            f"screening:{screening}",
            {"action": kind.value, "at": told.at.isoformat()},
        )
    return told


def actions_of(
    store: Store, platform: PlatformId, screening: ScreeningId
) -> tuple[PlatformAction, ...]:
    """What a platform told of an upload of its own, oldest first. Raises ``NotFound``."""
    with store.transaction() as unit:
        _own(unit, screening, platform, lock=False)
        return _read(unit, screening, platform)


def _own(unit: Unit, screening: ScreeningId, platform: PlatformId, *, lock: bool = True) -> None:
    if unit.screenings.get(screening, platform, lock=lock) is not None:
        return
    if unit.films.get(screening, platform) is not None:
        raise Conflict("this video is still being looked at; tell of it when it has its answer")
    raise NotFound("you have no screening of this id")


def _read(unit: Unit, screening: ScreeningId, platform: PlatformId) -> tuple[PlatformAction, ...]:
    return tuple(
        PlatformAction(
            one.screening, one.platform, one.kind, one.at, one.told_at,
            None if sealed is None else unit.vault.unseal(platform, _COLUMN, sealed).decode(),
        )
        for one, sealed in unit.screenings.actions(screening, platform)
    )  # fmt: skip
