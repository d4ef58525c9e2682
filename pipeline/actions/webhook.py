"""Standard Webhooks: a signed POST whose id stays the same over all attempts."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime

import httpx
from standardwebhooks import Webhook

from pipeline.actions import Action, DeliveryFailed
from pipeline.ports import Endpoint, Event

PREFIX = "whsec_"
_TIMEOUT = httpx.Timeout(10.0, connect=5.0)


def build() -> Action:
    """The family's entry point."""
    return WebhookAction()


def new_secret(noise: bytes) -> str:
    """A signing secret as Standard Webhooks writes it, from 24 to 64 random bytes."""
    return PREFIX + base64.b64encode(noise).decode()


class WebhookAction:
    """Posts events as JSON, signed with HMAC-SHA256 (header ``webhook-signature``, ``v1``)."""

    def __init__(self, client: httpx.Client | None = None) -> None:
        # A redirect could lead anywhere; the platform names its address, and that is where we go.
        self._client = client or httpx.Client(timeout=_TIMEOUT, follow_redirects=False)

    def deliver(self, event: Event, endpoint: Endpoint) -> int:
        """See ``Action``. Any 2xx counts as received; the timestamp is fresh at each attempt."""
        body = json.dumps(event.body, separators=(",", ":"), ensure_ascii=False)
        now = datetime.now(UTC)
        headers = {
            "content-type": "application/json",
            "user-agent": "Consentry",
            "webhook-id": event.id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": Webhook(endpoint.secret).sign(event.id, now, body),
        }
        try:
            answer = self._client.post(endpoint.url, content=body.encode(), headers=headers)
        except httpx.InvalidURL as error:
            raise DeliveryFailed("the webhook's address is not a valid URL") from error
        except httpx.HTTPError as error:
            raise DeliveryFailed(f"no answer from the webhook: {type(error).__name__}") from error
        if not answer.is_success:
            raise DeliveryFailed(f"the webhook answered {answer.status_code}", answer.status_code)
        return answer.status_code
