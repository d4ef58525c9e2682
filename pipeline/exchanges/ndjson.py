"""Files of hashes: NDJSON as ThreatExchange's updates are written, or CSV; a path or an address.

A line of NDJSON is an object with ``type`` (``HASH_PDQ``, ``HASH_MD5``, ``HASH_SHA256``, or
``pdq``, ``md5``, ``sha256``), ``indicator`` (the hash), and where there are ``id``,
``should_delete`` and ``tags``. A CSV file has a first line that names its columns, of which
``type`` and ``indicator`` are wanted, or none and then two columns: type and hash. A file is the
whole list: what a later one does not name any more is withdrawn.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError

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
from pipeline.exchanges._calls import Calls

_PAGE = 1000
_KINDS = {
    **{kind.value: kind for kind in Kind},
    "hash_pdq": Kind.PDQ,
    "hash_md5": Kind.MD5,
    "video_md5": Kind.MD5,
    "hash_sha256": Kind.SHA256,
}
_YES = frozenset({"true", "1", "yes"})


class Settings(BaseModel):
    """Where the list lies: a file on this machine, or an address with its bearer token."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    source: str
    token: SecretStr | None = None


def build(calls: Calls | None = None, **settings: Any) -> Exchange:
    """The family's entry point; raises ``Invalid`` for settings that cannot be used."""
    try:
        return HashFile(calls or Calls(most=1 << 30), Settings(**settings))
    except ValidationError as error:
        raise Invalid("a list in a file wants source: its path or its address") from error


class HashFile:
    """A list of hashes in one file."""

    keeps: timedelta | None = None
    whole = True
    repeatable = True

    def __init__(self, calls: Calls, settings: Settings) -> None:
        self._calls, self._settings = calls, settings

    def pages(self, since: str | None) -> Iterator[Page]:
        """See ``Exchange``. The cursor is a number of records that were read already."""
        records = islice(self._records(), int(since or 0), None)
        done = int(since or 0)
        page = tuple(islice(records, _PAGE))
        while True:
            following = tuple(islice(records, _PAGE))
            done += len(page)
            if not following:
                yield Page(page, "0", last=True)
                return
            yield Page(page, str(done), last=False)
            page = following

    def report(self, reports: Sequence[Report]) -> int:
        """See ``Exchange``. A file takes no feedback."""
        del reports
        return 0

    def _records(self) -> Iterator[Record]:
        lines = self._lines()
        first = next(lines, "")
        if first.lstrip().startswith("{"):
            yield from _of_objects(first, lines)
        elif first:
            yield from _of_table(first, lines)

    def _lines(self) -> Iterator[str]:
        source = self._settings.source
        if source.startswith(("https://", "http://")):
            token = self._settings.token
            headers = {"authorization": f"Bearer {token.get_secret_value()}"} if token else {}
            text = self._calls.get(source, headers=headers).decode("utf-8", "replace")
            yield from (line for line in text.splitlines() if line.strip())
            return
        try:
            with Path(source).open(encoding="utf-8", errors="replace") as file:
                yield from (line.rstrip("\r\n") for line in file if line.strip())
        except OSError as error:
            raise ExchangeFailed(f"{source} cannot be read ({error.strerror})") from error


def _of_objects(first: str, lines: Iterator[str]) -> Iterator[Record]:
    for number, line in enumerate((first, *lines), 1):
        try:
            raw = json.loads(line)
        except ValueError:
            raw = None
        if isinstance(raw, dict):
            yield _record(raw, number)
        else:
            yield Unreadable(f"line {number}", "it is no JSON object")


def _of_table(first: str, lines: Iterator[str]) -> Iterator[Record]:
    header = [name.strip().lower() for name in next(csv.reader([first]), [])]
    named = "type" in header and "indicator" in header
    names = header if named else ["type", "indicator"]
    rest = lines if named else (line for part in ((first,), lines) for line in part)
    for number, row in enumerate(csv.reader(rest), 2 if named else 1):
        yield _record(dict(zip(names, row, strict=False)), number)


def _record(raw: Mapping[str, Any], number: int) -> Record:
    """One line's record, named by its id where it has one and else by what it holds."""
    word, value = str(raw.get("type", "")).strip().lower(), str(raw.get("indicator", "")).strip()
    kind = _KINDS.get(word)
    if kind is None:
        return Unreadable(f"line {number}", "its type is none of pdq, md5, sha256")
    key = f"{kind}:{raw.get('id') or value.lower()}"
    if raw.get("should_delete") is True or str(raw.get("should_delete")).lower() in _YES:
        return Withdrawn(key)
    tags = raw.get("tags")
    labels = tuple(str(tag) for tag in tags) if isinstance(tags, list) else ()
    try:
        return Added(key, kind, code_of(kind, value), labels)
    except Invalid as wrong:
        return Unreadable(f"line {number}", str(wrong))
