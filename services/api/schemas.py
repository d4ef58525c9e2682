"""What the API reads and writes, as OpenAPI shows it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from pipeline.domain.case import Ground, State
from pipeline.domain.media import Rating
from pipeline.domain.screening import Verdict
from pipeline.errors import RefusalReason

_NO_CONTROLS = r"^[^\x00-\x1f\x7f-\x9f]+$"
_HEX_256 = r"^[0-9a-fA-F]{64}$"

Name = Annotated[str, StringConstraints(min_length=1, max_length=512, pattern=_NO_CONTROLS)]
"""What a platform calls a content or an account: 1 to 512 characters, none of them a control."""

LONGEST_LIST = 64
"""How many hashes one request may bring."""


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)


def _whole(value: object) -> object:
    """JSON has one kind of number: 17.0 is a whole one."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


class HashAsked(_Asked):
    """One hash that the platform computed."""

    signal: str = Field(description="The kind of hash.", max_length=40)
    hash: Annotated[str, StringConstraints(pattern=_HEX_256)] = Field(
        description="256 bits as 64 hexadecimal digits, most significant first.", repr=False
    )
    quality: Annotated[int, BeforeValidator(_whole)] = Field(
        100, ge=0, le=100, description="PDQ's quality, when it is known."
    )


class HashesAsked(_Asked):
    """An upload that the platform hashed itself."""

    content_id: Name = Field(description="What the platform calls this upload.")
    uploader: Name | None = Field(None, description="What the platform calls the account.")
    rating: Rating = Field(Rating.UNKNOWN, description="What the platform says of the content.")
    hashes: list[HashAsked] = Field(min_length=1, max_length=LONGEST_LIST)


LONGEST_BATCH = 1000
MOST_REFERENCES = 100


class ReferenceAsked(_Asked):
    """An upload that lies at an address of the platform's own."""

    content_id: Name = Field(description="What the platform calls this upload.")
    uploader: Name | None = Field(None, description="What the platform calls the account.")
    rating: Rating = Field(Rating.UNKNOWN, description="What the platform says of the content.")
    media_url: str = Field(
        description="Where the file lies, on a host that an operator has entered for you.",
        min_length=9,
        max_length=2048,
        pattern=r"^https?://[\x21-\x7e]+$",
    )


class HashBatch(_Asked):
    """Up to 1,000 uploads that the platform hashed itself."""

    hashes: list[HashesAsked] = Field(min_length=1, max_length=LONGEST_BATCH)


class ReferenceBatch(_Asked):
    """Up to 100 uploads by address."""

    references: list[ReferenceAsked] = Field(min_length=1, max_length=MOST_REFERENCES)


class StretchAnswered(BaseModel):
    """A stretch of an uploaded video that shows a stretch of what was registered."""

    upload: tuple[float, float] = Field(description="From and to in the upload, in seconds.")
    entry: tuple[float, float] | None = Field(
        description="The same moments in the registered video; null for a registered image."
    )
    matched: int = Field(description="How many of the frames looked at matched.")
    sampled: int = Field(description="How many frames of this stretch were looked at.")
    distance: float = Field(description="The median of their distances.")


class MatchAnswered(BaseModel):
    """How near the upload came to something registered; never to whom it belongs."""

    signal: str
    distance: float = Field(description="Bits for a hash; cosine for a face.")
    threshold: float = Field(description="What the distance had to be within.")
    view: str = Field(description="How the upload was looked at when it matched.")
    case: UUID | None = Field(description="null while a video is still being looked at.")
    witness: str | None = Field(
        default=None,
        description="Why a match is believed: near enough alone, or what else says the same.",
    )
    stretches: list[StretchAnswered] = Field(
        default=[], description="When it matched, where the upload is a video."
    )
    query_matched: float | None = Field(
        default=None, description="How much of the uploaded video matched, in percent."
    )
    entry_matched: float | None = Field(
        default=None, description="How much of the registered video is shown, in percent."
    )


class ProgressAnswered(BaseModel):
    """How far a video has been looked at."""

    done: int = Field(description="Frames looked at.")
    expected: int | None = Field(description="About how many there will be; unknown at first.")
    share: float = Field(description="How much of the work is done, 0 to 1.")


class ScreeningAnswered(BaseModel):
    """The answer to an upload."""

    screening: UUID
    content_id: str
    verdict: Verdict = Field(
        description="clear: nothing was found. review: a person will decide; the case says how."
        " known: a person upheld this very content before. refused: the file cannot be screened."
        " pending: a video is being looked at, or a file fetched; matches are those that are"
        " certain already."
    )
    case: UUID | None
    matches: list[MatchAnswered]
    notes: list[str] = Field(description="What the answer could not rest on, by name.")
    refused: RefusalReason | None = Field(description="Why the file cannot be screened.")
    message: str | None = Field(description="The same in words.")
    progress: ProgressAnswered | None = Field(
        default=None, description="While a video is looked at: ask again until this is null."
    )
    policy: str = Field(
        description="The version of the policy that judged: the operator's, and after a + yours."
    )
    blocks: bool | None = Field(
        default=None,
        description="Whether your policy says that this verdict blocks the upload; null for"
        " answers older than policies.",
    )
    index_sequence: int = Field(description="The step of the change log that was in force.")
    received_at: datetime
    milliseconds: float


class UploadAnswered(BaseModel):
    """One of the asking platform's own uploads in a case."""

    screening: UUID
    content_id: str


class EventAnswered(BaseModel):
    """What the platform was to be told of a case, and whether it has heard."""

    id: str
    kind: str
    created_at: datetime
    delivered_at: datetime | None
    attempts: int


class CaseAnswered(BaseModel):
    """A case as one platform may see it: never who was matched, who decided, or in what words."""

    case: UUID
    state: State
    opened_at: datetime
    decision: State | None = Field(
        description="upheld or dismissed, once a person decided; an appeal that turned it round is"
        " in the state."
    )
    ground: Ground | None
    decided_at: datetime | None
    uploads: list[UploadAnswered] = Field(
        description="The asking platform's own, no others; the first 100."
    )
    uploads_next: str | None = Field(
        None, description="The cursor of more of them, at /v1/cases/{case}/uploads; null for none."
    )
    events: list[EventAnswered]


class AppealAsked(BaseModel):
    """Why an uploader thinks that a decision is wrong, in their own words."""

    model_config = ConfigDict(extra="forbid")

    statement: str = Field(min_length=1, max_length=4000, pattern=r"\S")


class AppealAnswered(BaseModel):
    """An appeal that was taken in; somebody who had no part in the decision decides it."""

    appeal: UUID
    case: UUID


EventKind = Annotated[str, StringConstraints(max_length=64)]


class WebhookAsked(_Asked):
    """Where you want to be told, and of what."""

    url: str = Field(
        description="An https address of yours on the internet. Redirects are not followed.",
        min_length=9,
        max_length=2048,
        pattern=r"^https?://[\x21-\x7e]+$",
    )
    events: list[EventKind] = Field(
        default_factory=list,
        max_length=64,
        description="The events that you want there; none means all, those of later versions too.",
    )


class PublicKeyAnswered(BaseModel):
    """What `v1a` signatures are checked with."""

    key: str = Field(description="`whpk_` and base64, as Standard Webhooks writes it.")
    until: datetime | None = Field(description="When it ends; null for the newest.")


class WebhookAnswered(BaseModel):
    """A webhook of yours. Its secret is shown when it is made, and never again."""

    webhook: UUID
    url: str
    events: list[str] = Field(description="The events that it chose; none means all.")
    created_at: datetime
    public_keys: list[PublicKeyAnswered] = Field(
        description="Each message is signed by the private half of each of these (`v1a`)."
    )


class WebhookOpened(WebhookAnswered):
    """A webhook with its newest secret: keep it now."""

    secret: str = Field(
        description="`whsec_` and base64: what signs each message (`v1`).", repr=False
    )
    generation: int = Field(description="Which one it is, counted from 0.")


class RotationAsked(_Asked):
    """For how long the earlier secret and key go on signing."""

    overlap_hours: Annotated[int, BeforeValidator(_whole)] = Field(
        24, ge=0, le=168, description="Hours in which old and new both sign each message."
    )


class ReplayEvent(_Asked):
    """One event, whatever the webhook chose."""

    event: Annotated[str, StringConstraints(pattern=r"^evt_[0-9a-f]{32}$")]


class ReplaySince(_Asked):
    """All events since a time that the webhook chose."""

    since: AwareDatetime


class ReplayAnswered(BaseModel):
    """How many events will be told again."""

    queued: int


class AttemptAnswered(BaseModel):
    """One attempt at delivery; nothing of what was sent, and nothing of your answer's body."""

    event: str
    kind: str
    at: datetime
    attempt: int = Field(description="Counted from 1; a replay counts anew.")
    delivered: bool = Field(description="Your side answered with a 2xx status.")
    status: int | None = Field(description="Your side's status; null where there was no answer.")
    error: str | None
    milliseconds: float


class ToldAnswered(BaseModel):
    """An event of yours, as it was or will be told."""

    event: str
    kind: str
    case: UUID | None
    created_at: datetime
    delivered_at: datetime | None = Field(description="When it first reached one of your webhooks.")
    body: dict[str, Any] = Field(description="What a webhook gets.")


class CaseListed(BaseModel):
    """A case in which you have an upload, in a list."""

    case: UUID
    state: State
    opened_at: datetime
    decision: State | None
    decided_at: datetime | None


class Health(BaseModel):
    """The process is up."""

    status: str = "ok"


class Readiness(BaseModel):
    """Whether uploads can be answered now."""

    ready: bool
    index: bool = Field(description="The index is loaded and in touch with the change log.")
    database: bool = Field(description="The database answers.")
    sequence: int | None = Field(description="The step of the change log in force here.")
    head: int | None = Field(description="The newest step there is.")


class FieldError(BaseModel):
    """One thing that is wrong, without the value."""

    where: str
    problem: str


class Problem(BaseModel):
    """RFC 9457 problem details. Build on ``code``, which stays; words may change."""

    type: str = Field(description="urn:consentry:problem:<code>")
    title: str
    status: int
    detail: str
    code: str
    instance: str = Field(description="urn:consentry:request:<X-Request-Id>")
    errors: list[FieldError] | None = Field(
        None, description="With 422: each field.", json_schema_extra={"type": "array"}
    )


class ResultAnswered(BaseModel):
    """One upload of a batch: its answer, or the problem with it. Send those with 5xx again."""

    content_id: str
    screening: ScreeningAnswered | None
    problem: Problem | None


class BatchAnswered(BaseModel):
    """The results of a batch, in the order in which its uploads were sent."""

    results: list[ResultAnswered]


class BatchState(StrEnum):
    """How far a batch has come."""

    PENDING = "pending"
    COMPLETED = "completed"


class BatchStanding(BaseModel):
    """A batch of uploads by address: how far it has come, and a page of its results.

    Each upload has its screening from the beginning: `pending` until it was fetched and looked at.
    One whose address gives nothing ends as `refused`, for `unreachable`.
    """

    batch: UUID
    state: BatchState = Field(description="completed once every upload has its answer.")
    total: int = Field(description="How many uploads it holds.")
    answered: int
    received_at: datetime
    completed_at: datetime | None
    results: list[ResultAnswered] = Field(description="In the order in which they were sent.")
    next: str | None = Field(description="The cursor of the next page; null on the last one.")


UPLOAD_FORM: dict[str, Any] = {
    "type": "object",
    "required": ["content_id", "file"],
    "additionalProperties": False,
    "properties": {
        "content_id": {
            "type": "string",
            "minLength": 1,
            "maxLength": 512,
            "pattern": _NO_CONTROLS,
            "description": "What the platform calls this upload.",
        },
        "uploader": {
            "type": "string",
            "minLength": 1,
            "maxLength": 512,
            "pattern": _NO_CONTROLS,
            "description": "What the platform calls the account.",
        },
        "rating": {"type": "string", "enum": [rating.value for rating in Rating]},
        "file": {"type": "string", "format": "binary", "description": "The image or video."},
    },
}
"""The form that ``POST /v1/screenings`` reads; its parts are parsed in ``bodies``, as a stream."""


class UploadFields(_Asked):
    """The form's fields besides the file."""

    content_id: Name
    uploader: Name | None = None
    rating: Rating = Rating.UNKNOWN
