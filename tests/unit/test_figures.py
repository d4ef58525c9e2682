"""A worker serves what its duties did, and nobody's name."""

from __future__ import annotations

import socket

import httpx
import pytest

from pipeline.stages import heard_by, stage
from services import worker
from services.figures import Figures, served
from services.worker import Duty


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_duties_are_counted_and_served_until_the_worker_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    figures, port = Figures(), free_port()
    monkeypatch.setattr(worker, "FIGURES", figures)

    def breaks() -> int:
        raise ValueError("with words that must not be told")

    with served(figures, "127.0.0.1", port):
        figures.turn()
        assert worker._try(Duty("deliver", 1.0, lambda: 3)) == 3
        assert worker._try(Duty("deliver", 1.0, lambda: 2)) == 2
        assert worker._try(Duty("seal", 1.0, breaks)) == 0
        said = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    assert 'consentry_worker_did_total{duty="deliver"} 5.0' in said
    assert 'consentry_worker_troubles_total{duty="seal"} 1.0' in said
    assert "consentry_worker_turn_timestamp_seconds" in said
    assert "words" not in said
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/metrics")


def test_a_stage_is_told_to_whoever_listens_even_when_it_fails() -> None:
    class Ear:
        def __init__(self) -> None:
            self.heard: list[str] = []

        def stage(self, name: str, seconds: float) -> None:
            assert seconds >= 0
            self.heard.append(name)

    ear = Ear()
    heard_by(ear)
    with stage("decode"):
        pass
    with pytest.raises(ZeroDivisionError), stage("look"):
        raise ZeroDivisionError
    assert ear.heard == ["decode", "look"]
