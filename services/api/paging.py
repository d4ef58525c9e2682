"""Lists a page at a time: an opaque signed cursor, a bounded limit, an order that stays.

A cursor says where a page ended, not how many came before: what is added or removed meanwhile
makes no entry come twice and hides none. It is signed for one list of one platform, so that nobody
can ask from a place that was never theirs.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Depends, Query, Request
from pydantic import BaseModel, Field

from pipeline.storage.vault import Secrets
from services.api.problems import invalid

MOST, USUAL = 100, 50
LONGEST_CURSOR = 512
_TAG = 16

Limit = Annotated[int, Query(ge=1, le=MOST, description="How many entries a page has at most.")]
Cursor = Annotated[
    str | None,
    Query(
        max_length=LONGEST_CURSOR,
        description="`next` of the page before; absent for the first page. Opaque, and good for"
        " this list only.",
    ),
]


def _page_query(request: Request) -> None:
    """A misspelt ``limit`` must not pass for none, nor one of two cursors be taken in silence."""
    seen = set()
    for name, _ in request.query_params.multi_items():
        if name not in {"limit", "cursor"}:
            raise invalid("query.(unknown field)", "the query of a list has limit and cursor")
        if name in seen:
            raise invalid(f"query.{name}", "this field is there twice")
        seen.add(name)


Paged = Depends(_page_query)
"""Among a list's ``dependencies``: its query has nothing but ``limit`` and ``cursor``."""

T = TypeVar("T")
Row = TypeVar("Row")


class Page(BaseModel, Generic[T]):
    """One page of a list, newest first unless the list says otherwise."""

    items: list[T]
    next: str | None = Field(description="The cursor of the next page; null on the last one.")


class Cursors:
    """Makes and reads cursors. ``about`` names the list and everything that it depends on."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets

    def write(self, about: Sequence[object], place: Sequence[str | int]) -> str:
        """The cursor that stands for ``place`` in a list."""
        said = json.dumps(list(place), separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(self._tag(about, said) + said).decode().rstrip("=")

    def read(self, about: Sequence[object], cursor: str | None) -> list[Any] | None:
        """The place that a cursor stands for, None for none; 422 for one of another list."""
        if cursor is None:
            return None
        try:
            raw = base64.urlsafe_b64decode(cursor.encode() + b"=" * (-len(cursor) % 4))
        except (ValueError, binascii.Error):
            raw = b""
        tag, said = raw[:_TAG], raw[_TAG:]
        if not hmac.compare_digest(tag, self._tag(about, said)):
            raise invalid("query.cursor", "this is no cursor of this list; begin without one")
        place: list[Any] = json.loads(said)
        return place

    def page(
        self,
        about: Sequence[object],
        rows: Sequence[Row],
        limit: int,
        show: Callable[[Row], Any],
        place: Callable[[Row], Sequence[str | int]],
    ) -> Page[Any]:
        """A page of rows, of which one more than ``limit`` was asked for."""
        shown = rows[:limit]
        after = self.write(about, place(shown[-1])) if len(rows) > limit else None
        return Page(items=[show(row) for row in shown], next=after)

    def _tag(self, about: Sequence[object], said: bytes) -> bytes:
        named = json.dumps([str(one) for one in about]).encode()
        return self._secrets.digest("cursor", len(named).to_bytes(4, "big") + named + said)[:_TAG]
