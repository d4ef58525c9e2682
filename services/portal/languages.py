"""The portal's languages: which there are, which one a reader wants, and their words.

Translations are committed as ``locale/*.po`` and compiled in memory when a language is first used,
so that nothing has to be built.
"""

from __future__ import annotations

import gettext
import io
from dataclasses import dataclass
from functools import cache
from importlib import resources

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po


@dataclass(frozen=True, slots=True)
class Language:
    """A language that every page is written in."""

    code: str
    name: str
    """What its readers call it."""
    direction: str = "ltr"


LANGUAGES: dict[str, Language] = {
    language.code: language
    for language in (
        Language("en", "English"),
        Language("es", "Español"),
        Language("de", "Deutsch"),
        Language("ar", "العربية", "rtl"),
    )
}
SOURCE = "en"
"""The language that the templates are written in."""


@cache
def words_of(code: str) -> gettext.NullTranslations:
    """A language's translations; those of the source language give back what they are asked."""
    if code == SOURCE:
        return gettext.NullTranslations()
    file = resources.files(__package__) / "locale" / f"{code}.po"
    catalog = read_po(io.BytesIO(file.read_bytes()), locale=code)
    compiled = io.BytesIO()
    write_mo(compiled, catalog)
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)


def wanted(accept_language: str) -> str:
    """The best of our languages for a browser's ``Accept-Language``; English when none fits."""
    ranked = []
    for place, part in enumerate(accept_language.split(",")[:20]):
        tag, _, parameter = part.strip().partition(";")
        code = tag.split("-")[0].lower()
        if code in LANGUAGES:
            ranked.append((-_weight(parameter), place, code))
    return min(ranked)[2] if ranked else SOURCE


def _weight(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    try:
        return float(value) if name == "q" else 1.0
    except ValueError:
        return 0.0
