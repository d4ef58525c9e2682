"""When a face in an upload is alike enough for a person to look, and when faces are looked at."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from pipeline.domain.media import Rating
from pipeline.errors import Invalid

FACES = "faces"
"""The bank that templates of enrolled faces lie in."""


@dataclass(frozen=True, slots=True)
class Likeness:
    """Cosines of one pack.

    From ``review`` on a person looks; from ``strong`` on a stranger would seldom look so alike.
    """

    review: float
    strong: float

    def __post_init__(self) -> None:
        if not -1 <= self.review <= self.strong <= 1:
            raise Invalid(
                "faces: review and strong are cosines, and strong is no lower than review"
            )


@dataclass(frozen=True, slots=True)
class FaceRules:
    """The policy's part about faces.

    Faces are looked at in intimate uploads, never in those that are not. ``look_when_unknown``
    says what becomes of an upload that nobody rates: by default its faces are left alone, because
    an ordinary photo of a registered person must raise nothing. ``thresholds`` names packs.
    """

    look_when_unknown: bool = False
    thresholds: Mapping[str, Likeness] = field(default_factory=lambda: MappingProxyType({}))

    def look(self, rating: Rating) -> bool:
        """Whether faces matter in an upload of this rating."""
        unknown = rating is Rating.UNKNOWN and self.look_when_unknown
        return rating is Rating.INTIMATE or unknown

    def document(self) -> dict[str, Any]:
        """The rules as JSON-ready data; ``parse`` reads them back."""
        return {
            "look_when_unknown": self.look_when_unknown,
            "thresholds": {
                pack: {"review": wanted.review, "strong": wanted.strong}
                for pack, wanted in self.thresholds.items()
            },
        }


def parse(document: Any) -> FaceRules:
    """The rules from their document; raises ``Invalid`` naming the part that is wrong."""
    if not isinstance(document, Mapping) or set(document) - {"look_when_unknown", "thresholds"}:
        raise Invalid("faces has look_when_unknown and thresholds")
    look, named = document.get("look_when_unknown", False), document.get("thresholds", {})
    if not isinstance(look, bool):
        raise Invalid("faces.look_when_unknown is true or false")
    if not isinstance(named, Mapping):
        raise Invalid("faces.thresholds is an object of packs with review and strong")
    return FaceRules(look, {str(pack): _likeness(body, pack) for pack, body in named.items()})


def _likeness(body: Any, pack: Any) -> Likeness:
    if not isinstance(body, Mapping) or set(body) != {"review", "strong"}:
        raise Invalid(f"faces.thresholds.{pack} has review and strong")
    for name in ("review", "strong"):
        number = isinstance(body[name], int | float) and not isinstance(body[name], bool)
        if not number or not math.isfinite(body[name]):
            raise Invalid(f"faces.thresholds.{pack}.{name} is a cosine from -1 to 1")
    return Likeness(float(body["review"]), float(body["strong"]))
