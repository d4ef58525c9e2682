"""The very file: an upload whose bytes somebody registered or a partner has on its list.

Most partners' lists hold MD5 of pictures too, and a copy that was passed on unchanged is found by
it whatever it shows. A digest is asked for exactly; nothing is near to it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from pipeline.domain.digest import SPACE, Digests, digests
from pipeline.domain.evidence import Hit, Owner
from pipeline.domain.ids import EntryId, entry_of, slot_of
from pipeline.domain.media import View
from pipeline.domain.policy import Policy
from pipeline.domain.witness import Witness
from pipeline.journeys.restore_index import LiveIndexes


def digest_of(live: LiveIndexes, policy: Policy, body: bytes) -> tuple[bytes, tuple[int, ...]]:
    """A file's SHA-256, and labels of the entries of this very file; raises ``IndexNotReady``.

    MD5, which takes twice as long, is computed only where there is a digest to be equal to.
    """
    if not _asked(live, policy):
        return hashlib.sha256(body).digest(), ()
    same = digests((body,))
    return same.sha256, same_bytes(live, policy, same)


def same_bytes(live: LiveIndexes, policy: Policy, same: Digests) -> tuple[int, ...]:
    """Labels of the entries of this very file; raises ``IndexNotReady``."""
    if not _asked(live, policy):
        return ()
    asked = same.signals()
    return tuple(int(label) for label in live.search(asked.space, asked.codes, 0).label)


def believe_bytes(
    labels: Sequence[int],
    owners: Mapping[EntryId, Owner],
    shares: tuple[float, float] | None = None,
) -> tuple[Hit, ...]:
    """Hits on those in force, all of them sure; ``shares`` are a video's."""
    return tuple(
        Hit(
            SPACE.name,
            0.0,
            View("the whole file"),
            slot_of(label),
            owners[entry_of(label)],
            Witness.BYTES.value,
            shares=shares,
        )
        for label in labels
        if entry_of(label) in owners
    )


def _asked(live: LiveIndexes, policy: Policy) -> bool:
    """Whether files are told by their bytes here, and any are known."""
    return policy.radius(SPACE.name) is not None and live.codes(SPACE) > 0


def entries_of(labels: Sequence[int]) -> set[EntryId]:
    """The entries that labels belong to."""
    return {entry_of(label) for label in labels}
