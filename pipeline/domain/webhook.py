"""Where a platform is told: an address, the events it chose, and the secrets that sign.

Every message is signed twice, as Standard Webhooks has it: with a secret that the platform shares
(``v1``, HMAC-SHA256), and with a private key of ours whose public half anybody may read (``v1a``,
Ed25519). After a rotation the earlier secret and key go on signing beside the new ones for a
stated time, so that a receiver can be changed over without losing a message.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from pipeline.domain.happening import CHOSEN, TEST
from pipeline.domain.ids import PlatformId, WebhookId
from pipeline.errors import Invalid

OVERLAP = timedelta(hours=24)
"""How long an earlier secret goes on signing, unless the platform says otherwise."""

LONGEST_OVERLAP = timedelta(days=7)
MOST = 16
"""Webhooks that one platform may have."""

LONGEST_URL = 2048
_SECRET = "whsec_"  # noqa: S105  # what Standard Webhooks writes before one


@dataclass(frozen=True, slots=True)
class Webhook:
    """One address of a platform."""

    id: WebhookId
    platform: PlatformId
    url: str
    kinds: tuple[str, ...]
    """The events it chose; none means all, those of later versions too."""
    private: bool
    """An operator entered it: it may lie in our own network, and be plain http."""
    created_at: datetime

    def wants(self, kind: str) -> bool:
        """Whether it is told of events of a kind; of a test always."""
        return not self.kinds or kind in self.kinds or kind == TEST


@dataclass(frozen=True, slots=True)
class SealedSecret:
    """A secret as it is kept. ``column`` is what it was sealed as; ``until`` when it ends."""

    generation: int
    sealed: bytes
    column: str
    until: datetime | None


@dataclass(frozen=True, slots=True)
class PublicKey:
    """What ``v1a`` signatures are checked with: ``whpk_`` and base64; good until it is None."""

    text: str
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt at delivery, as the platform may read it: nothing of what was sent."""

    id: int
    event: str
    kind: str
    at: datetime
    number: int
    """Counted from 1; a replay counts anew."""
    status: int | None
    error: str | None
    milliseconds: float

    @property
    def delivered(self) -> bool:
        """Whether the platform said that it has it."""
        return self.error is None


def new_secret(noise: bytes) -> str:
    """A signing secret as Standard Webhooks writes it, from 24 to 64 random bytes."""
    return _SECRET + base64.b64encode(noise).decode()


def chosen(kinds: object) -> tuple[str, ...]:
    """Checked events, each once, in the order of the list; raises ``Invalid``."""
    wanted = set(kinds) if isinstance(kinds, (list, tuple, set)) else {kinds}
    unknown = sorted(str(kind) for kind in wanted - set(CHOSEN))
    if unknown:
        raise Invalid(f"there is no event {unknown[0]!r}; there are: {', '.join(CHOSEN)}")
    return tuple(kind for kind in CHOSEN if kind in wanted)


def checked_url(url: str, *, private: bool) -> str:
    """An address that can be told at all; where it leads is looked at each time it is gone to."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  # raises where it is no number
    except ValueError as error:
        raise Invalid("a webhook's address is a URL such as https://example.com/hooks") from error
    if parts.scheme != "https" and not (private and parts.scheme == "http"):
        raise Invalid(
            "a webhook's address begins with https:// (an operator can enter one in your own"
            " network, with http:// too)"
        )
    if parts.username is not None or parts.password is not None:
        raise Invalid("a webhook's address holds no user name and no password")
    if not parts.hostname or parts.fragment or len(url) > LONGEST_URL or not url.isprintable():
        raise Invalid("a webhook's address names a host and has no fragment")
    return url
