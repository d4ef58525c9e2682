"""The family of gates: is this upload intimate?

A face alone is no reason to look at an upload: people may appear in ordinary photos. A gate says
whether an upload is intimate, so that only then a face in it counts. A member is one file with
``build(**settings)``, which returns a ``Gate``. What a gate cannot say it leaves to the next one:
the first answer other than ``unknown`` stands (``first_answer``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from pipeline.domain.media import Media, Rating, Upload


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a gate says of one upload, and how it came to say so, in words for a reviewer."""

    rating: Rating
    gate: str
    reason: str


class Gate(Protocol):
    """Rates uploads. It sees pixels, keeps none, and decides about nothing else."""

    @property
    def name(self) -> str:
        """The gate's name and revision, as it stands in a case."""
        ...

    @property
    def looks(self) -> bool:
        """Whether it looks at pixels; what another says is known before an upload is decoded."""
        ...

    def rate(self, upload: Upload, media: Media) -> Verdict:
        """Whether this upload is intimate; ``unknown`` when this gate cannot tell."""
        ...


def first_answer(gates: Sequence[Gate], upload: Upload, media: Media) -> Verdict:
    """The verdict of the first gate that knows; without one, ``unknown`` in the name of all."""
    for gate in gates:
        verdict = gate.rate(upload, media)
        if verdict.rating is not Rating.UNKNOWN:
            return verdict
    asked = ", ".join(gate.name for gate in gates) or "no gate"
    return Verdict(Rating.UNKNOWN, asked, "nobody could say whether this upload is intimate")
