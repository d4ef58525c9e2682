"""Which entries of a list count, how near, for whom; and what a bank may say of itself."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from pipeline.domain.bank import Bank, BankKind, enabled, part
from pipeline.domain.evidence import Hit, Owner, Source
from pipeline.domain.ids import EntryId, ItemId, PersonId, PlatformId
from pipeline.domain.media import WHOLE
from pipeline.errors import Invalid

BOARD, FORUM = PlatformId(UUID(int=8)), PlatformId(UUID(int=9))
HOLDER = PersonId(UUID(int=1))
OWNER = Owner(EntryId(1), ItemId(UUID(int=1)), HOLDER, "partner", Source.REGISTERED, None)


def hit(distance: float, signal: str = "pdq", **of: object) -> Hit:
    return Hit(signal, distance, WHOLE, 0, replace(OWNER, **of))  # type: ignore[arg-type]


def test_a_share_is_the_same_entries_each_time_and_a_larger_one_holds_the_smaller() -> None:
    items = [ItemId(uuid4()) for _ in range(2000)]
    some = {item for item in items if enabled(item, 0.25, 7)}
    assert some == {item for item in items if enabled(item, 0.25, 7)}
    assert 400 < len(some) < 600
    assert some <= {item for item in items if enabled(item, 0.5, 7)}
    assert some != {item for item in items if enabled(item, 0.25, 8)}
    assert not any(enabled(item, 0.0, 7) for item in items)
    assert all(enabled(item, 1.0, 7) for item in items)


def test_hits_on_a_tried_bank_count_for_nobody_who_tries_it() -> None:
    plain, tested = hit(5), hit(5, test=True)
    board = hit(5, tried_by=frozenset({BOARD}))
    assert part([plain, tested, board], BOARD) == ((plain,), (tested, board))
    assert part([plain, tested, board], FORUM) == ((plain, board), (tested,))
    assert part([board], None) == ((), (board,)), "what must hold for everybody"


def test_what_lies_further_off_than_a_list_says_is_no_hit_at_all() -> None:
    near, far = hit(20, within=(("pdq", 20.0),)), hit(21, within=(("pdq", 20.0),))
    other = hit(25, "phash", within=(("pdq", 20.0),))
    assert part([near, far, other], BOARD) == ((near, other), ())


@pytest.mark.parametrize(
    "said",
    [
        {"share": 1.5}, {"share": float("nan")}, {"seed": -1}, {"within": {"pdq": 32.0}},
        {"within": {"faces": 1.0}}, {"keeps": timedelta(hours=1)},
        {"kind": BankKind.NEGATIVE, "keeps": None}, {"kind": BankKind.NEGATIVE, "test": True},
    ],
)  # fmt: skip
def test_a_bank_says_nothing_that_makes_no_sense(said: dict[str, object]) -> None:
    bank = Bank("list", HOLDER, timedelta(days=9), kind=BankKind.PARTNER)
    with pytest.raises(Invalid):
        replace(bank, **said)  # type: ignore[arg-type]
