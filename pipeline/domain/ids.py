"""Every kind of id has its own name, so that ``vault.shred(case)`` does not type-check."""

from __future__ import annotations

from datetime import datetime
from typing import NewType
from uuid import UUID

PersonId = NewType("PersonId", UUID)
PlatformId = NewType("PlatformId", UUID)
ScreeningId = NewType("ScreeningId", UUID)
CaseId = NewType("CaseId", UUID)
ReviewerId = NewType("ReviewerId", UUID)
MediaId = NewType("MediaId", UUID)
ItemId = NewType("ItemId", UUID)
TakedownId = NewType("TakedownId", UUID)
ReceiptId = NewType("ReceiptId", UUID)
NoticeId = NewType("NoticeId", UUID)
ProcessId = NewType("ProcessId", UUID)
ExchangeId = NewType("ExchangeId", UUID)
SweepId = NewType("SweepId", UUID)
SiftId = NewType("SiftId", UUID)
BatchId = NewType("BatchId", UUID)
WebhookId = NewType("WebhookId", UUID)

EnrolmentId = NewType("EnrolmentId", UUID)
GrantId = NewType("GrantId", UUID)

EntryId = NewType("EntryId", int)
"""One registered item under one signal: positive, handed out by the database, never used again."""

Label = NewType("Label", int)
"""What an index stores beside a code: an entry's id and the slot of the code within the entry."""

SLOTS = 256
"""How many codes one entry may have (its registered-side views)."""


def label_of(entry: EntryId, slot: int) -> Label:
    """The label of an entry's ``slot``-th code; raises ``ValueError`` outside 0..255."""
    if not 0 <= slot < SLOTS:
        raise ValueError(f"an entry has slots 0 to {SLOTS - 1}, not {slot}")
    return Label(entry * SLOTS + slot)


def entry_of(label: int) -> EntryId:
    """The entry that a label belongs to."""
    return EntryId(label // SLOTS)


def slot_of(label: int) -> int:
    """The slot of a label within its entry."""
    return label % SLOTS


def uuid7(now: datetime, noise: bytes) -> UUID:
    """A UUID of version 7 (RFC 9562) from 48 bits of milliseconds and 10 bytes of ``noise``.

    Ids made later sort later, so that rows made together lie together.
    """
    if len(noise) != 10:
        raise ValueError("a UUID of version 7 takes 10 bytes of noise")
    milliseconds = int(now.timestamp() * 1000)
    value = (milliseconds & (1 << 48) - 1) << 80 | int.from_bytes(noise, "big")
    value = value & ~(0xF << 76) | 7 << 76
    value = value & ~(0b11 << 62) | 0b10 << 62
    return UUID(int=value)
