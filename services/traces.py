"""Traces, where an operator wants them: a span a request and one a stage, by OpenTelemetry.

The extra ``consentry[traces]`` brings the libraries; they are set up by their own variables
(``OTEL_EXPORTER_OTLP_ENDPOINT``, ``OTEL_SERVICE_NAME``, ...), and without an endpoint nothing is
imported. A span holds a route's template, a status and ids of requests; never what was uploaded.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline import stages
from pipeline.errors import Misconfigured

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})


class Traces:
    """Spans of one process."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        stages.heard_by(self)

    async def request(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on within a span of its own."""
        from opentelemetry.trace import SpanKind

        said: dict[str, Any] = {}

        async def heard(message: Message) -> None:
            if message["type"] == "http.response.start":
                said["http.response.status_code"] = message["status"]
                said["consentry.request_id"] = Headers(raw=message["headers"])["x-request-id"]
            await send(message)

        method = scope["method"] if scope["method"] in _METHODS else "other"
        with self._tracer.start_as_current_span(
            method, kind=SpanKind.SERVER, record_exception=False
        ) as span:
            try:
                await app(scope, receive, heard)
            finally:
                route = getattr(scope.get("route"), "path", "unmatched")
                span.update_name(f"{method} {route}")
                span.set_attributes({"http.request.method": method, "http.route": route, **said})

    def stage(self, name: str, seconds: float) -> None:
        """A stage has ended: a span within that of its request, which ends now."""
        end = time.time_ns()
        self._tracer.start_span(name, start_time=end - int(seconds * 1e9)).end(end)


class Traced:
    """The outermost layer of an app whose requests are traced."""

    def __init__(self, app: ASGIApp, traces: Traces) -> None:
        self._app, self._traces = app, traces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] == "http":
            await self._traces.request(self._app, scope, receive, send)
        else:
            await self._app(scope, receive, send)


def traces(service: str) -> Traces | None:
    """This process's traces; None where no endpoint is named. Raises ``Misconfigured``."""
    if not any(os.environ.get(name) for name in ENDPOINTS):
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise Misconfigured(
            "OTEL_EXPORTER_OTLP_ENDPOINT is set, but the libraries for traces are not installed;"
            " run: pip install 'consentry[traces]'"
        ) from error
    name = os.environ.get("OTEL_SERVICE_NAME") or f"consentry-{service}"
    provider = TracerProvider(resource=Resource.create({"service.name": name}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Traces(provider.get_tracer("consentry"))
