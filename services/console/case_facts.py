"""What a case page shows, read in one transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from pipeline.domain.case import UNDECIDED, Case, CaseUpload, State
from pipeline.domain.ids import CaseId, MediaId, ScreeningId
from pipeline.domain.media import WHOLE_CORNERS
from pipeline.domain.signal import Space
from pipeline.errors import Denied, NotFound
from pipeline.ports import CaseHit, Unit
from services.console import words
from services.console.pages import lasting
from services.console.scale import Scale, scale
from services.console.sessions import Session
from services.wiring import World

MOST_MATCHES = 24
MOST_UPLOADS = 50


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
    upload: int
    """Number of the upload in the case, from 1."""
    scale: Scale


@dataclass(frozen=True, slots=True)
class Picture:
    """An upload's picture, or why there is none."""

    id: MediaId
    upload: int
    held: bool
    why_not: str


@dataclass(frozen=True, slots=True)
class Facts:
    """A case as a page shows it."""

    case: Case
    age: str
    matches: tuple[Match, ...]
    left_out: int
    people: int
    uploads: tuple[tuple[CaseUpload, str], ...]
    platforms: tuple[tuple[str, int], ...]
    pictures: tuple[Picture, ...]
    mine: bool
    holder: str | None
    """Who else holds the case, by login."""
    seconds: int
    """Seconds that the lease still holds."""
    decided_by: str | None
    token: UUID | None = field(repr=False)
    """The lease's token, for its holder only."""

    @property
    def undecided(self) -> bool:
        """Whether somebody must still decide."""
        return self.case.state in UNDECIDED

    @property
    def decisions(self) -> tuple[tuple[State, str, str, tuple[object, ...]], ...]:
        """The decisions that this case may still take."""
        return tuple(one for one in words.DECISIONS if one[0] is not self.case.state)


def visible(unit: Unit, case: CaseId, session: Session, *, lock: bool = False) -> Case:
    """A case that this reviewer may see; ``NotFound``, or ``Denied`` when it is a senior's."""
    found = unit.cases.get(case, lock=lock)
    if found is None:
        raise NotFound("there is no such case; go back to the queue")
    if found.state is State.ESCALATED and not session.senior:
        raise Denied("this case was escalated; a senior reviewer decides it")
    return found


def facts_of(world: World, case_id: CaseId, session: Session) -> Facts:
    """Everything about one case, for one reviewer, at this moment."""
    now = world.desk.clock()
    with world.store.transaction(snapshot=True) as unit:
        case = visible(unit, case_id, session)
        hits, media = unit.cases.hits(case_id), unit.media.of_case(case_id)
        names = {row["id"]: str(row["name"]) for row in unit.platforms.all()}
        lease = case.lease if case.lease and case.lease.holds(now) else None
        logins = {row["id"]: str(row["login"]) for row in unit.reviewers.all()}
    mine = lease is not None and lease.reviewer == session.reviewer
    numbers = {upload.screening: at for at, upload in enumerate(case.uploads, start=1)}
    spaces = {space.name: space for space in world.spaces}
    named = [(upload, names.get(upload.platform, "?")) for upload in case.uploads]
    return Facts(
        case=case,
        age=lasting(now - case.opened_at),
        matches=tuple(_match(hit, numbers, spaces) for hit in hits[:MOST_MATCHES]),
        left_out=max(0, len(hits) - MOST_MATCHES),
        people=len({hit.person for hit in hits if hit.person is not None}),
        uploads=tuple(named[:MOST_UPLOADS]),
        platforms=tuple(sorted(Counter(name for _, name in named).items())),
        pictures=tuple(
            Picture(
                medium.id,
                numbers.get(medium.screening, 0),
                medium.blob and medium.destroyed_at is None,
                "it was destroyed" if medium.destroyed_at else "the platform sent hashes only",
            )
            for medium in media
        ),
        mine=mine,
        holder=logins.get(lease.reviewer) if lease and not mine else None,
        seconds=_left(lease.until, now) if lease else 0,
        decided_by=logins.get(case.verdict.reviewer) if case.verdict else None,
        token=lease.token if lease and mine else None,
    )


def _match(hit: CaseHit, numbers: Mapping[ScreeningId, int], spaces: Mapping[str, Space]) -> Match:
    return Match(
        signal=hit.signal,
        explained=words.explained(hit.signal),
        distance=hit.distance,
        threshold=hit.threshold,
        view=words.view(hit.view),
        part=_part(hit),
        source=words.source(hit.source),
        withdrawn=hit.withdrawn,
        witness=hit.witness,
        upload=numbers.get(hit.screening, 0),
        scale=scale(spaces.get(hit.signal), hit.distance, hit.threshold),
    )


def _part(hit: CaseHit) -> str | None:
    corners = hit.view.get("corners")
    if not corners or all(
        tuple(corner) == whole for corner, whole in zip(corners, WHOLE_CORNERS, strict=True)
    ):
        return None
    return " ".join(f"{100 * float(x):.1f},{100 * float(y):.1f}" for x, y in corners)


def _left(until: datetime, now: datetime) -> int:
    return max(0, int((until - now).total_seconds()))
