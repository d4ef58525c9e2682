"""Standard Webhooks: a signed POST whose id stays the same over all attempts.

Each secret that is in force signs by HMAC-SHA256 (``v1``), each key by Ed25519 (``v1a``), all over
the same bytes, in one header. The address is looked at each time (``pipeline.outside``), a
redirect is not followed, and of the answer only its status is read.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from standardwebhooks import Webhook

from pipeline import outside
from pipeline.actions import Action, DeliveryFailed
from pipeline.ports import Endpoint, Event

_SECONDS = 20.0
"""Longest time that one message may take, well within a delivery's lease."""

Clients = Callable[[bool], AbstractContextManager[httpx.Client]]


def build() -> Action:
    """The family's entry point."""
    # A connection of its own for each message: one that is kept could be another host's.
    return WebhookAction(
        lambda private: outside.client(private=private, timeout=10.0, whole=_SECONDS)
    )


def signature(event: str, at: datetime, body: str, endpoint: Endpoint) -> str:
    """The header ``webhook-signature``: a signature by everything that is in force."""
    said = f"{event}.{int(at.timestamp())}.{body}".encode()
    shared = [Webhook(secret).sign(event, at, body) for secret in endpoint.secrets]
    own = [
        "v1a," + base64.b64encode(Ed25519PrivateKey.from_private_bytes(seed).sign(said)).decode()
        for seed in endpoint.seeds
    ]
    return " ".join([*shared, *own])


class WebhookAction:
    """Posts events as JSON, signed."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    def deliver(self, event: Event, endpoint: Endpoint) -> int:
        """See ``Action``. Any 2xx counts as received; the timestamp is fresh at each attempt."""
        body = json.dumps(event.body, separators=(",", ":"), ensure_ascii=False)
        now = datetime.now(UTC)
        headers = {
            "content-type": "application/json",
            "user-agent": "Consentry",
            "webhook-id": event.id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": signature(event.id, now, body, endpoint),
        }
        try:
            with (
                self._clients(endpoint.private) as client,
                client.stream(
                    "POST", endpoint.url, content=body.encode(), headers=headers
                ) as answer,
            ):
                status = answer.status_code
        except outside.Unreachable as error:
            raise DeliveryFailed(f"the webhook's address is not gone to: {error}") from error
        except httpx.InvalidURL as error:
            raise DeliveryFailed("the webhook's address is not a valid URL") from error
        except httpx.HTTPError as error:
            raise DeliveryFailed(f"no answer from the webhook: {type(error).__name__}") from error
        if not 200 <= status < 300:
            raise DeliveryFailed(f"the webhook answered {status}", status)
        return status
