"""Answers go on record together: none is given out before it is, none is lost, none waits alone."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import pytest

from pipeline.domain.screening import Screening
from pipeline.errors import Unavailable
from pipeline.journeys.record_together import MOST, Ledger
from pipeline.ports import Store


class Book:
    """A store that keeps what is recorded, one commit after the other, when it is let."""

    def __init__(self) -> None:
        self.commits: list[list[Any]] = []
        self.open = threading.Event()
        self.open.set()
        self.begun = threading.Event()
        self.failing: dict[Any, Exception] = {}

    def record(self, screenings: Sequence[Any]) -> None:
        self.begun.set()
        assert self.open.wait(30)
        for one in screenings:
            if one in self.failing:
                raise self.failing[one]
        self.commits.append(list(screenings))


def ledger_of(book: Book) -> Ledger:
    return Ledger(cast(Store, book))


def named(name: object) -> Screening:
    return cast(Screening, name)


def test_who_comes_alone_is_written_at_once() -> None:
    book = Book()
    ledger_of(book).add(named("one"))
    assert book.commits == [["one"]]


def test_those_who_come_while_one_is_written_share_a_commit() -> None:
    book = Book()
    ledger = ledger_of(book)
    book.open.clear()
    with ThreadPoolExecutor(20) as threads:
        first = threads.submit(ledger.add, named(0))
        assert book.begun.wait(30)
        others = [threads.submit(ledger.add, named(n)) for n in range(1, 15)]
        while len(ledger._line) < 14:
            pass
        assert not any(one.done() for one in [first, *others]), "nothing is on record yet"
        book.open.set()
        for one in [first, *others]:
            one.result(30)
    assert book.commits[0] == [0]
    assert sorted(book.commits[1]) == list(range(1, 15))
    assert len(book.commits) == 2


def test_under_load_each_is_written_once_and_no_commit_is_too_large() -> None:
    book = Book()
    ledger = ledger_of(book)
    with ThreadPoolExecutor(32) as threads:
        list(threads.map(lambda n: ledger.add(named(n)), range(2000)))
    assert sorted(n for commit in book.commits for n in commit) == list(range(2000))
    assert max(map(len, book.commits)) <= MOST
    ledger.add(named("later"))
    assert book.commits[-1] == ["later"], "nobody is left writing"


def test_a_database_that_is_away_is_told_to_all_and_the_next_try_again() -> None:
    book = Book()
    ledger = ledger_of(book)
    book.failing["lost"] = Unavailable("away")
    with pytest.raises(Unavailable):
        ledger.add(named("lost"))
    ledger.add(named("found"))
    assert book.commits == [["found"]]


def test_one_that_cannot_be_stored_does_not_take_the_others_with_it() -> None:
    book = Book()
    ledger = ledger_of(book)
    book.failing["bad"] = ValueError("no")
    book.open.clear()
    with ThreadPoolExecutor(4) as threads:
        first = threads.submit(ledger.add, named("first"))
        assert book.begun.wait(30)
        bad, good = (threads.submit(ledger.add, named(name)) for name in ("bad", "good"))
        while len(ledger._line) < 2:
            pass
        book.open.set()
        first.result(30)
        good.result(30)
        with pytest.raises(ValueError, match="no"):
            bad.result(30)
    assert sorted(one for commit in book.commits for one in commit) == ["first", "good"]
