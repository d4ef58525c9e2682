"""A notice that asks for content to go: what it must have, and until when it must be answered.

The elements are those that two laws ask for together: the TAKE IT DOWN Act (signature,
identification and location, good faith, contact; removal within 48 hours of a valid notice) and
Article 16 of the EU's Digital Services Act (a reasoned explanation, the exact location, name and
contact, good faith that the notice is accurate and complete).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from urllib.parse import urlsplit

WITHIN = timedelta(hours=48)
"""How long there is from receipt to removal; hours of the clock, not of the office."""

LEGAL_HOLD = timedelta(days=365)
"""What may show a minor is preserved for so long from the report (18 USC 2258A(h))."""

MOST_LOCATIONS = 20
LONGEST = 4000


class Element(StrEnum):
    """What a notice must have."""

    LOCATION = "location"
    EXPLANATION = "explanation"
    NOT_CONSENTED = "not_consented"
    ACCURATE = "accurate"
    SIGNATURE = "signature"
    CONTACT = "contact"


@dataclass(frozen=True, slots=True)
class Notice:
    """What somebody wrote. All of it is personal data: it does not print."""

    locations: tuple[str, ...] = field(repr=False)
    """Addresses of the content, one each."""
    explanation: str = field(repr=False)
    """What is to be seen there, and why it must go."""
    not_consented: bool
    """In good faith: the person shown did not consent to its publication."""
    accurate: bool
    """In good faith: what stands here is accurate and complete."""
    signature: str = field(repr=False)
    contact: str = field(repr=False)
    for_another: bool = False
    """Written on behalf of the person shown."""

    @property
    def missing(self) -> tuple[Element, ...]:
        """What it lacks to be valid, in the order of the form."""
        there = {
            Element.LOCATION: bool(self.locations) and all(map(is_location, self.locations)),
            Element.EXPLANATION: len(self.explanation.split()) >= 3,
            Element.NOT_CONSENTED: self.not_consented,
            Element.ACCURATE: self.accurate,
            Element.SIGNATURE: bool(self.signature.strip()),
            Element.CONTACT: is_contact(self.contact),
        }
        return tuple(element for element in Element if not there[element])

    def packed(self) -> bytes:
        """The notice as bytes to be sealed."""
        return json.dumps(asdict(self)).encode()

    @staticmethod
    def unpacked(packed: bytes) -> Notice:
        """What ``packed`` wrote."""
        said = json.loads(packed)
        return Notice(**{**said, "locations": tuple(said["locations"])})


def is_location(text: str) -> bool:
    """Whether this is an address on the web that somebody else can open."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    host = parts.hostname or ""
    return parts.scheme in ("http", "https") and "." in host and len(text) <= 2000


def is_contact(text: str) -> bool:
    """Whether this looks like an e-mail address or a telephone number."""
    name, at, domain = text.strip().rpartition("@")
    if at:
        return bool(name) and "." in domain and " " not in domain
    return sum(symbol.isdigit() for symbol in text) >= 6


def deadline(received: datetime) -> datetime:
    """Until when a valid notice must be answered."""
    return received + WITHIN
