"""``consentry screen --remote``: files screened by a service elsewhere, through the client."""

from __future__ import annotations

import mimetypes
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from pipeline.domain.media import Rating
from pipeline.errors import ConsentryError, Misconfigured
from services.client import Consentry, Problem, Retrying, Screening

KEY = "CONSENTRY_KEY"


class Remote(ConsentryError):
    """The service refused, or could not be reached; its code stands in the message."""

    code = "remote"


def screen_remotely(
    address: str,
    key: str | None,
    paths: Iterable[Path],
    rating: Rating,
    sent: Callable[[Path, int], object] = lambda _path, _bytes: None,
    looked_at: Callable[[Path, float], object] = lambda _path, _share: None,
    retrying: Retrying | None = None,
) -> Iterator[dict[str, Any]]:
    """What the service answers to each file, with its ``path``; a video's once it is looked at.

    Files are streamed. ``sent`` hears how many bytes of a file are on their way, ``looked_at``
    which share of a video has been looked at. The content id is the file's absolute path, so that
    screening a file again joins its case. What the service refuses is an answer of its own, with
    the problem's code; a service that cannot be used at all raises ``Remote``.
    """
    if not key:
        raise Misconfigured(f"put the platform's API key into the environment, as {KEY}")
    try:
        client = Consentry(address, key, retrying=retrying)
    except Problem as problem:
        raise Misconfigured(f"the API key in {KEY} cannot be used: {problem.detail}") from problem
    with client:
        for path in paths:
            try:
                answer = client.screen(
                    path,
                    str(path.resolve())[-512:],
                    rating=rating.value,
                    mime=_mime(path),
                    progress=lambda size, path=path: sent(path, size),  # type: ignore[misc]
                )
                answer = client.wait(
                    answer,
                    progress=lambda now, path=path: looked_at(path, _share(now)),  # type: ignore[misc]
                )
            except Problem as problem:
                if problem.status in {None, 401}:
                    raise Remote(f"{address} says {problem}") from problem
                yield {
                    "path": str(path), "verdict": "problem", "refused": problem.code,
                    "message": problem.detail, "case": None, "matches": [], "milliseconds": 0.0,
                }  # fmt: skip
                continue
            yield {"path": str(path), **answer.model_dump(mode="json")}


def _mime(path: Path) -> str:
    kind = mimetypes.guess_type(path.name)[0] or ""
    return kind if kind.startswith(("image/", "video/")) else "application/octet-stream"


def _share(screening: Screening) -> float:
    return screening.progress.share if screening.progress else 0.0
