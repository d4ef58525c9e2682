"""A bank that is only tried: which uploads it would have had a person look at, and nothing more.

An operator tries a partner's list before it counts (``test``), and a platform may try one for
itself. Hits on it reach no reviewer, no verdict and no block; each upload that would have gone to a
person is recorded by its screening's number, for ``KEPT``, and counted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import timedelta

from pipeline.domain.evidence import Hit, gather
from pipeline.domain.ids import PersonId
from pipeline.domain.policy import Clear, Policy
from pipeline.domain.screening import Screening
from pipeline.ports import Clock, Store, Unit

KEPT = timedelta(days=90)
"""How long it is told which uploads a bank would have brought up."""


def note_tried(
    unit: Unit, policy: Policy, tried: Iterable[Hit], answered: Screening, *, truncated: bool
) -> None:
    """Record for which of the tried banks this upload would have gone to a person."""
    by_bank: dict[PersonId, list[Hit]] = defaultdict(list)
    for hit in tried:
        by_bank[hit.owner.person].append(hit)
    for holder, hits in sorted(by_bank.items(), key=lambda one: one[0].bytes):
        if not isinstance(policy.judge(gather(hits, truncated=truncated)), Clear):
            unit.banks.tried(holder, answered.id, answered.platform, answered.received_at)


def forget_tried(store: Store, clock: Clock) -> int:
    """Destroy what was recorded longer ago than ``KEPT``; how many."""
    with store.transaction() as unit:
        return unit.banks.forget_trials(clock() - KEPT)
