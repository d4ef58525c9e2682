"""The family of actions: what reaches a platform after a person decided. Idempotent.

A member is one file with a ``build()`` that returns an ``Action``.
"""

from __future__ import annotations

import base64
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pipeline.errors import ConsentryError
from pipeline.ports import Endpoint, Event


class DeliveryFailed(ConsentryError):
    """The platform did not say that it has the event; ``status`` is its HTTP status, if any."""

    code = "delivery_failed"

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


def public_key(seed: bytes) -> str:
    """What anybody can check a private key's signatures with, as Standard Webhooks writes it."""
    raw = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    return "whpk_" + base64.b64encode(raw).decode()


class Action(Protocol):
    """One way to tell a platform of a decision."""

    def deliver(self, event: Event, endpoint: Endpoint) -> int:
        """Tell the platform once; its status. Raises ``DeliveryFailed``.

        The same event may be delivered again: the receiver tells repeats by the event's id.
        """
        ...
