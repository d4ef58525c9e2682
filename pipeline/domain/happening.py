"""What platforms are told of: every type of event there is, each with its sentence.

The one list: the API's description, the README and the choice of events that a webhook makes are
made from it. A new type is one line here; telling of a type that is not here is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

TEST = "webhook.test"
"""Sent when a platform presses the test button, to that one address, whatever it has chosen."""

KINDS: Mapping[str, str] = MappingProxyType(
    {
        "case.upheld": "A person upheld the case: take the named uploads down.",
        "case.dismissed": "A person looked and dismissed it: the named uploads may stay.",
        "case.withdrawn": "Nobody asks for this any more: undecided uploads may stay.",
        "case.reported": "The case was reported to the authorities; the uploads stay down.",
        "case.overturned": "An appeal turned the decision round: restore the named uploads.",
        "case.appeal_stands": "Somebody else decided again, and the decision stands.",
        "case.parked": "What the case rests on has matched many unrelated uploads: the case waits"
        " for a lead's word on that, outside the reviewers' queues.",
        "case.released": "The case waits in the reviewers' queue again.",
        "screening.early": "A video matches already, while it is still being looked at.",
        "screening.completed": "A video has been looked at, or a file at an address: its answer.",
        "batch.completed": "Every upload of a batch has its answer.",
        "uploads.probing": "Many variants of one picture came from the account that uploaded the"
        " named content: look at the account.",
        TEST: "A test that you asked for; nothing happened.",
    }
)

CHOSEN = tuple(kind for kind in KINDS if kind != TEST)
"""What a webhook may choose from."""
