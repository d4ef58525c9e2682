"""Hands on Ray: three hosts, one of them dies, then whoever drives; nothing is lost or doubled."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.domain.media import Rating
from pipeline.journeys import sift
from pipeline.ports import Crew
from services.bench.cluster import generated
from services.sources import source_at
from services.wiring import now
from tests.world import Town, jpeg

ray = pytest.importorskip("ray")
pytestmark = pytest.mark.slow

PICTURES = int(os.environ.get("CONSENTRY_TEST_CLUSTER_PICTURES", "400"))
"""`consentry bench cluster --check` reads 20,000."""
HERS = 20
"""Every how many is a copy of what she registered."""


@pytest.fixture
def three_hosts(town: Town, monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """A cluster of three hosts of two cores each, whose environment names the town's database."""
    monkeypatch.setenv("DATABASE_URL", town.url)
    monkeypatch.setenv("CONSENTRY_HOME", str(town.world.settings.home))
    monkeypatch.setenv("CONSENTRY_DECODERS", "1")
    monkeypatch.setenv("CONSENTRY_VIEW_FAMILIES", "0")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2})
    try:
        yield cluster
    finally:
        ray.shutdown()
        cluster.shutdown()


def test_a_host_and_the_driver_die_and_nothing_is_lost_or_doubled(
    town: Town, three_hosts: object, tmp_path: Path
) -> None:
    from services.cluster import RayExecutor, wait_for_hands

    cluster = three_hosts
    hosts = [cluster.add_node(num_cpus=2) for _ in range(2)]  # type: ignore[attr-defined]
    hers, pictures = generated(PICTURES, HERS)
    old = tmp_path / "old"
    old.mkdir()
    for name, body in pictures:
        (old / name).write_bytes(body)
    town.register(jpeg(hers))
    board = town.platform()
    source = source_at(str(old), 1 << 20, {})
    asked = sift.begin(town.world.store, now, board, str(old), Rating.INTIMATE, "test")
    asked = sift.list_all(town.world.store, asked, source)
    assert asked.listed == PICTURES

    driver = RayExecutor(cluster.address)  # type: ignore[attr-defined]
    driver.start(Crew(3))  # three of six cores: what a dead host leaves finds room
    wait_for_hands(driver, 3)

    def done() -> int:
        return sift.progress_of(town.world.store, asked.id).done

    until = time.monotonic() + 200
    while not done():
        assert time.monotonic() < until
        time.sleep(0.05)
    cluster.remove_node(hosts[0], allow_graceful=False)  # type: ignore[attr-defined]
    driver.leave()  # the driver is gone; the hands are not its children
    again = RayExecutor(cluster.address)  # type: ignore[attr-defined]
    again.start(Crew(3))
    while sift.progress_of(town.world.store, asked.id).waiting:
        assert time.monotonic() < until, again.hands()
        again.tend()
        time.sleep(0.2)
    wait_for_hands(again, 3)  # the dead host's hand lives elsewhere
    again.leave()

    end = sift.progress_of(town.world.store, asked.id)
    copies = [name for name, _ in pictures if "hers" in name]
    assert (end.items, end.dead, end.refused) == (PICTURES, 0, 0)
    assert end.clear + end.found <= PICTURES
    cases = town.query("SELECT content_id, count(*) FROM case_uploads GROUP BY 1 ORDER BY 1")
    assert cases == sorted((name, 1) for name in copies), "each once"
    told = town.query("SELECT body->'data'->>'content_id' FROM events")
    assert sorted(one for (one,) in told) == sorted(copies), "the platform was told once of each"
