"""The numbers for the public of a period: what came in, what was decided, how fast, what was wrong.

Every table goes through ``domain.suppression``: no figure that could point at a person can be read
or worked out. Periods are whole months, so that nobody takes one report from another that is a day
longer and reads what happened on that day.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from pipeline.domain.suppression import SMALLEST, Table, apart, published
from pipeline.errors import Invalid
from pipeline.ports import Clock, Store

_KINDS = ("hash", "face", "notice")
_OUTCOMES = ("upheld", "dismissed", "reported", "withdrawn", "undecided")
_WITHIN = ("1h", "6h", "24h", "48h", "later")


@dataclass(frozen=True, slots=True)
class PublicNumbers:
    """A period's tables. ``until`` is the first day that it does not cover."""

    since: date
    until: date
    made_at: datetime
    tables: tuple[Table, ...]
    smallest: int = SMALLEST

    def table(self, name: str) -> Table:
        """A table by its name."""
        return next(table for table in self.tables if table.name == name)


def public_numbers(store: Store, clock: Clock, since: date, until: date) -> PublicNumbers:
    """Count a period of whole months that is over; raises ``Invalid`` for any other."""
    now = clock()
    if since.day != 1 or until.day != 1 or since >= until:
        raise Invalid(
            "a report covers whole months: --from and --to are first days of months, such as"
            " --from 2026-01-01 --to 2026-04-01 for January to March"
        )
    begin, end = _midnight(since), _midnight(until)
    if end > now:
        raise Invalid("this period is not over yet; report on it when it is")
    with store.transaction(snapshot=True) as unit:
        counts = {name: unit.figures.public(name, begin, end) for name in _ASKED}
        lists = unit.figures.public_lists()
    people = _by(counts["people"], "what")
    # A list that was given up left like a person.
    left = max(0, people.get("withdrawn", 0) - people.get("lists_removed", 0))
    tables = (
        apart("people", {"registered": people.get("registered", 0),
                         "asked_for_face": people.get("faces", 0), "withdrawn": left,
                         "took_back_items": people.get("items_withdrawn", 0)}),
        _row("uploads", _by(counts["uploads"], "what"), ("clear", "review", "known", "refused")),
        published("cases", _KINDS, _OUTCOMES, _by2(counts["cases"], "kind", "outcome")),
        published("hours", _KINDS, _WITHIN, _by2(counts["hours"], "kind", "within")),
        published("appeals", ("uploader", "registered"),
                  ("stands", "overturned", "withdrawn", "undecided"),
                  _by2(counts["appeals"], "side", "outcome")),
        _row("actions", _by(counts["actions"], "what"),
             ("removed", "restricted", "labelled", "restored", "none")),
        apart("lists", {row["kind"]: row["records"] for row in lists}),
    )  # fmt: skip
    return PublicNumbers(since, until, now, tables)


_ASKED = ("people", "uploads", "cases", "hours", "appeals", "actions")


def last_quarter(today: date) -> tuple[date, date]:
    """The calendar quarter that has ended last. Each is published whole: none overlaps another."""
    first = date(today.year, (today.month - 1) // 3 * 3 + 1, 1)
    before = date(first.year - (first.month == 1), (first.month - 4) % 12 + 1, 1)
    return before, first


def _row(name: str, counts: Mapping[str, int], columns: tuple[str, ...]) -> Table:
    return published(name, ("all",), columns, {("all", one): counts.get(one, 0) for one in columns})


def _by(rows: Iterable[Mapping[str, Any]], what: str) -> dict[str, int]:
    return {row[what]: row["count"] for row in rows}


def _by2(rows: Iterable[Mapping[str, Any]], row: str, column: str) -> dict[tuple[str, str], int]:
    return {(one[row], one[column]): one["count"] for one in rows}


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
