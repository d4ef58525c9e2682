"""NCMEC's hash sharing service, XML version 2: an image or a video is an entry of one member.

``GET /v2/entries?from=&to=`` answers in pages that are **not in order of time**, so the time to
go on from is known only after the last page. ``deletedImage`` and ``deletedVideo`` withdraw an
entry. An entry may carry several hashes of the same picture; each becomes a record of its own.
"""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError

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
from pipeline.exchanges._calls import Calls

_KINDS = {"md5": Kind.MD5, "sha256": Kind.SHA256, "pdq": Kind.PDQ}
_ENTRIES = frozenset({"image", "video"})
_OVERLAP = timedelta(minutes=5)  # entries that are being written while we read
_BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)


class Settings(BaseModel):
    """What the partner gave the operator; the password is sealed in the vault, never printed.

    ``address`` is the environment's: its path differs between industry, NGO and test services.
    ``members`` limits the list to entries of these members' ids; empty means all.
    """

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    username: SecretStr
    password: SecretStr
    address: str = "https://hashsharing.ncmec.org/npo"
    members: tuple[str, ...] = ()
    negative_reason: str | None = None
    """The id of the reason (from the partner's list of reasons) that a dismissal is given."""


def build(calls: Calls | None = None, **settings: Any) -> Exchange:
    """The family's entry point; raises ``Invalid`` for settings that cannot be used."""
    try:
        return Ncmec(calls or Calls(), Settings(**settings))
    except ValidationError as error:
        raise Invalid("NCMEC's hash sharing wants username and password") from error


class Ncmec:
    """One environment of NCMEC's hash sharing service."""

    keeps: timedelta | None = None
    whole = False
    repeatable = False
    """Each submission is one more; nothing says that a second one replaces the first."""

    def __init__(self, calls: Calls, settings: Settings) -> None:
        self._calls, self._settings = calls, settings

    def pages(self, since: str | None) -> Iterator[Page]:
        """See ``Exchange``. ``to`` stays the same over all pages of one reading."""
        place = _Place.read(since)
        while True:
            root = self._ask(place)
            records = tuple(self._records(root))
            following = root.findtext("paging/next")
            if not following:
                after = datetime.fromisoformat(place.to) - _OVERLAP
                yield Page(records, _Place(_stamp(after), "", "").write(), last=True)
                return
            if following == place.next:
                raise ExchangeFailed("NCMEC names the same page as the next one again and again")
            place = _Place(place.since, place.to, following)
            yield Page(records, place.write(), last=False)

    def report(self, reports: Sequence[Report]) -> int:
        """See ``Exchange``. A dismissal needs the reason that ``negative_reason`` names."""
        told = 0
        for report in reports:
            body = self._said(report.feedback)
            if body is None:
                continue
            member, entry, kind = report.key.split(":", 2)
            self._calls.post(
                f"{self._settings.address}/v2/feedback/{member}/{entry}/{kind}",
                auth=self._login(),
                headers={"content-type": "application/xml"},
                content=body,
            )
            told += 1
        return told

    def _said(self, feedback: Feedback) -> bytes | None:
        reason = self._settings.negative_reason
        if feedback is Feedback.IN_REVIEW or (feedback is Feedback.DISMISSED and not reason):
            return None
        said = ET.Element(
            "feedbackSubmission", xmlns="https://hashsharing.ncmec.org/hashsharing/v2"
        )
        if feedback is Feedback.UPHELD:
            ET.SubElement(said, "affirmative")
        else:
            reasons = ET.SubElement(ET.SubElement(said, "negative"), "reasonIds")
            ET.SubElement(reasons, "guid").text = reason
        written: bytes = ET.tostring(said, encoding="utf-8", xml_declaration=True)
        return written

    def _ask(self, place: _Place) -> ET.Element:
        base = self._settings.address
        if place.next:
            # A path of the same service: whatever host it might name, credentials stay with ours.
            target = urlsplit(place.next)
            body = self._calls.get(f"{base}{target.path}?{target.query}", auth=self._login())
        else:
            body = self._calls.get(
                f"{base}/v2/entries",
                params={"from": place.since, "to": place.to},
                auth=self._login(),
            )
        return _parsed(body)

    def _login(self) -> tuple[str, str]:
        settings = self._settings
        return settings.username.get_secret_value(), settings.password.get_secret_value()

    def _records(self, root: ET.Element) -> Iterator[Record]:
        for group in ("images", "videos"):
            for entry in root.iterfind(f"{group}/*"):
                member = entry.find("member")
                member_id = member.get("id", "") if member is not None else ""
                name = (entry.findtext("id") or "").strip()
                if not member_id or not name or ":" in member_id:
                    yield Unreadable(f"an entry of {group}", "it has no id or no member")
                elif not self._settings.members or member_id in self._settings.members:
                    yield from _of_entry(entry, member_id, name)


def _of_entry(entry: ET.Element, member: str, name: str) -> Iterator[Record]:
    """The hashes of one entry. What it does not carry any more is withdrawn with it."""
    tag, fingerprints = entry.tag, entry.find("fingerprints")
    if tag.lower().startswith("deleted"):
        yield from (Withdrawn(f"{member}:{name}:{kind}") for kind in _KINDS)
        return
    if tag not in _ENTRIES:
        yield Unreadable(f"entry {name} of member {member}", f"a {tag} is nothing we know")
        return
    there = {part.tag.lower(): part for part in fingerprints} if fingerprints is not None else {}
    for word, kind in _KINDS.items():
        key = f"{member}:{name}:{word}"
        part = there.get(word)
        if part is None:
            yield Withdrawn(key)
            continue
        try:
            label = entry.findtext("classification")
            yield Added(key, kind, code_of(kind, part.text or ""), (label,) if label else ())
        except Invalid as wrong:
            yield Unreadable(f"entry {name} of member {member}", str(wrong))


class _Place:
    """Where reading goes on: the span of time that is read, and the page within it."""

    def __init__(self, since: str, to: str, following: str) -> None:
        self.since, self.to, self.next = since, to, following

    @staticmethod
    def read(cursor: str | None) -> _Place:
        place = json.loads(cursor) if cursor else {}
        return _Place(
            place.get("since") or _stamp(_BEGINNING),
            place.get("to") or _stamp(datetime.now(UTC)),
            place.get("next") or "",
        )

    def write(self) -> str:
        return json.dumps({"since": self.since, "to": self.to, "next": self.next})


def _parsed(body: bytes) -> ET.Element:
    """The answer without its namespace. A document type is refused: it could name entities."""
    if b"<!DOCTYPE" in body or b"<!ENTITY" in body:
        raise ExchangeFailed("NCMEC answered XML with a document type, which it never sends")
    try:
        root = ET.fromstring(body.strip())  # noqa: S314 - entities were refused above
    except ET.ParseError as error:
        raise ExchangeFailed("NCMEC answered something that is no XML") from error
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    if root.tag != "queryResult":
        raise ExchangeFailed("NCMEC answered XML that is no list of entries")
    return root


def _stamp(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
