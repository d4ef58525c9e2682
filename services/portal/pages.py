"""Templates in every language, and the few words and numbers that they are given ready-made."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from babel.dates import format_date, format_datetime
from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from pipeline.errors import NotFound
from pipeline.journeys.sign_in import grouped
from services.portal import words
from services.portal.languages import LANGUAGES, Language, words_of


class Pages:
    """Renders templates. Everything is escaped; a name that is not given is an error."""

    def __init__(self, exit_url: str) -> None:
        self._exit_url = exit_url
        self._templates = {code: _environment(code) for code in LANGUAGES}

    def answer(
        self,
        request: Request,
        template: str,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        **values: Any,
    ) -> HTMLResponse:
        """A page in the language that the request's address names."""
        language = language_of(request)
        here = request.url.path.removeprefix(f"/{language.code}") or "/"
        values.setdefault("visit", None)
        text = (
            self._templates[language.code]
            .get_template(template)
            .render(
                language=language,
                languages=LANGUAGES.values(),
                base=f"/{language.code}",
                # A page that answers a form has no address of its own in other languages.
                here=here if request.method == "GET" and status == 200 else "/",
                exit_url=self._exit_url,
                words=words,
                **values,
            )
        )
        return HTMLResponse(
            text, status, {"content-language": language.code, **dict(headers or {})}
        )


def language_of(request: Request) -> Language:
    """The language that an address begins with; the source language where it names none."""
    code = request.url.path.split("/", 2)[1] if request.url.path.count("/") else ""
    return LANGUAGES.get(code, LANGUAGES["en"])


def known_language(language: str) -> None:
    """Raise ``NotFound`` for an address in no language of ours."""
    if language not in LANGUAGES:
        raise NotFound("there is no such page")


def say(request: Request, text: str, **values: object) -> str:
    """A sentence in the language of the request."""
    return words_of(language_of(request).code).gettext(text) % values


def _environment(code: str) -> Environment:
    environment = Environment(
        loader=PackageLoader("services.portal"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    environment.install_gettext_translations(  # type: ignore[attr-defined]
        words_of(code), newstyle=True
    )

    def when(moment: datetime) -> str:
        """A time as this language writes it; all times are UTC and say so."""
        return f"{format_datetime(moment, 'd MMMM y, HH:mm', locale=code)} UTC"

    def day(moment: date) -> str:
        """A day as this language writes it."""
        return format_date(moment, "d MMMM y", locale=code)

    environment.filters.update(when=when, day=day, grouped=grouped)
    # A text whose places are filled by a script.
    environment.globals["raw"] = words_of(code).gettext
    return environment
