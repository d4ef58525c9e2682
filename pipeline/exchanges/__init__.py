"""The family of exchanges: partners' lists, as ``Added`` and ``Withdrawn``.

A member is one file with a ``build(calls, **settings)`` that returns an ``Exchange``. It knows a
partner's words and paging; what a withdrawal means is decided here, by the type, so that nobody
can forget to read a flag.

A partner's list is read as a stream of pages. Each page carries the cursor at which reading can go
on after it, so that a sync that was cut short goes on where it stopped. One bad record is an
``Unreadable`` among the others and stops nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from pipeline.errors import ConsentryError, Invalid


class ExchangeFailed(ConsentryError):
    """A partner did not answer, or not as its protocol says; the sync goes on another time."""

    code = "exchange_failed"


class Unanswered(ExchangeFailed):
    """A partner was told something and did not answer: it may have heard it or not."""

    code = "unanswered"


class Kind(StrEnum):
    """What a partner's hash is of."""

    PDQ = "pdq"
    MD5 = "md5"
    SHA256 = "sha256"


BYTES = {Kind.PDQ: 32, Kind.MD5: 16, Kind.SHA256: 32}
"""How long a hash of each kind is."""


@dataclass(frozen=True, slots=True)
class Added:
    """A record that is in force: one that was there before is replaced by this one."""

    key: str
    """The partner's own name of the record: a later record of the same key replaces it."""
    kind: Kind
    code: bytes = field(repr=False)
    labels: tuple[str, ...] = ()
    """What the partner says of it, in its words; never about a person."""


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """A record that must not match any more, whatever else is said of it."""

    key: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A record that could not be understood. ``where`` is the partner's name of it, if any."""

    where: str
    why: str


Record = Added | Withdrawn | Unreadable


@dataclass(frozen=True, slots=True)
class Page:
    """Some records, in the partner's order.

    ``cursor`` is what ``pages`` takes to go on after this page; ``expected`` is how many records
    there may be in all, where a partner says so; ``last`` says that the list is read to its end
    and that the next sync may begin at ``cursor``.
    """

    records: tuple[Record, ...]
    cursor: str
    last: bool
    expected: int | None = None


class Feedback(StrEnum):
    """What became of a match with a partner's record."""

    IN_REVIEW = "in_review"
    UPHELD = "upheld"
    DISMISSED = "dismissed"


@dataclass(frozen=True, slots=True)
class Report:
    """What a reviewer found of a partner's record."""

    key: str
    feedback: Feedback


class Exchange(Protocol):
    """One partner's list."""

    @property
    def keeps(self) -> timedelta | None:
        """For how long the partner remembers what it withdrew; None for ever.

        A cursor that is older is worth nothing: the whole list is read anew, and whatever it does
        not name any more is withdrawn.
        """
        ...

    @property
    def whole(self) -> bool:
        """Whether every reading gives the whole list (a file), so that what is missing is gone."""
        ...

    @property
    def repeatable(self) -> bool:
        """Whether telling the partner the same decision twice is the same as telling it once.

        Where it is, what may not have arrived is told again; where it is not, decisions are told
        one by one, and one that may have arrived is never told again but named as a trouble.
        """
        ...

    def pages(self, since: str | None) -> Iterator[Page]:
        """The list from a cursor on, or from its beginning. Raises ``ExchangeFailed``."""
        ...

    def report(self, reports: Sequence[Report]) -> int:
        """Tell the partner what was found; how many of the reports it takes.

        Partners that take no feedback answer 0. Raises ``Unanswered`` where the partner may have
        heard it, another ``ExchangeFailed`` where it has taken nothing.
        """
        ...


def code_of(kind: Kind, text: str) -> bytes:
    """A hash from its hexadecimal digits; raises ``Invalid`` without repeating them."""
    try:
        code = bytes.fromhex(text.strip())
    except ValueError:
        code = b""
    if len(code) != BYTES[kind]:
        raise Invalid(f"a {kind} hash is {BYTES[kind] * 2} hexadecimal digits")
    return code


def outdated(keeps: timedelta | None, finished: datetime | None, now: datetime) -> bool:
    """Whether a cursor is too old to hear of everything that was withdrawn since."""
    return keeps is not None and finished is not None and now - finished > keeps
