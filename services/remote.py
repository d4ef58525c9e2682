"""``consentry screen --remote``: files, and files at addresses, screened by a service elsewhere."""

from __future__ import annotations

import hashlib
import mimetypes
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pipeline.domain.media import Rating
from pipeline.errors import ConsentryError, Misconfigured
from services.client import Consentry, Problem, Retrying, Screening, reference_document

KEY = "CONSENTRY_KEY"
_BATCH = 100


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
    with _client(address, key, retrying) as client:
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


def screen_addresses(
    address: str,
    key: str | None,
    urls: Sequence[str],
    rating: Rating,
    answered: Callable[[int], object] = lambda _: None,
    retrying: Retrying | None = None,
    every: float = 1.0,
) -> Iterator[dict[str, Any]]:
    """What the service answers to each file at an address, with that as its ``path``, in order.

    They go in batches of a hundred, and the service fetches several at once. ``answered`` hears how
    many have their answer. The content id is the address without its query, which can hold a
    signature, and a digest of the whole where there is one. Raises as ``screen_remotely`` does, and
    ``Remote`` for a batch that is refused.
    """
    with _client(address, key, retrying) as client:
        for begin in range(0, len(urls), _BATCH):
            part = urls[begin : begin + _BATCH]
            documents = [reference_document(url, _name(url), rating=rating.value) for url in part]
            try:
                batch = client.begin_batch(documents)
                results = client.wait_for_batch(
                    batch,
                    every=every,
                    progress=lambda now, begin=begin: answered(begin + now.answered),  # type: ignore[misc]
                )
            except Problem as problem:
                raise Remote(f"{address} says {problem}") from problem
            answered(begin + len(part))
            for url, result in zip(part, results, strict=True):
                assert result.screening is not None, "each upload by address has a screening"
                yield {"path": url, **result.screening.model_dump(mode="json")}


def _name(url: str) -> str:
    bare, _, query = url.partition("#")[0].partition("?")
    told = f"#{hashlib.sha256(url.encode()).hexdigest()[:16]}" if query else ""
    return bare[-480:] + told


def _client(address: str, key: str | None, retrying: Retrying | None) -> Consentry:
    if not key:
        raise Misconfigured(f"put the platform's API key into the environment, as {KEY}")
    try:
        return Consentry(address, key, retrying=retrying)
    except Problem as problem:
        raise Misconfigured(f"the API key in {KEY} cannot be used: {problem.detail}") from problem


def _mime(path: Path) -> str:
    kind = mimetypes.guess_type(path.name)[0] or ""
    return kind if kind.startswith(("image/", "video/")) else "application/octet-stream"


def _share(screening: Screening) -> float:
    return screening.progress.share if screening.progress else 0.0
