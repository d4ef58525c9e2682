"""``consentry bench cluster``: what a picture costs on Ray, beside processes without it.

The same hands read the same generated pictures from the same database; only who places them
differs. ``check`` is the acceptance test: three hosts simulated on this machine, one of them killed
half-way and the driver replaced; every picture is counted once and every planted copy has one case.
"""

from __future__ import annotations

import io
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pipeline.domain.media import Rating
from pipeline.errors import Unavailable
from pipeline.journeys import sift
from pipeline.journeys.register import register
from pipeline.ports import Crew, Executor, Sift, SiftProgress
from services.accounts import add_platform
from services.bench import Report, Target
from services.crew import LocalExecutor, environment_of
from services.settings import Settings
from services.sources import source_at
from services.wiring import World, now, open_world

_SIDE = 96
_PATIENCE = 3600.0


def generated(number: int, every: int) -> tuple[Image.Image, list[tuple[str, bytes]]]:
    """A registered picture, and small pictures of which each ``every``-th is a copy of it."""
    hers = _picture(0)
    made = []
    for at in range(number):
        copy = at % every == 0
        file = io.BytesIO()
        (hers if copy else _picture(1 + at)).save(file, "JPEG", quality=70 + at % 25)
        made.append((f"{at:06d}-{'hers' if copy else 'other'}.jpg", _unlike(file.getvalue(), at)))
    return hers, made


def measure(
    pictures: int = 2000,
    workers: Sequence[int] = (1, 2, 4),
    *,
    check: bool = False,
    progress: Callable[[str], None] = lambda _: None,
) -> Report:
    """Read pictures again with so many hands, on processes and on Ray."""
    report = Report("cluster", 0)
    with _town(pictures, progress) as (world, folder, hers, copies):
        if check:
            _check(world, folder, copies, report, progress)
            return report
        costs: dict[tuple[str, int], float] = {}
        for size in workers:
            for name in ("processes", "ray"):
                progress(f"{size} hands on {name}")
                with _executor(name, world, size) as (executor, fixed):
                    executor.start(Crew(size))
                    _warm(world, folder, executor)
                    done, seconds = _read(world, folder, executor)
                each = done.seconds / done.items * 1e3
                costs[name, size] = each
                report.rows.append(
                    {
                        "hands": size, "on": name, "pictures/s": round(done.items / seconds, 1),
                        "CPU ms a picture": round(each, 2), "start CPU s": round(fixed(), 1),
                    }
                )  # fmt: skip
        ratio = max(costs["ray", n] / costs["processes", n] for n in workers)
        report.targets.append(
            Target("cost of a picture on Ray, beside processes", ratio, 1.1, False)
        )
        report.notes.append(f"{pictures} pictures of {_SIDE} px, one in 100 a copy of {hers.size}")
    return report


def _check(
    world: World,
    folder: Path,
    copies: int,
    report: Report,
    progress: Callable[[str], None],
) -> None:
    import ray
    from ray.cluster_utils import Cluster

    from services.cluster import RayExecutor, wait_for_hands

    with _environment(world):
        cluster: Any = Cluster(initialize_head=True, head_node_args={"num_cpus": 2})
        try:
            hosts = [cluster.add_node(num_cpus=2) for _ in range(2)]
            asked = _ask(world, folder)
            driver = RayExecutor(cluster.address)
            driver.start(Crew(3))
            wait_for_hands(driver, 3)
            _until(world, asked, driver, lambda done: done.done * 3 >= done.batches, progress)
            progress("killing a host, and the driver")
            cluster.remove_node(hosts[0], allow_graceful=False)
            driver.leave()
            driver = RayExecutor(cluster.address)
            driver.start(Crew(3))
            done = _until(world, asked, driver, lambda done: not done.waiting, progress)
            driver.leave()
        finally:
            ray.shutdown()
            cluster.shutdown()
    with world.database.connection() as connection:
        rows = connection.execute(
            "SELECT count(*) AS all, count(DISTINCT content_id) AS different FROM case_uploads"
        ).fetchone()
    assert rows is not None  # an aggregate always has a row
    report.rows.append(
        {
            "pictures": done.items, "clear": done.clear, "refused": done.refused,
            "planted": copies, "with a case": rows["different"], "uploads in cases": rows["all"],
            "given up": done.dead,
        }
    )  # fmt: skip
    lost = (copies - rows["different"]) + done.dead + done.refused
    report.targets += [
        Target("lost", lost, 0, False),
        Target("doubled", rows["all"] - rows["different"], 0, False),
    ]


def _read(world: World, folder: Path, executor: Executor) -> tuple[SiftProgress, float]:
    began = time.monotonic()
    done = _until(world, _ask(world, folder), executor, lambda done: not done.waiting)
    return done, time.monotonic() - began


def _warm(world: World, folder: Path, executor: Executor) -> None:
    """Every hand has loaded what it needs."""
    few = folder.parent / "few"
    _until(world, _ask(world, few), executor, lambda done: not done.waiting)


def _ask(world: World, folder: Path) -> Sift:
    with world.store.transaction() as unit:
        board = unit.platforms.by_name("board")
    assert board is not None  # made with the town
    asked = sift.begin(world.store, now, board, str(folder), Rating.INTIMATE, "bench")
    return sift.list_all(world.store, asked, source_at(str(folder), 1 << 20, {}))


def _until(
    world: World,
    asked: Sift,
    executor: Executor,
    over: Callable[[SiftProgress], bool],
    progress: Callable[[str], None] = lambda _: None,
) -> SiftProgress:
    until, said = time.monotonic() + _PATIENCE, 0.0
    while not over(done := sift.progress_of(world.store, asked.id)):
        if time.monotonic() > until:
            raise Unavailable("the hands have not ended in an hour")
        if time.monotonic() - said > 10:
            said = time.monotonic()
            progress(f"{done.items_done} of {done.items} pictures")
        executor.tend()
        time.sleep(0.1)
    return done


@contextmanager
def _executor(name: str, world: World, size: int) -> Iterator[tuple[Executor, Callable[[], float]]]:
    if name == "processes":
        local = LocalExecutor(_settled(world))
        try:
            yield local, lambda: 0.0
        finally:
            local.stop()
        return
    from services.cluster import RayExecutor

    began = sum(os.times()[:4])
    with _environment(world):
        from ray.cluster_utils import Cluster

        cluster: Any = Cluster(initialize_head=True, head_node_args={"num_cpus": size + 1})
        try:
            ray = RayExecutor(cluster.address)
            try:
                yield ray, lambda: sum(os.times()[:4]) - began
            finally:
                ray.stop()
                ray.leave()
        finally:
            cluster.shutdown()


@contextmanager
def _environment(world: World) -> Iterator[None]:
    """This process's environment as its hosts shall have it."""
    before = dict(os.environ)
    os.environ.update(_settled(world))
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _settled(world: World) -> dict[str, str]:
    found = environment_of(world.settings, world.database.url)
    return {**found, "CONSENTRY_DECODERS": "1", "RAY_USAGE_STATS_ENABLED": "0"}


@contextmanager
def _town(
    pictures: int, progress: Callable[[str], None]
) -> Iterator[tuple[World, Path, Image.Image, int]]:
    """A deployment of its own with one registered picture, and a folder of old ones."""
    home = Path(tempfile.mkdtemp(prefix="consentry-bench-"))
    home.chmod(0o711)
    try:
        settings = Settings().model_copy(
            update={"database_url": None, "home": home / "town", "log_level": "error"}
        )
        progress(f"generating {pictures} pictures")
        hers, made = generated(pictures, 100)
        for name, some in (("old", made), ("few", made[1:65])):
            (home / name).mkdir()
            for file, body in some:
                (home / name / file).write_bytes(body)
        with open_world(settings, progress) as world:
            add_platform(world, "board", None, 1000)
            original = io.BytesIO()
            hers.save(original, "PNG")
            register(
                world.store, world.pins, now, world.decode, world.signals,
                [("hers", original.getvalue())], world.generic,
            )  # fmt: skip
            copies = sum("hers" in name for name, _ in made)
            yield world, home / "old", hers, copies
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _picture(seed: int) -> Image.Image:
    """Smooth blobs, different for each seed, that PDQ can tell apart."""
    rng = np.random.default_rng([7, seed])
    coarse = rng.integers(0, 256, (12, 12, 3), np.uint8)
    return Image.fromarray(coarse).resize((_SIDE, _SIDE), Image.Resampling.BICUBIC)


def _unlike(jpeg: bytes, number: int) -> bytes:
    """The same picture as a file of its own: other bytes behind its end."""
    return jpeg + number.to_bytes(4, "big")
