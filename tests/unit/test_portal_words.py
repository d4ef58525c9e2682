"""Every page is whole in every language: nothing untranslated, no place lost."""

from __future__ import annotations

import io
import re
from functools import cache
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

import services.portal
from services.portal import words
from services.portal.languages import LANGUAGES, SOURCE, words_of

PORTAL = Path(services.portal.__file__).parent
OTHERS = sorted(LANGUAGES.keys() - {SOURCE})
PLACE = re.compile(r"%\(\w+\)s|%%")
TEXT = re.compile(r">\s*([^<>{}\s&][^<>{}]*)<")
SAME_EVERYWHERE = {"PIN", "Clip", "Form"}
"""Words that another language may share."""


@cache
def messages() -> frozenset[str]:
    """Everything that the portal says, as its templates and modules mark it."""
    found = extract_from_dir(
        PORTAL,
        method_map=[("templates/**.html", "jinja2"), ("**.py", "python")],
        options_map={"templates/**.html": {"newstyle_gettext": "true"}},
        keywords={"_": None, "raw": None, "N_": None},
    )
    return frozenset(str(message) for _, _, message, _, _ in found)


def catalog(code: str) -> Catalog:
    return read_po(io.BytesIO((PORTAL / "locale" / f"{code}.po").read_bytes()), locale=code)


def test_the_extraction_sees_what_pages_say() -> None:
    assert len(messages()) > 300
    assert "Protect my pictures" in messages()
    assert set(words.PROBLEMS.values()) <= messages()


@pytest.mark.parametrize("code", OTHERS)
def test_nothing_is_untranslated_and_nothing_is_left_over(code: str) -> None:
    found = {str(entry.id): entry for entry in catalog(code) if entry.id}
    assert messages() - found.keys() == set(), "translate these"
    assert found.keys() - messages() == set(), "no page says these any more"
    for said, entry in found.items():
        assert str(entry.string).strip(), said
        assert not entry.fuzzy, said
        assert sorted(PLACE.findall(said)) == sorted(PLACE.findall(str(entry.string))), said
        if len(said.split()) > 2:
            assert entry.string != said, f"{said!r} is still English"


@pytest.mark.parametrize("code", OTHERS)
def test_a_translation_is_written_in_its_language(code: str) -> None:
    letters = {"ar": re.compile("[؀-ۿ]"), "de": re.compile("[äöüß]"), "es": re.compile("[áéíóúñ¿]")}
    texts = [words_of(code).gettext(said) for said in messages()]
    share = sum(bool(letters[code].search(text)) for text in texts) / len(texts)
    assert share > {"ar": 0.99, "de": 0.3, "es": 0.3}[code]


def test_no_template_says_anything_that_is_not_marked() -> None:
    names = {"Take It Down", "INHOPE", "Child Helpline International"}
    for template in sorted((PORTAL / "templates").glob("*.html")):
        bare = re.sub(r"<script.*?</script>|\{[{%].*?[%}]\}", "", template.read_text(), flags=re.S)
        said = {text.strip() for text in TEXT.findall(bare)} - names
        assert not {text for text in said if re.search("[A-Za-z]{2}", text)}, template.name


def test_every_problem_of_the_device_has_its_words() -> None:
    script = (PORTAL / "static" / "device" / "problems.js").read_text()
    table = re.search(r"PROBLEMS = \{(.*?)\n\}", script, re.S)
    assert table
    assert set(re.findall(r"^\s+(\w+):", table[1], re.M)) == set(words.PROBLEMS)


def test_sentences_are_short_enough_for_a_reader_of_twelve() -> None:
    for said in messages():
        for sentence in re.split(r"[.!?:] ", said):
            assert len(sentence.split()) <= 26, sentence
    everything = ". ".join(sorted(messages()))
    sentences = len(re.findall(r"[.!?]+", everything))
    parts = re.findall(r"[A-Za-z’]+", everything)
    syllables = sum(max(1, len(re.findall(r"[aeiouy]+", part.lower()))) for part in parts)
    grade = 0.39 * len(parts) / sentences + 11.8 * syllables / len(parts) - 15.59
    assert grade < 7, f"Flesch-Kincaid grade {grade:.1f}: the sixth grade ends at twelve"


def test_every_file_of_the_locale_folder_is_a_language_of_ours() -> None:
    assert {file.stem for file in (PORTAL / "locale").iterdir()} == set(OTHERS)
