"""What ``/v1/banks`` reads and writes, as OpenAPI shows it."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from pipeline.domain.bank import BankKind


class BankAnswered(BaseModel):
    """A bank, as far as it concerns you."""

    bank: str
    kind: BankKind = Field(
        description="`partner`: a partner's list, which raises cases. `negative`: known false"
        " matches, which take cases back."
    )
    test: bool = Field(description="The operator only tries it: it counts for nobody.")
    only_tried: bool = Field(description="You only try it: it does not count for you.")
    within: dict[str, float] = Field(
        description="How near an upload must come, by signal, where the list has its own distance."
    )
    would_have: int = Field(
        description="How many of your uploads of the last 90 days a person would have looked at"
        " while it was only tried."
    )


class BankAsked(BaseModel):
    """What you say of a bank, for yourself."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    only_tried: bool = Field(
        description="True: it counts for nothing of yours, and what it would have brought up is"
        " counted. False: it counts."
    )


class WouldHave(BaseModel):
    """An upload of yours that a person would have looked at."""

    screening: UUID
    at: datetime
