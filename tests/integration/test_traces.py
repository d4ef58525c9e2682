"""A request's span holds its stages, and nothing of what was uploaded."""

from __future__ import annotations

import httpx
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from services.accounts import add_platform
from services.api import create_app
from services.traces import ENDPOINTS, Traces, traces
from tests.serving import served
from tests.world import Town, jpeg, picture


def test_a_screening_is_a_span_with_its_stages_within(town: Town) -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing = Traces(provider.get_tracer("test"))
    town.register(jpeg(picture(1)))
    key = add_platform(town.world, "a-platform", None, 1000).api_key
    with served(create_app(town.world, town.live, tracing=tracing)) as url:
        answered = httpx.post(
            f"{url}/v1/screenings",
            params={"content_id": "a-content-id", "rating": "intimate"},
            content=jpeg(picture(1), 60),
            headers={"authorization": f"Bearer {key}", "content-type": "image/jpeg"},
            timeout=60,
        )
    assert answered.json()["verdict"] == "review"
    spans = exporter.get_finished_spans()
    request = next(span for span in spans if span.name == "POST /v1/screenings")
    assert request.attributes is not None
    assert request.attributes["http.response.status_code"] == answered.status_code
    assert request.attributes["consentry.request_id"] == answered.headers["x-request-id"]
    within = [
        span for span in spans if span.parent and span.parent.span_id == request.context.span_id
    ]
    assert {span.name for span in within} == {"decode", "look", "search", "faces", "record"}
    for span in within:
        assert span.start_time is not None
        assert span.end_time is not None
        assert request.start_time is not None
        assert span.start_time >= request.start_time - 5_000_000
    said = str([span.to_json() for span in spans])
    assert "a-content-id" not in said
    assert key not in said


def test_without_an_endpoint_there_are_no_traces(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ENDPOINTS:
        monkeypatch.delenv(name, raising=False)
    assert traces("api") is None
