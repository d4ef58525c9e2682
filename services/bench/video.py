"""How well altered videos are found, where they are placed, and how fast.

Films are generated: a camera moves over scikit-image's photographs. Four are registered, frame by
frame; each is then altered in every way and screened by the very code that screens uploads, over
indexes in memory and without a database. Where the package ``vpdq`` is installed it hashes the same
files beside us.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar, cast
from uuid import UUID

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline import plugins
from pipeline.domain import policy as policies
from pipeline.domain.entry import Layout
from pipeline.domain.evidence import Owner, Source
from pipeline.domain.generic import GenericBank
from pipeline.domain.ids import SLOTS, EntryId, ItemId, PersonId
from pipeline.domain.media import Side
from pipeline.domain.signal import Space, unpack
from pipeline.domain.timeline import Showing
from pipeline.indexes import Hits, Index
from pipeline.journeys.register_film import packed_film, signs_of
from pipeline.journeys.screen_film import Projector
from pipeline.journeys.watch import Watch, halved
from pipeline.media.generic import generic_frames
from pipeline.media.moments import EVERY_FRAME, Sampling
from pipeline.media.video import read_video
from pipeline.media.views import query_views
from pipeline.ports import StoredEntry
from pipeline.signals import SignalType
from services.bench import Report, Target
from services.bench._films import OTHERS, SCENES, Picture, film, scenes

T = TypeVar("T")

FPS = 24.0
SIZE = (640, 360)
_SCENE = 3.0
_TURNS = 3
_NOW = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Shelf:
    """Registered films in memory, in the place of the database and of the live indexes."""

    signal: SignalType
    index: Index
    stored: dict[EntryId, tuple[StoredEntry, Owner, int]] = field(default_factory=dict)

    def add(self, number: int, body: bytes, bank: GenericBank) -> int:
        """Register a film; how many codes it has."""
        signs = signs_of(read_video, io.BytesIO(body), self.signal, bank)
        item, person = ItemId(UUID(int=number + 1)), PersonId(UUID(int=number + 1))
        count = 0
        for space, rows, packed, layout in packed_film(signs, self.signal):
            if layout is Layout.BYTES:
                continue
            entry = EntryId(len(self.stored) + 1)
            owner = Owner(entry, item, person, "registered", Source.REGISTERED, None, layout)
            self.stored[entry] = (StoredEntry(entry, person, space, packed), owner, rows)
            slots, _, codes = unpack(self.signal.space, packed)
            self.index.add(entry * SLOTS + slots, codes)
            count += rows
        return count

    # What a watch asks of live indexes, of a store and of a registry:

    applied = 0
    ready = True

    def search(self, space: Space, codes: NDArray[Any], within: float) -> Hits:  # noqa: ARG002
        """Stored codes near these."""
        return self.index.search(codes, within)

    def codes(self, space: Space) -> int:  # noqa: ARG002
        """How many there are."""
        return len(self.index)

    @contextmanager
    def transaction(self, *, snapshot: bool = False) -> Iterator[Shelf]:  # noqa: ARG002
        """Nothing to keep together here."""
        yield self

    @property
    def registry(self) -> Shelf:
        """The same shelf."""
        return self

    def owners(self, entries: Iterable[EntryId]) -> dict[EntryId, Owner]:
        """Whose these are."""
        return {entry: self.stored[entry][1] for entry in entries}

    def entries(self, ids: Sequence[EntryId]) -> list[StoredEntry]:
        """As they were stored."""
        return [self.stored[entry][0] for entry in ids]

    def unseal_all(self, entries: Iterable[StoredEntry]) -> Iterator[tuple[StoredEntry, bytes]]:
        """Nothing is sealed in a bench."""
        return ((entry, entry.sealed) for entry in entries)

    def film_lengths(self, items: Iterable[ItemId]) -> dict[ItemId, tuple[int, EntryId]]:
        """Stretches of films, and their last entries."""
        found = {}
        for item in items:
            own = [
                (entry, rows)
                for entry, (_, owner, rows) in self.stored.items()
                if owner.item == item and owner.layout is Layout.FRAMES
            ]
            found[item] = (sum(rows for _, rows in own), max(entry for entry, _ in own))
        return found


Change = Callable[[list[Picture]], bytes]


def alterations() -> dict[str, Change]:
    """What people do to videos, by name."""
    return {
        "as it is": lambda film_: film(film_, FPS),
        "low bitrate": lambda film_: film(film_, FPS, bitrate=120_000),
        "240p": lambda film_: film([_size(one, 426, 240) for one in film_], FPS, crf="30"),
        "logo bar": lambda film_: film([_bar(one) for one in film_], FPS),
        "mirrored": lambda film_: film([one[:, ::-1] for one in film_], FPS),
        "cropped 10%": lambda film_: film([_crop(one, 0.05) for one in film_], FPS),
        "trimmed to 5 s": lambda film_: film(film_[43 : 43 + int(5 * FPS)], FPS),
        "1.1x": lambda film_: film(film_, FPS * 1.1),
        "15 frames a second": lambda film_: film(_resampled(film_, 15), 15),
        "letterboxed": lambda film_: film([_letterbox(one) for one in film_], FPS),
        "inside a longer one": lambda film_: film(
            chain(_other(4, 21), film_[48 : 48 + int(5 * FPS)], _other(5, 22)), FPS
        ),
        "picture in picture": lambda film_: film(
            [_inside(a, b) for a, b in zip(film_, _other(len(film_) / FPS / 3, 23), strict=False)],
            FPS,
        ),
    }


def measure(
    *,
    quick: bool = False,
    seed: int = 1,
    progress: Callable[[str], None],
    vpdq_python: Path | None = None,
) -> Report:
    """Recall for each alteration, false hits, places and speed.

    ``vpdq_python`` is the interpreter of another environment that has ``vpdq``.
    """
    cv2.setNumThreads(1)  # as in every service: what is told is told of one core
    report = Report("video", seed)
    signal = cast(SignalType, plugins.build("signals", "pdq"))
    bank = GenericBank(signal.compute(generic_frames(), Side.QUERY).codes)
    shelf = Shelf(signal, cast(Index, plugins.build("indexes", "hamming", signal.space)))
    originals = _originals(2 if quick else 4, seed)
    seconds = sum(len(frames) for frames in originals) / FPS
    kept = 0
    for number, frames in enumerate(originals):
        progress(f"registering film {number + 1} of {len(originals)}")
        kept += shelf.add(number, film(frames, FPS), bank)
    report.notes.append(f"{kept / seconds:.0f} codes a second of registered video, crops included")
    projector = _projector(shelf, signal, bank, Sampling())
    _warm(projector)
    for name, change in alterations().items():
        progress(name)
        report.rows.append(_row(name, change, originals, projector))
    strangers = _false_hits(projector, 2 if quick else 6, progress)
    report.rows.append({"alteration": "unrelated", "films": strangers[1], "found": strangers[0]})
    recall = {row["alteration"]: row["found"] / row["films"] for row in report.rows[:-1]}
    reached = [share for name, share in recall.items() if name != "picture in picture"]
    apart = [row["off_by_s"] for row in report.rows if row.get("off_by_s") is not None]
    report.targets += [
        Target("recall, all but picture in picture", min(reached), 1.0),
        Target("hits on unrelated films", float(strangers[0]), 0.0, at_least=False),
        Target("places, worst (s)", max(apart), 1.0, at_least=False),
    ]
    _speed(report, shelf, signal, bank, progress, quick=quick)
    _peer(report, progress, vpdq_python)
    return report


def _originals(count: int, seed: int) -> list[list[Picture]]:
    return [
        list(scenes(SCENES[:4], _SCENE, FPS, SIZE, seed=seed * 100 + number))
        for number in range(count)
    ]


def _row(
    name: str, change: Change, originals: list[list[Picture]], projector: Projector
) -> dict[str, Any]:
    found, off, shares, spent, length = 0, [], [], 0.0, 0.0
    for number, frames in enumerate(originals):
        body = change(frames)
        watch, took = _watched(projector, body)
        spent += took
        length += _length(body)
        own = [one for one in _shown(watch) if one.sightings[0].owner.item.int == number + 1]
        found += bool(own)
        if own:
            shares.append(own[0].upload_share)
            off += _off(name, own[0])
    return {
        "alteration": name,
        "films": len(originals),
        "found": found,
        "matched_moments": round(float(np.mean(shares)), 2) if shares else None,
        "off_by_s": round(max(off), 2) if off else None,
        "x_real_time": round(length / spent, 1),
    }


def _off(name: str, showing: Showing) -> list[float]:
    """How far the place that is told lies from the true one, where the alteration has one."""
    if name not in ("trimmed to 5 s", "inside a longer one"):
        return []
    begin, entry = (0.0, 43 / FPS) if name == "trimmed to 5 s" else (4 * 3.0, 48 / FPS)
    first, last = showing.stretches[0], showing.stretches[-1]
    places = [abs(first.upload[0] - begin), abs(last.upload[1] - begin - 5.0)]
    if first.entry and last.entry:
        places += [abs(first.entry[0] - entry), abs(last.entry[1] - entry - 5.0)]
    return places


def _watched(projector: Projector, body: bytes) -> tuple[Watch, float]:
    began, watch = time.process_time(), projector.watch()
    projector.look(watch, io.BytesIO(body))
    return watch, time.process_time() - began


def _shown(watch: Watch) -> tuple[Showing, ...]:
    return watch.showings(cast(Any, watch.live))


def _false_hits(
    projector: Projector, count: int, progress: Callable[[str], None]
) -> tuple[int, int]:
    hits = 0
    for number in range(count):
        progress(f"unrelated film {number + 1} of {count}")
        body = film(scenes(OTHERS, 2.0, FPS, SIZE, seed=900 + number), FPS)
        hits += len(_shown(_watched(projector, body)[0]))
    return hits, count


_REMEMBERS = SimpleNamespace(remembers=lambda _: True)
"""All that is asked of a screener here: the codes of moments are kept, as they are usually."""


def _projector(
    shelf: Shelf, signal: SignalType, bank: GenericBank, sampling: Sampling
) -> Projector:
    world = cast(Any, shelf)
    return Projector(
        world, world, cast(Any, _REMEMBERS), signal, bank, policies.DEFAULT, read_video,
        cast(Any, None), lambda: _NOW, sampling, 2_000_000,
    )  # fmt: skip


def _warm(projector: Projector) -> None:
    """The index compiles itself at its first search."""
    _watched(projector, film(scenes(OTHERS[:1], 1.0, FPS, SIZE), FPS))


def _speed(
    report: Report,
    shelf: Shelf,
    signal: SignalType,
    bank: GenericBank,
    progress: Callable[[str], None],
    *,
    quick: bool,
) -> None:
    """1080p H.264 on one core: decoding alone, and all of a screening that finds nothing."""
    figures: dict[str, Any] = {}
    size, length = (1920, 1080), 12.0 if quick else 30.0
    for name, keys in (("a key frame every 2 s", 48), ("a key frame every 10 s", 240)):
        progress(f"1080p, {name}")
        frames = scenes(OTHERS, length / len(OTHERS), FPS, size, seed=77)
        body = film(frames, FPS, keys=keys, preset="veryfast", crf="23")
        for what, sampling in (
            ("key frames and gaps", Sampling(long=5)),
            ("1 a second", Sampling(long=1e9)),
            ("every frame", EVERY_FRAME),
        ):
            took, seen = _quickest(
                1 if sampling is EVERY_FRAME or sampling.long > length else _TURNS,
                partial(_moments, body, sampling),
            )
            figures[f"decode, {name}, {what}"] = {
                "x_real_time": round(length / took, 1),
                "moments": seen,
            }
        projector = _projector(shelf, signal, bank, Sampling(long=5))
        took, _ = _quickest(_TURNS, partial(_watched, projector, body))
        figures[f"screen, {name}"] = {"x_real_time": round(length / took, 1)}
    moment = next(read_video(io.BytesIO(body), Sampling()))
    report.extra["speed_1080p"] = figures
    report.extra["views_ms"] = round(_views(moment, signal), 1)
    report.notes += [f"1080p: {what}: {said}" for what, said in figures.items()]
    report.notes.append(f"query views of one 1080p moment: {report.extra['views_ms']} ms")
    report.targets += [
        Target(
            "1080p decode by key frames (x real time)",
            figures["decode, a key frame every 2 s, key frames and gaps"]["x_real_time"],
            60,
        ),
        Target(
            "1080p screened (x real time)",
            figures["screen, a key frame every 2 s"]["x_real_time"],
            60,
        ),
        Target("query views a moment (ms)", report.extra["views_ms"], 15, at_least=False),
    ]


def _moments(body: bytes, sampling: Sampling) -> int:
    return sum(1 for _ in read_video(io.BytesIO(body), sampling))


def _quickest(turns: int, work: Callable[[], T]) -> tuple[float, T]:
    """Seconds of processor time, the least of some turns: what others do here is not ours."""
    times = []
    for _ in range(turns):
        began = time.process_time()
        made = work()
        times.append(time.process_time() - began)
    return min(times), made


def _views(moment: Any, signal: SignalType) -> float:
    copy = halved(moment.frame)
    times = []
    for _ in range(5):
        began = time.process_time()
        signal.compute(query_views(copy)[1:], Side.QUERY)
        times.append(time.process_time() - began)
    return min(times) * 1000


_PEER = """
import json, sys, time
import vpdq
began = time.process_time()
found = vpdq.computeHash(sys.argv[1], seconds_per_hash=1)
took = time.process_time() - began
print(json.dumps({"seconds": took, "frames": [[one.timestamp, one.hex] for one in found]}))
"""


def _peer(report: Report, progress: Callable[[str], None], python: Path | None) -> None:
    """``vpdq`` on the same file: whether its hashes are ours, and how fast it is.

    It runs in a process of its own: it brings its own FFmpeg.
    """
    if python is None and find_spec("vpdq") is None:
        report.notes.append(
            "vpdq is not installed here (source only: a compiler and libav headers); build it in"
            " an environment of its own and name its interpreter with --vpdq-python"
        )
        return
    progress("vpdq")
    signal = cast(SignalType, plugins.build("signals", "pdq"))
    body = film(scenes(OTHERS, 3.0, FPS, (1920, 1080), seed=78), FPS, keys=48, preset="veryfast")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.mp4"
        path.write_bytes(body)
        said = subprocess.run(
            [str(python or sys.executable), "-c", _PEER, str(path)],
            capture_output=True,
            text=True,
            check=False,
        )
    if said.returncode:
        report.notes.append(f"vpdq did not run: {said.stderr.strip()[-200:]}")
        return
    theirs = json.loads(said.stdout)
    began = time.process_time()
    moments = list(read_video(io.BytesIO(body), Sampling(long=1e9, least=0)))
    signal.compute([moment.frame for moment in moments], Side.REGISTERED)
    own = time.process_time() - began
    every = {round(one.time, 2): one for one in read_video(io.BytesIO(body), EVERY_FRAME)}
    pairs = [(every[round(at, 2)], code) for at, code in theirs["frames"] if round(at, 2) in every]
    ours = signal.compute([moment.frame for moment, _ in pairs], Side.REGISTERED).codes
    bits = [
        int(np.bitwise_count(code ^ np.frombuffer(bytes.fromhex(hexed), np.uint8)).sum())
        for code, (_, hexed) in zip(ours, pairs, strict=True)
    ]
    ratio = theirs["seconds"] / own
    report.extra["vpdq"] = {
        "frames": len(theirs["frames"]),
        "frames_compared": len(bits),
        "bits_apart_mean": round(float(np.mean(bits)), 2),
        "bits_apart_most": max(bits),
        "x_real_time": round(_length(body) / theirs["seconds"], 1),
        "own_x_real_time": round(_length(body) / own, 1),
        "ratio_of_speed": round(ratio, 2),
    }
    report.notes.append(f"vpdq: {report.extra['vpdq']}")
    report.targets.append(Target("speed beside vpdq at its own sampling", ratio, 1.0))


def _length(body: bytes) -> float:
    from pipeline.media.video import facts_of

    return facts_of(io.BytesIO(body)).seconds or 0.0


def _other(seconds_of_three: float, seed: int) -> Iterator[Picture]:
    """Unrelated scenes of three seconds each."""
    names = [OTHERS[at % len(OTHERS)] for at in range(max(1, round(seconds_of_three)))]
    return scenes(names, 3.0, FPS, SIZE, seed=seed)


def _size(one: Picture, width: int, height: int) -> Picture:
    return np.asarray(cv2.resize(one, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def _bar(one: Picture) -> Picture:
    """A bar with a name in it along the bottom."""
    made = one.copy()
    height, width = one.shape[:2]
    made[height * 88 // 100 :] = (20, 20, 90)
    cv2.putText(
        made, "@everybody.tv", (width // 20, height * 96 // 100), cv2.FONT_HERSHEY_SIMPLEX,
        height / 500, (255, 255, 255), 2,
    )  # fmt: skip
    return made


def _crop(one: Picture, share: float) -> Picture:
    height, width = one.shape[:2]
    top, left = round(height * share), round(width * share)
    return _size(np.ascontiguousarray(one[top : height - top, left : width - left]), width, height)


def _letterbox(one: Picture) -> Picture:
    """A wide film in a square, as phones show it."""
    height, width = one.shape[:2]
    made = np.zeros((width, width, 3), np.uint8)
    made[(width - height) // 2 :][:height] = one
    return made


def _inside(one: Picture, around: Picture) -> Picture:
    """Half as large, in a corner of another film."""
    made = around.copy()
    height, width = one.shape[0] // 2, one.shape[1] // 2
    made[20 : 20 + height, 20 : 20 + width] = _size(one, width, height)
    return made


def _resampled(frames: list[Picture], rate: float) -> list[Picture]:
    count = int(len(frames) / FPS * rate)
    return [frames[min(len(frames) - 1, round(at * FPS / rate))] for at in range(count)]
