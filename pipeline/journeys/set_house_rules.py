"""The house rules change, and every case that waits finds its new place."""

from __future__ import annotations

from pipeline.domain.house import HouseRules
from pipeline.ports import Store

BATCH = 500
"""Cases placed in one transaction: the desk goes on while a long queue is sorted anew."""


def set_house_rules(store: Store, rules: HouseRules, actor: str) -> int:
    """Keep the rules, then place all undecided cases anew; how many were placed.

    Cases that come meanwhile are placed by the new rules already. After a crash the same rules can
    be set again.
    """
    document = rules.document()
    with store.transaction() as unit:
        unit.house.set_rules(document)
        unit.audit.append(actor, "house.rules_set", "house", {"rules": document})
    placed, after = 0, None
    while True:
        with store.transaction() as unit:
            some = unit.cases.place_some(after, BATCH)
        placed += len(some)
        if len(some) < BATCH:
            return placed
        after = some[-1]
