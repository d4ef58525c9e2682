"""A face that a person asks to have recognised, and where that stands.

Templates count only once somebody has made sure that the face is hers: a verifier, or a partner
organisation that vouches. A face that somebody else has enrolled already is frozen on both sides
until a person has looked, so that nobody can follow another by enrolling her face.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from pipeline.domain.ids import CaseId, EnrolmentId, ItemId, PersonId
from pipeline.errors import IllegalTransition

FACE_TEXT = "face-2026-11"
"""The version of the text that is shown before a face is enrolled (see the README)."""

YEARS = 3
ASK_AGAIN = timedelta(days=60)
"""How long before its end a person is asked whether her enrolment shall go on."""


class EnrolmentState(StrEnum):
    """Where an enrolment is."""

    PENDING = "pending"
    APPROVED = "approved"
    FROZEN = "frozen"
    REFUSED = "refused"
    EXPIRED = "expired"
    REPLACED = "replaced"


_S = EnrolmentState
NEXT: dict[EnrolmentState, frozenset[EnrolmentState]] = {
    _S.PENDING: frozenset({_S.APPROVED, _S.FROZEN, _S.REFUSED, _S.EXPIRED, _S.REPLACED}),
    _S.APPROVED: frozenset({_S.FROZEN, _S.REFUSED, _S.EXPIRED, _S.REPLACED}),
    _S.FROZEN: frozenset({_S.APPROVED, _S.REFUSED, _S.EXPIRED, _S.REPLACED}),
    _S.REFUSED: frozenset(),
    _S.EXPIRED: frozenset(),
    _S.REPLACED: frozenset(),
}
"""The endings are final: their templates are destroyed, whoever comes back enrols anew."""

WAITING = frozenset({_S.PENDING, _S.FROZEN})
"""States in which a verifier must still decide."""


@dataclass(frozen=True, slots=True)
class Enrolment:
    """One enrolment as the database knows it; its templates are sealed elsewhere."""

    id: EnrolmentId
    person: PersonId
    state: EnrolmentState
    photos: int
    spaces: tuple[str, ...]
    text_version: str
    asked_at: datetime
    expires_at: datetime
    item: ItemId | None = None
    """The entries that are, or while frozen were, in force."""
    organisation: str | None = None
    """The partner that vouched."""
    rival: EnrolmentId | None = None
    """The other enrolment of what looks like the same face."""
    likeness: str | None = None
    """How alike the two are, in words."""
    decided_at: datetime | None = None
    reason: str | None = None
    case: CaseId | None = None
    """The case through which a verifier is, or was last, asked about it."""

    def to(self, state: EnrolmentState) -> Enrolment:
        """The enrolment after a step; raises ``IllegalTransition`` when the table forbids it."""
        if state not in NEXT[self.state]:
            raise IllegalTransition(f"an enrolment that is {self.state} cannot become {state}")
        return replace(self, state=state)

    def ask_again(self, now: datetime) -> bool:
        """Whether the person should be asked whether this shall go on."""
        live = self.state in {_S.APPROVED, _S.FROZEN}
        return live and now >= self.expires_at - ASK_AGAIN

    @property
    def ran_out(self) -> bool:
        """Whether it ended because its time was over, not because she took it back."""
        ended = self.decided_at
        return self.state is _S.EXPIRED and ended is not None and ended >= self.expires_at


def expiry(now: datetime, years: int = YEARS) -> datetime:
    """Until when a consent given now holds."""
    try:
        return now.replace(year=now.year + years)
    except ValueError:  # the 29th of February
        return now.replace(year=now.year + years, day=28)
