"""A registered person reads what became of each thing she registered.

Until a person has decided, she learns that something is being looked at, and nothing else: not
where it was, not how much it resembles hers. A platform is named only once a reviewer has upheld
the case, so that nobody can use a registration to look for somebody.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pipeline.domain.case import Ground, State
from pipeline.domain.ids import ItemId, PersonId
from pipeline.ports import Store


class What(StrEnum):
    """What can happen to an item."""

    RECEIVED = "received"
    """Its codes were registered."""
    ACTIVE = "active"
    """Every process that answers platforms has them."""
    WAITING = "waiting"
    """Not every process has them yet; a matter of seconds."""
    UNDER_REVIEW = "under_review"
    """Something that may be a copy waits for a person's decision."""
    UPHELD = "upheld"
    """A person decided that it is a copy and must go."""
    ASKED = "asked"
    """A platform was asked to take it down."""
    CONFIRMED = "confirmed"
    """The platform has confirmed that the demand arrived."""
    REFUSED_AGAIN = "refused_again"
    """A further copy was recognised at once."""
    LEFT = "left"
    """A person decided that what was found stays where it is."""


@dataclass(frozen=True, slots=True)
class Happening:
    """One line of an item's timeline."""

    what: What
    at: datetime
    platform: str | None = None
    ground: Ground | None = None
    count: int = 1


@dataclass(frozen=True, slots=True)
class Followed:
    """One item, and what happened to it, oldest first."""

    item: ItemId
    kind: str
    """``picture``, ``clip`` or ``face``."""
    happenings: tuple[Happening, ...]

    @property
    def active(self) -> bool:
        """Whether every process looks for it now."""
        return any(one.what is What.ACTIVE for one in self.happenings)

    @property
    def added_at(self) -> datetime:
        """When it was registered."""
        return self.happenings[0].at

    @property
    def quiet(self) -> bool:
        """Whether nothing has been found so far."""
        return all(
            one.what in (What.RECEIVED, What.ACTIVE, What.WAITING) for one in self.happenings
        )


def follow_case(store: Store, person: PersonId) -> tuple[Followed, ...]:
    """All that this person has registered, oldest first."""
    with store.transaction(snapshot=True) as unit:
        items = unit.following.items(person)
        found = unit.following.findings(person)
        upheld = sorted({one.case for one in found if one.state == State.UPHELD}, key=str)
        takedowns = unit.following.takedowns(upheld)
        repeats = unit.following.repeats(upheld)
    followed = []
    for item in items:
        lines = [Happening(What.RECEIVED, item.added_at)]
        lines.append(Happening(What.ACTIVE if item.active else What.WAITING, item.added_at))
        later: list[Happening] = []
        for one in found:
            if one.item != item.item:
                continue
            if one.state == State.UPHELD:
                assert one.decided_at is not None
                later.append(Happening(What.UPHELD, one.decided_at))
                for told in takedowns:
                    if told.case == one.case:
                        later.append(Happening(What.ASKED, told.asked_at, told.platform))
                        if told.confirmed_at:
                            later.append(
                                Happening(What.CONFIRMED, told.confirmed_at, told.platform)
                            )
                later += [
                    Happening(What.REFUSED_AGAIN, again.last_at, again.platform, count=again.count)
                    for again in repeats
                    if again.case == one.case
                ]
            elif one.state == State.DISMISSED:
                assert one.decided_at is not None
                later.append(Happening(What.LEFT, one.decided_at, ground=one.ground))
            elif one.state != State.WITHDRAWN:
                later.append(Happening(What.UNDER_REVIEW, one.opened_at))
        lines += sorted(later, key=lambda line: line.at)
        followed.append(Followed(item.item, item.kind, tuple(lines)))
    return tuple(followed)
