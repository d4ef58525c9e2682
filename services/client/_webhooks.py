"""What the service tells a platform, checked before it is believed."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from services.client._asking import Problem

_TOLERANCE = 300.0
_SHARED, _PUBLIC = "whsec_", "whpk_"


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """Something that happened. ``id`` stays the same when it is told again: act on it once."""

    id: str
    type: str
    body: Mapping[str, Any]


def verify_webhook(
    keys: str | Sequence[str], headers: Mapping[str, str], body: bytes
) -> WebhookEvent:
    """The event in a request to your webhook. Raises ``Problem`` for one that is not from us.

    ``keys`` are the secret you share with the service (``whsec_...``, signature ``v1``) or its
    public key (``whpk_...``, ``v1a``), or several of both: while you change from an old secret to
    a new one, name both. One that fits is enough. ``body`` is the request's body as it came, byte
    for byte. Requests older than five minutes are refused, so keep the machine's clock right.
    """
    wanted = [keys] if isinstance(keys, str) else list(keys)
    if not wanted or not all(key.startswith((_SHARED, _PUBLIC)) for key in wanted):
        raise Problem("no_key", "name the webhook's secret (whsec_...) or public key (whpk_...)")
    plain = {name.lower(): value for name, value in headers.items()}
    try:
        event, at = plain["webhook-id"], plain["webhook-timestamp"]
        given = [part.partition(",") for part in plain["webhook-signature"].split(" ")]
        said = f"{event}.{at}.".encode() + body
        fresh = abs(time.time() - int(at)) <= _TOLERANCE
        if fresh and any(_fits(key, version, text, said) for key in wanted
                         for version, _, text in given):  # fmt: skip
            told = json.loads(body)
            return WebhookEvent(event, str(told["type"]), told)
    except (ValueError, KeyError, TypeError):
        pass
    raise Problem(
        "not_verified", "this request is not from Consentry, or its secret is another one"
    )


def _fits(key: str, version: str, text: str, said: bytes) -> bool:
    """Whether one signature was made with, or by the other half of, one key."""
    try:
        given = base64.b64decode(text, validate=True)
        if key.startswith(_SHARED) and version == "v1":
            secret = base64.b64decode(key.removeprefix(_SHARED), validate=True)
            return hmac.compare_digest(given, hmac.digest(secret, said, hashlib.sha256))
        if key.startswith(_PUBLIC) and version == "v1a":
            public = base64.b64decode(key.removeprefix(_PUBLIC), validate=True)
            Ed25519PublicKey.from_public_bytes(public).verify(given, said)
            return True
    except (binascii.Error, ValueError, InvalidSignature):
        pass
    return False
