"""What the service tells a platform, checked before it is believed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from standardwebhooks import Webhook, WebhookVerificationError

from services.client._asking import Problem


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """Something that happened. ``id`` stays the same when it is told again: act on it once."""

    id: str
    type: str
    body: Mapping[str, Any]


def verify_webhook(secret: str, headers: Mapping[str, str], body: bytes) -> WebhookEvent:
    """The event in a request to your webhook. Raises ``Problem`` for one that is not from us.

    ``body`` is the request's body as it came, byte for byte. Requests older than five minutes
    are refused, so keep the machine's clock right.
    """
    plain = {name.lower(): value for name, value in headers.items()}
    try:
        Webhook(secret).verify(body, plain)
        said = json.loads(body)
        return WebhookEvent(plain["webhook-id"], str(said["type"]), said)
    except (WebhookVerificationError, ValueError, KeyError, TypeError) as error:
        raise Problem(
            "not_verified", "this request is not from Consentry, or its secret is another one"
        ) from error
