"""Hands on Ray: hosts and drivers die; nothing is lost or doubled, of media or of hashes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pipeline.domain.media import Rating
from pipeline.journeys import rescan, sift
from pipeline.ports import Crew
from services.bench.cluster import generated
from services.cluster import AT_WORK
from services.sources import source_at
from services.wiring import now
from tests.world import Town, jpeg, picture

ray = pytest.importorskip("ray")
pytestmark = pytest.mark.slow

PICTURES = int(os.environ.get("CONSENTRY_TEST_CLUSTER_PICTURES", "400"))
"""`consentry bench cluster --check` reads 20,000."""
HERS = 20
"""Every how many is a copy of what she registered."""


@pytest.fixture
def cluster(town: Town, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A cluster of one host of two cores, whose environment names the town's database."""
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


def test_hosts_and_drivers_die_and_nothing_is_lost_or_doubled(
    town: Town, cluster: Any, tmp_path: Path
) -> None:
    """Both stories on one cluster, because it takes ten seconds to start."""
    hosts = [cluster.add_node(num_cpus=2) for _ in range(2)]
    old_media_are_read_again(town, cluster, hosts[0], tmp_path)
    earlier_uploads_are_searched(town, cluster, hosts[1])


def old_media_are_read_again(town: Town, cluster: Any, lost: Any, tmp_path: Path) -> None:
    from services.cluster import RayExecutor, wait_for_hands

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

    driver = RayExecutor(cluster.address)
    driver.start(Crew(3))  # three of six cores: what a dead host leaves finds room
    wait_for_hands(driver, 3)

    def done() -> int:
        return sift.progress_of(town.world.store, asked.id).done

    until = time.monotonic() + 200
    while not done():
        assert time.monotonic() < until
        time.sleep(0.05)
    cluster.remove_node(lost, allow_graceful=False)
    driver.leave()  # the driver is gone; the hands are not its children
    again = RayExecutor(cluster.address)
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


def earlier_uploads_are_searched(town: Town, cluster: Any, lost: Any) -> None:
    """By ``consentry rescan --cluster``, with the hands that are there."""
    board = town.platform("second board")
    for number in range(24):
        body = jpeg(picture(1), 60 + number) if number % 4 else jpeg(picture(100 + number))
        town.screen(board, body, f"upload {number}")
    assert rescan.press(town.world.store, now, size=1) == 24
    town.register(jpeg(picture(1)))
    environment = {**os.environ, "RAY_ADDRESS": cluster.address}
    command = [sys.executable, "-m", "services.cli", "rescan", "--cluster", "--json"]
    with psycopg.connect(town.url) as connection:
        # Nobody can keep a hit: every hand is held in the middle of a piece.
        connection.execute("LOCK TABLE consentry.case_hits IN SHARE MODE")
        driver = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
        under_way = "SELECT count(*) FROM jobs WHERE kind = 'rescan' AND state = 'leased'"
        until = time.monotonic() + 60
        while town.query(under_way) != [(3,)]:
            assert time.monotonic() < until
            assert driver.poll() is None
            time.sleep(0.02)
        cluster.remove_node(lost, allow_graceful=False)
        driver.kill()
        driver.wait()
        # All claims run out, which takes 20 s otherwise: even those of hands that are alive.
        town.query("UPDATE jobs SET lease_until = statement_timestamp() WHERE state = 'leased'")
    left = town.query("SELECT count(*) FROM sweep_chunks WHERE done_at IS NULL")[0][0]
    assert left > 12, "they died half-way"
    again = subprocess.run(
        command, check=False, env=environment, capture_output=True, text=True, timeout=60
    )
    assert again.returncode == 0, again.stderr
    said = json.loads(again.stdout)
    assert (said["pieces"], said["given_up"], said["uploads"]) == (24, 0, 24)
    found = town.query(
        "SELECT content_id, count(*) FROM case_uploads WHERE platform = %s GROUP BY 1", board
    )
    assert sorted(found) == sorted((f"upload {n}", 1) for n in range(24) if n % 4)
    told = town.query("SELECT body->'data'->>'content_id' FROM events WHERE platform = %s", board)
    assert len(told) == len(set(told)) == 18, "the platform was told once of each"


def test_hands_of_cards_are_placed_where_cards_are(cluster: Any) -> None:
    """A host says how many cards it has; that it has none in truth is nothing to whoever places."""
    from services.cluster import RayExecutor, start_all, wait_for_hands

    executor = RayExecutor(cluster.address)
    assert all(crew.gpus == 0 for crew in executor.whole_crews()), "no card, no crew of cards"
    carded = cluster.add_node(num_cpus=2, num_gpus=2)
    sifting, scanning = executor.whole_crews()
    assert (sifting.size, sifting.gpus, sifting.kinds) == (2, 1.0, ("sift",))
    assert (scanning.gpus, scanning.kinds) == (0, ("rescan",))
    start_all(executor)  # as `consentry cluster up` does
    wait_for_hands(executor, 2 + scanning.size)
    placed = {name: sees(name) for name in named("gpu-", 2) + named("cpu-", scanning.size)}
    of_cards = [placed[name] for name in named("gpu-", 2)]
    assert {node for node, _ in of_cards} == {carded.node_id}, "where the cards are, and only there"
    assert {cards for _, cards in of_cards} == {"0", "1"}, "each has a card of its own"
    others = [placed[name] for name in named("cpu-", scanning.size)]
    assert {cards for _, cards in others} == {"-1"}, "and nobody else sees one"
    assert {node for node, _ in others}.isdisjoint({carded.node_id}), "its two cores are taken"
    ray.kill(ray.get_actor("gpu-0"), no_restart=False)
    wait_for_hands(executor, 2 + scanning.size)
    assert sees("gpu-0")[0] == carded.node_id, "it is placed again, where a card is"
    cluster.remove_node(carded)
    until = time.monotonic() + 60
    while any(
        hand.state == AT_WORK and hand.name.startswith("gpu-")
        for hand in executor.hands(patience=1.0)
    ):
        assert time.monotonic() < until, "without a card they are placed nowhere"
        time.sleep(0.2)
    executor.stop()
    executor.leave()


def named(kind: str, count: int) -> list[str]:
    return [f"{kind}{number}" for number in range(count)]


def sees(name: str) -> tuple[str, str]:
    """Where a hand is, and which cards a network that it opens would see."""

    def look(_: Any) -> tuple[str, str]:
        import os

        import ray

        node = ray.get_runtime_context().get_node_id()
        return node, os.environ.get("CUDA_VISIBLE_DEVICES", "all")

    until = time.monotonic() + 60
    while True:
        try:
            told: tuple[str, str] = ray.get(
                ray.get_actor(name).__ray_call__.remote(look), timeout=60
            )
        except (ray.exceptions.ActorUnavailableError, ray.exceptions.ActorDiedError):
            assert time.monotonic() < until, "it is being placed again"
            time.sleep(0.2)
        else:
            return told
