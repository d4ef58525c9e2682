"""What platforms tell us: what they did, and notices that they received."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from pipeline.domain.action import LONGEST_NOTE, ActionKind
from pipeline.domain.notice import LONGEST, MOST_LOCATIONS
from services.api.schemas import Name

Text = Annotated[str, Field(max_length=LONGEST)]


class _Told(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class ActionTold(_Told):
    """What you did with an upload."""

    action: ActionKind = Field(
        description="removed: nobody can see it. restricted: fewer can. labelled: it has a warning."
        " restored: it is as it was before. none: you looked and left it."
    )
    at: AwareDatetime = Field(description="When, with its time zone.")
    note: str | None = Field(
        None,
        max_length=LONGEST_NOTE,
        description="In your words. It is kept sealed and goes when a person concerned leaves.",
    )


class ActionAnswered(BaseModel):
    """One action as it is kept."""

    action: ActionKind
    at: AwareDatetime
    told_at: AwareDatetime
    note: str | None


class ActionsAnswered(BaseModel):
    """All that you told of an upload, oldest first."""

    screening: UUID
    actions: list[ActionAnswered]


class NoticeTold(_Told):
    """A notice that you received, with the elements that make it valid."""

    reference: Name = Field(
        description="What you call this notice: told again, it is the same notice."
    )
    locations: list[Annotated[str, Field(max_length=2000)]] = Field(
        max_length=MOST_LOCATIONS,
        description="The exact address of each content, http or https.",
    )
    explanation: Text = Field(
        description="What is to be seen there and why it must go, in three words or more."
    )
    not_consented: bool = Field(
        description="Stated in good faith: the person shown did not consent to its publication."
    )
    accurate: bool = Field(
        description="Stated in good faith: what the notice says is accurate and complete."
    )
    signature: Annotated[str, Field(max_length=200)] = Field(
        description="The name or signature of whoever wrote it."
    )
    contact: Annotated[str, Field(max_length=200)] = Field(
        description="An e-mail address or a telephone number."
    )
    for_another: bool = Field(False, description="Written on behalf of the person shown.")
    received_at: AwareDatetime | None = Field(
        None,
        description="When you received it, at most 30 days ago: the 48 hours began then."
        " Without it, now.",
    )


class NoticeAnswered(BaseModel):
    """A notice that was taken in: a person decides before the deadline."""

    case: UUID
    received_at: AwareDatetime
    deadline: AwareDatetime
    code: str | None = Field(
        description="For whoever wrote the notice: with it they can follow it and take it back in"
        " the portal. Told once; null when you pass the same notice on again."
    )
