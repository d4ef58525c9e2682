"""The OpenAPI document says what the API does: requests made from it, answers checked by it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from services.accounts import add_platform
from services.api import create_app
from tests.serving import served
from tests.world import Town


@pytest.fixture
def described(town: Town) -> Iterator[tuple[Any, dict[str, str]]]:
    """The document of a running API, and headers with a key for it."""
    key = add_platform(town.world, "board", None, 1_000_000).api_key
    with served(create_app(town.world, town.live)) as url:
        schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
        schema.config.update(base_url=url)
        yield schema, {"Authorization": f"Bearer {key}"}


OPERATIONS = [
    ("/v1/screenings", "POST"),
    ("/v1/screenings/hashes", "POST"),
    ("/v1/screenings/references", "POST"),
    ("/v1/screenings:batch", "POST"),
    ("/v1/screenings/{screening}", "GET"),
    ("/v1/screenings/{screening}/actions", "POST"),
    ("/v1/screenings/{screening}/actions", "GET"),
    ("/v1/notices", "POST"),
    ("/v1/cases/{case}/statement", "GET"),
    ("/v1/cases/{case}", "GET"),
    ("/v1/cases/{case}/appeals", "POST"),
    ("/healthz", "GET"),
    ("/readyz", "GET"),
    ("/metrics", "GET"),
]


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_every_answer_is_as_described(
    described: tuple[Any, dict[str, str]], path: str, method: str, mode: GenerationMode
) -> None:
    schema, headers = described

    @settings(
        max_examples=60,
        deadline=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=schema[path][method].as_strategy(generation_mode=mode))
    def check(case: schemathesis.Case) -> None:
        # OpenAPI cannot say "needed unless the body is a form".
        bare = method == "POST" and path == "/v1/screenings" and not is_form(case)
        assume(not bare or "content_id" in (case.query or {}))
        if "Idempotency-Key" in (case.headers or {}) and mode is GenerationMode.POSITIVE:
            # A key that came with another request is rightly refused, and short ones come often.
            case.headers["Idempotency-Key"] = uuid4().hex
        # A form has no types: what is no string in the document is one on the wire.
        untyped = [negative_data_rejection] if is_form(case) else []
        # Nor can OpenAPI say "on a host that an operator has entered", or "in three words".
        told = path in ("/v1/screenings/references", "/v1/notices")
        led = [positive_data_acceptance] if told else []
        case.call_and_validate(headers=headers, excluded_checks=[*untyped, *led], timeout=30)

    try:
        check()
    except Unsatisfiable:
        assert mode is GenerationMode.NEGATIVE, "there is always something valid to ask"


def is_form(case: schemathesis.Case) -> bool:
    return case.media_type == "multipart/form-data"


def test_every_kind_of_answer_has_a_described_form(town: Town) -> None:
    document = create_app(town.world, town.live).openapi()
    described = {(path, name.upper()) for path, one in document["paths"].items() for name in one}
    assert described == set(OPERATIONS), "each is tested"
    for operation in (one for path in document["paths"].values() for one in path.values()):
        for status, answer in operation["responses"].items():
            kinds = set(answer["content"])
            if int(status) >= 400 and not (status == "503" and "Readiness" in str(answer)):
                assert kinds == {"application/problem+json"}
            else:
                assert kinds <= {"application/json", "text/plain"}
    for path in ("/v1/screenings", "/v1/screenings/hashes"):
        assert {"401", "413", "422", "429", "503"} <= set(
            document["paths"][path]["post"]["responses"]
        )
        assert document["paths"][path]["post"]["security"] == [{"ApiKey": []}]
    signals = document["components"]["schemas"]["HashAsked"]["properties"]["signal"]["enum"]
    assert signals == ["pdq", "phash"]
