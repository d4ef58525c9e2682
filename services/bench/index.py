"""``consentry bench index``: the Hamming index beside its peers, and a fuzz against the oracle.

Times are CPU times of the calling thread, everything runs on one thread, and peers take turns with
us in the same process, because a shared machine's wall clock says more about its neighbours.
"""

from __future__ import annotations

import functools
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from llvmlite import binding
from numpy.typing import NDArray

from pipeline.domain.signal import Metric, Space
from pipeline.indexes import hamming
from pipeline.indexes._bits import vector_unit

Codes = NDArray[np.uint8]
Progress = Callable[[str], None]

SPACE = Space("bench", "1", Metric.HAMMING, 256)
SECRET = bytes(range(32))
WITHIN = 31
BATCH = 64
MAX_HITS = 1000
AVX2 = "+avx,+avx2,+bmi,+bmi2,+fma,+lzcnt,+popcnt,+sse4.2"
AVX512 = AVX2 + ",+avx512f,+avx512bw,+avx512vl,+avx512vnni,+avx512vpopcntdq,+avx512bitalg"
PATIENCE = 20.0
"""CPU seconds that one searcher gets for single codes of a set; batches that would take a quarter
of it are left out. On the adversarial set some peers need seconds for a code."""
EXCHANGE_AT_MOST = 1_000_000
"""The exchange library's index keeps Python objects for each code; beyond this it is left out."""


# What is searched


def random_codes(rng: np.random.Generator, count: int) -> Codes:
    """Codes of independent fair bits."""
    return rng.integers(0, 256, (count, 32), dtype=np.uint8)


def turned(rng: np.random.Generator, codes: Codes, most: int) -> Codes:
    """Copies with 0 to ``most`` random bits turned (a bit turned twice is as it was)."""
    copies = codes.copy()
    rows = np.arange(len(copies))
    turns = rng.integers(0, most + 1, len(copies))
    for turn in range(most):
        bit = rng.integers(0, 256, len(copies))
        mask = np.where(turn < turns, 1 << (bit & 7), 0).astype(np.uint8)
        copies[rows, bit >> 3] ^= mask
    return copies


def clustered_codes(rng: np.random.Generator, count: int) -> Codes:
    """Families of twenty around a centre, within 24 bits of it."""
    return turned(rng, np.repeat(random_codes(rng, count // 20 + 1), 20, axis=0)[:count], 24)


def adversarial_codes(rng: np.random.Generator, count: int) -> Codes:
    """A fifth crowds around one code, a tenth is one code, a fifth shares half of its bits."""
    codes = random_codes(rng, count)
    target = codes[0].copy()
    crowd, same, half = count // 5, count // 10, count // 5
    codes[:crowd] = turned(rng, np.repeat(target[None], crowd, axis=0), 24)
    codes[crowd : crowd + same] = ~target
    codes[crowd + same : crowd + same + half, :16] = target[:16]
    rng.shuffle(codes)
    codes[0] = target
    return codes


def queries_for(kind: str, rng: np.random.Generator, codes: Codes, count: int) -> Codes:
    """Half near stored codes and half strangers; on the adversarial set two thirds on target."""
    asked = random_codes(rng, count)
    if kind == "adversarial":
        third = count // 3
        asked[:third] = turned(rng, np.repeat(codes[:1], third, axis=0), 20)
        asked[third : 2 * third, :16] = codes[0, :16]
    else:
        near = rng.integers(0, len(codes), count // 2)
        asked[: count // 2] = turned(rng, codes[near], 31)
    rng.shuffle(asked)
    return asked


SETS: dict[str, Callable[[np.random.Generator, int], Codes]] = {
    "random": random_codes,
    "clustered": clustered_codes,
    "adversarial": adversarial_codes,
}


# Who searches


@dataclass(frozen=True, slots=True)
class Searcher:
    """Somebody who answers one code, or a batch, and how many codes to time."""

    name: str
    ask: Callable[[Codes], Any]
    ask_batch: Callable[[Codes], Any]
    singles: int
    batches: int
    build_s: float
    build_mib: float


def peers(codes: Codes, progress: Progress) -> Iterator[Searcher]:
    """FAISS's two exact binary indexes and, where it is installed, the exchange library's."""
    size = len(codes)
    few = max(20, min(300, 50_000_000 // size))
    for name in ("faiss flat", "faiss multihash"):
        progress(f"building {name}")
        with resources() as used:
            index: Any = faiss.IndexBinaryFlat(256)
            if name == "faiss multihash":
                index = faiss.IndexBinaryIDMap2(faiss.IndexBinaryMultiHash(256, 16, 16))
                inner: Any = faiss.downcast_IndexBinary(index.index)
                inner.nflip = 1
                index.add_with_ids(codes, np.arange(size))
            else:
                index.add(codes)

        def ask(queries: Codes, index: Any = index) -> Any:
            # FAISS keeps distances strictly below the radius.
            return index.range_search(queries, WITHIN + 1)

        yield Searcher(name, ask, ask, few, 2, *used)
    if size > EXCHANGE_AT_MOST:
        return
    try:
        exchange_index = import_module("threatexchange.signal_type.pdq.pdq_index").PDQIndex
    except ImportError:
        progress("threatexchange (extra oracle) is not installed; its PDQ index is left out")
        return
    progress("building threatexchange's PDQIndex")
    with resources() as used:
        exchange = exchange_index([(row.tobytes().hex(), n) for n, row in enumerate(codes)])

    def ask_exchange(queries: Codes) -> Any:
        return [exchange.query(query.tobytes().hex()) for query in queries]

    yield Searcher("threatexchange PDQIndex", ask_exchange, ask_exchange, few, 1, *used)


@contextmanager
def resources() -> Iterator[list[float]]:
    """Seconds of CPU and MiB of resident memory that the body costs."""
    used: list[float] = []
    memory, start = resident(), time.thread_time()
    yield used
    used += [time.thread_time() - start, (resident() - memory) / 2**20]


def resident() -> int:
    """Bytes of this process in memory; 0 where the system does not say."""
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    except OSError:
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def clocked(ask: Callable[[Codes], Any], queries: Codes) -> float:
    """CPU seconds of one call."""
    start = time.thread_time()
    ask(queries)
    return time.thread_time() - start


# The bench


def measure(sizes: Sequence[int], *, seed: int, progress: Progress) -> dict[str, Any]:
    """Rows, notes and targets for the given numbers of codes."""
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    rows: list[dict[str, Any]] = []
    ours: list[dict[str, Any]] = []
    try:
        hamming.compiles()
        for size in sizes:
            for kind in SETS:
                everybody, mine = one_set(kind, size, seed, progress)
                rows += everybody
                ours.append(mine)
    finally:
        faiss.omp_set_num_threads(threads)
    return {
        "within": WITHIN,
        "rows": rows,
        "ours": ours,
        "notes": [
            "CPU time of one thread; searches of all take turns in one process.",
            f"batch: per code, {BATCH} codes a call; ours caps the hits of a code at {MAX_HITS:,}.",
            *(
                f"{mine['codes']:,} {mine['set']}: {mine['method']},"
                f" {mine['bytes_per_code']:.1f} bytes a code,"
                f" add to match {mine['add_to_match_ms']:.3f} ms,"
                f" remove to gone {mine['remove_to_gone_ms']:.3f} ms,"
                f" mapped open {mine['mapped_open_s'] or 0:.3f} s"
                for mine in ours
            ),
            f"threatexchange: left out beyond {EXCHANGE_AT_MOST:,} codes or when not installed.",
        ],
        "targets": [found for mine in ours for found in targets_of(mine)],
    }


def one_set(
    kind: str, size: int, seed: int, progress: Progress
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """One set of codes, each peer in turn with us: a row for each, and what is said of us alone."""
    rng = np.random.default_rng([seed, size, list(SETS).index(kind)])
    progress(f"{size:,} {kind}: making codes")
    codes = SETS[kind](rng, size)
    asked = queries_for(kind, rng, codes, 1200)
    progress(f"{size:,} {kind}: building ours")
    index: Any = hamming.build(SPACE, permutation_seed=SECRET, max_hits=MAX_HITS)
    with resources() as used:
        index.add(np.arange(size), codes)

    def ask(queries: Codes) -> Any:
        return index.search(queries, WITHIN)

    ours = Searcher("consentry", ask, ask, len(asked), 10, *used)
    for query in asked[:50]:
        ask(query[None])
    times: dict[str, tuple[list[float], list[float]]] = {"consentry": ([], [])}
    rows = []
    for other in peers(codes, progress):
        progress(f"{size:,} {kind}: {other.name} and ours in turn")
        times[other.name] = ([], [])
        for part in range(4):
            for one in (other, ours):
                singles, batches = times[one.name]
                for query in asked[part::4][: -(-one.singles // 4)]:
                    if sum(singles) > (part + 1) * PATIENCE / 4:
                        break
                    singles.append(clocked(one.ask, query[None]))
                for at in range(-(-one.batches // 4)):
                    if float(np.mean(singles)) * BATCH > PATIENCE / 4:
                        break
                    start = (at * 4 + part) * BATCH % (len(asked) - BATCH)
                    batches.append(clocked(one.ask_batch, asked[start : start + BATCH]) / BATCH)
        rows.append(row_of(kind, size, other, *times[other.name]))
        if other.name == "faiss flat":
            recall, wrong = compared(index, other.ask, asked[: 300 if size <= 1_000_000 else 100])
    mine = row_of(kind, size, ours, *times["consentry"])
    for row in rows:
        row["times_ours"] = row["median_us"] / mine["median_us"]
        if row["batch_us"] is not None:
            row["times_ours_batch"] = row["batch_us"] / mine["batch_us"]
    about = mine | {
        "method": index.state().method,
        "bytes_per_code": index.state().bytes / size,
        "recall": recall,
        "wrong": wrong,
        "times_best_peer": min(row["times_ours"] for row in rows),
        "times_best_peer_batch": min(row.get("times_ours_batch", np.inf) for row in rows),
    }
    about |= changes(index, rng)
    about |= mapped(index, asked)
    index.close()
    return [mine, *rows], about


def row_of(
    kind: str, size: int, who: Searcher, singles: list[float], batches: list[float]
) -> dict[str, Any]:
    """What is said of everybody."""
    return {
        "codes": size,
        "set": kind,
        "index": who.name,
        "median_us": float(np.median(singles)) * 1e6,
        "p99_us": float(np.quantile(singles, 0.99)) * 1e6,
        "batch_us": float(np.median(batches)) * 1e6 if batches else None,
        "build_s": who.build_s,
        "build_mib": who.build_mib,
    }


def compared(index: Any, oracle: Callable[[Codes], Any], asked: Codes) -> tuple[float, int]:
    """Recall against the oracle, and how many answers were wrong in any way.

    Where the cap cuts an answer, its distances must be the smallest that the oracle has.
    """
    found = due = wrong = 0
    for query in asked:
        hits = index.search(query[None], WITHIN)
        _, distances, labels = oracle(query[None])
        distances = distances.astype(np.int64)
        if hits.truncated:
            smallest = np.sort(distances)[:MAX_HITS]
            same = np.array_equal(smallest, hits.distance)
            same = same and bool(np.isin(hits.label, labels).all())
            due, found = due + len(smallest), found + int((smallest == hits.distance).sum())
        else:
            order = np.lexsort((labels, distances))
            same = np.array_equal(labels[order], hits.label) and np.array_equal(
                distances[order], hits.distance
            )
            due, found = due + len(labels), found + int(np.isin(labels, hits.label).sum())
        wrong += 0 if same else 1
    return (found / due if due else 1.0), wrong


def changes(index: Any, rng: np.random.Generator) -> dict[str, float]:
    """Milliseconds of wall time until an addition is found and until a removal is not."""
    adds, removes = [], []
    first = 1 << 40
    for step in range(200):
        code, label = random_codes(rng, 1), np.array([first + step])
        start = time.perf_counter()
        index.add(label, code)
        if index.search(code, 0).label.tolist() != label.tolist():
            raise AssertionError("an added code was not found")
        adds.append(time.perf_counter() - start)
        start = time.perf_counter()
        index.remove(label)
        if len(index.search(code, 0)):
            raise AssertionError("a removed code was found")
        removes.append(time.perf_counter() - start)
    return {
        "add_to_match_ms": float(np.median(adds)) * 1e3,
        "remove_to_gone_ms": float(np.median(removes)) * 1e3,
    }


def mapped(index: Any, asked: Codes) -> dict[str, float | None]:
    """Seconds to open the index as a mapped file, and its median and p99 search then."""
    if not hasattr(index, "write_segment"):
        return {"mapped_open_s": None}
    memory = Path("/dev/shm")  # noqa: S108  # the file is created for its owner alone
    folder = memory if memory.is_dir() else Path(tempfile.gettempdir())
    path = folder / f"consentry-bench-{os.getpid()}"
    try:
        index.write_segment(path, sequence=0, allow_disk=True)
        start = time.perf_counter()
        twin: Any = hamming.build(SPACE, permutation_seed=SECRET, max_hits=MAX_HITS)
        twin.open_segment(path)
        opened = time.perf_counter() - start
        start = time.perf_counter()
        twin.search(asked[:1], WITHIN)
        first = time.perf_counter() - start
        singles = [clocked(lambda q: twin.search(q, WITHIN), query[None]) for query in asked]
    finally:
        path.unlink(missing_ok=True)
    return {
        "mapped_open_s": opened,
        "mapped_first_ms": first * 1e3,
        "mapped_median_us": float(np.median(singles[len(singles) // 2 :])) * 1e6,
    }


def targets_of(mine: dict[str, Any]) -> list[dict[str, Any]]:
    """The promises that these figures keep or break."""
    kind, size = mine["set"], mine["codes"]
    name = f"{size:,} {kind}"

    def target(what: str, value: float | None, goal: float, *, least: bool) -> dict[str, Any]:
        met = value is not None and (value >= goal if least else value <= goal)
        return {"name": f"{name}: {what}", "value": value, "goal": goal, "met": bool(met)}

    found = [
        target("recall", mine["recall"], 1.0, least=True),
        target("answers unlike the oracle's", mine["wrong"], 0, least=False),
    ]
    if size >= 1_000_000:
        found.append(target("bytes per code", mine["bytes_per_code"], 140, least=False))
        found.append(target("mapped open, s", mine["mapped_open_s"], 0.2, least=False))
    if kind == "adversarial":
        spread = mine["p99_us"] / mine["median_us"]
        found.append(target("p99 / median", spread, 10, least=False))
    elif size >= 1_000_000:
        goal = 150 if size >= 10_000_000 else 50
        found.append(target("times the best peer", mine["times_best_peer"], goal, least=True))
    if size >= 10_000_000:
        found.append(target("build, CPU s", mine["build_s"], 15, least=False))
    return found


# The fuzz

DID = ("histories", "searches", "hits", "added", "removed", "compactions", "mapped", "radii")
RADII = 32
"""Radii that the ring answers exactly: 0 to 31 bits."""
CODE_PATHS: dict[str, dict[str, str]] = {
    "this CPU's": {},
    "avx512": {"NUMBA_CPU_NAME": "icelake-server", "NUMBA_CPU_FEATURES": AVX512},
    "avx2": {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": AVX2},
    "baseline": {"NUMBA_CPU_NAME": "x86-64", "NUMBA_CPU_FEATURES": ""},
}
"""What the kernels are compiled for, in a process each. Other vectors than x86's: this CPU's."""


def fuzz_all(seconds: float, seed: int, progress: Progress) -> dict[str, dict[str, Any]]:
    """The fuzz on every code path that this CPU can run, each for ``seconds``.

    A path that it cannot run is named with what is missing. Raises ``AssertionError`` when one
    differs from the oracle.
    """
    here = binding.get_host_cpu_features()
    found: dict[str, dict[str, Any]] = {}
    for name, variables in CODE_PATHS.items():
        wanted = [one[1:] for one in variables.get("NUMBA_CPU_FEATURES", "").split(",") if one]
        missing = [one for one in wanted if not here.get(one)]
        x86 = platform.machine().lower() in ("x86_64", "amd64")
        if missing or (variables and not x86):
            found[name] = {"not run": f"this CPU has no {', '.join(missing) or 'x86'}"}
            continue
        progress(f"{name}: {seconds:g} s")
        ran = subprocess.run(
            [sys.executable, "-m", "services.bench.index", str(seconds), str(seed)],
            env={**os.environ, **variables}, stdout=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
        if ran.returncode:
            raise AssertionError(f"the code path {name} fails; see the lines above")
        found[name] = json.loads(ran.stdout)
    return found


def fuzz(seconds: float, seed: int, progress: Progress = lambda _: None) -> dict[str, int]:
    """Random histories of additions, removals, compactions and searches against FAISS.

    Every history draws its own settings; radii and the bits that differ are drawn so that codes lie
    exactly at the edge, spread over the ring's substrings evenly, crowded, or in between. Returns
    what was done; raises ``AssertionError`` with the history's seed at the first difference.
    """
    done = dict.fromkeys(DID, 0)
    hamming.compiles()  # compiling is not what the seconds are for
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        number = done["histories"]
        # Each takes its turn: drawn alone, some of the 32 would be missed in a short run.
        history(np.random.default_rng([seed, number]), done, number % RADII)
        done["histories"] += 1
        if done["histories"] % 50 == 0:
            progress(f"{done}")
    return done


def history(rng: np.random.Generator, done: dict[str, int], own: int) -> None:
    """One index from empty to some hundreds of codes and back, compared at every search.

    ``own`` is a radius that is surely asked, with codes exactly at its edge, beside those drawn.
    """
    build = functools.partial(
        hamming.build,
        SPACE,
        method="native",
        permutation_seed=rng.bytes(16) if rng.random() < 0.5 else None,
        ring_from=int(rng.choice([1, 200, 1 << 30])),
        ring_reach=int(rng.choice([31, 47, 63])),
        compact_after=int(rng.choice([1, 20, 150])),
        background=bool(rng.random() < 0.7),
        max_hits=1_000_000,
    )
    index: Any = build()
    oracle = hamming.build(SPACE, method="faiss", max_hits=1_000_000)
    centres = random_codes(rng, 3)
    known: list[int] = []
    steps = int(rng.integers(5, 40))
    for step in range(steps):
        radius = int(rng.choice([own, int(rng.integers(0, 32)), 31, int(rng.integers(32, 65))]))
        act = rng.choice(["add", "add", "remove", "compact", "search", "search", "map"])
        if step >= steps - 2:
            radius, act = own, "add" if step == steps - 2 else "search"
        if act == "add":
            count = int(rng.choice([1, 5, 40, 300]))
            codes = random_codes(rng, count)
            for row in range(0, count, 2):
                centre = centres[rng.integers(len(centres))]
                codes[row] = placed(rng, centre, radius + int(rng.integers(0, 2)))
            if count > 5:
                codes[1 : count // 4] = codes[0]
            labels = rng.permutation(4 * count) + (max(known) + 1 if known else 0)
            labels = labels[:count].astype(np.int64)
            index.add(labels, codes)
            oracle.add(labels, codes)
            known += labels.tolist()
            done["added"] += count
        elif act == "remove" and known:
            gone = rng.choice(known, int(rng.integers(1, len(known) + 1)), replace=False)
            gone = gone[: int(rng.choice([1, 10, len(gone)]))]
            if index.remove(gone) != oracle.remove(gone):
                raise AssertionError("a removal counted differently")
            known = sorted(set(known) - set(gone.tolist()))
            done["removed"] += len(gone)
        elif act == "compact":
            index.compact()
            done["compactions"] += 1
        elif act == "map":
            index = reopened(index, build)
            done["mapped"] += 1
        else:
            asked = np.concatenate([centres, random_codes(rng, 1)])
            mine, its = index.search(asked, radius), oracle.search(asked, radius)
            for column in ("query", "label", "distance"):
                if not np.array_equal(getattr(mine, column), getattr(its, column)):
                    raise AssertionError(f"{column} differs in history {done['histories']}")
            done["searches"] += 1
            done["radii"] |= 1 << radius
            done["hits"] += len(mine)
    index.close()


def reopened(index: Any, build: Callable[[], Any]) -> Any:
    """The same as a mapped file."""
    with tempfile.TemporaryDirectory(prefix="consentry-fuzz-") as folder:
        path = Path(folder) / "base"
        index.write_segment(path, sequence=1, allow_disk=True)
        index.close()
        fresh = build()
        fresh.open_segment(path)
    return fresh


def placed(rng: np.random.Generator, code: Codes, bits: int) -> Codes:
    """The code with ``bits`` bits turned: evenly over the 16 substrings, crowded, or between."""
    way = rng.integers(3)
    if way == 0:
        share = np.full(16, bits // 16)
        share[: bits % 16] += 1
        share = np.roll(share, rng.integers(16)) if rng.random() < 0.5 else rng.permutation(share)
    elif way == 1:
        share = np.zeros(16, np.int64)
        for substring in range(bits // 16 + 1):
            share[substring % 16] = min(16, bits - 16 * substring)
        share = np.roll(share, rng.integers(16))
    else:
        chosen = rng.choice(256, bits, replace=False)
        share = np.bincount(chosen // 16, minlength=16)
    unpacked = np.unpackbits(code).reshape(16, 16)
    for substring, count in enumerate(share):
        unpacked[substring, rng.choice(16, int(count), replace=False)] ^= 1
    return np.packbits(unpacked)


def main(arguments: Sequence[str]) -> None:
    """``python -m services.bench.index SECONDS SEED``: the fuzz, for as long as one likes."""
    seconds, seed = float(arguments[0]), int(arguments[1])

    def progress(line: str) -> None:
        sys.stderr.write(f"{line}\n")

    done: dict[str, Any] = dict(fuzz(seconds, seed, progress))
    done["radii"] = f"{(done['radii'] & (1 << RADII) - 1).bit_count()} of {RADII} up to 31"
    sys.stdout.write(json.dumps({"unit": vector_unit(), **done}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
