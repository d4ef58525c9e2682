"""The report of an apparent minor, as the CyberTipline's documented XML.

The document follows NCMEC's "CyberTipline Reporting API Technical Documentation"
(https://report.cybertip.org/ispws/documentation): the ``report`` element of the schema in its
appendix B, whose children come in a fixed order and are refused in any other (response 4100).
``tests/unit/test_cybertip.py`` holds that structure and checks every document against it. It is
prepared here and handed in by the operator with the organisation's own credentials; nothing in
Consentry sends it. Contents of uploads are not in it: those are sent with the same API's file
uploads, from what is preserved.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from xml.etree import ElementTree as ET

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML has no place for, and a platform's content id may hold."""

_LONGEST_PLATFORM = 256
_LONGEST_NAME, _LONGEST_EMAIL = 100, 255
_SCHEMA = "https://report.cybertip.org/ispws/xsd"
_INCIDENT = "Child Pornography (possession, manufacture, and distribution)"
"""The incident type's name in the schema's list, word by word."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """One upload: where it was found and when."""

    platform: str
    content_id: str
    screening: str
    seen_at: datetime
    viewed: bool
    """Whether a person of the reporting company looked at the whole file."""


@dataclass(frozen=True, slots=True)
class Reporter:
    """Who reports: what the law wants to know of the company."""

    company: str
    first_name: str = ""
    last_name: str = ""
    email: str = ""


def document(
    case: str, decided_at: datetime, sightings: Sequence[Sighting], reporter: Reporter
) -> str:
    """The report as XML text; the first sighting is the incident, the others are told with it."""
    if not sightings:
        raise ValueError("a report names at least one upload")
    ET.register_namespace("xsi", "http://www.w3.org/2001/XMLSchema-instance")
    root = ET.Element(
        "report",
        {
            "{http://www.w3.org/2001/XMLSchema-instance}noNamespaceSchemaLocation": _SCHEMA,
        },
    )
    first = sightings[0]
    summary = _add(root, "incidentSummary")
    _add(summary, "incidentType", _INCIDENT)
    _add(summary, "platform", first.platform[:_LONGEST_PLATFORM])
    _add(summary, "incidentDateTime", _moment(first.seen_at))
    _add(summary, "incidentDateTimeDescription", "When the upload was screened")
    for sighting in sightings:
        details = _add(_add(root, "internetDetails"), "webPageIncident")
        _add(
            details,
            "additionalInfo",
            f"Platform: {sighting.platform}; content id: {sighting.content_id};"
            f" screening: {sighting.screening}; seen: {_moment(sighting.seen_at)};"
            f" viewed by a reviewer: {'yes' if sighting.viewed else 'no'}",
        )
    person = _add(_add(root, "reporter"), "reportingPerson")
    if reporter.first_name:
        _add(person, "firstName", reporter.first_name[:_LONGEST_NAME])
    if reporter.last_name:
        _add(person, "lastName", reporter.last_name[:_LONGEST_NAME])
    if reporter.email:
        _add(person, "email", reporter.email[:_LONGEST_EMAIL])
    _add(
        root,
        "additionalInfo",
        (f"Reported by {reporter.company}. " if reporter.company else "")
        + f"Consentry case {case}, decided by a trained reviewer at"
        f" {_moment(decided_at)}."
        " The uploads are preserved for one year from the report (18 USC 2258A(h)).",
    )
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _add(parent: ET.Element, name: str, text: str | None = None) -> ET.Element:
    made = ET.SubElement(parent, name)
    if text is not None:
        made.text = _NOT_XML.sub("", text)
    return made


def _moment(at: datetime) -> str:
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")
