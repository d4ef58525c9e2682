"""``consentry bench rescan``: earlier uploads compared with new entries, beside memory itself.

Two things are called memory speed. With few questions, the segment's bytes must come from memory as
fast as a plain sum reads them. With many, each cache line is read once for all of them, and what
counts is how many pairs of codes a core compares in a second: so many times 32 bytes would have to
be read if each pair came from memory.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from numpy.typing import NDArray

from pipeline.domain.trace import SEGMENT
from pipeline.indexes._bits import vector_unit
from pipeline.indexes._sweep import compare, laid_out
from pipeline.kernels import compiled
from services.bench import Report, Target

UPLOADS, ENTRIES, TURNS = 1e9, 1e4, 8
RADIUS = 31
_ROUNDS = 5


@compiled
def _sum(words: Any) -> Any:
    total = np.uint64(0)
    for at in range(words.shape[0]):
        total += words[at]
    return total


def measure(
    millions: float = 8.0, *, seed: int = 1, progress: Callable[[str], None] = lambda _: None
) -> Report:
    """Compare ``millions`` of random codes, in full segments, with 1 to 10,000 questions."""
    rng = np.random.default_rng(seed)
    chunks = max(1, round(millions * 1e6 / SEGMENT))
    progress(f"laying out {chunks * SEGMENT / 1e6:.1f} million codes")
    segments = [laid_out(rng.integers(0, 256, (SEGMENT, 32), np.uint8))[0] for _ in range(chunks)]
    report = Report("rescan", seed)
    progress("reading memory")
    bandwidth = _bandwidth(np.concatenate(segments))
    report.notes.append(
        f"vectors: {vector_unit()}; one core reads {bandwidth / 1e9:.1f} GB/s (a plain sum)"
    )
    rates = {}
    for questions in (1, 8, 64, 512, 4096, 10_000):
        progress(f"{questions} questions")
        words = rng.integers(0, 2**63, (questions, 4), np.int64).astype(np.uint64)
        most = np.full(questions, RADIUS, np.uint64)
        labels = np.arange(questions, dtype=np.int64)
        # As many segments as take about the same time, but never ones that a cache still holds.
        some = segments[: max(1, min(chunks, chunks * 64 // questions))]
        rounds = _ROUNDS if questions <= 512 else 2
        seconds = _best(lambda: _all(some, words, most, labels), rounds)  # noqa: B023
        compared = len(some) * SEGMENT * questions
        rates[questions] = compared / seconds
        report.rows.append(
            {
                "questions": questions,
                "M hashes compared/s/core": round(rates[questions] / 1e6, 1),
                "segment bytes read, share of memory": round(
                    len(some) * SEGMENT * 32 / seconds / bandwidth, 3
                ),
                "bytes compared, share of memory": round(rates[questions] * 32 / bandwidth, 2),
            }
        )
    opening = _opening(rng)
    best = rates[10_000]
    hours = UPLOADS * ENTRIES * TURNS / best / 3600
    opened = UPLOADS / SEGMENT * opening / 3600
    report.notes += [
        f"opening a segment of {SEGMENT} (AES-GCM, laying out): {opening * 1e3:.1f} ms",
        f"1e9 uploads x 1e4 entries, each in {TURNS} turns: {hours:.1f} hours of one core to"
        f" compare, {opened:.2f} to open; with 100 cores {(hours + opened) * 0.6:.0f} minutes;"
        f" {UPLOADS * (32 + 1 + 48) / 2**30:.0f} GiB of PDQ codes and owners are read once",
    ]
    report.targets.append(
        Target("bytes compared a second and core, share of memory", best * 32 / bandwidth, 0.5)
    )
    report.extra = {
        "compared_per_second": round(best),
        "bandwidth_bytes": round(bandwidth),
        "core_hours_1e9_x_1e4": round(hours + opened, 2),
    }
    return report


def _bandwidth(words: NDArray[np.uint64]) -> float:
    """Bytes that one core reads in a second of its time."""
    return words.nbytes / _best(lambda: _sum(words))


def _all(
    segments: list[NDArray[np.uint64]],
    words: NDArray[np.uint64],
    most: NDArray[np.uint64],
    labels: NDArray[np.int64],
) -> None:
    for tiles in segments:
        compare(tiles, SEGMENT, words, most, labels)


def _opening(rng: np.random.Generator) -> float:
    key, nonce = AESGCM(secrets.token_bytes(32)), secrets.token_bytes(12)
    sealed = key.encrypt(nonce, rng.integers(0, 256, SEGMENT * 32, np.uint8).tobytes(), None)
    return _best(
        lambda: laid_out(np.frombuffer(key.decrypt(nonce, sealed, None), np.uint8).reshape(-1, 32))
    )


def _best(work: Callable[[], object], rounds: int = _ROUNDS) -> float:
    """The least CPU time of a few rounds, after one that warms everything up."""
    work()
    times = []
    for _ in range(rounds):
        began = time.thread_time()
        work()
        times.append(time.thread_time() - began)
    return max(min(times), 1e-9)
