"""What the service answers, typed. A test holds these against the service's OpenAPI document."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict


class _Answer(BaseModel):
    """Fields that a newer service adds are kept, so that an old client goes on working."""

    model_config = ConfigDict(extra="allow", frozen=True)


class Stretch(_Answer):
    """A stretch of a video, in seconds, that shows a stretch of what was registered."""

    upload: tuple[float, float]
    entry: tuple[float, float] | None
    matched: int
    sampled: int
    distance: float


class Match(_Answer):
    """How near an upload came to something registered; never to whom it belongs."""

    signal: str
    distance: float
    threshold: float
    view: str
    case: UUID | None
    """None while a video is still being looked at."""
    witness: str | None = None
    stretches: tuple[Stretch, ...] = ()
    query_matched: float | None = None
    entry_matched: float | None = None


class Progress(_Answer):
    """How far a video has been looked at: frames, and the share of the work, 0 to 1."""

    done: int
    expected: int | None
    share: float


class Screening(_Answer):
    """The answer to an upload. ``verdict`` is what to act on."""

    screening: UUID
    content_id: str
    verdict: str
    """``clear``, ``review``, ``known`` or ``refused``; ``pending`` while a video is looked at."""
    case: UUID | None
    matches: tuple[Match, ...]
    notes: tuple[str, ...]
    refused: str | None
    message: str | None
    progress: Progress | None = None
    policy: str
    index_sequence: int
    received_at: datetime
    milliseconds: float


class Event(_Answer):
    """What you were to be told of a case, and whether you have heard."""

    id: str
    kind: str
    created_at: datetime
    delivered_at: datetime | None
    attempts: int


class CaseUpload(_Answer):
    """One of your own uploads in a case."""

    screening: UUID
    content_id: str


class Case(_Answer):
    """A case as you may see it: never who was matched, who decided, or in what words."""

    case: UUID
    state: str
    opened_at: datetime
    decision: str | None
    ground: str | None
    decided_at: datetime | None
    uploads: tuple[CaseUpload, ...]
    events: tuple[Event, ...]


Rating = Literal["intimate", "not_intimate", "unknown"]
