"""What ``/v1/policy`` reads and writes, as OpenAPI shows it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from pipeline.domain.terms import LONGEST, Unknown
from services.api.schemas import Name

MOST_TRIED = 10_000


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class LimitAsked(_Asked):
    """How near a match must be."""

    distance: float = Field(
        ge=0,
        le=65_536,
        allow_inf_nan=False,
        description="Bits for a hash, at most; a cosine for a face or a picture, at least.",
    )
    false_positive_rate: float | None = Field(
        None, ge=0, le=1, description="The rate of strangers that you calibrated it at."
    )


Limits = Annotated[dict[Name, LimitAsked], Field(max_length=50)]


class PolicyAsked(_Asked):
    """Your terms, all of them optional; what is left out is as the operator has it."""

    signals: Limits = Field({}, description="How near, by signal, in every bank.")
    banks: dict[Name, Limits] = Field(
        {}, max_length=50, description="How near, by bank and signal; goes before `signals`."
    )
    unknown: Unknown | None = Field(
        None, description="What becomes of faces where you send the rating `unknown`."
    )
    blocks: list[Literal["review", "known", "refused", "pending"]] = Field(
        ["review", "known"],
        max_length=4,
        description="Verdicts that block an upload: answers say so in `blocks`. `known` always"
        " does.",
    )
    queue: Name | None = Field(None, description="The reviewers' queue that your cases go to.")
    deadline_hours: float | None = Field(
        None, ge=1, le=LONGEST, description="Within how many hours a case should be decided."
    )


class TryAsked(_Asked):
    """Terms to be tried on your newest uploads."""

    policy: PolicyAsked
    last: int = Field(1000, ge=1, le=MOST_TRIED, description="On how many uploads.")


class RangeAnswered(BaseModel):
    """From where to where a distance may be put."""

    least: float
    most: float


class ThresholdAnswered(BaseModel):
    """A distance that is in force for you."""

    bank: str
    signal: str
    distance: float
    second_witness: bool = Field(description="Whether something else must say the same.")
    false_positive_rate: float | None


class PolicyAnswered(BaseModel):
    """Your terms, and what judges your uploads because of them."""

    version: int = Field(description="Of your terms; 0 while you have set none.")
    policy: str = Field(description="As screenings name it.")
    set_at: datetime | None
    terms: PolicyAsked
    in_force: list[ThresholdAnswered]
    bounds: dict[str, dict[str, RangeAnswered]] = Field(
        description="How far you may move each bank's signals; the operator sets it."
    )


class VersionAnswered(BaseModel):
    """An earlier version of your terms."""

    version: int
    set_at: datetime
    set_by: str
    terms: PolicyAsked


class TrialAnswered(BaseModel):
    """What other terms would have said of your newest uploads. Nothing has changed."""

    tried: int = Field(description="Uploads that were judged again.")
    not_recorded: int = Field(description="Uploads too old to say anything of.")
    more: int = Field(description="Uploads that would have gone to review beside those that did.")
    more_cases: int = Field(description="The same counted by content: how many more cases.")
    fewer: int = Field(description="Uploads that went to review and would not have.")
    doubtful: int = Field(
        description="Uploads that would not have, unless a second witness had been found: nobody"
        " looked for one."
    )
    beyond: dict[str, int] = Field(
        description="By signal, uploads that were not looked at as far out as these terms ask."
        " What lay there is unknown: `more` is the least that it can be."
    )
    tests: dict[str, int] = Field(
        description="How many of these uploads banks that were only tried would have had a person"
        " look at, by bank."
    )
    since: datetime | None = Field(description="The oldest upload that was looked at.")
