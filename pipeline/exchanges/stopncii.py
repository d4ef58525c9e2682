"""StopNCII.org: hashes that people made of their own images, through the partner API, version 1.

``GET FetchHashes`` gives records by time of change, ``POST SubmitFeedback`` takes what a reviewer
found. A record's ``hashStatus`` says whether it is in force: *Withdrawn* and *Deleted* are not,
whatever its cases say. (A well-known client compares the hash itself with these words, so that
nothing is ever withdrawn: facebook/ThreatExchange, python-threatexchange 1.2.17.)
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from pipeline.errors import Invalid
from pipeline.exchanges import (
    Added,
    Exchange,
    ExchangeFailed,
    Feedback,
    Kind,
    Page,
    Record,
    Report,
    Unreadable,
    Withdrawn,
    code_of,
)
from pipeline.exchanges._calls import Calls, StaleCursor

ADDRESS = "https://api.stopncii.org/v1"
_PAGE = 800
_BEGINNING = 10  # the API takes no 0

_KINDS = {"ImagePDQ": Kind.PDQ, "VideoMD5": Kind.MD5}
_GONE = frozenset({"Withdrawn", "Deleted"})
_LIVE = frozenset({"Received", "Active"})
_WORDS = {
    Feedback.IN_REVIEW: "PendingReview",
    Feedback.UPHELD: "Blocked",
    Feedback.DISMISSED: "NotBlocked",
}


class Settings(BaseModel):
    """What the partner gave the operator. Keys are sealed in the vault and never print."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    subscription_key: SecretStr
    fetch_key: SecretStr
    feedback_key: SecretStr | None = None
    address: str = ADDRESS


def build(calls: Calls | None = None, **settings: Any) -> Exchange:
    """The family's entry point; raises ``Invalid`` for settings that cannot be used."""
    try:
        return StopNCII(calls or Calls(), Settings(**settings))
    except ValidationError as error:
        raise Invalid(
            "StopNCII wants subscription_key and fetch_key (and feedback_key to answer)"
        ) from error


class StopNCII:
    """The list of StopNCII.org."""

    keeps: timedelta | None = timedelta(days=30)
    whole = False
    repeatable = True
    """A hash has one feedback of each partner; the last one counts."""

    def __init__(self, calls: Calls, settings: Settings) -> None:
        self._calls, self._settings = calls, settings

    def pages(self, since: str | None) -> Iterator[Page]:
        """See ``Exchange``. A page's token is forgotten soon: then its beginning is read again."""
        start, token = _place(since)
        while True:
            try:
                answer = self._fetch(start, token)
            except StaleCursor:
                if not token:
                    raise
                token = ""
                continue
            records = tuple(_record(raw) for raw in answer.hash_records)
            if not answer.has_more:
                after = max(start, answer.next_timestamp)
                yield Page(records, _cursor(after, ""), last=True)
                return
            if not answer.next_token or answer.next_token == token:
                raise ExchangeFailed("StopNCII promises more records without saying where")
            token = answer.next_token
            yield Page(records, _cursor(start, token), last=False)

    def report(self, reports: Sequence[Report]) -> int:
        """See ``Exchange``. Feedback belongs to a hash, so a record's key is enough."""
        if self._settings.feedback_key is None or not reports:
            return 0
        said = [
            {
                "hashValue": report.key.partition(":")[2],
                "feedbackValue": _WORDS[report.feedback],
                "tags": [],
            }
            for report in reports
        ]
        self._calls.post(
            f"{self._settings.address}/SubmitFeedback",
            headers=self._headers(self._settings.feedback_key),
            json={"count": len(said), "hashFeedbacks": said},
        )
        return len(said)

    def _fetch(self, start: int, token: str) -> _Answer:
        asked: dict[str, str | int] = {"startTimestamp": start, "pageSize": _PAGE}
        if token:
            asked["nextPageToken"] = token
        body = self._calls.get(
            f"{self._settings.address}/FetchHashes",
            headers=self._headers(self._settings.fetch_key),
            params=asked,
        )
        try:
            return _Answer.model_validate_json(body)
        except ValidationError as error:
            raise ExchangeFailed("StopNCII answered something that is no page of hashes") from error

    def _headers(self, key: SecretStr) -> dict[str, str]:
        return {
            "x-functions-key": key.get_secret_value(),
            "Ocp-Apim-Subscription-Key": self._settings.subscription_key.get_secret_value(),
        }


class _Answer(BaseModel):
    model_config = ConfigDict(hide_input_in_errors=True)

    has_more: bool = Field(alias="hasMoreRecords")
    next_token: str | None = Field(default=None, alias="nextPageToken")
    next_timestamp: int = Field(alias="nextSetTimestamp")
    hash_records: list[Any] = Field(alias="hashRecords")


def _record(raw: Any) -> Record:
    """One record; whatever is wrong with it is said without repeating the hash."""
    if not isinstance(raw, Mapping):
        return Unreadable("a record", "it is no object")
    kind_name, value = raw.get("signalType"), raw.get("hashValue")
    where = f"a {kind_name} changed at {raw.get('lastModtimestamp')}"
    if not isinstance(value, str) or not isinstance(kind_name, str) or not value:
        return Unreadable(where, "it has no signalType or no hashValue")
    status, key = raw.get("hashStatus"), f"{kind_name}:{value.lower()}"
    if status in _GONE:
        return Withdrawn(key)
    if status not in _LIVE:
        return Unreadable(where, "its hashStatus is none that the protocol names")
    if kind_name not in _KINDS:
        return Unreadable(where, "hashes of this type cannot be compared here")
    try:
        return Added(key, _KINDS[kind_name], code_of(_KINDS[kind_name], value))
    except Invalid as wrong:
        return Unreadable(where, str(wrong))


def _place(cursor: str | None) -> tuple[int, str]:
    if cursor is None:
        return _BEGINNING, ""
    place = json.loads(cursor)
    return int(place["start"]), str(place["token"])


def _cursor(start: int, token: str) -> str:
    return json.dumps({"start": start, "token": token})
