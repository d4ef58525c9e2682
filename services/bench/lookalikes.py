"""``consentry bench lookalikes``: pairs that look alike and are not the same, judged on hashes.

Every picture of a family is registered and every other one is uploaded, with all views, crops,
second witnesses and pHash, by the thresholds that a deployment starts with.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from pipeline import plugins
from pipeline.domain.media import Frame, Side
from pipeline.domain.policy import DEFAULT
from pipeline.domain.witness import Thresholds
from pipeline.signals import SignalType
from services.bench import Target
from services.bench._gallery import Eye, Gallery
from services.bench._lookalikes import KINDS, Kind
from services.bench.alterations import Picture

PAIRS = 50_000


@dataclass(slots=True)
class Outcome:
    """How many pairs of a kind there were, and how many would have reached a person, and why."""

    kind: Kind
    pairs: int = 0
    reached: int = 0
    unregistered: int = 0
    """Pictures that say too little to be registered at all."""
    why: Counter[str] = field(default_factory=Counter)


def measure(
    pairs: int = PAIRS, seed: int = 1, progress: Callable[[str], None] = lambda _: None
) -> dict[str, Any]:
    """So many pairs, an equal share of each kind, as a document with rows, notes and targets."""
    cv2.setNumThreads(1)
    eye, phash = Eye(plugins.build("signals", "pdq")), plugins.build("signals", "phash")
    share = -(-pairs // len(KINDS))
    found = []
    for kind in KINDS:
        outcome = Outcome(kind)
        for pictures in kind.families(share, seed):
            judged(eye, phash, pictures, outcome)
            progress(f"{kind.name}: {outcome.pairs} of {share} pairs, {outcome.reached} reached")
        found.append(outcome)
    strange = [one for one in found if one.kind.same is None]
    return {
        "rows": [
            {
                "kind": one.kind.name,
                "pairs": one.pairs,
                "to a person": one.reached,
                "why": ", ".join(f"{why} {count}" for why, count in one.why.most_common()) or "-",
            }
            for one in found
        ],
        "notes": [f"{one.kind.name}: {one.kind.same}" for one in found if one.kind.same],
        "targets": [
            Target("pairs of lookalikes", float(sum(one.pairs for one in found)), float(pairs))
            .document(),
            Target(
                "of two pictures, to a person on hashes alone",
                float(sum(one.reached for one in strange)), 0.0, at_least=False,
            ).document(),
        ],
    }  # fmt: skip


def judged(eye: Eye, phash: SignalType, pictures: Sequence[Picture], outcome: Outcome) -> None:
    """Every picture of a family against every other one; adds up in ``outcome``."""
    entries = [eye.register(str(at), one, features=False) for at, one in enumerate(pictures)]
    outcome.unregistered += sum(not entry.codes for entry in entries)
    gallery = Gallery(eye, entries)
    near = _alike(phash, pictures)
    for at, picture in enumerate(pictures):
        asked = eye.look(picture, features=False)
        reasons = {
            int(finding.entry): finding.witness.value
            for finding in gallery.screen(asked, Thresholds(), features=False)
        }
        reasons |= {
            int(other): "pHash" for other in np.flatnonzero(near[at]) if other not in reasons
        }
        reasons.pop(at, None)
        outcome.pairs += len(pictures) - 1
        outcome.reached += len(reasons)
        outcome.why.update(reasons.values())


def _alike(phash: SignalType, pictures: Sequence[Picture]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which uploads (rows) are near which registered pictures (columns) by pHash alone."""
    radius = DEFAULT.radius("phash")
    assert radius is not None
    frames = [Frame(np.ascontiguousarray(one)) for one in pictures]
    stored = phash.compute(frames, Side.REGISTERED)
    asked = phash.compute(frames, Side.QUERY)
    bits = np.bitwise_count(asked.codes[:, None] ^ stored.codes[None]).sum(-1, dtype=np.int64)
    telling = asked.quality[:, None] >= phash.minimum_quality
    telling = telling & (stored.quality[None] >= phash.minimum_quality)
    near = (bits <= radius) & telling
    return np.asarray(near.reshape(len(frames), -1, len(frames)).any(1))
