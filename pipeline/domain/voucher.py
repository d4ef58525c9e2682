"""A partner organisation's signed word that these photos show the person who asks.

The voucher names the photos by their digests, so that it vouches for nobody else's face, and
counts once. The signature is Ed25519 over ``statement``; the operator names the organisations'
public keys.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from pipeline.errors import Invalid

LONGEST = timedelta(days=30)
"""How old a voucher may be at most."""

_FIELDS = {"organisation", "photos", "issued_at", "signature"}


@dataclass(frozen=True, slots=True)
class Voucher:
    """Who vouches, for which photos, since when."""

    organisation: str
    photos: tuple[str, ...]
    """SHA-256 of each photo's file in hex, sorted."""
    issued_at: datetime
    signature: str = field(default="", repr=False)

    def statement(self) -> bytes:
        """The bytes that are signed: JSON, keys sorted, no spaces."""
        return json.dumps(
            {
                "issued_at": self.issued_at.isoformat(),
                "organisation": self.organisation,
                "photos": list(self.photos),
                "purpose": "consentry face enrolment",
            },
            sort_keys=True,
            separators=(",", ":"),
        ).encode()

    @property
    def digest(self) -> bytes:
        """What is kept so that a voucher counts once, 32 bytes."""
        return hashlib.sha256(self.statement()).digest()

    def document(self) -> dict[str, Any]:
        """The voucher as JSON-ready data; ``parse`` reads it back."""
        return {
            "organisation": self.organisation,
            "photos": list(self.photos),
            "issued_at": self.issued_at.isoformat(),
            "signature": self.signature,
        }


def digests(bodies: Iterable[bytes]) -> tuple[str, ...]:
    """The digests that a voucher for these photos names."""
    return tuple(sorted(hashlib.sha256(body).hexdigest() for body in bodies))


def parse(text: str | bytes) -> Voucher:
    """A voucher from its JSON; raises ``Invalid`` saying what is missing. Proves nothing yet."""
    try:
        said = json.loads(text)
    except ValueError:
        raise Invalid("the voucher is not JSON; ask the organisation for the file anew") from None
    if not isinstance(said, Mapping) or set(said) != _FIELDS:
        raise Invalid(f"a voucher has {', '.join(sorted(_FIELDS))}, all of them and no others")
    photos = said["photos"]
    if not isinstance(photos, list) or not all(isinstance(one, str) for one in photos):
        raise Invalid("a voucher's photos are the SHA-256 digests of the files")
    try:
        issued = datetime.fromisoformat(said["issued_at"])
    except (TypeError, ValueError):
        raise Invalid(
            "a voucher's issued_at is a time, such as 2026-11-25T12:00:00+00:00"
        ) from None
    if issued.tzinfo is None:
        raise Invalid("a voucher's issued_at needs its time zone, such as +00:00")
    return Voucher(str(said["organisation"]), tuple(photos), issued, str(said["signature"]))
