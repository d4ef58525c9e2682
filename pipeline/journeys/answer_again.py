"""The answer to a registration is lost on its way: the same message is answered with it again.

Case number and PIN stand in one answer and nowhere else, so a connection that breaks at the wrong
moment would leave a case that nobody can open. A message that makes them carries random bytes of
its device's; whoever sends the very same message again, soon, gets the same answer and no second
case. What is kept for that is locked by the message itself and destroyed once she has signed in,
when she leaves, or after ``KEPT``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from pipeline.domain.ids import PersonId
from pipeline.ports import Clock, Store, Unit

KEPT = timedelta(minutes=15)
"""How long an answer can be asked for again."""

Answer = Mapping[str, Any]


def message_of(asked: str, body: bytes) -> bytes:
    """What stands for a message, 32 bytes: nobody can make it who has not got the message.

    ``asked`` is what the message asks for, so that it stands for nothing else.
    """
    return hashlib.sha256(asked.encode() + b"\0" + body).digest()


def answered(store: Store, clock: Clock, message: bytes) -> Answer | None:
    """What was answered to a message a short time ago."""
    with store.transaction() as unit:
        return answered_in(unit, clock, message)


def answered_in(unit: Unit, clock: Clock, message: bytes | None) -> Answer | None:
    """The same within a transaction; a second sending waits here until the first is done."""
    if message is None:
        return None
    unit.answers.alone(message)
    found = unit.answers.get(message, clock())
    return None if found is None else json.loads(found)


def keep(unit: Unit, clock: Clock, person: PersonId, message: bytes | None, answer: Answer) -> None:
    """Keep an answer in the transaction that brings it about."""
    if message is not None:
        packed = json.dumps(dict(answer)).encode()
        unit.answers.keep(person, message, packed, clock() + KEPT)
