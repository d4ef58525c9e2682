"""Around every request: its id, its headers, what is logged, an answer to our own defects."""

from __future__ import annotations

import re
import time
from typing import Any
from uuid import uuid4

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.api.metrics import Metrics
from services.api.problems import answer, unexpected

log = structlog.get_logger()

_PROBES = frozenset({"/healthz", "/readyz", "/metrics"})

_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_GONE = 499
"""What is written when the caller hung up before an answer."""

_HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


class Edge:
    """The outermost layer. It writes ids, a route's template and a status, nothing else."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, state = time.perf_counter(), scope.setdefault("state", {})
        request_id = state["request_id"] = _request_id(Headers(scope=scope))
        sent: list[int] = []
        # Whatever is logged on the way to the answer, in any thread, carries it.
        structlog.contextvars.bind_contextvars(request_id=request_id)

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                sent.append(message["status"])
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = request_id
                for name, value in (_HEADERS | state.get("headers", {})).items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self._app(scope, receive, dressed)
        except ClientDisconnect:
            sent.append(_GONE)
        except Exception as error:  # the last place where one can still be answered
            # The type alone: a message could carry what was being worked on.
            log.error("api.defect", request_id=request_id, error=type(error).__name__)
            if sent:
                raise
            await answer(request_id, unexpected())(scope, receive, dressed)
        finally:
            self._note(scope, state, sent[0] if sent else _GONE, time.perf_counter() - began)

    def _note(self, scope: Scope, state: dict[str, Any], status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "unmatched")
        self._metrics.request(route, scope["method"], status, seconds)
        # Probes ask every second: they are told when they fail, and at debug level otherwise.
        quiet = route in _PROBES and status < 500
        (log.debug if quiet else log.info)(
            "request",
            request_id=state["request_id"],
            platform=state.get("platform"),
            route=route,
            method=scope["method"] if route != "unmatched" else None,
            status=status,
            ms=round(seconds * 1000, 1),
        )


def _request_id(headers: Headers) -> str:
    asked = headers.get("x-request-id", "")
    return asked if _ID.fullmatch(asked) else uuid4().hex
