"""Figures for Prometheus: counts, sizes and ages; no label names a person or a platform."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from pipeline import stages
from pipeline.journeys.restore_index import LiveIndexes
from services.api.bodies import Budget
from services.api.line import Line
from services.api.pulse import Pulse
from services.api.schemas import ScreeningAnswered

_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """One app's figures, in a registry of its own."""

    def __init__(
        self, live: LiveIndexes, line: Line, budget: Budget, pulse: Callable[[], Pulse]
    ) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "consentry_requests",
            "Requests answered.",
            ["route", "method", "status"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "consentry_request_seconds",
            "How long answers took.",
            ["route"],
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self._screenings = Counter(
            "consentry_screenings", "Uploads answered.", ["verdict"], registry=self.registry
        )
        self._refusals = Counter(
            "consentry_refusals",
            "Files that could not be screened.",
            ["reason"],
            registry=self.registry,
        )
        self._stages = Histogram(
            "consentry_stage_seconds",
            "How long the stages of a screening took.",
            ["stage"],
            buckets=_BUCKETS,
            registry=self.registry,
        )
        stages.heard_by(self)
        self.registry.register(_State(live, line, budget, pulse))

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count a request. ``route`` is the template, so that ids make no labels."""
        known = method if method in _METHODS else "other"
        self._requests.labels(route, known, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def stage(self, name: str, seconds: float) -> None:
        """Count a stage of a screening."""
        self._stages.labels(name).observe(seconds)

    def screening(self, answered: ScreeningAnswered) -> None:
        """Count an answer."""
        self._screenings.labels(answered.verdict.value).inc()
        if answered.refused is not None:
            self._refusals.labels(answered.refused.value).inc()


class _State(Collector):
    """What is the case at the moment of asking."""

    def __init__(
        self, live: LiveIndexes, line: Line, budget: Budget, pulse: Callable[[], Pulse]
    ) -> None:
        self._live, self._line, self._budget, self._pulse = live, line, budget, pulse

    def describe(self) -> Iterator[Metric]:
        """Nothing, so that registering asks no database."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """The figures."""
        yield _gauge("consentry_ready", "1 when uploads can be answered.", int(self._live.ready))
        yield from self._indexes()
        yield _gauge("consentry_uploads_working", "Uploads being screened.",
                     self._line.inside - self._line.waiting)  # fmt: skip
        yield _gauge("consentry_uploads_waiting", "Uploads in the line.", self._line.waiting)
        yield _gauge("consentry_uploads_bytes", "Bytes of uploads in memory.", self._budget.held)
        yield from self._database()

    def _indexes(self) -> Iterator[Metric]:
        codes = GaugeMetricFamily("consentry_index_codes", "Codes in the index.", labels=["space"])
        size = GaugeMetricFamily("consentry_index_bytes", "Memory of the index.", labels=["space"])
        method = GaugeMetricFamily(
            "consentry_index_method", "How the index searches.", labels=["space", "method"]
        )
        for space, state in self._live.states().items():
            codes.add_metric([space], state.codes)
            size.add_metric([space], state.bytes)
            method.add_metric([space, state.method], 1)
        yield from (codes, size, method)
        applied = self._live.applied
        yield _gauge("consentry_index_sequence", "Step of the change log in force; -1 for none.",
                     applied)  # fmt: skip

    def _database(self) -> Iterator[Metric]:
        pulse = self._pulse()
        yield _gauge("consentry_database_up", "1 when the database answers.", int(pulse.up))
        if not pulse.up:
            return
        lag = max(0, pulse.head - max(0, self._live.applied))
        yield _gauge("consentry_index_lag", "Steps of the change log not yet in force here.", lag)
        yield _gauge("consentry_cases_undecided", "Cases that wait for a person.", pulse.undecided)
        yield _gauge("consentry_cases_oldest_seconds", "How long the oldest of them has waited.",
                     pulse.oldest_case)  # fmt: skip
        yield _gauge("consentry_cases_overdue", "Undecided cases past the law's deadline.",
                     pulse.overdue)  # fmt: skip
        yield _gauge("consentry_cases_deadline_near",
                     "Undecided cases with less than six hours left.", pulse.near)  # fmt: skip
        yield _gauge("consentry_probing_day", "Alarms about probing in the last 24 hours.",
                     pulse.probing)  # fmt: skip
        yield _gauge("consentry_floods_waiting",
                     "Registered items that match so much that a lead must look.",
                     pulse.floods)  # fmt: skip
        yield _gauge("consentry_cases_parked", "Cases that wait for a lead's word on these.",
                     pulse.parked)  # fmt: skip
        tried = GaugeMetricFamily(
            "consentry_bank_would_have", "Uploads that a tried bank would have brought up.",
            labels=["bank"],
        )  # fmt: skip
        for bank, uploads in pulse.banks:
            tried.add_metric([bank], uploads)
        yield tried
        jobs = GaugeMetricFamily(
            "consentry_jobs", "Jobs that are not done.", labels=["kind", "state"]
        )
        age = GaugeMetricFamily(
            "consentry_jobs_oldest_seconds", "How long the oldest has been due.", labels=["kind"]
        )
        for depth in pulse.jobs:
            jobs.add_metric([depth.kind, "ready"], depth.ready)
            jobs.add_metric([depth.kind, "leased"], depth.leased)
            jobs.add_metric([depth.kind, "dead"], depth.dead)
            age.add_metric([depth.kind], depth.oldest.total_seconds())
        yield from (jobs, age)


def _gauge(name: str, said: str, value: float) -> Metric:
    return GaugeMetricFamily(name, said, value=value)
