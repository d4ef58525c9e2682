"""What a case page shows, read in one transaction."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from pipeline.domain.case import (
    UNDECIDED,
    Case,
    CaseKind,
    CaseUpload,
    Ground,
    Purpose,
    State,
)
from pipeline.domain.enrolment import Enrolment
from pipeline.domain.house import why_first
from pipeline.domain.ids import CaseId, MediaId, ScreeningId
from pipeline.domain.media import WHOLE_CORNERS
from pipeline.domain.notice import Notice
from pipeline.domain.roles import Power, reads
from pipeline.domain.signal import Metric, Space
from pipeline.errors import Denied, NotFound
from pipeline.journeys.appeal import statement_of
from pipeline.journeys.notice import read as read_notice
from pipeline.ports import CaseHit, Opinion, Related, StoredMedium, Unit
from services.console import preferences, words
from services.console.preferences import Preferences
from services.console.scale import Scale, scale
from services.console.sessions import Session
from services.console.timeline import Timeline, timelines
from services.wiring import World

MOST_MATCHES = 24
MOST_UPLOADS = 50
_ANIMATED = {"image/gif", "image/webp", "image/avif", "image/apng"}
"""Kinds of files that may be a still or an animation; one that matched at times is the latter."""


@dataclass(frozen=True, slots=True)
class Match:
    """One thing that an upload of the case came near to."""

    signal: str
    explained: str
    distance: float
    threshold: float
    view: str
    part: str | None
    """The matched part as points of an SVG polygon in a square of 100; None for the whole."""
    source: str
    withdrawn: bool
    witness: str | None
    """Why it is believed, in words."""
    rate: str
    """How often strangers come this near, in words."""
    upload: int
    """Number of the upload in the case, from 1."""
    scale: Scale
    face: bool


@dataclass(frozen=True, slots=True)
class Picture:
    """An upload's picture, or why there is none."""

    id: MediaId
    upload: int
    held: bool
    why_not: str
    film: bool = False
    """Whether it is a video, which is shown a picture at a time."""
    begin: float = 0.0
    """Of a video, the moment that is shown first: where the first match begins."""
    boxes: tuple[Box, ...] = ()


@dataclass(frozen=True, slots=True)
class Box:
    """Where a face that matched lies in the picture."""

    points: str
    """An SVG polygon in a square of 100."""
    path: str
    """Of a video: seconds, left, top, right, bottom of each moment, in JSON; empty for a still."""


@dataclass(frozen=True, slots=True)
class Permission:
    """What one of the people concerned allows, namelessly."""

    person: int
    """Number of the person in the case, from 1."""
    purpose: str
    state: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Facts:
    """A case as a page shows it."""

    case: Case
    age: str
    due: str
    """How long the law still gives; empty without a clock."""
    reason: str
    """Why this case comes now."""
    matches: tuple[Match, ...]
    left_out: int
    people: int
    permissions: tuple[Permission, ...]
    uploads: tuple[tuple[CaseUpload, str], ...]
    platforms: tuple[tuple[str, int], ...]
    pictures: tuple[Picture, ...]
    timelines: tuple[Timeline, ...]
    history: tuple[Opinion, ...]
    related: tuple[Related, ...]
    repeats: int
    statement: str | None
    """What whoever appealed wrote."""
    side: str | None
    earlier: Case | None
    """The decided case that an appeal is about."""
    notice: Notice | None
    """What whoever gave notice wrote; None once it is destroyed, and without one."""
    enrolment: Enrolment | None
    """What a verifier is asked about; None once it is gone, and in every other kind of case."""
    rival: CaseId | None
    """The case about another person's enrolment of what looks like the same face."""
    grants: tuple[str, ...]
    """What grants say about an account that posted it, in words."""
    mine: bool
    holder: str | None
    """Who else holds the case, by pseudonym."""
    seconds: int
    """Seconds that the lease still holds."""
    undo_seconds: int
    """Seconds in which the decision can still be undone, by whoever made it."""
    decided_by: str | None
    second_person: bool
    """Whether one person's word is not enough to uphold it."""
    reason_below: float
    preferences: Preferences
    token: UUID | None = field(repr=False)
    """The lease's token, for its holder only."""

    @property
    def undecided(self) -> bool:
        """Whether somebody must still decide."""
        return self.case.state in UNDECIDED

    @property
    def played(self) -> frozenset[int]:
        """Numbers of the uploads whose timeline belongs to a player."""
        return frozenset(
            picture.upload
            for picture in self.pictures
            if self.mine and picture.film and picture.held
        )

    @property
    def clear(self) -> bool:
        """Whether the evidence is so clear that upholding or dismissing needs no words."""
        return self.case.nearness >= self.reason_below

    @property
    def decisions(self) -> tuple[tuple[State, str, str, tuple[Ground, ...]], ...]:
        """The decisions that this case may still take."""
        offered = words.decisions(self.case.kind)
        return tuple(one for one in offered if one[0] in self.case.answers)


def visible(unit: Unit, case: CaseId, session: Session, *, lock: bool = False) -> Case:
    """A case whose facts somebody may read; ``NotFound``, or ``Denied`` when they may not."""
    found = unit.cases.get(case, lock=lock)
    if found is None or found.purpose is Purpose.SPECIMEN:
        raise NotFound("there is no such case; go back to the queue")
    if not reads(session.role, found.kind, found.state):
        if found.state is State.ESCALATED and session.can(Power.DECIDE):
            raise Denied("this case was escalated; a senior reviewer decides it")
        raise Denied("this case is not for your role")
    if session.at_cases and unit.cases.excluded(case, session.reviewer):
        raise Denied("this case is for somebody else; take the next one")
    return found


def facts_of(world: World, case_id: CaseId, session: Session) -> Facts:
    """Everything about one case, for one reviewer, at this moment; the view is audited."""
    now = world.desk.clock()
    with world.store.transaction() as unit:
        case = visible(unit, case_id, session)
        who = f"reviewer:{session.reviewer}"
        unit.audit.append(who, "case.viewed", f"case:{case_id}", {})
        rules = unit.house.rules()
        hits, media = unit.cases.hits(case.subject), unit.media.of_case(case.subject)
        names = {row["id"]: str(row["name"]) for row in unit.platforms.all()}
        lease = case.lease if case.lease and case.lease.holds(now) else None
        called = {row["id"]: str(row["pseudonym"]) for row in unit.reviewers.all()}
        standing, _ = unit.cases.standing(case_id)
        permissions = unit.cases.consents(case.subject)
        opinions = unit.cases.opinions(case_id)
        related = unit.cases.related(case_id, case.subject)
        repeats = unit.cases.repeats(case.subject)
        appeal = unit.cases.appeal(case_id)
        statement = statement_of(unit, appeal) if appeal else None
        notice = read_notice(unit, case.subject) if case.kind is CaseKind.NOTICE else None
        earlier = unit.cases.get(case.subject) if case.kind is CaseKind.APPEAL else None
        enrolment, rival = _enrolment(unit, case)
    mine = lease is not None and lease.reviewer == session.reviewer
    numbers = {upload.screening: at for at, upload in enumerate(case.uploads, start=1)}
    spaces = {space.name: space for space in world.spaces}
    named = [(upload, names.get(upload.platform, "?")) for upload in case.uploads]
    pending = case.pending
    blind = case.state in UNDECIDED
    return Facts(
        case=case,
        age=words.lasting(now - case.opened_at),
        due=words.due(case.deadline, now),
        reason=words.reason(why_first(standing, rules.order), standing, now),
        matches=tuple(_match(hit, numbers, spaces) for hit in hits[:MOST_MATCHES]),
        left_out=max(0, len(hits) - MOST_MATCHES),
        people=len({hit.person for hit in hits if hit.person is not None}),
        permissions=tuple(Permission(*row) for row in permissions),
        uploads=tuple(named[:MOST_UPLOADS]),
        platforms=tuple(sorted(Counter(name for _, name in named).items())),
        pictures=tuple(
            _picture(medium, numbers, [hit for hit in hits if hit.screening == medium.screening])
            for medium in media
        ),
        timelines=timelines(hits, numbers),
        # Whoever decides sees what it was escalated for, never what somebody thought of it.
        history=tuple(
            said
            for said in opinions
            if not blind or said.verdict.state in (State.ESCALATED, State.FROZEN)
        ),
        related=tuple(one for one in related if case.purpose is Purpose.DECIDE),
        repeats=repeats if case.purpose is Purpose.DECIDE else 0,
        statement=statement,
        side=appeal.side if appeal else None,
        earlier=earlier,
        notice=notice,
        enrolment=enrolment,
        rival=rival,
        grants=tuple(dict.fromkeys(hit.grant for hit in hits if hit.grant)),
        mine=mine,
        holder=called.get(lease.reviewer) if lease and not mine else None,
        seconds=_left(lease.until, now) if lease else 0,
        undo_seconds=(
            _left(pending.until, now)
            if pending and pending.verdict.reviewer == session.reviewer
            else 0
        ),
        decided_by=called.get(case.verdict.reviewer) if case.verdict else None,
        second_person=case.kind is CaseKind.FACE and rules.second_person_for_faces,
        reason_below=rules.reason_below,
        preferences=preferences.of(rules, session.preferences),
        token=lease.token if lease and mine else None,
    )


def _enrolment(unit: Unit, case: Case) -> tuple[Enrolment | None, CaseId | None]:
    """What an enrolment's case asks about, and the case of the one that is like it."""
    if case.kind is not CaseKind.ENROLMENT:
        return None, None
    found = unit.enrolments.of_case(case.id)
    other = unit.enrolments.get(found.rival) if found and found.rival else None
    return found, other.case if other else None


def _match(hit: CaseHit, numbers: Mapping[ScreeningId, int], spaces: Mapping[str, Space]) -> Match:
    return Match(
        signal=hit.signal,
        explained=words.explained(hit.signal),
        distance=hit.distance,
        threshold=hit.threshold,
        view=words.view(hit.view),
        part=_part(hit),
        source=words.source(hit.source, face=_is_face(hit)),
        withdrawn=hit.withdrawn,
        witness=hit.witness,
        rate=words.rate(hit.signal, hit.distance, hit.threshold),
        upload=numbers.get(hit.screening, 0),
        scale=scale(spaces.get(hit.signal), Metric(hit.metric), hit.distance, hit.threshold),
        face=_is_face(hit),
    )


def _picture(
    medium: StoredMedium, numbers: Mapping[ScreeningId, int], hits: Sequence[CaseHit]
) -> Picture:
    mime = medium.mime or ""
    begins = [stretch.upload[0] for hit in hits for stretch in hit.stretches]
    return Picture(
        medium.id,
        numbers.get(medium.screening, 0),
        medium.blob and medium.destroyed_at is None,
        "it was destroyed" if medium.destroyed_at else "the platform sent hashes only",
        mime.startswith("video/") or (bool(begins) and mime in _ANIMATED),
        min(begins, default=0.0),
        tuple(
            Box(part, _path(hit))
            for hit in hits
            if _is_face(hit) and not hit.withdrawn and (part := _part(hit))
        ),
    )


def _is_face(hit: CaseHit) -> bool:
    return hit.metric == Metric.INNER_PRODUCT


def _path(hit: CaseHit) -> str:
    """Where a face lies in a video, moment by moment; the best one alone where no more is known."""
    places = [
        [place.time, *(100 * side for side in (place.left, place.top, place.right, place.bottom))]
        for stretch in hit.stretches
        for place in stretch.path
    ]
    best, corners = hit.view.get("time"), hit.view.get("corners")
    if not places and best is not None and corners:
        (left, top), _, (right, bottom), _ = corners
        places = [[float(best), *(100 * float(side) for side in (left, top, right, bottom))]]
    return json.dumps([[round(value, 2) for value in place] for place in places]) if places else ""


def _part(hit: CaseHit) -> str | None:
    corners = hit.view.get("corners")
    if not corners or all(
        tuple(corner) == whole for corner, whole in zip(corners, WHOLE_CORNERS, strict=True)
    ):
        return None
    return " ".join(f"{100 * float(x):.1f},{100 * float(y):.1f}" for x, y in corners)


def _left(until: datetime, now: datetime) -> int:
    return max(0, int((until - now).total_seconds()))
