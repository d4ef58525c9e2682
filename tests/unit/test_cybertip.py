"""The CyberTipline report against the structure that NCMEC documents, written down here anew.

The structure is that of the ``report`` element in the "CyberTipline Reporting API Technical
Documentation" (https://report.cybertip.org/ispws/documentation, section 6.1 and appendix B). The
schema file itself is served to registered companies only; the order and the number of elements
here are those that the documentation and three published clients (roostorg/coop, LumeWeb/ncmec,
Nachtalb/ncmec-cybertip) agree on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

import pytest

from pipeline.domain.cybertip import Reporter, Sighting, document

ONE, MAY, ANY = (1, 1), (0, 1), (0, 10_000)
Parts = Mapping[str, tuple[int, int]]
PERSON: Parts = {
    "firstName": MAY, "lastName": MAY, "phone": ANY, "email": ANY, "address": ANY, "age": MAY,
    "ageAssertionDiscrepancy": MAY, "dateOfBirth": MAY,
}  # fmt: skip
INCIDENTS = (
    "webPageIncident", "emailIncident", "newsgroupIncident", "chatImIncident",
    "onlineGamingIncident", "cellPhoneIncident", "nonInternetIncident", "peer2peerIncident",
)  # fmt: skip
STRUCTURE: Mapping[str, Parts] = {
    "report": {
        "batchedReport": MAY, "incidentSummary": ONE, "internetDetails": ANY, "lawEnforcement": MAY,
        "reporter": ONE, "personOrUserReported": MAY, "intendedRecipient": ANY, "victim": ANY,
        "additionalInfo": MAY,
    },
    "incidentSummary": {
        "incidentType": ONE, "platform": MAY, "escalateToHighPriority": MAY,
        "reportAnnotations": MAY, "incidentDateTime": ONE, "incidentDateTimeDescription": MAY,
    },
    "internetDetails": dict.fromkeys(INCIDENTS, MAY),
    "webPageIncident": {"url": ANY, "additionalInfo": MAY},
    "reporter": {
        "reportingPerson": ONE, "contactPerson": MAY, "companyTemplate": MAY,
        "termsOfService": MAY, "legalURL": MAY,
    },
    "reportingPerson": PERSON,
}  # fmt: skip
"""Elements that have children: which, in this order, and how many of each."""

TYPES = {
    "Child Pornography (possession, manufacture, and distribution)",
    "Child Sex Trafficking",
    "Child Sex Tourism",
    "Child Sexual Molestation",
    "Misleading Domain Name",
    "Misleading Words or Digital Images on the Internet",
    "Online Enticement of Children for Sexual Acts",
    "Unsolicited Obscene Material Sent to a Child",
}
LONGEST = {
    "platform": 256, "incidentDateTimeDescription": 3000, "firstName": 100, "lastName": 100,
    "email": 255,
}  # fmt: skip
DATE_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


def faults(text: str) -> list[str]:
    """Everything in which a document departs from the documented structure."""
    root = ET.fromstring(text)
    found = [] if root.tag == "report" else [f"the root is {root.tag}"]
    for element in root.iter():
        parts = STRUCTURE.get(element.tag)
        names = [child.tag for child in element]
        if parts is None:
            found += [f"{element.tag} has children"] if names else []
            found += [f"{element.tag} is empty"] if not (element.text or "").strip() else []
        else:
            order = list(parts)
            found += [f"{element.tag} has no {name}" for name in names if name not in parts]
            places = [order.index(name) for name in names if name in parts]
            found += [f"{element.tag} is out of order"] if places != sorted(places) else []
            for name, (least, most) in parts.items():
                if not least <= names.count(name) <= most:
                    found.append(f"{element.tag} has {names.count(name)} {name}")
        if element.tag == "internetDetails" and len(names) != 1:
            found.append("internetDetails is about one incident")
        if element.tag == "incidentType" and element.text not in TYPES:
            found.append("no such incidentType")
        if element.tag == "incidentDateTime" and not DATE_TIME.fullmatch(element.text or ""):
            found.append("incidentDateTime is no dateTime with a zone")
        if len(element.text or "") > LONGEST.get(element.tag, 1_000_000):
            found.append(f"{element.tag} is too long")
    return found


AT = datetime(2026, 11, 25, 8, 30, tzinfo=UTC)


def sighting(platform: str = "board", content: str = "post-1", *, viewed: bool = True) -> Sighting:
    return Sighting(platform, content, "0190-screening", AT, viewed)


@pytest.mark.parametrize(
    "reporter",
    [
        Reporter(""),
        Reporter("Board Ltd"),
        Reporter("Board Ltd", "Ada", "Lovelace", "ada@board.example"),
        Reporter("B" * 400, "A" * 400, "L" * 400, "e" * 400),
    ],
)
@pytest.mark.parametrize("count", [1, 3])
def test_a_prepared_report_has_the_documented_structure(reporter: Reporter, count: int) -> None:
    sightings = [sighting(f"board {at}" * 60, viewed=at == 0) for at in range(count)]
    text = document("case-1", AT, sightings, reporter)
    assert faults(text) == []
    root = ET.fromstring(text)
    assert len(root.findall("internetDetails")) == count
    said = root.attrib["{http://www.w3.org/2001/XMLSchema-instance}noNamespaceSchemaLocation"]
    assert said == "https://report.cybertip.org/ispws/xsd"
    assert root.findtext("incidentSummary/incidentDateTime") == "2026-11-25T08:30:00Z"
    assert reporter.company in root.findtext("additionalInfo", "")


def test_what_platforms_call_their_content_cannot_break_the_document() -> None:
    nasty = "<a>&\"']]>\x00\x07\ud800 ok"
    text = document("c", AT, [sighting(nasty, nasty)], Reporter("A & B <Ltd>"))
    text.encode()
    assert faults(text) == []
    assert "ok" in ET.fromstring(text).findtext(
        "internetDetails/webPageIncident/additionalInfo", ""
    )


def test_the_check_sees_what_ncmec_would_refuse() -> None:
    good = document("c", AT, [sighting()], Reporter("Board"))
    summary = good[good.index("  <incidentSummary>") : good.index("  <internetDetails>")]
    moved = good.replace(summary, "").replace("</report>", summary + "</report>")
    for broken, said in (
        (moved, "report is out of order"),
        (good.replace(summary, ""), "report has 0 incidentSummary"),
        (good.replace("2026-11-25T08:30:00Z</incidentDateTime>", "25.11.</incidentDateTime>"),
         "incidentDateTime is no dateTime with a zone"),
        (good.replace("<incidentType>Child", "<incidentType>Some"), "no such incidentType"),
        (good.replace("</report>", "<note>x</note></report>"), "report has no note"),
    ):  # fmt: skip
        assert said in faults(broken)


def test_a_report_names_at_least_one_upload() -> None:
    with pytest.raises(ValueError, match="at least one upload"):
        document("c", AT, [], Reporter("Board"))
