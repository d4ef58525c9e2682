"""The answer that every upload gets: clear, review, known, or refused by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from pipeline.domain.evidence import Stretch, read_stretch
from pipeline.domain.ids import CaseId, PlatformId, ScreeningId
from pipeline.domain.media import Upload
from pipeline.domain.policy import Match
from pipeline.domain.trace import Trace
from pipeline.domain.trial import Nearness
from pipeline.errors import RefusalReason


class Verdict(StrEnum):
    """What a platform is told."""

    CLEAR = "clear"
    REVIEW = "review"
    KNOWN = "known"
    REFUSED = "refused"
    PENDING = "pending"
    """A video is still being looked at. Told, never recorded."""


class Form(StrEnum):
    """What was screened."""

    FILE = "file"
    HASHES = "hashes"
    NOTICE = "notice"
    """An address that somebody named in a notice; we never had its bytes."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a video has been looked at."""

    frames: int
    expected: int | None
    """About how many frames there will be; unknown at first."""
    share: float

    def document(self) -> dict[str, Any]:
        """As JSON-ready data."""
        return {"done": self.frames, "expected": self.expected, "share": round(self.share, 3)}


@dataclass(frozen=True, slots=True)
class Answer:
    """One match as a platform may see it: how near, never who."""

    signal: str
    distance: float
    threshold: float
    view: str
    case: CaseId | None
    """None while a video is looked at: its case opens at the end."""
    witness: str | None = None
    """Why the match is believed, in words; see ``domain.witness``."""
    stretches: tuple[Stretch, ...] = ()
    """When, where the upload is a video."""
    shares: tuple[float, float] | None = None
    """How much of the uploaded video matched, and how much of what was registered, 0 to 1."""

    @staticmethod
    def of(match: Match, case: CaseId | None) -> Answer:
        """What may be told of a match that belongs to ``case``: not where a face lay."""
        hit = match.hit
        return Answer(
            hit.signal,
            hit.distance,
            match.threshold,
            hit.view.words,
            case,
            hit.witness,
            tuple(replace(stretch, path=()) for stretch in hit.stretches),
            hit.shares,
        )

    @staticmethod
    def read(document: Mapping[str, Any]) -> Answer:
        """A match from its document; those written before there were videos have no stretches."""
        return Answer(
            document["signal"],
            document["distance"],
            document["threshold"],
            document["view"],
            CaseId(UUID(document["case"])) if document["case"] else None,
            document["witness"],
            tuple(read_stretch(stretch) for stretch in document.get("stretches", ())),
            _shares(document),
        )

    def document(self) -> dict[str, Any]:
        """The match as JSON-ready data."""
        return {
            "signal": self.signal,
            "distance": self.distance,
            "threshold": self.threshold,
            "view": self.view,
            "case": str(self.case) if self.case else None,
            "witness": self.witness,
            "stretches": [stretch.document() for stretch in self.stretches],
            "query_matched": _percent(self.shares, 0),
            "entry_matched": _percent(self.shares, 1),
        }


def _percent(shares: tuple[float, float] | None, which: int) -> float | None:
    return None if shares is None else round(100 * shares[which], 1)


def _shares(document: Mapping[str, Any]) -> tuple[float, float] | None:
    query, entry = document.get("query_matched"), document.get("entry_matched")
    return None if query is None or entry is None else (query / 100, entry / 100)


@dataclass(frozen=True, slots=True)
class Screening:
    """One upload's screening, as it is recorded and answered.

    ``notes`` name what the answer could not rest on, such as ``low_quality:pdq``. A screening
    that is clear keeps no uploader: nothing about an innocent account is of use here.
    """

    id: ScreeningId
    platform: PlatformId
    upload: Upload
    form: Form
    verdict: Verdict
    policy: str
    index_seq: int
    received_at: datetime
    milliseconds: float
    bytes: int | None = None
    mime: str | None = None
    refusal: RefusalReason | None = None
    message: str | None = None
    matches: tuple[Answer, ...] = ()
    notes: tuple[str, ...] = ()
    case: CaseId | None = None
    progress: Progress | None = None
    trace: Trace | None = field(default=None, repr=False, compare=False)
    """What this upload leaves, to be found if somebody registers later; never read back."""
    blocks: bool | None = None
    """Whether the platform's policy says that this verdict blocks; None where nobody had said."""
    near: Nearness | None = None
    """What was near without a name, for dry runs; see ``domain.trial``."""
