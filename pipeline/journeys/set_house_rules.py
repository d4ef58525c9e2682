"""The house rules change, and every case that waits finds its new place."""

from __future__ import annotations

from pipeline.domain.house import HouseRules
from pipeline.ports import Store


def set_house_rules(store: Store, rules: HouseRules, actor: str) -> int:
    """Keep the rules and place all undecided cases anew, in one step; how many were placed."""
    document = rules.document()
    with store.transaction() as unit:
        unit.house.set_rules(document)
        placed = unit.cases.place_all()
        unit.audit.append(actor, "house.rules_set", "house", {"cases": placed, "rules": document})
    return placed
