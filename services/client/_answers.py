"""What the service answers, typed. A test holds these against the service's OpenAPI document."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field


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
    """``clear``, ``review``, ``known`` or ``refused``; ``pending`` while a video is looked at, or a
    file fetched."""
    blocks: bool = False
    """Whether your policy says that this verdict holds the upload back."""
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
    """The first 100; ``case_uploads`` has all."""
    uploads_next: str | None = None
    events: tuple[Event, ...]


class CaseListed(_Answer):
    """A case in a list."""

    case: UUID
    state: str
    opened_at: datetime
    decision: str | None
    decided_at: datetime | None


class Result(_Answer):
    """One upload of a batch: its answer, or the problem with it as a document."""

    content_id: str
    screening: Screening | None
    problem: dict[str, Any] | None


class Batch(_Answer):
    """A batch of addresses: how far it has come, and a page of its results, in order."""

    batch: UUID
    state: str
    """``pending``, or ``completed`` once every upload has its answer."""
    total: int
    answered: int
    received_at: datetime
    completed_at: datetime | None
    results: tuple[Result, ...]
    next: str | None


class Action(_Answer):
    """What you did with an upload, as it is kept."""

    action: str
    at: datetime
    told_at: datetime
    note: str | None = Field(repr=False)


class PublicKey(_Answer):
    """What ``v1a`` signatures are checked with, until a time after a rotation."""

    key: str
    until: datetime | None


class Webhook(_Answer):
    """Where you are told."""

    webhook: UUID
    url: str
    events: tuple[str, ...]
    """Those that it chose; none means all."""
    created_at: datetime
    public_keys: tuple[PublicKey, ...]


class WebhookOpened(Webhook):
    """A webhook with its newest secret: keep it now."""

    secret: str = Field(repr=False)
    generation: int


class Attempt(_Answer):
    """One attempt to tell you."""

    event: str
    kind: str
    at: datetime
    attempt: int
    delivered: bool
    status: int | None
    error: str | None
    milliseconds: float


class Told(_Answer):
    """An event, as a webhook gets it."""

    event: str
    kind: str
    case: UUID | None
    created_at: datetime
    delivered_at: datetime | None
    body: dict[str, Any]


class Forwarded(_Answer):
    """A notice that you passed on: a person decides before the deadline."""

    case: UUID
    received_at: datetime
    deadline: datetime
    code: str | None = Field(repr=False)
    """For whoever wrote it, to follow it with; told once."""


class Threshold(_Answer):
    """A distance that is in force for you."""

    bank: str
    signal: str
    distance: float
    second_witness: bool
    false_positive_rate: float | None


class Policy(_Answer):
    """Your terms, and what judges your uploads because of them."""

    version: int
    """Of your terms: give it back when you set others. 0 while you have set none."""
    policy: str
    set_at: datetime | None
    terms: dict[str, Any]
    in_force: tuple[Threshold, ...]
    bounds: dict[str, dict[str, Any]]


class PolicyVersion(_Answer):
    """An earlier version of your terms."""

    version: int
    set_at: datetime
    set_by: str
    terms: dict[str, Any]


class Trial(_Answer):
    """What other terms would have said of your newest uploads."""

    tried: int
    not_recorded: int
    more: int
    more_cases: int
    fewer: int
    doubtful: int
    beyond: dict[str, int]
    tests: dict[str, int]
    since: datetime | None


class Bank(_Answer):
    """A bank, as far as it concerns you."""

    bank: str
    kind: str
    test: bool
    only_tried: bool
    within: dict[str, float]
    would_have: int


class WouldHave(_Answer):
    """An upload that a person would have looked at, had a tried list counted."""

    screening: UUID
    at: datetime


ActionKind = Literal["removed", "restricted", "labelled", "restored", "none"]
Rating = Literal["intimate", "not_intimate", "unknown"]
