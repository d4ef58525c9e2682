"""The two clients: the same calls, waited for or awaited."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self
from uuid import UUID, uuid4

import httpx

from services.client._answers import Case, Rating, Screening
from services.client._asking import (
    Call,
    Content,
    Problem,
    Retrying,
    pieces,
    problem_of,
    unreachable,
)

_TIMEOUT = httpx.Timeout(60.0, connect=5.0)


class Consentry:
    """A connection to one deployment, for one platform's API key. Safe to share by threads."""

    def __init__(
        self,
        address: str,
        key: str,
        *,
        retrying: Retrying | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._retrying = retrying or Retrying()
        self._http = httpx.Client(
            base_url=address, headers=_headers(key), timeout=_TIMEOUT, transport=transport
        )

    def screen(
        self,
        content: Content,
        content_id: str,
        *,
        uploader: str | None = None,
        rating: Rating = "unknown",
        mime: str = "application/octet-stream",
        idempotency_key: str | None = None,
    ) -> Screening:
        """Screen a file, sent as a stream. Raises ``Problem``."""
        call = _file(content, content_id, uploader, rating, mime, idempotency_key)
        return Screening.model_validate(self._send(call))

    def screen_hashes(
        self,
        hashes: Sequence[tuple[str, str] | tuple[str, str, int]],
        content_id: str,
        *,
        uploader: str | None = None,
        rating: Rating = "unknown",
        idempotency_key: str | None = None,
    ) -> Screening:
        """Screen hashes as ``(signal, hex digits[, quality])``. Raises ``Problem``."""
        call = _hashes(hashes, content_id, uploader, rating, idempotency_key)
        return Screening.model_validate(self._send(call))

    def screening(self, screening: UUID | str) -> Screening:
        """An answer that was given before. Raises ``Problem``."""
        return Screening.model_validate(self._send(Call("GET", f"/v1/screenings/{screening}")))

    def case(self, case: UUID | str) -> Case:
        """A case in which you have an upload. Raises ``Problem``."""
        return Case.model_validate(self._send(Call("GET", f"/v1/cases/{case}")))

    def close(self) -> None:
        """Let go of connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _send(self, call: Call) -> Any:
        attempt = 0
        while True:
            attempt += 1
            answer, problem = None, None
            try:
                answer = self._http.request(
                    call.method,
                    call.path,
                    params=dict(call.query),
                    headers=dict(call.headers),
                    **_body(call),
                )
                if answer.is_success:
                    return answer.json()
                problem = problem_of(answer)
            except httpx.TransportError as error:
                problem = unreachable(error)
            pause = self._retrying.pause(attempt, answer)
            if pause is None:
                raise problem
            time.sleep(pause)


class AsyncConsentry:
    """``Consentry`` for programs that await."""

    def __init__(
        self,
        address: str,
        key: str,
        *,
        retrying: Retrying | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._retrying = retrying or Retrying()
        self._http = httpx.AsyncClient(
            base_url=address, headers=_headers(key), timeout=_TIMEOUT, transport=transport
        )

    async def screen(
        self,
        content: Content,
        content_id: str,
        *,
        uploader: str | None = None,
        rating: Rating = "unknown",
        mime: str = "application/octet-stream",
        idempotency_key: str | None = None,
    ) -> Screening:
        """See ``Consentry.screen``."""
        call = _file(content, content_id, uploader, rating, mime, idempotency_key)
        return Screening.model_validate(await self._send(call))

    async def screen_hashes(
        self,
        hashes: Sequence[tuple[str, str] | tuple[str, str, int]],
        content_id: str,
        *,
        uploader: str | None = None,
        rating: Rating = "unknown",
        idempotency_key: str | None = None,
    ) -> Screening:
        """See ``Consentry.screen_hashes``."""
        call = _hashes(hashes, content_id, uploader, rating, idempotency_key)
        return Screening.model_validate(await self._send(call))

    async def screening(self, screening: UUID | str) -> Screening:
        """See ``Consentry.screening``."""
        call = Call("GET", f"/v1/screenings/{screening}")
        return Screening.model_validate(await self._send(call))

    async def case(self, case: UUID | str) -> Case:
        """See ``Consentry.case``."""
        return Case.model_validate(await self._send(Call("GET", f"/v1/cases/{case}")))

    async def close(self) -> None:
        """Let go of connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def _send(self, call: Call) -> Any:
        attempt = 0
        while True:
            attempt += 1
            answer, problem = None, None
            try:
                answer = await self._http.request(
                    call.method,
                    call.path,
                    params=dict(call.query),
                    headers=dict(call.headers),
                    **_awaited_body(call),
                )
                if answer.is_success:
                    return answer.json()
                problem = problem_of(answer)
            except httpx.TransportError as error:
                problem = unreachable(error)
            pause = self._retrying.pause(attempt, answer)
            if pause is None:
                raise problem
            await asyncio.sleep(pause)


def _headers(key: str) -> dict[str, str]:
    if not key.isascii() or not key.strip():
        raise Problem("no_key", "an API key is needed; an operator makes one")
    return {"authorization": f"Bearer {key}", "user-agent": "consentry-client"}


def _file(
    content: Content,
    content_id: str,
    uploader: str | None,
    rating: Rating,
    mime: str,
    idempotency_key: str | None,
) -> Call:
    query = {"content_id": content_id, "rating": rating}
    if uploader is not None:
        query["uploader"] = uploader
    return Call.of_file(content, {**_once(idempotency_key), "content-type": mime}, query)


def _hashes(
    hashes: Sequence[tuple[str, str] | tuple[str, str, int]],
    content_id: str,
    uploader: str | None,
    rating: Rating,
    idempotency_key: str | None,
) -> Call:
    listed = [
        {"signal": one[0], "hash": one[1], **({"quality": one[2]} if len(one) == 3 else {})}
        for one in hashes
    ]
    document: dict[str, Any] = {"content_id": content_id, "rating": rating, "hashes": listed}
    if uploader is not None:
        document["uploader"] = uploader
    return Call("POST", "/v1/screenings/hashes", headers=_once(idempotency_key), document=document)


def _once(key: str | None) -> Mapping[str, str]:
    return {"idempotency-key": key or uuid4().hex}


def _body(call: Call) -> dict[str, Any]:
    if call.content is not None:
        return {"content": pieces(call)}
    return {"json": call.document} if call.document is not None else {}


def _awaited_body(call: Call) -> dict[str, Any]:
    if call.content is None:
        return _body(call)

    async def awaited() -> AsyncIterator[bytes]:
        reading = pieces(call)
        while piece := await asyncio.to_thread(next, reading, b""):
            yield piece

    return {"content": awaited()}
