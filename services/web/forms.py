"""Forms as browsers send them, read with a limit and never spilled to disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated
from urllib.parse import parse_qs

from fastapi import Depends, HTTPException, Request

from pipeline.errors import Invalid
from services.web import csrf
from services.web.guard import require_same_site

LARGEST = 64 * 1024
"""Bytes of a form; the longest honest one is a reason in words."""

_MOST_FIELDS = 32


@dataclass(frozen=True, slots=True)
class Fields:
    """What was sent; the last value wins, a missing field is empty. Passwords do not print."""

    values: Mapping[str, str] = field(repr=False)
    csrf: str = field(repr=False)

    def __getitem__(self, name: str) -> str:
        return self.values.get(name, "")


async def read_form(request: Request) -> Fields:
    """The form of a request from our own pages; 413 when too large, 415 when it is no form."""
    require_same_site(request.headers)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise HTTPException(415, "send a form")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST:
            raise HTTPException(413, "this form is too large; shorten what you wrote")
    try:
        parsed = parse_qs(
            bytes(body).decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_MOST_FIELDS,
        )
    except ValueError as error:
        raise Invalid("this form cannot be read; reload the page and send it again") from error
    # PostgreSQL's text has no NUL; nobody types one.
    values = {name: found[-1].replace("\0", "") for name, found in parsed.items()}
    token = request.headers.get(csrf.HEADER) or values.pop(csrf.FIELD, "")
    fields = Fields(values, token)
    request.state.fields = fields
    return fields


Form = Annotated[Fields, Depends(read_form)]
