"""A peer's banks in its Hasher-Matcher-Actioner (HMA), read through the curator API.

HMA has no list of a bank's content to be asked for. What it has, as documented in
facebook/ThreatExchange (``hasher-matcher-actioner/docs/api.md`` and its ``curation`` blueprint):
``GET /c/banks`` names the banks and their ratio, ``GET /c/bank/{name}/content/{id}`` with
``include_signals=true`` gives one content with its signals, and ids count upwards over all banks.
So the ids are gone through one by one, each time from the first: the whole list every time, and
what is not there any more is withdrawn. That is a request a content: for banks of some ten
thousands, asked over night; a peer with more should give a file (``ndjson``).

A content whose ``disable_until_ts`` says that it is disabled is withdrawn (0: in force; 1:
disabled until further notice; else the time at which it is in force again), and so is everything
in a bank whose ``matching_enabled_ratio`` is 0. HMA takes no feedback of others.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from pipeline.errors import Invalid
from pipeline.exchanges import (
    Added,
    Exchange,
    ExchangeFailed,
    Kind,
    Page,
    Record,
    Report,
    Unreadable,
    Withdrawn,
    code_of,
)
from pipeline.exchanges._calls import Calls, StaleCursor

_PAGE = 100
_KINDS = {"pdq": Kind.PDQ, "video_md5": Kind.MD5, "raw_md5": Kind.MD5, "raw_sha256": Kind.SHA256}
_FURTHER_NOTICE = 1


class Settings(BaseModel):
    """Where the peer is, which of its banks to follow, and its key if it asks for one.

    ``gap`` is after how many ids in a row without content the end is taken to be reached: a peer
    that has deleted more than that in one go needs a larger one.
    """

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    address: str = Field(pattern=r"^https?://[^\s]+$")
    banks: tuple[str, ...] = Field(min_length=1)
    token: SecretStr | None = None
    gap: int = Field(200, ge=1, le=100_000)


def build(calls: Calls | None = None, **settings: Any) -> Exchange:
    """The family's entry point; raises ``Invalid`` for settings that cannot be used."""
    try:
        return Hma(calls or Calls(most=1 << 20), Settings(**settings))
    except ValidationError as error:
        raise Invalid(
            "an HMA wants address (https://…) and banks (a list of names), and token if it asks"
        ) from error


class Hma:
    """The chosen banks of one HMA."""

    keeps: timedelta | None = None
    whole = True
    repeatable = True

    def __init__(
        self, calls: Calls, settings: Settings, clock: Callable[[], float] = time.time
    ) -> None:
        self._calls, self._settings, self._clock = calls, settings, clock

    def pages(self, since: str | None) -> Iterator[Page]:
        """See ``Exchange``. The cursor is the next id, and how many in a row were not there."""
        at, missing = _place(since)
        enabled = self._enabled()
        while True:
            records: list[Record] = []
            for _ in range(_PAGE):
                if missing >= self._settings.gap:
                    yield Page(tuple(records), "1:0", last=True)
                    return
                there = self._content(at)
                missing = missing + 1 if there is None else 0
                if there is not None:
                    records += _records(at, there, enabled, self._clock())
                at += 1
            yield Page(tuple(records), f"{at}:{missing}", last=False)

    def report(self, reports: Sequence[Report]) -> int:
        """See ``Exchange``. An HMA has nowhere to say it."""
        del reports
        return 0

    def _enabled(self) -> dict[str, bool]:
        """The wanted banks, and whether the peer itself matches with each."""
        try:
            banks = json.loads(self._get("/c/banks"))
            ratios = {str(one["name"]): float(one["matching_enabled_ratio"]) for one in banks}
        except StaleCursor as error:
            raise ExchangeFailed("this address answers, but not as an HMA's curator") from error
        except (ValueError, TypeError, KeyError) as error:
            raise ExchangeFailed("the HMA answered something that is no list of banks") from error
        lost = [name for name in self._settings.banks if name not in ratios]
        if lost:
            names = ", ".join(sorted(ratios)) or "none"
            raise ExchangeFailed(f"the HMA has no bank {lost[0]!r}; it has: {names}")
        return {name: ratios[name] > 0 for name in self._settings.banks}

    def _content(self, number: int) -> Any:
        """One content as the peer shows it; None where there is none of this id."""
        bank = quote(self._settings.banks[0], safe="")
        try:
            body = self._get(f"/c/bank/{bank}/content/{number}", {"include_signals": "true"})
        except StaleCursor:
            return None
        try:
            return json.loads(body)
        except ValueError:
            return body  # no content, but an id that is there

    def _get(self, path: str, params: dict[str, str] | None = None) -> bytes:
        token = self._settings.token
        headers = {"authorization": f"Bearer {token.get_secret_value()}"} if token else {}
        address = self._settings.address.rstrip("/")
        return self._calls.get(address + path, headers=headers, params=params or {})


def _records(number: int, there: Any, enabled: dict[str, bool], now: float) -> Iterator[Record]:
    """A content's hashes, a record each; what cannot be used is said without repeating it."""
    where = f"content {number}"
    try:
        bank, until = str(there["bank"]["name"]), float(there["disable_until_ts"])
        signals = there["signals"] or {}
        pairs = [(str(name), str(value)) for name, value in signals.items()]
    except (TypeError, KeyError, ValueError, AttributeError):
        yield Unreadable(where, "it is no content with bank, disable_until_ts and signals")
        return
    if bank not in enabled:
        return
    in_force = enabled[bank] and (until == 0 or _FURTHER_NOTICE < until <= now)
    for name, value in pairs:
        kind = _KINDS.get(name)
        if kind is None:
            yield Unreadable(where, f"a signal of type {name[:40]!r} cannot be compared here")
        elif not in_force:
            yield Withdrawn(f"{number}:{name}")
        else:
            try:
                yield Added(f"{number}:{name}", kind, code_of(kind, value), (bank,))
            except Invalid as wrong:
                yield Unreadable(where, str(wrong))
    # What a content does not carry any more is not named, and so withdrawn at the list's end.


def _place(cursor: str | None) -> tuple[int, int]:
    if cursor is None:
        return 1, 0
    at, _, missing = cursor.partition(":")
    return int(at), int(missing)
