"""An entry suddenly matches many unrelated uploads: which hits count, which pictures differ.

A registered picture with a plain part, or a code of a partner's list that is somebody's logo, comes
roughly near to much that has nothing to do with it. Such hits are *loose*: further off than a copy
of the same picture would be, and nothing else speaks for them. Only loose hits are counted, only
loose hits are ever put aside, and only by the codes that they fell on. A close copy raises a case
whatever an entry has matched before: nobody's copies can be hidden by flooding her entry.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from pipeline.domain.evidence import Hit
from pipeline.domain.likeness import Likeness
from pipeline.domain.policy import Match
from pipeline.domain.signal import Metric
from pipeline.domain.trace import in_all_turns
from pipeline.domain.witness import Witness

QUARANTINE = "quarantine"
"""The note on an answer whose case waits for a lead's word on the entry."""

KEPT_OUT = "kept_out"
"""The note on an answer without what a lead has kept out."""

CLOSE = {"pdq": 12.0, "phash": 8.0, "bytes": 0.0}
"""Within which distance a hit is a copy of the same picture, whatever else its entry matches."""

SAME = 31
"""Two uploads within so many bits of PDQ, in any turn, are one picture."""


def code_of(hit: Hit) -> str:
    """The code of an item that a hit fell on: its signal and slot."""
    return f"{hit.signal}/{hit.slot}"


def is_loose(hit: Hit, likeness: Mapping[str, Likeness]) -> bool:
    """Whether a hit is only roughly alike, with nothing else that speaks for it."""
    if hit.metric is Metric.INNER_PRODUCT:
        grade = likeness.get(hit.signal)
        return grade is None or hit.distance < grade.strong
    if hit.witness not in (None, Witness.NEAR):
        return False
    return hit.distance > CLOSE.get(hit.signal, -1.0)


def is_put_aside(hit: Hit, likeness: Mapping[str, Likeness]) -> bool:
    """Whether a hit is kept out, or waits for a lead's word on that."""
    code = code_of(hit)
    return (code in hit.owner.kept_out or code in hit.owner.parked) and is_loose(hit, likeness)


def without_kept_out(
    hits: Iterable[Hit], likeness: Mapping[str, Likeness]
) -> tuple[tuple[Hit, ...], int]:
    """The hits that still count after what leads have kept out, and how many do not."""
    seen = tuple(hits)
    kept = tuple(
        hit for hit in seen if not (code_of(hit) in hit.owner.kept_out and is_loose(hit, likeness))
    )
    return kept, len(seen) - len(kept)


def is_parked(matches: Iterable[Match], likeness: Mapping[str, Likeness]) -> bool:
    """Whether all that speaks for a case waits for a lead's word."""
    return all(
        code_of(match.hit) in match.hit.owner.parked and is_loose(match.hit, likeness)
        for match in matches
    )


def unrelated(pictures: Iterable[NDArray[np.uint8] | None]) -> int:
    """How many different pictures these are, by their PDQ codes (32 bytes each).

    A picture whose code nobody has counts as one of its own.
    """
    unknown, told = 0, np.empty((0, 32), np.uint8)
    for code in pictures:
        if code is None:
            unknown += 1
            continue
        turns = in_all_turns(code.reshape(1, 32))[:, 0]
        bits = np.bitwise_count(turns[:, None] ^ told[None]).sum(axis=2)
        if not (bits <= SAME).any():
            told = np.concatenate([told, code.reshape(1, 32)])
    return unknown + len(told)
