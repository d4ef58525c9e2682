"""``consentry bench faces``: what a pack finds and confuses, and what each stage costs.

Times are CPU times of one thread. Decoding is not counted. insightface's own ``FaceAnalysis``,
where a folder of its models is named, sees the same pictures in the same run.
"""

from __future__ import annotations

import csv
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline import plugins
from pipeline.domain.media import Frame
from pipeline.errors import Invalid, Misconfigured, Refused
from pipeline.media.image import decode_image
from pipeline.packs._model import PackModel
from services.bench._rates import Roc, groups, identification, plot, roc
from services.memory import keep_what_is_freed

Progress = Callable[[str], None]
Templates = dict[str, NDArray[np.float32]]

BATCH = 16
ROUNDS = 3
RATES = (1e-2, 1e-3, 1e-4, 1e-5)
FPIR = 0.01
AROUND_AT_MOST = 0.15
BATCH_GAIN = 1.5
NO_FACE = -1.0
"""The similarity of a pair of which one picture shows no face: it is never accepted."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pictures compared with each other; ``same[i]`` says whether pair i shows one person."""

    first: tuple[str, ...] = field(repr=False)
    second: tuple[str, ...] = field(repr=False)
    same: NDArray[np.bool_] = field(repr=False)

    @property
    def pictures(self) -> list[str]:
        """Every picture once, sorted."""
        return sorted({*self.first, *self.second})


def measure(
    pairs_file: Path | None,
    root: Path,
    pack: str,
    progress: Progress,
    *,
    home: Path,
    plot_to: Path | None = None,
    insightface: Path | None = None,
) -> dict[str, Any]:
    """Detection and error rates for a file of pairs, and times, as rows, notes and targets.

    ``pairs_file`` has lines ``path_a,path_b,same`` (1 or 0, under ``root``). Without one,
    ``root``'s own pictures and those bundled with packages are only timed. ``plot_to`` gets the
    curve as SVG; ``insightface`` is a folder of its models to be timed beside.
    """
    model = cast(PackModel, plugins.build("packs", pack, home))
    document: dict[str, Any] = {"pack": model.space.key, "rows": [], "notes": [], "targets": []}
    frames = pictures_under(root) + bundled()
    if pairs_file is not None:
        pairs = read_pairs(pairs_file)
        frames = [read(root / name) for name in pairs.pictures[:BATCH]]
        _compare(model, pairs, root, document, progress, plot_to)
    if not frames:
        raise Misconfigured(f"there are no pictures to time in {root}; name a folder with --root")
    # Sixteen pictures, some several times if there are fewer.
    batch = [frames[at % len(frames)] for at in range(BATCH)]
    keep_what_is_freed()  # as services do
    with _one_thread():
        _time(model, batch, document, progress)
        if insightface is not None:
            _time_peer(insightface, batch, document, progress)
    return document


def read_pairs(path: Path) -> Pairs:
    """A file of pairs; a first line ``path_a,path_b,same`` is passed over."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            lines = [line for line in csv.reader(file) if line]
    except OSError:
        raise Misconfigured(f"there is no readable {path}") from None
    if lines and lines[0] == ["path_a", "path_b", "same"]:
        lines = lines[1:]
    for number, line in enumerate(lines, start=1):
        if len(line) != 3 or line[2] not in {"0", "1"}:
            raise Invalid(f"{path.name}, pair {number}: it must be path_a,path_b,same (1 or 0)")
    same = np.array([line[2] == "1" for line in lines], bool)
    if not same.any() or same.all():
        raise Invalid(f"{path.name} must have pairs of one person and pairs of two")
    return Pairs(tuple(line[0] for line in lines), tuple(line[1] for line in lines), same)


def read(path: Path) -> Frame:
    """A picture as screening sees it."""
    try:
        return decode_image(path.read_bytes()).frames[0]
    except OSError:
        raise Misconfigured(f"there is no readable picture {path}") from None
    except Refused as refused:
        raise Invalid(f"{path.name}: {refused.message}") from None


def pictures_under(root: Path) -> list[Frame]:
    """The first pictures of a folder, by name."""
    kinds = {".jpg", ".jpeg", ".png", ".webp"}
    found = sorted(path for path in root.glob("*") if path.suffix.lower() in kinds)
    return [read(path) for path in found[:BATCH]]


def bundled() -> list[Frame]:
    """Pictures with faces that come inside Python packages: insightface's and scikit-image's."""
    found = []
    for package, place in (
        ("insightface", "data/images/t1.jpg"),
        ("skimage", "data/astronaut.png"),
    ):
        try:
            file = resources.files(package).joinpath(place)
            found.append(decode_image(file.read_bytes()).frames[0])
        except (ModuleNotFoundError, FileNotFoundError):
            continue
    return found


def templates_of(
    model: PackModel, names: Sequence[str], root: Path, progress: Progress
) -> Templates:
    """The best face of each picture in which there is one."""
    found: Templates = {}
    for at in range(0, len(names), BATCH):
        some = names[at : at + BATCH]
        for name, faces in zip(
            some, model.templates([read(root / name) for name in some]), strict=True
        ):
            if len(faces):
                found[name] = faces[0].template
        progress(f"{at + len(some):,} of {len(names):,} pictures")
    return found


def similarities(pairs: Pairs, templates: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float64]:
    """The cosine of each pair."""
    said = np.full(len(pairs.same), NO_FACE)
    for row, (one, other) in enumerate(zip(pairs.first, pairs.second, strict=True)):
        if one in templates and other in templates:
            said[row] = float(templates[one] @ templates[other])
    return said


def _compare(
    model: PackModel,
    pairs: Pairs,
    root: Path,
    document: dict[str, Any],
    progress: Progress,
    plot_to: Path | None,
) -> None:
    names = pairs.pictures
    templates = templates_of(model, names, root, progress)
    said = similarities(pairs, templates)
    curve = roc(said[pairs.same], said[~pairs.same])
    together = [
        (one, other)
        for one, other, same in zip(pairs.first, pairs.second, pairs.same, strict=True)
        if same
    ]
    share, enrolled, asked = identification(groups(names, together), templates, FPIR)
    document["rows"] += [
        {"what": "pictures with a face found", "value": len(templates) / len(names)},
        {"what": "AUC", "value": curve.auc},
        {"what": "EER", "value": curve.eer},
        *_true_accepts(curve, int((~pairs.same).sum())),
        {"what": f"TPIR at FPIR {FPIR:.0%}, one photo enrolled", "value": share},
    ]
    document["notes"] += [
        f"{int(pairs.same.sum()):,} pairs of one person, {int((~pairs.same).sum()):,} of two; "
        f"{len(names):,} pictures.",
        f"TPIR: {enrolled:,} people enrolled, {asked:,} photos asked. People are those whom the "
        "pairs join; whoever they do not join counts as a stranger.",
        "A pair of which one picture shows no face is never accepted.",
    ]
    document["thresholds"] = [
        {"false_accept_rate": rate, "similarity": curve.at(rate)[0]}
        for rate in RATES
        if (~pairs.same).sum() * rate >= 1
    ]
    if plot_to is not None:
        plot_to.write_text(plot({model.space.key: curve}, _title(pairs)), encoding="utf-8")
        document["plot"] = str(plot_to)


def _title(pairs: Pairs) -> str:
    same = int(pairs.same.sum())
    return f"{same:,} pairs of one person, {len(pairs.same) - same:,} of two"


def _true_accepts(curve: Roc, different: int) -> Iterator[dict[str, Any]]:
    for rate in RATES:
        # One false accept among fewer pairs is already a higher rate: nothing can be said.
        if different * rate < 1:
            yield {"what": f"TAR at FAR {rate:.0e}", "value": None}
            continue
        similarity, share = curve.at(rate)
        yield {"what": f"TAR at FAR {rate:.0e}", "value": share, "from similarity": similarity}


def _time(
    model: PackModel, batch: Sequence[Frame], document: dict[str, Any], progress: Progress
) -> None:
    progress(f"timing {model.space.key}")
    model.templates(batch)  # first runs allocate
    single, together = np.inf, np.inf
    for _ in range(ROUNDS):
        single = min(single, _clock(lambda: [model.templates([frame]) for frame in batch]))
        together = min(together, _clock(lambda: model.templates(batch)))
    stages, faces = _stages(model, batch)
    for stage, (whole, inside) in stages.items():
        row = {"what": f"{stage}, ms an image", "value": 1e3 * whole / len(batch)}
        if model.networks:
            row["of that in networks"] = 1e3 * inside / len(batch)
        document["rows"].append(row)
    document["rows"] += [
        {"what": "one by one, ms an image", "value": 1e3 * single / len(batch)},
        {"what": f"in a batch of {len(batch)}, ms an image", "value": 1e3 * together / len(batch)},
    ]
    document["notes"].append(
        f"Timed on {len(batch)} images with {faces} faces; CPU time of one thread, best of "
        f"{ROUNDS}, decoding left out."
    )
    whole, inside = (sum(stage[part] for stage in stages.values()) for part in (0, 1))
    around = (whole - inside) / inside if inside else None
    document["targets"] += [
        _target("time around the networks", around, AROUND_AT_MOST, at_least=False),
        _target(f"gain of a batch of {len(batch)}", single / together, BATCH_GAIN, at_least=True),
    ]


def _stages(model: PackModel, batch: Sequence[Frame]) -> tuple[dict[str, tuple[float, float]], int]:
    """Seconds of each stage, and how many of them passed inside networks; and the faces found."""
    best: dict[str, tuple[float, float]] = {}
    faces = 0
    for _ in range(ROUNDS):
        marks = [(time.thread_time(), _inside(model))]
        found, _left_out = model.find(batch)
        marks.append((time.thread_time(), _inside(model)))
        chips = model.align(batch, found)
        marks.append((time.thread_time(), _inside(model)))
        model.embed(chips)
        marks.append((time.thread_time(), _inside(model)))
        faces = len(chips)
        for at, stage in enumerate(("detect", "align", "embed")):
            spent = (marks[at + 1][0] - marks[at][0], marks[at + 1][1] - marks[at][1])
            best[stage] = min(best.get(stage, spent), spent)
    return best, faces


def _inside(model: PackModel) -> float:
    return sum(network.seconds for network in model.networks)


def _time_peer(
    folder: Path, batch: Sequence[Frame], document: dict[str, Any], progress: Progress
) -> None:
    progress("timing insightface's FaceAnalysis")
    from pipeline.packs import _runtime

    # After _runtime, so that onnxruntime's telemetry is off.
    from insightface.app import FaceAnalysis  # isort: skip

    analysis = FaceAnalysis(
        name=str(folder),
        allowed_modules=["detection", "recognition"],
        providers=_runtime.providers(),
        sess_options=_runtime.session_options(),
    )
    analysis.prepare(ctx_id=0, det_size=(640, 640))
    pictures = [np.ascontiguousarray(frame.rgb[:, :, ::-1]) for frame in batch]
    faces = sum(len(analysis.get(picture)) for picture in pictures)
    spent = min(
        _clock(lambda: [analysis.get(picture) for picture in pictures]) for _ in range(ROUNDS)
    )
    document["rows"].append(
        {"what": "insightface FaceAnalysis.get, ms an image", "value": 1e3 * spent / len(batch)}
    )
    document["notes"].append(f"insightface's FaceAnalysis found {faces} faces in the same images.")


def _clock(work: Callable[[], object]) -> float:
    started = time.thread_time()
    work()
    return time.thread_time() - started


@contextmanager
def _one_thread() -> Iterator[None]:
    """OpenCV would share its resizing among threads, whose time is not the caller's."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)


def _target(name: str, value: float | None, goal: float, *, at_least: bool) -> dict[str, Any]:
    met = value is not None and (value >= goal if at_least else value <= goal)
    return {"name": name, "value": value, "goal": goal, "met": met}
