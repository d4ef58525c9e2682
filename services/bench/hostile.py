"""``consentry bench hostile``: thousands of broken files through the whole path of an upload.

Every file must have an answer, and nothing of the service may break. Then files that are sound and
far too much, up to a million frames of 1 ms. Beside it, what decoding in
the sandbox costs more than decoding in the service itself, measured in turns on the same files.
"""

from __future__ import annotations

import io
import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from PIL import Image

from pipeline.domain.ids import PlatformId
from pipeline.domain.media import Upload
from pipeline.journeys.restore_index import LiveIndexes
from pipeline.journeys.screen_upload import summary
from pipeline.media.image import decode_image
from pipeline.media.sandbox import DecoderPool
from services.accounts import platform_named
from services.bench import Target
from services.bench._giants import giants
from services.bench._mutants import mutant, seeds
from services.films import kind_of, screen_film
from services.settings import Settings
from services.wiring import World, decoder_pool, open_world

Progress = Callable[[str], None]

_SIZES = ((512, 384), (1600, 1200), (4000, 3000))
_ENOUGH = 2.0
"""Milliseconds that the sandbox may cost more for one picture."""


def measure(number: int, seed: int, progress: Progress) -> dict[str, Any]:
    """Screen ``number`` broken files; what became of them, how long it took, what broke."""
    with closing(decoder_pool(Settings())) as pool:
        progress("what the sandbox costs")
        pool.warm()
        costs = [_cost(pool, size, seed) for size in _SIZES]
    with _deployment(progress) as (world, live):
        found, crashes, seconds = _screened(world, live, number, seed, progress)
        large = _large(world, live, min(1_000_000, 100 * number), crashes, progress)
        state = world.decoders.state()
        recorded = _recorded(world)
    answered = sum(map(len, found.values()))
    told = sum(one["answer"] is not None for one in large)
    rows = [
        {
            "answer": name,
            "files": len(times),
            "median_ms": median(times),
            "slowest_ms": max(times),
        }
        for name, times in sorted(found.items(), key=lambda one: -len(one[1]))
    ]
    targets = [
        Target("crashes of the service", float(sum(crashes.values())), 0.0, at_least=False),
        Target("files without an answer", float(number - answered), 0.0, at_least=False),
        Target("large files without an answer", float(len(large) - told), 0.0, at_least=False),
        Target("answers on record", float(recorded), float(number + len(large))),
        Target(
            "processor ms that the sandbox adds, 512 px", _added(costs[0]), _ENOUGH, at_least=False
        ),
    ]
    return {
        "rows": rows,
        "large": large,
        "sandbox": costs,
        "decoders": {"born": state.born, "died": state.died, "timed_out": state.timed_out},
        "crashes": crashes,
        "seconds": seconds,
        "notes": [
            f"{number} files in {seconds:.0f} s; decoders born {state.born}, died {state.died},"
            f" killed for taking too long {state.timed_out}",
            *(f"{one['file']}: {one['answer']} after {one['seconds']} s" for one in large),
            *(
                f"{one['picture']}: {one['here_ms']:.2f} ms of processor time here,"
                f" {one['sandbox_ms']:.2f} with the sandbox"
                for one in costs
            ),
        ],
        "targets": [target.document() for target in targets],
    }


def _recorded(world: World) -> int:
    """How many screenings the worker's audit finds, batch by batch."""
    found = 0
    while True:
        with world.store.transaction() as unit:
            batch = unit.screenings.audit_batch(1000)
        if not batch:
            return found
        found += batch


@contextmanager
def _deployment(progress: Progress) -> Iterator[tuple[World, LiveIndexes]]:
    home = Path(tempfile.mkdtemp(prefix="consentry-bench-"))
    home.chmod(0o711)  # the database's own user passes through
    try:
        settings = Settings(home=home, log_level="error").model_copy(update={"database_url": None})
        with open_world(settings, progress) as world, world.live("bench") as live:
            yield world, live
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _screened(
    world: World, live: LiveIndexes, number: int, seed: int, progress: Progress
) -> tuple[dict[str, list[float]], dict[str, int], float]:
    """Milliseconds by answer, and errors that nobody foresaw by their type."""
    rng = np.random.default_rng(seed)
    bodies = tuple(seeds(rng).values())
    platform = platform_named(world, "local")
    found: dict[str, list[float]] = defaultdict(list)
    crashes: dict[str, int] = defaultdict(int)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="consentry-bench-") as folder:
        for at in range(number):
            if at and at % 500 == 0:
                progress(f"{at} of {number} files, {sum(crashes.values())} crashes")
            _, body = mutant(rng, bodies)
            path = Path(folder) / f"{at}.bin"
            path.write_bytes(body)
            since = time.perf_counter()
            try:
                answer = _screen(world, live, platform, path, body)
            except Exception as error:  # this is what is looked for
                crashes[type(error).__name__] += 1
            else:
                found[answer].append((time.perf_counter() - since) * 1000)
            path.unlink()
    return dict(found), dict(crashes), time.perf_counter() - began


def _large(
    world: World, live: LiveIndexes, frames: int, crashes: dict[str, int], progress: Progress
) -> list[dict[str, Any]]:
    """What becomes of each giant, and how long it takes."""
    platform, told = platform_named(world, "local"), []
    with tempfile.TemporaryDirectory(prefix="consentry-bench-") as folder:
        for name, make in giants(frames).items():
            progress(name)
            path, answer = Path(folder) / "giant.bin", None
            body = make()
            path.write_bytes(body)
            since = time.perf_counter()
            try:
                answer = _screen(world, live, platform, path, body)
            except Exception as error:  # this is what is looked for
                crashes[type(error).__name__] = crashes.get(type(error).__name__, 0) + 1
            seconds = round(time.perf_counter() - since, 1)
            told.append({"file": name, "answer": answer, "seconds": seconds})
    return told


def _screen(world: World, live: LiveIndexes, platform: PlatformId, path: Path, body: bytes) -> str:
    """The verdict, or the reason of a refusal: as ``consentry screen`` goes about it."""
    upload = Upload(path.name)
    if kind_of(path) is not None:
        answer = screen_film(
            world, world.projector(live), platform, upload, path, lambda _: None, lambda _: None
        )
    else:
        answer = dict(summary(world.screener(live).screen_file(platform, upload, body)))
    return str(answer["refused"] or answer["verdict"])


def _added(cost: Mapping[str, float | str]) -> float:
    return float(cost["added_ms"])


def _cost(pool: DecoderPool, size: tuple[int, int], seed: int) -> dict[str, float | str]:
    """Decoding here and there in turns: processor time, of service and decoder together.

    Of the clock's time the quickest tenth is told beside it: machines are shared.
    """
    coarse = np.random.default_rng(seed).integers(0, 256, (24, 32, 3), np.uint8)
    made = io.BytesIO()
    Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(made, "JPEG", quality=85)
    body = made.getvalue()
    ways: tuple[Callable[[bytes], Any], ...] = (decode_image, pool.decode)
    clock: tuple[list[float], list[float]] = ([], [])
    spent: tuple[list[float], list[float]] = ([], [])
    for turn in range(10 if size[0] > 2000 else 100):
        for way, decode in enumerate(ways):
            since, before = time.perf_counter(), _processor_ms(pool)
            decode(body)
            if turn:  # the first is warm-up
                clock[way].append((time.perf_counter() - since) * 1000)
                spent[way].append(_processor_ms(pool) - before)
    here, there = (median(times) for times in spent)
    return {
        "picture": f"JPEG {size[0]}x{size[1]}",
        "here_ms": here,
        "sandbox_ms": there,
        "added_ms": there - here,
        "here_clock_ms": sorted(clock[0])[len(clock[0]) // 10],
        "sandbox_clock_ms": sorted(clock[1])[len(clock[1]) // 10],
    }


def _processor_ms(pool: DecoderPool) -> float:
    """Of this thread and of the pool's decoders, which wait."""
    theirs = 0
    for process in pool.idle_processes():
        figures = Path(f"/proc/{process}/schedstat")
        if figures.exists():
            theirs += int(figures.read_text().split()[0])
    return time.thread_time() * 1000 + theirs / 1e6
