"""The review desk with a full queue: how soon the next case is there, and the lead's table.

Cases are made by the database itself, spread over kinds, queues and platforms, with uploads and
hits; then reviewers take cases and a lead opens pages through the console's own HTTP.
"""

from __future__ import annotations

import secrets
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import psycopg
from fastapi.testclient import TestClient

from pipeline.domain.case import CaseKind
from pipeline.domain.house import parse
from pipeline.domain.roles import Role
from pipeline.journeys import review
from pipeline.journeys.set_house_rules import set_house_rules
from pipeline.storage.named import queries
from services.accounts import add_platform, add_reviewer
from services.bench import Report, Target
from services.console import create_app
from services.settings import Settings
from services.wiring import World, database_url, open_world

NEXT_MS, PAGE_MS = 50.0, 200.0
_HTML = {"accept": "text/html"}

_FILL = """
INSERT INTO screenings (id, platform, content_id, rating, form, verdict, policy, index_seq,
                        milliseconds, received_at, case_id, audited)
SELECT gen_random_uuid(), p.id, 'post-' || n, CASE mod(n, 3) WHEN 0
       THEN 'intimate' ELSE 'unknown' END,
       'file', 'review', 'bench', 0, 1, now() - n * interval '1 second', gen_random_uuid(), 1
FROM generate_series(1, %(cases)s) AS n
JOIN (SELECT id, row_number() OVER (ORDER BY name) - 1 AS number FROM platforms) p
  ON p.number = mod(n, (SELECT count(*) FROM platforms));
INSERT INTO cases (id, state, opened_at, kind, deadline, priority)
SELECT case_id, CASE WHEN random() < 0.05 THEN 'escalated' ELSE 'open' END, received_at,
       CASE WHEN random() < 0.1 THEN 'face' WHEN random() < 0.1 THEN 'notice' ELSE 'hash' END,
       CASE WHEN random() < 0.1 THEN now() + random() * interval '48 hours' END, 0
FROM screenings WHERE policy = 'bench';
INSERT INTO case_uploads (screening, case_id, platform, content_id, fingerprint, joined_at)
SELECT id, case_id, platform, content_id, sha256(id::text::bytea), received_at
FROM screenings WHERE policy = 'bench';
INSERT INTO case_hits (case_id, screening, entry, signal, distance, threshold, bank, source, slot,
                       view)
SELECT case_id, id, row_number() OVER (), 'pdq', floor(random() * 32), 31, 'registered',
       'registered', 0, '{}'
FROM screenings WHERE policy = 'bench';
"""


def measure(
    cases: int = 100_000, *, rounds: int = 200, progress: Callable[[str], None] = lambda _: None
) -> dict[str, Any]:
    """Fill a fresh deployment's queue, take ``rounds`` cases, open pages; the report's document."""
    with tempfile.TemporaryDirectory(prefix="consentry-bench-") as home:
        Path(home).chmod(0o711)
        settings = Settings(home=Path(home), database_url=None, log_level="error",
                            second_factor="optional")  # fmt: skip
        with database_url(settings, progress) as url, open_world(settings) as world:
            for name in ("board", "forum", "gallery", "videos"):
                add_platform(world, name, None, 1000)
            progress(f"making {cases} cases")
            filled = _fill(url, cases)
            _analyse(url)  # a table that has just been filled has no statistics yet
            progress("placing them")
            began = time.perf_counter()
            rules = {
                "queues": [{"name": "faces", "kinds": ["face"]},
                           {"name": "forums", "platforms": ["forum"]}],
                "budget": {"looks_per_hour": 0}, "breaks": {"after_minutes": 0},
                "golden_cases": 0,
            }  # fmt: skip
            set_house_rules(world.store, parse(rules), "bench")
            placed = time.perf_counter() - began
            _analyse(url)
            progress("taking cases")
            taken = _take(world, rounds)
            progress("asking the database alone")
            asked = _asked(url, rounds // 4)
            progress("opening pages")
            start, table, overview = _pages(world, rounds // 4)
    report = Report("console", 0)
    for name, spent in (
        ("take the next case", taken), ("a reviewer's start page", start),
        ("a page of the lead's table", table), ("the lead's overview", overview),
    ):  # fmt: skip
        report.rows.append(
            {
                "what": name,
                "times": len(spent),
                "median ms": round(float(np.median(spent)), 1),
                "p95 ms": round(float(np.quantile(spent, 0.95)), 1),
            }
        )
    for name, spent in asked.items():
        report.notes.append(
            f"{name}: PostgreSQL alone takes {np.median(spent):.1f} ms,"
            f" {np.quantile(spent, 0.95):.1f} at the 95th percentile"
        )
    report.notes.append(f"{filled} undecided cases; placing all of them anew took {placed:.1f} s")
    report.targets += [
        Target("next case, p95 ms", float(np.quantile(taken, 0.95)), NEXT_MS, at_least=False),
        Target("queue page, p95 ms", float(np.quantile(table, 0.95)), PAGE_MS, at_least=False),
    ]
    return report.document()


def _fill(url: str, cases: int) -> int:
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute("SET search_path = consentry")
        for statement in _FILL.split(";\n"):
            if statement.strip():
                wanted = {"cases": cases} if "%(cases)s" in statement else None
                owner.execute(statement.encode(), wanted)
        found = owner.execute("SELECT count(*) FROM cases").fetchone()
    return int(found[0]) if found else 0


def _analyse(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute("SET search_path = consentry")
        owner.execute("VACUUM ANALYZE cases")
        owner.execute("ANALYZE")


def _take(world: World, rounds: int) -> list[float]:
    with world.store.transaction() as unit:
        people = [unit.reviewers.add(f"reviewer-{n}", "none", "senior") for n in range(5)]
    spent = []
    for n in range(rounds):
        began = time.perf_counter()
        claim = review.claim_next(world.desk, people[n % len(people)], role=Role.SENIOR)
        spent.append((time.perf_counter() - began) * 1000)
        assert claim is not None, "the queue is full"
    return spent


def _asked(url: str, rounds: int) -> dict[str, list[float]]:
    """Milliseconds that the database itself says it spends on what the desk asks, by name.

    A busy machine tells in these too, but neither Python's share nor the way between is in them.
    """
    desks = [(state, kind) for state in ("open", "escalated") for kind in CaseKind]
    seat: dict[str, Any] = {
        "states": [state for state, _ in desks], "kinds": [kind.value for _, kind in desks],
        "queues": ["faces", "forums", "main"],
    }  # fmt: skip
    table = dict.fromkeys(("kind", "queue", "platform", "before", "after"))
    wanted: dict[str, tuple[str, dict[str, Any]]] = {
        "the next case": ("case_next", {**seat, "reviewer": UUID(int=0)}),
        "counting what waits": ("cases_waiting_for", {**seat, "most": 1001}),
        "a page of the table": ("case_queue", {**table, "limit": 101, "states": seat["states"]}),
        "a page of one platform": (
            "case_queue",
            {**table, "limit": 101, "states": seat["states"], "platform": "videos"},
        ),
    }
    spent: dict[str, list[float]] = {name: [] for name in wanted}
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute("SET search_path = consentry")
        now = owner.execute("SELECT now()").fetchone()
        assert now is not None
        for _ in range(rounds):
            for name, (query, values) in wanted.items():
                explain = b"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) " + queries()[query]
                row = owner.execute(explain, {**values, "now": now[0]}).fetchone()
                assert row is not None
                spent[name].append(row[0][0]["Planning Time"] + row[0][0]["Execution Time"])
    return spent


def _pages(world: World, rounds: int) -> tuple[list[float], list[float], list[float]]:
    password = secrets.token_urlsafe(16)
    app = create_app(world)
    timed: dict[str, list[float]] = {}
    for role, path in (("reviewer", "/queue"), ("lead", "/cases"), ("lead", "/lead")):
        login = f"{role}{len(timed)}"
        add_reviewer(world, login, password, role=role)
        browser = TestClient(app, follow_redirects=True)
        form = browser.get("/login", headers=_HTML).text
        token = form.split('name="csrf" value="')[1].split('"')[0]
        browser.post("/login", data={"csrf": token, "login": login, "password": password})
        spent = timed.setdefault(path, [])
        for n in range(rounds + 1):
            began = time.perf_counter()
            answer = browser.get(path, headers=_HTML)
            if n:  # the first one compiles the templates
                spent.append((time.perf_counter() - began) * 1000)
            answer.raise_for_status()
    return timed["/queue"], timed["/cases"], timed["/lead"]
