"""``/v1/cases/{case}/statement``: the reasons for a restriction, as text and for the database."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import anyio.to_thread
from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from pipeline.domain.ids import CaseId, ScreeningId
from pipeline.domain.statement import Statement
from pipeline.journeys.state_reasons import state_reasons
from services.api.description import problems
from services.api.door import Called, door_of
from services.api.statement_words import WORDS, Language, in_words
from services.api.transparency_database import EEA, Country, Entry, Ground, entry_of

router = APIRouter(prefix="/v1/cases", tags=["cases"])

_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The statement: for the DSA Transparency Database, or in words.",
        "model": Entry,
        "content": {"text/plain": {"schema": {"type": "string"}}},
    },
    **problems(401, 404, 409, 422, 429, 500, 503),
}


@router.get("/{case}/statement", responses=_ANSWERS, response_model=Entry,
            summary="Read the reasons for a restriction")  # fmt: skip
async def read(
    request: Request,
    caller: Called,
    case: UUID,
    screening: Annotated[
        UUID | None,
        Query(description="Which of your uploads; without it your first one in this case."),
    ] = None,
    ground: Annotated[
        Ground, Query(description="What you rely on: your terms, or the law.")
    ] = "terms",
    territory: Annotated[
        list[Country] | None,
        Query(
            description="Where the restriction holds; without it, everywhere.",
            max_length=len(EEA),
        ),
    ] = None,
    language: Annotated[
        Language | None,
        Query(description="Of the text; without it, by Accept-Language, or English."),
    ] = None,
    accept: Annotated[str | None, Header()] = None,
    accept_language: Annotated[str | None, Header()] = None,
) -> Response:
    """The statement of reasons that DSA Article 17 wants an uploader to be given.

    With `Accept: text/plain` in words, for the uploader; otherwise as JSON with the fields of the
    EU's Transparency Database (Article 24(5)), to be sent there by you. Neither says whom the
    content shows or who decided. There is one only while an upheld decision stands and you have
    not told that the upload was restored.
    """
    door = door_of(request)

    def find() -> Statement:
        which = ScreeningId(screening) if screening else None
        return state_reasons(door.store, caller.platform, CaseId(case), which)

    found = await anyio.to_thread.run_sync(find, limiter=door.questions)
    where: tuple[Country, ...] = tuple(dict.fromkeys(territory or EEA))
    if _prefers_text(accept or ""):
        spoken = language or _spoken(accept_language or "")
        return PlainTextResponse(
            in_words(found, spoken, ground, where), headers={"content-language": spoken}
        )
    said = entry_of(found, ground, where).model_dump(mode="json", exclude_none=True)
    return JSONResponse(said)


def _weighed(header: str) -> dict[str, float]:
    """What a header with weights asks for, in lower case."""
    weights = {}
    for part in header.split(","):
        name, _, rest = part.strip().lower().partition(";")
        weight = rest.replace(" ", "").removeprefix("q=") or "1"
        try:
            weights[name.strip()] = float(weight)
        except ValueError:
            weights[name.strip()] = 0.0
    return weights


def _prefers_text(accept: str) -> bool:
    weights = _weighed(accept)
    return weights.get("text/plain", 0.0) > weights.get("application/json", 0.0)


def _spoken(header: str) -> Language:
    weights = _weighed(header)
    wanted = sorted(weights, key=lambda name: -weights[name])
    for name in wanted:
        for language in WORDS:
            if name.partition("-")[0] == language and weights[name] > 0:
                return language
    return "en"
