"""The family of actions: what reaches a platform after a person decided. Idempotent.

A member is one file with a ``build()`` that returns an ``Action``.
"""

from __future__ import annotations

from typing import Protocol

from pipeline.errors import ConsentryError
from pipeline.ports import Endpoint, Event


class DeliveryFailed(ConsentryError):
    """The platform did not say that it has the event; ``status`` is its HTTP status, if any."""

    code = "delivery_failed"

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class Action(Protocol):
    """One way to tell a platform of a decision."""

    def deliver(self, event: Event, endpoint: Endpoint) -> int:
        """Tell the platform once; its status. Raises ``DeliveryFailed``.

        The same event may be delivered again: the receiver tells repeats by the event's id.
        """
        ...
