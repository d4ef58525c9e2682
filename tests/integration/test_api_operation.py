"""What operators see of the API: readiness, figures, the log; and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import httpx
import psycopg
import pytest
import structlog
from prometheus_client.parser import text_string_to_metric_families
from psycopg.conninfo import conninfo_to_dict

from pipeline import plugins
from pipeline.journeys.restore_index import LiveIndexes
from services.accounts import add_platform
from services.api import create_app, pulse
from services.wiring import me
from tests.integration.api import Program, make_program, program
from tests.serving import served
from tests.world import Town, jpeg, picture

__all__ = ["make_program", "program"]

HERS = jpeg(picture(1))


@pytest.fixture(autouse=True)
def _fresh_pulse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse, "REMEMBERED", 0.0)


def unloaded(town: Town) -> LiveIndexes:
    """Indexes of a process that has only begun."""
    spaces = [signal.space for signal in town.world.signals]
    return LiveIndexes(
        town.world.store,
        spaces,
        lambda space: plugins.build("indexes", "hamming", space),
        me("young"),
        time.monotonic,
    )


def cut_off(town: Town) -> Callable[[bool], None]:
    """Let nobody connect to the database any more, or let them again."""
    name = conninfo_to_dict(town.url)["dbname"]
    administrator = psycopg.connect(town.url, dbname="postgres", autocommit=True)

    def allow(allowed: bool) -> None:
        administrator.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS {allowed}')
        administrator.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
        )

    return allow


def test_a_process_is_ready_with_its_index_and_says_where_it_stands(program: Program) -> None:
    program.town.register(HERS)
    answer = program.client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json() == {
        "ready": True,
        "index": True,
        "database": True,
        "sequence": 1,
        "head": 1,
    }


def test_uploads_are_sent_away_until_the_index_is_loaded(town: Town) -> None:
    live = unloaded(town)
    key = add_platform(town.world, "board", None, 1000).api_key
    with (
        served(create_app(town.world, live)) as url,
        httpx.Client(
            base_url=url, headers={"authorization": f"Bearer {key}"}, timeout=30
        ) as client,
    ):
        waiting = client.get("/readyz")
        assert waiting.status_code == 503
        assert waiting.json()["index"] is False
        assert waiting.json()["database"] is True
        assert waiting.json()["sequence"] is None
        assert client.get("/healthz").json() == {"status": "ok"}

        screen = {"params": {"content_id": "x"}, "headers": {"content-type": "image/jpeg"}}
        sent_away = client.post("/v1/screenings", content=HERS, **screen)
        assert (sent_away.status_code, sent_away.json()["code"]) == (503, "index_not_ready")
        assert int(sent_away.headers["retry-after"]) >= 1
        assert "consentry_ready 0.0" in client.get("/metrics").text

        live.restore()
        assert client.get("/readyz").status_code == 200
        assert client.post("/v1/screenings", content=HERS, **screen).status_code == 200
    live.close()


def test_without_the_database_there_is_a_clear_503_and_afterwards_an_answer(
    make_town: Callable[..., Town], make_program: Callable[..., Program]
) -> None:
    program = make_program(of=make_town())
    assert program.screen(HERS).status_code == 200
    allow = cut_off(program.town)
    allow(False)
    try:
        ready = program.client.get("/readyz")
        assert ready.status_code == 503
        assert ready.json()["database"] is False
        assert ready.json()["head"] is None
        away = program.screen(HERS)
        assert (away.status_code, away.json()["code"]) == (503, "unavailable")
        assert int(away.headers["retry-after"]) >= 1
        figures = program.client.get("/metrics")
        assert figures.status_code == 200
        assert "consentry_database_up 0.0" in figures.text
        assert "consentry_cases_undecided" not in figures.text
        assert program.client.get("/healthz").status_code == 200
    finally:
        allow(True)
    deadline = time.monotonic() + 30
    while program.client.get("/readyz").status_code != 200:
        assert time.monotonic() < deadline, "the API did not find the database again"
        time.sleep(0.1)
    assert program.screen(HERS).status_code == 200


def test_figures_count_answers_by_route_and_verdict_and_name_nobody(program: Program) -> None:
    program.town.register(HERS)
    case = program.screen(HERS, "post-of-somebody", uploader="somebody").json()["case"]
    program.screen(b"<svg/>")
    program.client.get(f"/v1/cases/{case}")
    program.client.request("PROPFIND", "/no/such/place")
    text = program.client.get("/metrics").text
    families = {family.name: family for family in text_string_to_metric_families(text)}

    def value(name: str, **labels: str) -> float:
        family = families[name.removesuffix("_total").removesuffix("_count")]
        [found] = [s.value for s in family.samples if (s.name, s.labels) == (name, labels)]
        return found

    posted = {"route": "/v1/screenings", "method": "POST", "status": "200"}
    assert value("consentry_requests_total", **posted) == 2
    read = {"route": "/v1/cases/{case}", "method": "GET", "status": "200"}
    assert value("consentry_requests_total", **read) == 1
    lost = {"route": "unmatched", "method": "other", "status": "404"}
    assert value("consentry_requests_total", **lost) == 1
    assert value("consentry_request_seconds_count", route="/v1/screenings") == 2
    assert value("consentry_screenings_total", verdict="review") == 1
    assert value("consentry_refusals_total", reason="unsupported_type") == 1
    assert value("consentry_index_codes", space="pdq/1") >= 1
    assert value("consentry_index_bytes", space="pdq/1") > 0
    assert [s.labels["space"] for s in families["consentry_index_method"].samples]
    assert value("consentry_index_sequence") == 1
    assert value("consentry_index_lag") == 0
    assert value("consentry_cases_undecided") == 1
    assert value("consentry_cases_oldest_seconds") >= 0
    for private in ("somebody", case, str(program.platform)):
        assert private not in text


def test_figures_tell_of_deliveries_that_wait(program: Program) -> None:
    from pipeline.domain.ids import CaseId

    program.town.register(HERS)
    case = CaseId(program.screen(HERS).json()["case"])
    program.town.uphold(case, program.town.reviewer())
    assert program.metric('consentry_jobs{kind="deliver",state="ready"}') == 1
    assert program.metric('consentry_jobs{kind="deliver",state="dead"}') == 0
    assert 'consentry_jobs_oldest_seconds{kind="deliver"}' in program.client.get("/metrics").text


def test_the_log_has_ids_and_templates_and_nothing_of_the_upload(program: Program) -> None:
    program.town.register(HERS)
    with structlog.testing.capture_logs() as written:
        case = program.screen(HERS, "post-of-somebody", uploader="somebody").json()["case"]
        program.client.get(f"/v1/cases/{case}", headers={"x-request-id": "mine"})
        program.hashes(b"\x5e" * 31)
        program.client.get("/secret-path?token=abc")
        program.client.post("/v1/screenings", headers={"authorization": "Bearer csk_guess"})
    lines = [line for line in written if line["event"] == "request"]
    assert [(line["route"], line["status"]) for line in lines] == [
        ("/v1/screenings", 200),
        ("/v1/cases/{case}", 200),
        ("/v1/screenings/hashes", 422),
        ("unmatched", 404),
        ("/v1/screenings", 401),
    ]
    assert lines[0]["platform"] == str(program.platform)
    assert lines[1]["request_id"] == "mine"
    assert lines[4]["platform"] is None
    everything = json.dumps(written)
    for private in ("somebody", "5e5e", "secret", "abc", "csk_", case):
        assert private not in everything


def test_two_apps_in_one_process_keep_their_figures_apart(
    program: Program, make_program: Callable[..., Program]
) -> None:
    second = make_program("second")
    program.screen(HERS)
    assert program.metric('consentry_screenings_total{verdict="clear"}') == 1
    assert second.metric('consentry_screenings_total{verdict="clear"}') == 0


def test_a_service_that_is_told_to_end_answers_lets_go_and_says_so(
    make_town: Callable[..., Town], free_port: int
) -> None:
    town = make_town()
    environment: dict[str, Any] = {
        **os.environ,
        "DATABASE_URL": town.url,
        "CONSENTRY_HOME": str(town.world.settings.home),
        "CONSENTRY_API_PORT": str(free_port),
        "CONSENTRY_LOG_LEVEL": "debug",  # probes that go well are told at this level alone
    }
    service = subprocess.Popen(
        [sys.executable, "-m", "services.cli", "serve", "api"],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = time.monotonic() + 60
        while not ready(f"http://127.0.0.1:{free_port}/readyz"):
            assert service.poll() is None
            assert time.monotonic() < deadline, "the service did not become ready"
            time.sleep(0.1)
        assert town.query("SELECT count(*) FROM followers WHERE role = 'api'") == [(1,)]
        service.send_signal(signal.SIGTERM)
        _, written = service.communicate(timeout=20)
    finally:
        service.kill()
        service.wait()
    assert service.returncode == 0, written
    assert town.query("SELECT count(*) FROM followers WHERE role = 'api'") == [(0,)]
    lines = [json.loads(line) for line in written.splitlines() if line.startswith("{")]
    assert {"route": "/readyz", "status": 200}.items() <= lines[-1].items()


@pytest.fixture
def free_port() -> int:
    """A port that was free a moment ago."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def ready(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).is_success
    except httpx.HTTPError:
        return False
