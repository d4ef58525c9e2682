"""The OpenAPI document says what the API does: requests made from it, answers checked by it.

Each operation gets a bounded number of examples here; a longer run beside it:
CONSENTRY_EXAMPLES=2000 .venv/bin/python -m pytest tests/integration/test_openapi.py
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import psycopg
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis.errors import Unsatisfiable
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from services.accounts import add_platform
from services.api import create_app
from services.settings import Settings
from services.wiring import open_world
from tests.integration.test_authorisation import TABLE, routes_of
from tests.serving import served
from tests.world import Town

EXAMPLES = int(os.environ.get("CONSENTRY_EXAMPLES", "20"))
OPERATIONS = [(path, method) for method, path in (row.split(" ") for row in TABLE)]
OPERATIONS.remove(("/openapi.json", "GET"))

UNSAID = {
    # On a host that an operator has entered.
    "/v1/screenings/references",
    # Without a fragment, user or password; not more than sixteen.
    "/v1/webhooks",
    # In three words or more.
    "/v1/notices",
    # Within the operator's bounds; of the version that is in force.
    "/v1/policy",
    "/v1/policy:try",
    # A picture, or a signal of a type that is here.
    "/m/lookup",
    "/h/hash",
}
"""Where what is good depends on more than OpenAPI can say."""


@pytest.fixture(scope="module")
def described(
    postgres_server: str, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Any, dict[str, str]]]:
    """The document of a running API, and headers with a key for it."""
    name = "test_openapi"
    with psycopg.connect(postgres_server, autocommit=True) as owner:
        template = sql.Identifier(str(conninfo_to_dict(migrated_template)["dbname"]))
        owner.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name)))
        owner.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), template)
        )
    home = tmp_path_factory.mktemp("openapi")
    configured = Settings(
        database_url=make_conninfo(postgres_server, dbname=name), home=home, log_level="error"
    )
    with open_world(configured) as world, world.live("test") as live:
        key = add_platform(world, "board", None, 1_000_000).api_key
        with served(create_app(world, live)) as url:
            schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
            schema.config.update(base_url=url)
            yield schema, {"Authorization": f"Bearer {key}"}
    with psycopg.connect(postgres_server, autocommit=True) as owner:
        owner.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_every_answer_is_as_described(
    described: tuple[Any, dict[str, str]], path: str, method: str, mode: GenerationMode
) -> None:
    schema, headers = described

    @settings(
        max_examples=EXAMPLES,
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
        if mode is GenerationMode.POSITIVE:
            if "Idempotency-Key" in (case.headers or {}):
                # A key that came with another request is rightly refused, and short ones come
                # often.
                case.headers["Idempotency-Key"] = uuid4().hex
            # Nobody makes a cursor up; those that were given are tried in test_pages_of_the_api.
            (case.query or {}).pop("cursor", None)
        # A form has no types: what is no string in the document is one on the wire.
        untyped = [negative_data_rejection] if is_form(case) else []
        led = [positive_data_acceptance] if path in UNSAID else []
        case.call_and_validate(headers=headers, excluded_checks=[*untyped, *led], timeout=30)

    try:
        check()
    except Unsatisfiable:
        assert mode is GenerationMode.NEGATIVE, "there is always something valid to ask"


def is_form(case: schemathesis.Case) -> bool:
    return case.media_type == "multipart/form-data"


def test_every_kind_of_answer_has_a_described_form(town: Town) -> None:
    app = create_app(town.world, town.live)
    document = app.openapi()
    described = {(path, name.upper()) for path, one in document["paths"].items() for name in one}
    assert described == set(OPERATIONS), "each is tested"
    hidden = routes_of(app) - {f"{method} {path}" for path, method in described}
    assert hidden == {"GET /openapi.json"}, "nothing is answered that is not described"
    for operation in (one for path in document["paths"].values() for one in path.values()):
        for status, answer in operation["responses"].items():
            kinds = set(answer.get("content", ()))
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
