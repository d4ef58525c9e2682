"""Reasons for a restriction: only while a decision stands, as the published rules have it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.domain.case import Ground, State
from pipeline.journeys import appeal, review
from services.api.statement_words import WORDS
from services.api.transparency_database import EEA, Entry
from tests.integration.api import Program, make_program, program
from tests.integration.test_feedback import NOTICE, removed
from tests.world import jpeg, picture

__all__ = ["make_program", "program"]


def upheld(program: Program) -> tuple[str, str]:
    """An upheld case's address and the screening in it."""
    town = program.town
    town.rules(undo_seconds=0, second_looks=0)
    town.register(jpeg(picture(1)))
    answer = program.screen(jpeg(picture(1), 50), uploader="maria99").json()
    town.uphold(answer["case"], town.reviewer("ada"), "It is Maria.")
    return f"/v1/cases/{answer['case']}/statement", answer["screening"]


def test_an_upheld_case_has_an_entry_that_the_database_would_take(program: Program) -> None:
    where, screening = upheld(program)
    said = program.client.get(where)
    assert said.status_code == 200
    entry = said.json()
    assert Entry.model_validate(entry)
    assert entry["puid"] == screening
    assert entry["decision_visibility"] == ["DECISION_VISIBILITY_CONTENT_REMOVED"]
    assert entry["category"] == "STATEMENT_CATEGORY_CYBER_VIOLENCE"
    assert entry["category_specification"] == ["KEYWORD_NON_CONSENSUAL_IMAGE_SHARING"]
    assert (entry["source_type"], entry["automated_detection"]) == ("SOURCE_VOLUNTARY", "Yes")
    assert entry["automated_decision"] == "AUTOMATED_DECISION_NOT_AUTOMATED"
    assert entry["content_type"] == ["CONTENT_TYPE_IMAGE"]
    assert entry["territorial_scope"] == list(EEA)
    today = program.town.clock().date().isoformat()
    assert entry["application_date"] == entry["content_date"] == today
    law = program.client.get(where, params={"ground": "law", "territory": ["DE", "FR"]}).json()
    assert law["decision_ground"] == "DECISION_GROUND_ILLEGAL_CONTENT"
    assert "2024/1385" in law["illegal_content_legal_ground"]
    assert law["territorial_scope"] == ["DE", "FR"]
    assert "incompatible_content_ground" not in law


def test_the_reasons_are_told_in_words_in_four_languages_and_name_nobody(program: Program) -> None:
    where, screening = upheld(program)
    texts = set()
    for language in WORDS:
        text = program.client.get(
            where, headers={"accept": "text/plain", "accept-language": f"xx, {language}-XX;q=0.8"}
        )
        assert text.headers["content-type"].startswith("text/plain")
        assert text.headers["content-language"] == language
        assert screening in text.text
        assert WORDS[language]["rights"] in text.text
        assert "{" not in text.text
        texts.add(text.text)
    assert len(texts) == 4
    everything = "".join([*texts, program.client.get(where).text])
    for name in ("maria", "Maria", "ada", "post-1", "It is"):
        assert f" {name} " not in everything
        assert f'"{name}"' not in everything
    chosen = program.client.get(
        where, params={"language": "de"}, headers={"accept": "text/plain;q=1, application/json;q=0"}
    )
    assert chosen.text.startswith(WORDS["de"]["title"])


def test_there_are_no_reasons_before_a_decision_nor_for_a_dismissal_nor_for_strangers(
    make_program: Any, program: Program
) -> None:
    town = program.town
    town.register(jpeg(picture(1)))
    case = program.screen(jpeg(picture(1), 50)).json()["case"]
    where = f"/v1/cases/{case}/statement"
    early = program.client.get(where)
    assert (early.status_code, early.json()["code"]) == (409, "conflict")
    stranger = make_program("stranger", url=str(program.client.base_url))
    assert stranger.client.get(where).status_code == 404
    town.dismiss(case, town.reviewer("ada"))
    late = program.client.get(where)
    assert late.status_code == 409
    assert "dismissed" in late.json()["detail"]


def test_an_overturned_decision_has_no_reasons_any_more(program: Program) -> None:
    where, _ = upheld(program)
    town, case = program.town, where.split("/")[3]
    made = program.client.post(
        where.replace("statement", "appeals"), json={"statement": "It is mine."}
    )
    assert made.status_code == 201
    assert program.client.get(where).status_code == 200, "it stands until somebody says otherwise"
    claim = review.claim(town.world.desk, made.json()["appeal"], town.reviewer("ben"))
    review.decide(
        town.world.desk, claim.case, claim.token, State.OVERTURNED, Ground.DECISION_WRONG, "Mine."
    )
    gone = program.client.get(where)
    assert gone.status_code == 409
    assert "overturned" in gone.json()["detail"]
    again = program.client.post(where.replace("statement", "appeals"), json={"statement": "More."})
    assert again.status_code == 409, "one appeal for each side"
    assert case


def test_a_dismissal_that_an_appeal_turned_round_has_reasons(program: Program) -> None:
    town = program.town
    town.rules(undo_seconds=0, second_looks=0)
    town.register(jpeg(picture(1)))
    case = program.screen(jpeg(picture(1), 50)).json()["case"]
    town.dismiss(case, town.reviewer("ada"))
    ((person,),) = town.query("SELECT DISTINCT person FROM case_hits")
    asked = appeal.by_registered(town.world.desk, person, case, "It is me.")
    town.clock.forward(days=1)
    claim = review.claim(town.world.desk, asked, town.reviewer("ben"))
    review.decide(
        town.world.desk, claim.case, claim.token, State.OVERTURNED, Ground.DECISION_WRONG, "Hers."
    )
    entry = program.client.get(f"/v1/cases/{case}/statement").json()
    assert town.clock().date().isoformat() in entry["decision_facts"]


def test_what_the_platform_did_is_what_the_statement_tells_of(program: Program) -> None:
    where, screening = upheld(program)
    acts, at = f"/v1/screenings/{screening}/actions", program.town.clock()
    words = {"labelled": "LABELLED", "restricted": "OTHER", "removed": "CONTENT_REMOVED"}
    for number, (kind, expected) in enumerate(words.items()):
        told = removed(at - timedelta(minutes=9 - number)) | {"action": kind}
        assert program.client.post(acts, json=told).status_code == 201
        entry = program.client.get(where).json()
        assert entry["decision_visibility"][0].endswith(expected)
        assert ("decision_visibility_other" in entry) == (kind == "restricted")
    program.client.post(acts, json=removed(at) | {"action": "restored"})
    assert program.client.get(where).status_code == 409


def test_a_repeat_that_nobody_looked_at_says_so(program: Program) -> None:
    where, _ = upheld(program)
    again = program.screen(jpeg(picture(1), 50), "post-2").json()
    assert again["verdict"] == "known"
    entry = program.client.get(where, params={"screening": again["screening"]}).json()
    assert entry["automated_decision"] == "AUTOMATED_DECISION_FULLY"
    assert "nobody looked at this upload again" in entry["decision_facts"]
    text = program.client.get(
        where, params={"screening": again["screening"]}, headers={"accept": "text/plain"}
    ).text
    assert "nobody looked" in text


def test_content_that_a_notice_told_of_was_not_found_by_software(program: Program) -> None:
    case = program.client.post("/v1/notices", json=NOTICE).json()["case"]
    program.town.uphold(case, program.town.reviewer())
    entry = program.client.get(f"/v1/cases/{case}/statement").json()
    assert (entry["source_type"], entry["automated_detection"]) == ("SOURCE_ARTICLE_16", "No")
    assert entry["content_type"] == ["CONTENT_TYPE_OTHER"]
    assert entry["content_type_other"]
    assert "Maria" not in str(entry)
    assert "board.example" not in str(entry)


GOOD: dict[str, Any] = {
    "decision_visibility": ["DECISION_VISIBILITY_CONTENT_REMOVED"],
    "decision_ground": "DECISION_GROUND_INCOMPATIBLE_CONTENT",
    "incompatible_content_ground": "terms",
    "incompatible_content_explanation": "not allowed",
    "category": "STATEMENT_CATEGORY_CYBER_VIOLENCE",
    "content_type": ["CONTENT_TYPE_IMAGE"],
    "content_date": "2026-11-01",
    "territorial_scope": ["DE"],
    "application_date": "2026-11-02",
    "decision_facts": "facts",
    "source_type": "SOURCE_VOLUNTARY",
    "automated_detection": "Yes",
    "automated_decision": "AUTOMATED_DECISION_NOT_AUTOMATED",
    "puid": "a-1",
}


@pytest.mark.parametrize(
    "wrong",
    [
        {"decision_visibility": None},
        {"decision_visibility": ["DECISION_VISIBILITY_OTHER"]},
        {"decision_visibility_other": "not asked for"},
        {"decision_ground": "DECISION_GROUND_ILLEGAL_CONTENT"},
        {"illegal_content_explanation": "not asked for"},
        {"incompatible_content_explanation": "x" * 2001},
        {"category": "STATEMENT_CATEGORY_NON_CONSENT"},
        {"content_type": []},
        {"content_type": ["CONTENT_TYPE_OTHER"]},
        {"content_date": "1999-12-31"},
        {"territorial_scope": []},
        {"territorial_scope": ["US"]},
        {"application_date": "2019-12-31"},
        {"decision_facts": "x" * 5001},
        {"source_type": "SOURCE_RUMOUR"},
        {"automated_detection": "maybe"},
        {"automated_decision": "Yes"},
        {"puid": "post 1"},
        {"end_date_visibility_restriction": "2026-11-01"},
        {"uploader": "maria99"},
    ],
)
def test_what_the_database_would_refuse_is_refused_here(wrong: dict[str, Any]) -> None:
    assert Entry.model_validate(GOOD)
    with pytest.raises(ValidationError):
        Entry.model_validate(GOOD | wrong)
