"""What a platform did with an upload: the end of the story that a screening begins."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from pipeline.domain.ids import PlatformId, ScreeningId

LONGEST_NOTE = 1000
MOST_ACTIONS = 50
"""How many actions an upload can have: removed and restored a few times, not for ever."""
AHEAD = timedelta(minutes=5)
"""How far a platform's clock may be ahead of ours."""


class ActionKind(StrEnum):
    """What was done."""

    REMOVED = "removed"
    """Nobody can see it any more."""
    RESTRICTED = "restricted"
    """Fewer can see it: held back, by age, by country, not shown in feeds."""
    LABELLED = "labelled"
    """It stands there with a warning."""
    RESTORED = "restored"
    """It stands there again as before."""
    NONE = "none"
    """The platform looked at it and left it."""


AGAINST_UPLOADER = frozenset({ActionKind.REMOVED, ActionKind.RESTRICTED, ActionKind.LABELLED})
"""What an uploader must be given reasons for (DSA Art. 17)."""


@dataclass(frozen=True, slots=True)
class PlatformAction:
    """One thing that a platform did with an upload of its own, in its own words if it likes.

    The same kind at the same moment is the same action, however often it is told.
    """

    screening: ScreeningId
    platform: PlatformId
    kind: ActionKind
    at: datetime
    told_at: datetime
    note: str | None = field(default=None, repr=False)
