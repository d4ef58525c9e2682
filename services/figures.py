"""A worker's figures for Prometheus, served on a port of their own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

_BUCKETS = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 120.0, 600.0)


class Figures:
    """What a worker does, by duty; no label names a person or a platform."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._did = Counter(
            "consentry_worker_did", "Pieces of work done.", ["duty"], registry=self.registry
        )
        self._troubles = Counter(
            "consentry_worker_troubles",
            "Times that a duty ended in trouble, which the log names.",
            ["duty"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "consentry_worker_seconds",
            "How long a duty took when there was something to do.",
            ["duty"],
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self._turn = Gauge(
            "consentry_worker_turn_timestamp_seconds",
            "When the worker last went through its duties.",
            registry=self.registry,
        )

    def did(self, duty: str, count: int, seconds: float) -> None:
        """Count work done."""
        self._did.labels(duty).inc(count)
        self._seconds.labels(duty).observe(seconds)

    def trouble(self, duty: str) -> None:
        """Count a duty that ended in trouble."""
        self._troubles.labels(duty).inc()

    def turn(self) -> None:
        """The worker is alive."""
        self._turn.set_to_current_time()


@contextmanager
def served(figures: Figures, host: str, port: int) -> Iterator[None]:
    """Serve figures until the block ends; port 0 serves none."""
    if not port:
        yield
        return
    server, thread = start_http_server(port, host, registry=figures.registry)
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)
