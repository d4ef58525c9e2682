"""Cursors are opaque, signed for one list, and a page ends where the next one begins."""

from __future__ import annotations

import base64
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.storage.vault import Secrets
from services.api.paging import Cursors, Page
from services.api.problems import Declined

CURSORS = Cursors(Secrets(UUID(int=1), bytes(32)))
ABOUT = ("board", "events")


def walk(rows: list[int], limit: int) -> list[Page[int]]:
    """All pages of rows that count down, as a query with ``id < before`` would give them."""
    pages, cursor = [], None
    while True:
        place = CURSORS.read(ABOUT, cursor)
        found = [row for row in rows if place is None or row < place[0]][: limit + 1]
        pages.append(CURSORS.page(ABOUT, found, limit, lambda row: row, lambda row: (row,)))
        cursor = pages[-1].next
        if cursor is None:
            return pages


@given(st.sets(st.integers(0, 500)), st.integers(1, 20))
def test_pages_hold_every_entry_once_in_order(rows: set[int], limit: int) -> None:
    ordered = sorted(rows, reverse=True)
    pages = walk(ordered, limit)
    assert [row for page in pages for row in page.items] == ordered
    assert all(len(page.items) == limit for page in pages[:-1])


def test_a_cursor_of_another_platform_or_list_or_a_changed_one_is_refused() -> None:
    cursor = CURSORS.write(ABOUT, ["evt_1", 7])
    assert CURSORS.read(ABOUT, cursor) == ["evt_1", 7]
    changed = bytearray(base64.urlsafe_b64decode(cursor + "=="))
    changed[-2] ^= 1
    wrong = base64.urlsafe_b64encode(bytes(changed)).decode().rstrip("=")
    other = Cursors(Secrets(UUID(int=1), bytes(31) + b"1"))
    for read in (
        lambda: CURSORS.read(("other", "events"), cursor),
        lambda: CURSORS.read(("board", "cases"), cursor),
        lambda: CURSORS.read(("boarde", "vents"), cursor),
        lambda: CURSORS.read(ABOUT, wrong),
        lambda: CURSORS.read(ABOUT, ""),
        lambda: CURSORS.read(ABOUT, "ü" * 40),
        lambda: other.read(ABOUT, cursor),
    ):
        with pytest.raises(Declined) as refused:
            read()
        assert (refused.value.status, refused.value.code) == (422, "invalid")
        assert refused.value.errors[0].where == "query.cursor"
