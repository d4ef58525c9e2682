"""The reasons that an uploader must be given for a restriction (EU Digital Services Act, Art. 17).

A statement is about one upload and names nobody: not who registered, not who decided, not the
account. What it rests on is the case, and what the platform told of the upload.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from pipeline.domain.action import AGAINST_UPLOADER, ActionKind, PlatformAction
from pipeline.domain.case import CaseKind
from pipeline.domain.ids import CaseId, ScreeningId


class Content(StrEnum):
    """What kind of content it is, as far as we know."""

    IMAGE = "image"
    VIDEO = "video"
    UNSEEN = "unseen"
    """An address in a notice: we never had its bytes."""


@dataclass(frozen=True, slots=True)
class Statement:
    """What the reasons are made of."""

    case: CaseId
    screening: ScreeningId
    kind: CaseKind
    content: Content
    restriction: ActionKind
    """What the platform did; removal where it has not told yet, which is what was decided."""
    uploaded: date
    decided: date
    applied: date
    """Since when the restriction holds."""
    by_repeat: bool
    """Nobody looked at this upload: it repeats content that a person had upheld."""

    @property
    def noticed(self) -> bool:
        """Whether somebody told of it; otherwise software found it."""
        return self.kind is CaseKind.NOTICE


def content_of(mime: str | None, *, notice: bool) -> Content:
    """What kind of content an upload is."""
    if notice:
        return Content.UNSEEN
    return Content.VIDEO if (mime or "").startswith("video/") else Content.IMAGE


def restriction_of(
    actions: Sequence[PlatformAction], decided: datetime
) -> tuple[ActionKind, datetime] | None:
    """The restriction in force and since when; None where the platform has lifted it or left it.

    The last action counts. Without one, what was decided counts: it must go.
    """
    if not actions:
        return ActionKind.REMOVED, decided
    last = actions[-1]
    return (last.kind, last.at) if last.kind in AGAINST_UPLOADER else None
