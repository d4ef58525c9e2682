"""One call as data, its answer or problem, and when it is sent again. No input or output here."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import httpx

_AGAIN = frozenset({429, 502, 503, 504})
_CHUNK = 1 << 18

Content = bytes | Path | BinaryIO
"""An upload: bytes, a file's path, or an open file that can be read again from where it is."""


class Problem(Exception):
    """The service refuses, or cannot be reached. Build on ``code``; words may change."""

    def __init__(self, code: str, detail: str, status: int | None = None) -> None:
        super().__init__(f"{code}: {detail}")
        self.code, self.detail, self.status = code, detail, status


@dataclass(frozen=True, slots=True)
class Retrying:
    """How patient a client is: attempts in all, and the longest wait between two, in seconds."""

    attempts: int = 5
    longest: float = 30.0
    jitter: Callable[[], float] = field(default=random.random, repr=False)

    def pause(self, attempt: int, answer: httpx.Response | None) -> float | None:
        """Seconds to wait after a failed attempt (from 1); None when asking again cannot help."""
        if attempt >= self.attempts:
            return None
        if answer is not None and not _worth_asking_again(answer):
            return None
        asked = answer.headers.get("retry-after", "") if answer is not None else ""
        if asked.isdigit():
            return min(float(asked), self.longest)
        return float(min(0.25 * 2**attempt, self.longest)) * (0.5 + self.jitter() / 2)


@dataclass(frozen=True, slots=True)
class Call:
    """A request that may be sent several times."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    document: Mapping[str, Any] | None = field(default=None, repr=False)
    content: Content | None = field(default=None, repr=False)
    start: int = 0
    """Where an open file stood when the call was made."""
    progress: Callable[[int], object] | None = field(default=None, repr=False)
    """Hears how many bytes are on their way."""

    @staticmethod
    def of_file(content: Content, headers: Mapping[str, str], query: Mapping[str, str]) -> Call:
        """An upload; an open file is sent from where it stands now, each time."""
        start = 0
        if not isinstance(content, (bytes, Path)):
            if not content.seekable():
                raise ValueError(
                    "this file cannot be read twice, so it could not be sent again after a"
                    " failure; read it into bytes, or write it to a file first"
                )
            start = content.tell()
        return Call("POST", "/v1/screenings", query, headers, content=content, start=start)


def pieces(call: Call) -> Iterator[bytes]:
    """A call's content, a piece at a time, from its beginning."""
    sent = 0
    for piece in _pieces(call):
        sent += len(piece)
        yield piece
        if call.progress is not None:
            call.progress(sent)


def _pieces(call: Call) -> Iterator[bytes]:
    content = call.content
    if isinstance(content, bytes):
        for at in range(0, len(content), _CHUNK):
            yield content[at : at + _CHUNK]
    elif isinstance(content, Path):
        with content.open("rb") as file:
            while piece := file.read(_CHUNK):
                yield piece
    elif content is not None:
        content.seek(call.start)
        while piece := content.read(_CHUNK):
            yield piece


def problem_of(answer: httpx.Response) -> Problem:
    """What an answer that is no success says, whoever on the way said it."""
    try:
        said = answer.json()
        return Problem(str(said["code"]), str(said["detail"]), answer.status_code)
    except (ValueError, KeyError, TypeError):
        return Problem(
            "unexpected_answer",
            f"something that is not Consentry answered {answer.status_code}; check the address",
            answer.status_code,
        )


def unreachable(error: httpx.TransportError) -> Problem:
    """Nobody answered."""
    return Problem("unreachable", f"no answer from the service ({type(error).__name__})")


def _worth_asking_again(answer: httpx.Response) -> bool:
    if answer.status_code in _AGAIN:
        return True
    if answer.status_code != 409:
        return False
    try:
        return bool(answer.json().get("code") == "in_progress")
    except (json.JSONDecodeError, AttributeError):
        return False
