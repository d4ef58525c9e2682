"""The report of an apparent minor, as the CyberTipline's documented XML.

The document follows NCMEC's published "CyberTipline Reporting API" (the ``report`` element of its
schema, version 1). It is prepared here and handed in by the operator with the organisation's own
credentials; nothing in Consentry sends it. Contents of uploads are not in it: those are sent with
the same API's file uploads, from what is preserved.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from xml.etree import ElementTree as ET

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
        _add(person, "firstName", reporter.first_name)
    if reporter.last_name:
        _add(person, "lastName", reporter.last_name)
    if reporter.email:
        _add(person, "email", reporter.email)
    _add(root[-1], "companyTemplate", reporter.company)
    _add(
        root,
        "additionalInfo",
        f"Consentry case {case}, decided by a trained reviewer at {_moment(decided_at)}."
        " The uploads are preserved for one year from the report (18 USC 2258A(h)).",
    )
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _add(parent: ET.Element, name: str, text: str | None = None) -> ET.Element:
    made = ET.SubElement(parent, name)
    if text is not None:
        # XML has no place for control characters, which a platform's content id may hold.
        made.text = "".join(sign for sign in text if sign >= " " or sign in "\t\n")
    return made


def _moment(at: datetime) -> str:
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")
