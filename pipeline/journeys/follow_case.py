"""A registered person reads what became of each thing she registered.

Until a person has decided, she learns that something is being looked at, and nothing else: not
where it was, not how much it resembles hers. A platform is named only once a reviewer has decided
that it must go, so that nobody can use a registration to look for somebody.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import zip_longest
from typing import TypeVar

from pipeline.domain.action import ActionKind
from pipeline.domain.case import UNDECIDED, Ground, State
from pipeline.domain.ids import CaseId, ItemId, PersonId
from pipeline.journeys.desk import Desk
from pipeline.ports import Acted, Appealed, Asked, Finding, Repeat

_Told = TypeVar("_Told", Acted, Appealed, Asked, Repeat)


class What(StrEnum):
    """What can happen to an item; of the same moment, in this order."""

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
    REPORTED = "reported"
    """A person decided that it must go and reported it, as the law asks."""
    LEFT = "left"
    """A person decided that what was found stays where it is."""
    OBJECTED = "objected"
    """She objected to that."""
    CONTESTED = "contested"
    """Whoever uploaded it objected to its removal."""
    STANDS = "stands"
    """Somebody else looked again, and the decision stands."""
    MUST_GO = "must_go"
    """Somebody else looked again: it must go after all."""
    MAY_STAY = "may_stay"
    """Somebody else looked again: it was no copy that must go, after all."""
    ASKED = "asked"
    """A platform was asked to take it down."""
    CONFIRMED = "confirmed"
    """The platform has confirmed that the demand arrived."""
    REMOVED = "removed"
    """The platform says that nobody can see it any more."""
    RESTRICTED = "restricted"
    """The platform says that fewer can see it."""
    LABELLED = "labelled"
    """The platform says that it stands there with a warning."""
    RESTORED = "restored"
    """The platform says that it stands there again."""
    UNTOUCHED = "none"
    """The platform says that it did nothing."""
    REFUSED_AGAIN = "refused_again"
    """A further copy was recognised at once."""
    QUARANTINED = "quarantined"
    """Much that is only roughly like it was uploaded; somebody looks into why."""
    KEPT_OUT = "kept_out"
    """What is only roughly like it is looked for no more, because it was other pictures."""


@dataclass(frozen=True, slots=True)
class Happening:
    """One line of an item's timeline."""

    what: What
    at: datetime
    platform: str | None = None
    ground: Ground | None = None
    count: int = 1


class Next(StrEnum):
    """What comes next, the most important of all that is open about an item."""

    DECISION = "decision"
    """A person decides."""
    OBJECTION = "objection"
    """She can object to a decision."""
    ANSWERED = "answered"
    """What was found was decided."""
    SHOWN = "shown"
    """A platform left it, or put it back, though it must go."""
    STOPPED = "stopped"
    """What was found must go, and a further copy of it is stopped at once."""
    NOTHING = "nothing"
    """Nothing has been found so far."""


@dataclass(frozen=True, slots=True)
class Open:
    """A decision that she can object to, and until when."""

    case: CaseId
    until: datetime
    ground: Ground | None


@dataclass(frozen=True, slots=True)
class Followed:
    """One item, and what happened to it, oldest first."""

    item: ItemId
    kind: str
    """``picture``, ``clip`` or ``face``."""
    happenings: tuple[Happening, ...]
    next: Next
    objections: tuple[Open, ...] = ()

    @property
    def active(self) -> bool:
        """Whether every process looks for it now."""
        return any(one.what is What.ACTIVE for one in self.happenings)

    @property
    def quiet(self) -> bool:
        """Whether nothing has been found so far."""
        return self.next is Next.NOTHING


@dataclass(frozen=True, slots=True)
class _Story:
    """A case that rests on an item, with all that followed from it."""

    finding: Finding
    appeals: tuple[Appealed, ...]
    asked: tuple[Asked, ...]
    acted: tuple[Acted, ...]
    repeats: tuple[Repeat, ...]

    @property
    def overturned(self) -> bool:
        return any(one.state is State.OVERTURNED for one in self.appeals)

    @property
    def known(self) -> bool:
        """Whether a repeat of it is answered at once."""
        wanted = State.DISMISSED if self.overturned else State.UPHELD
        return self.finding.state is wanted

    @property
    def shown(self) -> bool:
        """Whether it must go and a platform, by what it did last, shows it all the same."""
        last = {one.platform: one.kind for one in self.acted}  # oldest first
        return self.known and not _SHOWS.isdisjoint(last.values())

    @property
    def undecided(self) -> bool:
        """Whether a person must still decide, about it or about what was said against that."""
        appealed = any(one.side in _SIDES and one.state in UNDECIDED for one in self.appeals)
        return self.finding.state in UNDECIDED or appealed

    def objection(self, now: datetime, window: timedelta) -> Open | None:
        """Whether she can object: once, in time, to what nobody has turned round yet."""
        at = self.finding.decided_at
        if self.finding.state is not State.DISMISSED or at is None or self.overturned:
            return None
        if any(one.side == "registered" for one in self.appeals) or now - at > window:
            return None
        return Open(self.finding.case, at + window, self.finding.ground)

    def lines(self) -> Iterator[Happening]:
        """What she is told of it."""
        finding = self.finding
        if finding.state is State.PARKED:  # of these she is told once, not a line each
            return
        if finding.state in UNDECIDED:
            yield Happening(What.UNDER_REVIEW, finding.opened_at)
            return
        if finding.decided_at is None:  # it was withdrawn: nothing was decided
            return
        first = _FIRST[finding.state]
        ground = finding.ground if first is What.LEFT else None
        yield Happening(first, finding.decided_at, ground=ground)
        yield from self._appealed()
        if finding.state is State.DISMISSED and not self.overturned:
            return  # whatever a platform did: nobody decided that it must go, so none is named
        for told in self.asked:
            yield Happening(What.ASKED, told.asked_at, told.platform)
            if told.confirmed_at:
                yield Happening(What.CONFIRMED, told.confirmed_at, told.platform)
        for again in self.repeats:
            yield Happening(What.REFUSED_AGAIN, again.last_at, again.platform, count=again.count)
        for platform in sorted({one.platform for one in self.acted}):
            yield from self._done_by(platform)

    def _done_by(self, platform: str) -> Iterator[Happening]:
        """What a platform did; the same with many uploads is one line, of the last."""
        done = [one for one in self.acted if one.platform == platform]
        for one, after in zip_longest(done, done[1:]):
            if after is None or after.kind is not one.kind:
                yield Happening(What(one.kind.value), one.at, platform)

    def _appealed(self) -> Iterator[Happening]:
        turned = What.MUST_GO if self.finding.state is State.DISMISSED else What.MAY_STAY
        for one in self.appeals:
            # A third person whom we asked ourselves is spoken of where that changed something.
            if one.side in _SIDES:
                yield Happening(_SIDES[one.side], one.made_at)
            if one.decided_at is None:
                continue
            if one.state is State.OVERTURNED:
                yield Happening(turned, one.decided_at)
            elif one.state is State.STANDS and one.side in _SIDES:
                yield Happening(What.STANDS, one.decided_at)


_FIRST = {
    State.UPHELD: What.UPHELD,
    State.REPORTED: What.REPORTED,
    State.DISMISSED: What.LEFT,
}
_SIDES = {"registered": What.OBJECTED, "uploader": What.CONTESTED}
_SHOWS = frozenset({ActionKind.RESTORED, ActionKind.NONE})
_ORDER = {what: place for place, what in enumerate(What)}


def follow_case(desk: Desk, person: PersonId) -> tuple[Followed, ...]:
    """All that this person has registered, oldest first."""
    now = desk.clock()
    with desk.store.transaction(snapshot=True) as unit:
        items = unit.following.items(person)
        found = unit.following.findings(person)
        decided = sorted({one.case for one in found if one.state in _FIRST}, key=str)
        appeals = unit.following.appeals(decided)
        asked = unit.following.takedowns(decided)
        acted = unit.following.acted(decided)
        repeats = unit.following.repeats(decided)
        floods = unit.floods.of(person)
    followed = []
    for item in items:
        stories = [
            _Story(one, _of(one, appeals), _of(one, asked), _of(one, acted), _of(one, repeats))
            for one in found
            if one.item == item.item and one.state is not State.WITHDRAWN
        ]
        lines = [
            Happening(What.RECEIVED, item.added_at),
            Happening(What.ACTIVE if item.active else What.WAITING, item.added_at),
            *sorted(
                (
                    *(line for story in stories for line in story.lines()),
                    *_flooded(floods.get(item.item)),
                ),
                key=_place,
            ),
        ]
        objections = tuple(
            may for story in stories if (may := story.objection(now, desk.appeal_window))
        )
        followed.append(
            Followed(item.item, item.kind, tuple(lines), _next(stories, objections), objections)
        )
    return tuple(followed)


def _flooded(
    flood: tuple[bool, bool, datetime, datetime | None] | None,
) -> Iterator[Happening]:
    """What she is told of an item that matched too much: neither how much, nor where."""
    if flood is None:
        return
    waits, kept_out, since, decided_at = flood
    if kept_out and decided_at is not None:
        yield Happening(What.KEPT_OUT, decided_at)
    if waits:
        yield Happening(What.QUARANTINED, since)


def _next(stories: list[_Story], objections: tuple[Open, ...]) -> Next:
    if not stories:
        return Next.NOTHING
    if any(story.undecided for story in stories):
        return Next.DECISION
    if objections:
        return Next.OBJECTION
    if any(story.shown for story in stories):
        return Next.SHOWN
    return Next.STOPPED if any(story.known for story in stories) else Next.ANSWERED


def _place(line: Happening) -> tuple[datetime, int]:
    return line.at, _ORDER[line.what]


def _of(finding: Finding, told: Iterable[_Told]) -> tuple[_Told, ...]:
    return tuple(one for one in told if one.case == finding.case)
