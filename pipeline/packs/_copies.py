"""Copy-detection packs: a network that turns a whole picture into a vector, as SSCD does.

Such a pack is a folder that the operator has, with a ``manifest.json`` of kind ``copies`` and one
ONNX file. Its manifest says what every pack's does (name, version, licence, calibration), and under
``network`` how pixels go in: ::

    {"schema": 1, "kind": "copies", "name": "sscd", "version": "disc-mixup", "title": "...",
     "licence": {"spdx": "MIT", "weights": "...", "training_data": "...", "commercial_use": true},
     "network": {"file": "sscd.onnx", "input_size": 288, "fit": "stretch", "channel_order": "rgb",
                 "mean": [123.7, 116.3, 103.5], "std": [58.4, 57.1, 57.4],
                 "dim": 512, "max_batch": 16},
     "calibration": {"dataset": "...", "pairs": "...", "review_at": 1e-6, "strong_at": 1e-6,
                     "thresholds": [{"false_accept_rate": 1e-6, "similarity": 0.75}]}}

Pixels are 0 to 255 before mean and deviation; the first output is (n, dim). ``golden`` (what it
must answer for the test picture) and ``files`` (digests) are checked where the folder brings them
along, and written at installation where it does not.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from pipeline import plugins
from pipeline.domain.media import Frame
from pipeline.domain.policy import Alike
from pipeline.domain.signal import Metric, Space
from pipeline.errors import Denied, Misconfigured, Tampered
from pipeline.packs import CopyModel, _golden
from pipeline.packs._install import alone_in, digest_of, swap, working_folder
from pipeline.packs._manifest import (
    FILE,
    NOT_CALIBRATED,
    Calibration,
    Golden,
    Licence,
    Name,
    Sha256,
    Source,
    _Part,
    parsed,
)
from pipeline.packs._runtime import Network

if TYPE_CHECKING:
    from pipeline.packs._found import Floats, Pixels

TOLERANCE = 1e-3
BANK = "registered"

Three = tuple[float, float, float]
Positive = Annotated[float, Field(gt=0)]


class Embedding(_Part):
    """How a picture becomes a vector. Mean and deviation are of red, green and blue, 0 to 255."""

    file: Name
    input_size: int = Field(ge=16, le=1024)
    fit: Literal["stretch", "centre"] = "stretch"
    """Stretched to a square, or the largest square in the middle."""
    channel_order: Literal["rgb", "bgr"] = "rgb"
    mean: Three = (0.0, 0.0, 0.0)
    std: tuple[Positive, Positive, Positive] = (1.0, 1.0, 1.0)
    dim: int = Field(ge=2, le=4096)
    max_batch: int = Field(ge=1, le=256)


class CopyManifest(_Part):
    """A whole copy-detection pack."""

    schema_: Literal[1] = Field(alias="schema")
    kind: Literal["copies"]
    name: Name
    version: Name
    title: str
    licence: Licence
    sources: tuple[Source, ...] = ()
    network: Embedding
    calibration: Calibration | None = None
    golden: Golden | None = None
    files: dict[str, Sha256] = Field(default_factory=dict)

    @field_validator("files")
    @classmethod
    def _plain_names(cls, files: dict[str, str]) -> dict[str, str]:
        if any(PurePosixPath(name).name != name or name == FILE for name in files):
            raise ValueError("files are plain names inside the pack's folder")
        return files

    @property
    def space(self) -> Space:
        """Where this pack's vectors live."""
        return Space(self.name, self.version, Metric.INNER_PRODUCT, self.network.dim)

    @property
    def rule(self) -> Alike | None:
        """What a policy that does not name the pack says of it; None while it is not calibrated."""
        said = self.calibration
        return None if said is None else Alike(self.name, BANK, said.review, said.review_at)

    def write(self, folder: Path) -> None:
        """Write the manifest into a pack's folder."""
        text = self.model_dump_json(indent=2, by_alias=True, exclude_none=True)
        (folder / FILE).write_text(text + "\n", encoding="utf-8")


def is_copies(folder: Path) -> bool:
    """Whether a folder says that it is a copy-detection pack."""
    try:
        return b'"copies"' in (folder / FILE).read_bytes()
    except OSError:
        return False


def told(folder: Path) -> CopyManifest:
    """What a folder says of itself, without a look at its network; ``Misconfigured`` if wrong."""
    return parsed(CopyManifest, folder / FILE)


def names(home: Path) -> list[str]:
    """The copy-detection packs in ``home``, whatever state they are in."""
    there = sorted(path.name for path in home.iterdir()) if home.is_dir() else []
    return [name for name in there if not name.startswith(".") and is_copies(home / name)]


def install(source: Path, home: Path, *, allow_noncommercial: bool = False) -> CopyManifest:
    """Check a folder's pack, try it out and put it into ``home``, whole or not at all.

    Raises ``Denied`` for a licence that was not accepted, ``Tampered`` for wrong digests or
    answers, ``Misconfigured`` for the rest.
    """
    said = told(source)
    if said.name in plugins.names("packs"):
        raise Misconfigured(f"{said.name} is the name of a face pack; give yours another name")
    if not said.licence.commercial_use and not allow_noncommercial:
        raise Denied(
            f"the pack {said.name} may not be used commercially ({said.licence.spdx}:"
            f" {said.licence.weights}). If your licence or your use allows it, install it with"
            " --allow-noncommercial"
        )
    try:
        network = (source / said.network.file).read_bytes()
    except OSError:
        raise Misconfigured(f"there is no {said.network.file} beside {FILE} in {source}") from None
    digest = hashlib.sha256(network).hexdigest()
    if said.files.get(said.network.file, digest) != digest:
        raise Tampered(f"{said.network.file} is not the file that the manifest names; get it anew")
    with alone_in(home), working_folder(home) as folder:
        (folder / said.network.file).write_bytes(network)
        answer = Whole(folder, said).embed([_golden.draw(said.network.input_size)])[0]
        golden = said.golden or _golden.golden_of(said.network.input_size, answer, TOLERANCE)
        kept = said.model_copy(update={"files": {said.network.file: digest}, "golden": golden})
        kept.write(folder)
        for file in folder.iterdir():
            with file.open("rb") as written:
                os.fsync(written.fileno())
        _check(kept, folder)
        swap(folder, home / kept.name)
    return kept


def opened(name: str, home: Path) -> tuple[CopyManifest, Path]:
    """An installed pack, its network checked against its digest, ready to be loaded."""
    folder = home / name
    if not is_copies(folder):
        there = ", ".join(names(home)) or "none"
        raise Misconfigured(
            f"no copy-detection pack {name!r} is installed; there are: {there}. Install one with:"
            " consentry packs install FOLDER"
        )
    manifest = told(folder)
    file = manifest.network.file
    if manifest.name != name or digest_of(folder / file) != manifest.files.get(file):
        raise Tampered(f"{file} of the pack {name} is not what was installed; install it anew")
    return manifest, folder


def verify(name: str, home: Path) -> float:
    """Check an installed pack's digest and its answer for the test picture; how far it is off."""
    return _check(*opened(name, home))


def build(name: str, home: Path) -> CopyModel:
    """The installed pack's model."""
    manifest, folder = opened(name, home)
    return Whole(folder, manifest)


class Whole:
    """A pack's ``CopyModel``."""

    def __init__(self, folder: Path, manifest: CopyManifest) -> None:
        self.manifest, self._said = manifest, manifest.network
        self._network = Network(folder / manifest.network.file)

    @property
    def space(self) -> Space:
        """See the contract."""
        return self.manifest.space

    def vectors(self, frames: Sequence[Frame]) -> Floats:
        """See the contract."""
        size, fit = self._said.input_size, self._said.fit
        return self.embed([_fitted(frame.rgb, size, fit) for frame in frames])

    def words(self, similarity: float) -> str:
        """See the contract."""
        said = self.manifest.calibration
        if said is None:
            return NOT_CALIBRATED
        rate = said.false_accept_rate(similarity)
        often = round(1 / (rate or said.thresholds[0].false_accept_rate))
        return f"{'about' if rate else 'more than'} 1 in {often:,} other pictures is this alike"

    def embed(self, squares: Sequence[Pixels]) -> Floats:
        """Vectors of length one, a row a square picture."""
        said = self._said
        rows = [np.zeros((0, said.dim), np.float32)]
        mean, std = (np.array(three, np.float32) for three in (said.mean, said.std))
        for at in range(0, len(squares), said.max_batch):
            batch = (np.stack(squares[at : at + said.max_batch]).astype(np.float32) - mean) / std
            if said.channel_order == "bgr":
                batch = batch[..., ::-1]
            answered = self._network(np.ascontiguousarray(batch.transpose(0, 3, 1, 2)))
            rows.append(self._unit(next(iter(answered.values())), len(batch)))
        return np.concatenate(rows)

    def _unit(self, vectors: NDArray[np.float32], rows: int) -> Floats:
        if vectors.shape != (rows, self._said.dim) or not np.isfinite(vectors).all():
            raise Misconfigured(
                f"the network of {self.manifest.name} must answer ({rows}, {self._said.dim}) finite"
                f" numbers, not {vectors.shape}; correct its manifest and install it anew"
            )
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not (lengths > 0).all():
            raise Misconfigured(f"the network of {self.manifest.name} answers nothing at all")
        return np.asarray(vectors / lengths, np.float32)


def _fitted(rgb: Pixels, size: int, fit: str) -> Pixels:
    if fit == "centre":
        height, width = rgb.shape[:2]
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        rgb = rgb[top : top + side, left : left + side]
    how = cv2.INTER_AREA if min(rgb.shape[:2]) > size else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(rgb, (size, size), interpolation=how), np.uint8)


def _check(manifest: CopyManifest, folder: Path) -> float:
    golden = manifest.golden
    if golden is None:
        raise Tampered(f"the pack {manifest.name} has no expected answer; install it anew")
    picture = _golden.draw(manifest.network.input_size)
    if hashlib.sha256(picture.tobytes()).hexdigest() != golden.input_sha256:
        raise Tampered(f"{manifest.name} was made for another test picture; install it anew")
    said = Whole(folder, manifest).embed([picture])[0]
    return _golden.compared(manifest.name, said, golden)
