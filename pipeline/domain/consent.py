"""What a person allows: each purpose asked for apart, given with the text that was shown.

``NEXT`` shows at a glance that withdrawal is final: whoever comes back is asked anew and gets a
new consent.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from pipeline.errors import IllegalTransition


class Purpose(StrEnum):
    """What consent is for. Each is a choice of its own."""

    HASHES = "hashes"
    """Perceptual hashes of images are held and compared with uploads."""
    FACE = "face"
    """Templates of the face are held and compared with faces in intimate uploads."""
    FEATURES = "features"
    """Local features and vectors of images are held, from which a likeness could be rebuilt."""


class ConsentState(StrEnum):
    """Where a consent stands."""

    ASKED = "asked"
    GIVEN = "given"
    WITHDRAWN = "withdrawn"


NEXT: dict[ConsentState, frozenset[ConsentState]] = {
    ConsentState.ASKED: frozenset({ConsentState.GIVEN, ConsentState.WITHDRAWN}),
    ConsentState.GIVEN: frozenset({ConsentState.WITHDRAWN}),
    ConsentState.WITHDRAWN: frozenset(),
}

HASHES_TEXT = "hashes-2026-11"
"""The version of the text that is shown before hashes are registered (see the README)."""

FEATURES_TEXT = "features-2026-11-2"
"""The version of the text that is shown before features and vectors are kept (see the README)."""


@dataclass(frozen=True, slots=True)
class Consent:
    """One purpose, and where it stands."""

    purpose: Purpose
    text_version: str
    state: ConsentState = ConsentState.ASKED
    changed_at: datetime | None = None

    def to(self, state: ConsentState, now: datetime) -> Consent:
        """The consent after a change; raises ``IllegalTransition`` when the table forbids it."""
        if state not in NEXT[self.state]:
            raise IllegalTransition(f"a consent that is {self.state} cannot become {state}")
        return replace(self, state=state, changed_at=now)
