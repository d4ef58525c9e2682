"""Templates, and the few words and numbers that they are given ready-made."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from services.console import words


class Pages:
    """Renders templates. Everything is escaped; a name that is not given is an error."""

    def __init__(self, *, secure: bool) -> None:
        self.secure = secure
        self._templates = Environment(
            loader=PackageLoader("services.console"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters.update(
            short=short,
            when=when,
            clock=clock,
            signal=words.signal,
            state=words.state,
            ground=words.ground,
            kind=words.kind,
            purpose=words.purpose,
        )

    def answer(
        self,
        template: str,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        **values: Any,
    ) -> HTMLResponse:
        """A page. ``session`` is None on pages that need nobody signed in."""
        values.setdefault("session", None)
        text = self._templates.get_template(template).render(values)
        return HTMLResponse(text, status, dict(headers or {}))


def short(identifier: UUID) -> str:
    """The end of an id, enough to tell cases apart in talk; the beginning is only the time."""
    return identifier.hex[-8:]


def clock(moment: datetime) -> str:
    """A time of today."""
    return moment.strftime("%H:%M UTC")


def when(moment: datetime) -> str:
    """A time as people read it; all times are UTC and say so."""
    return moment.strftime("%-d %B %Y, %H:%M UTC")
