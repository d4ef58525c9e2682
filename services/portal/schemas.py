"""What a person's device sends: codes and answers, nothing else."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from pipeline.journeys.register_codes import LONGEST, Clip, Still
from pipeline.media.crops import CROPS

Code = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Quality = Annotated[int, Field(ge=0, le=100)]
Slot = Annotated[int, Field(ge=0, lt=len(CROPS))]
Seconds = Annotated[float, Field(ge=0, le=LONGEST, allow_inf_nan=False)]


class _Strict(BaseModel):
    # A code must not come back in an error.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Picture(_Strict):
    """A picture: the code of the whole and of its crops."""

    kind: Literal["image"]
    codes: list[tuple[Slot, Code, Quality]] = Field(min_length=1, max_length=len(CROPS))


class Film(_Strict):
    """A clip: the codes of its frames with their times."""

    kind: Literal["video"]
    frames: list[tuple[Seconds, Code, Quality]] = Field(min_length=1, max_length=30_000)


class Answers(_Strict):
    """What she answered on the way."""

    adult: bool
    mine: bool
    intimate: bool

    @property
    def all_yes(self) -> bool:
        """Whether this is the right place for her."""
        return self.adult and self.mine and self.intimate


Key = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{43}$")]
"""32 random bytes of the device's: whoever sends them again is answered again (see ``Message``)."""


class Sent(_Strict):
    """One message from a device."""

    key: Key = Field(repr=False)
    consent: str = Field(max_length=100)
    answers: Answers
    items: list[Annotated[Picture | Film, Field(discriminator="kind")]] = Field(
        min_length=1, max_length=200
    )

    def taken(self) -> list[Still | Clip]:
        """The items, as the journey takes them."""
        return [_taken(item) for item in self.items]


def _taken(item: Picture | Film) -> Still | Clip:
    if isinstance(item, Film):
        return Clip(tuple((at, bytes.fromhex(code), quality) for at, code, quality in item.frames))
    return Still(tuple((slot, bytes.fromhex(code), quality) for slot, code, quality in item.codes))
