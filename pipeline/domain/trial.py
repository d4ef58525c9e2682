"""What another policy would have said of earlier uploads, from distances alone.

Beside each answer it is kept how near the upload came, a group a person and nobody's name: signal,
bank, distance, and what vouched for it. Of faces only those stand there that a person was asked
about: of a face that matched nobody nothing is kept. The rules read these groups as they read
evidence, so that a dry run judges as the policy itself would.

It reaches as far as was looked. Hits beyond the radius that was asked then are unknown, and so is
whether a second witness would have been found for hits that needed none: a dry run says both.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from pipeline.domain.evidence import Hit, Owner, Source
from pipeline.domain.ids import EntryId, ItemId, PersonId
from pipeline.domain.media import WHOLE
from pipeline.domain.policy import Match, Policy
from pipeline.domain.signal import Metric
from pipeline.domain.witness import Witness

MOST_GROUPS = 20
_NOBODY = PersonId(UUID(int=0))
_NOTHING = ItemId(UUID(int=0))


@dataclass(frozen=True, slots=True)
class Nearness:
    """How near one upload came to anybody, and how far it was looked."""

    groups: tuple[tuple[Hit, ...], ...] = ()
    """The nearest hits of each person, stripped of whom and what they hit."""
    reach: Mapping[str, float] = field(default_factory=dict)
    """Of each signal: within which distance everything was asked for."""

    def document(self) -> dict[str, Any]:
        """As JSON-ready data; ``read`` reads it back."""
        groups = [
            [[hit.signal, hit.owner.bank, hit.distance, hit.witness, hit.metric.value]
             for hit in group]
            for group in self.groups
        ]  # fmt: skip
        return {"groups": groups, "reach": dict(self.reach)}


def read(document: Mapping[str, Any]) -> Nearness:
    """Nearness from its document."""
    return Nearness(
        tuple(
            tuple(_nameless(s, b, float(d), w, Metric(m)) for s, b, d, w, m in group)
            for group in document["groups"]
        ),
        {name: float(within) for name, within in document["reach"].items()},
    )


def nearness(
    hits: Iterable[Hit], counting: Iterable[Match], reach: Mapping[str, float]
) -> Nearness:
    """What may be kept of an upload's hits, when those in ``counting`` were asked about."""
    asked = {match.hit for match in counting}
    people: dict[PersonId, dict[tuple[str, str, bool], Hit]] = defaultdict(dict)
    for hit in hits:
        if hit.metric is Metric.INNER_PRODUCT and hit not in asked:
            continue
        vouched = hit.witness not in (None, Witness.NEAR)
        kept = people[hit.owner.person]
        key = (hit.signal, hit.owner.bank, vouched)
        if key not in kept or hit.rank < kept[key].rank:
            kept[key] = hit
    groups = sorted(
        (sorted(kept.values(), key=lambda hit: (hit.rank, hit.signal)) for kept in people.values()),
        key=lambda group: group[0].rank,
    )
    return Nearness(
        tuple(
            tuple(
                _nameless(hit.signal, hit.owner.bank, hit.distance, hit.witness, hit.metric)
                for hit in group
            )
            for group in groups[:MOST_GROUPS]
        ),
        reach,
    )


def reach(policy: Policy, signals: Iterable[str]) -> dict[str, float]:
    """Within which distances everything is asked for; the wide radius is not asked of all views."""
    found = ((name, policy.radius(name)) for name in signals)
    return {name: within for name, within in found if within is not None}


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a policy says of one earlier upload."""

    review: bool
    doubtful: bool
    """Whether a second witness, which nobody had looked for, could make it one after all."""
    beyond: tuple[str, ...]
    """Signals that the policy asks for further out than was looked."""


def replay(policy: Policy, near: Nearness) -> Replayed:
    """Judge an earlier upload's nearness by another policy; ``Known`` is not asked about."""
    review = any(policy.counts(group) for group in near.groups)
    doubtful = not review and any(
        policy.counts([_vouched(hit) for hit in group]) for group in near.groups
    )
    beyond = tuple(
        signal
        for signal, reach in sorted(near.reach.items())
        if (policy.radius(signal) or 0.0) > reach
    )
    return Replayed(review, doubtful, beyond)


def _vouched(hit: Hit) -> Hit:
    """The hit as if a second witness had been found, where it had needed none."""
    if hit.witness != Witness.NEAR or hit.metric is not Metric.HAMMING:
        return hit
    return _nameless(hit.signal, hit.owner.bank, hit.distance, Witness.PARTS.value, hit.metric)


def _nameless(signal: str, bank: str, distance: float, witness: str | None, metric: Metric) -> Hit:
    source = Source.UPHELD if bank == "upheld" else Source.REGISTERED
    owner = Owner(EntryId(0), _NOTHING, _NOBODY, bank, source, None)
    return Hit(signal, distance, WHOLE, 0, owner, witness, metric=metric)
