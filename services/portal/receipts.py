"""Receipts as documents that she keeps, and whether one that comes back is ours."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Any
from uuid import UUID

from pipeline.domain.audit import canonical_json
from pipeline.domain.erasure import Receipt
from pipeline.domain.ids import ReceiptId
from pipeline.journeys.keep_features import Dropped
from pipeline.journeys.withdraw_items import Taken
from services.wiring import World

LONGEST = 60_000
_ABOUT = {"signature", "public_key"}


class Finding(StrEnum):
    """What checking a receipt can find."""

    OURS = "ours"
    OPEN = "open"
    """Ours by its number, but the withdrawal was not complete when it was written."""
    CHANGED = "changed"
    UNREADABLE = "unreadable"


def full(receipt: Receipt, public_key: str) -> dict[str, Any]:
    """A withdrawal's receipt with its signature and the key that verifies it."""
    return {**receipt.document(), "signature": receipt.signature, "public_key": public_key}


def of_items(taken: Taken, public_key: str) -> dict[str, Any]:
    """A receipt for items that were taken back."""
    return {**taken.document(), "signature": taken.signature, "public_key": public_key}


def of_features(dropped: Dropped, public_key: str) -> dict[str, Any]:
    """A receipt for local features that were dropped alone."""
    return {**dropped.document(), "signature": dropped.signature, "public_key": public_key}


def check(world: World, text: str) -> Finding:
    """Whether a receipt was signed by this deployment, exactly as it stands there."""
    try:
        document = json.loads(text[:LONGEST])
    except ValueError:
        return Finding.UNREADABLE
    if not isinstance(document, dict):
        return Finding.UNREADABLE
    signature = document.get("signature")
    said = {name: value for name, value in document.items() if name not in _ABOUT}
    if not isinstance(signature, str):
        return Finding.OPEN if _known(world, said.get("receipt")) else Finding.CHANGED
    # The key is ours, never the one that the document brings along.
    statement = canonical_json(said).encode()
    return Finding.OURS if world.secrets.verify(statement, signature) else Finding.CHANGED


def _known(world: World, number: object) -> bool:
    try:
        receipt = ReceiptId(UUID(str(number)))
    except ValueError:
        return False
    with world.store.transaction() as unit:
        return unit.withdrawals.get(receipt) is not None
