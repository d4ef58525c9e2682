"""Calls to a partner: bounded, patient with a busy server, silent about what they carry."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import httpx

from pipeline.exchanges import ExchangeFailed, Unanswered

_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
_LONGEST_WAIT = 120.0


class Calls:
    """An HTTP client that waits and asks again where that can help.

    Only questions (GET) are repeated after a failure that may have reached the partner. An answer
    of more than ``most`` bytes is refused: a list comes in pages.
    """

    def __init__(
        self,
        client: httpx.Client | None = None,
        *,
        attempts: int = 5,
        most: int = 64 << 20,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        # No redirects: credentials go where the operator said, nowhere else.
        self._client = client or httpx.Client(timeout=60.0, follow_redirects=False)
        self._attempts, self._most, self._sleep = attempts, most, sleep

    def get(self, url: str, **options: Any) -> bytes:
        """The body of a successful answer. Raises ``ExchangeFailed``."""
        for attempt in range(1, self._attempts + 1):
            last = attempt == self._attempts
            try:
                status, headers, body = self._once("GET", url, options)
            except httpx.TransportError as error:
                if last:
                    raise ExchangeFailed(
                        f"no answer from {_host(url)} ({type(error).__name__});"
                        " check the address and the network, then sync again"
                    ) from error
                self._sleep(_pause(attempt, {}))
                continue
            if 200 <= status < 300:
                return body
            if status not in _AGAIN or last:
                raise _refusal(url, status)
            self._sleep(_pause(attempt, headers))
        raise AssertionError("unreachable")

    def post(self, url: str, **options: Any) -> bytes:
        """Say something once, again only where the partner said that it was too busy to listen."""
        for attempt in range(1, self._attempts + 1):
            try:
                status, headers, body = self._once("POST", url, options)
            except httpx.TransportError as error:
                raise _silence(url, error) from error
            if 200 <= status < 300:
                return body
            if status >= 500 and status != 503:
                raise Unanswered(f"{_host(url)} answered {status}; it may have heard us or not")
            if status not in {429, 503} or attempt == self._attempts:
                raise _refusal(url, status)
            self._sleep(_pause(attempt, headers))
        raise AssertionError("unreachable")

    def _once(
        self, method: str, url: str, options: Mapping[str, Any]
    ) -> tuple[int, Mapping[str, str], bytes]:
        with self._client.stream(method, url, **options) as answer:
            parts, size = [], 0
            for part in answer.iter_bytes():
                size += len(part)
                if size > self._most:
                    raise ExchangeFailed(
                        f"{_host(url)} answered more than {self._most >> 20} MiB in one page"
                    )
                parts.append(part)
            return answer.status_code, answer.headers, b"".join(parts)


def _silence(url: str, error: httpx.TransportError) -> ExchangeFailed:
    """What to think of a telling without an answer: without a connection, nothing arrived."""
    said = f"no answer from {_host(url)} ({type(error).__name__})"
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout):
        return ExchangeFailed(said)
    return Unanswered(said)


class StaleCursor(ExchangeFailed):
    """The partner does not know this place in its list any more."""

    code = "stale_cursor"


def _refusal(url: str, status: int) -> ExchangeFailed:
    host = _host(url)
    if status in {401, 403}:
        return ExchangeFailed(
            f"{host} refuses these credentials ({status});"
            " give it others with: consentry exchange credentials"
        )
    if status in {400, 404, 410}:
        return StaleCursor(f"{host} does not know what it was asked for ({status})")
    return ExchangeFailed(f"{host} answered {status}; nothing was lost, sync again later")


def _pause(attempt: int, headers: Mapping[str, str]) -> float:
    """Seconds until the next attempt: what the partner asks for, or twice as long each time."""
    asked = headers.get("retry-after", "")
    if asked.isdigit():
        return min(float(asked), _LONGEST_WAIT)
    return min(0.5 * float(2**attempt), _LONGEST_WAIT)


def _host(url: str) -> str:
    return httpx.URL(url).host or "the partner"
