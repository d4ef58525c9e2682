"""What a pack says of itself: where it comes from, what it is allowed to do, how sure it is."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from pipeline.domain.signal import Metric, Space
from pipeline.errors import Misconfigured

FILE = "manifest.json"
NOT_CALIBRATED = "this pack is not calibrated; the similarity says nothing about strangers"
Point = tuple[float, float]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Sha384 = Annotated[str, Field(pattern=r"^[0-9a-f]{96}$")]
Kind = TypeVar("Kind", bound=BaseModel)
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Licence(_Part):
    """What may be done with the pack, in its publishers' words."""

    spdx: str
    weights: str
    training_data: str
    commercial_use: bool


class Source(_Part):
    """One published file that goes into the pack: a member of a package, or a file at an address.

    The digest is the member's own; ``archive_sha256`` pins the whole package as it is downloaded.
    """

    package: str | None = None
    version: str | None = None
    archive: str | None = None
    archive_sha256: Sha256 | None = None
    url: str | None = None
    member: str
    size: int = Field(gt=0)
    sha256: Sha256 | None = None
    sha384: Sha384 | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.package is None) == (self.url is None):
            raise ValueError("a source names a package or a url, one of the two")
        if self.package and not (self.version and self.archive and self.archive_sha256):
            raise ValueError("a package comes with version, archive and archive_sha256")
        if (self.sha256 is None) == (self.sha384 is None):
            raise ValueError("a source has sha256 or sha384, one of the two")
        return self

    @property
    def name(self) -> str:
        """The file's name without its folders."""
        return PurePosixPath(self.member).name

    def is_met_by(self, data: bytes) -> bool:
        """Whether these are the published bytes."""
        if len(data) != self.size:
            return False
        if self.sha256 is not None:
            return hashlib.sha256(data).hexdigest() == self.sha256
        return hashlib.sha384(data).hexdigest() == self.sha384


class Build(_Part):
    """Which of our converters made the networks."""

    converter: str
    version: int


class Detector(_Part):
    """How faces are found. Lengths are pixels of the picture the detector looks at."""

    kind: Literal["mtcnn", "scrfd"]
    files: tuple[str, ...]
    score: tuple[float, ...]
    nms: tuple[float, ...]
    long_side: int = Field(ge=64)
    minimum_face: int = Field(ge=12)


class Recogniser(_Part):
    """How an aligned face becomes a template.

    ``template`` holds the five points' places in the chip, as fractions of its side.
    """

    file: str
    input_size: int = Field(ge=16)
    channel_order: Literal["rgb", "bgr"]
    mean: float
    std: float = Field(gt=0)
    template: tuple[Point, Point, Point, Point, Point]
    dim: int = Field(ge=2)
    metric: Literal["inner_product"] = "inner_product"
    flip_average: bool = False
    max_batch: int = Field(ge=1)


class Threshold(_Part):
    """At this similarity or above, this share of strangers would be taken for the person."""

    false_accept_rate: float = Field(gt=0, lt=1)
    similarity: float = Field(ge=-1, le=1)


class Calibration(_Part):
    """Which similarity means what, and who says so."""

    dataset: str
    pairs: str
    thresholds: tuple[Threshold, ...]
    review_at: float
    strong_at: float

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        rates = [entry.false_accept_rate for entry in self.thresholds]
        similarities = [entry.similarity for entry in self.thresholds]
        if rates != sorted(set(rates), reverse=True) or similarities != sorted(set(similarities)):
            raise ValueError("thresholds go from often wrong to seldom wrong, similarities rising")
        if self.review_at not in rates or self.strong_at not in rates:
            raise ValueError("review_at and strong_at are rates that thresholds has")
        if self.strong_at > self.review_at:
            raise ValueError("strong_at must be no more often wrong than review_at")
        return self

    def at(self, false_accept_rate: float) -> float:
        """The similarity calibrated for a rate; raises ``Misconfigured`` when there is none."""
        for entry in self.thresholds:
            if entry.false_accept_rate == false_accept_rate:
                return entry.similarity
        there = ", ".join(f"{entry.false_accept_rate:g}" for entry in self.thresholds)
        raise Misconfigured(f"no threshold for a rate of {false_accept_rate:g}; there are: {there}")

    @property
    def review(self) -> float:
        """From here on a person should look."""
        return self.at(self.review_at)

    @property
    def strong(self) -> float:
        """From here on a stranger would seldom look this alike."""
        return self.at(self.strong_at)

    def false_accept_rate(self, similarity: float) -> float | None:
        """The rate of the highest calibrated threshold reached; None below the lowest."""
        reached = [t.false_accept_rate for t in self.thresholds if similarity >= t.similarity]
        return min(reached) if reached else None

    def words(self, similarity: float) -> str:
        """The similarity in words a reviewer understands; never surer than what was measured."""
        rate = self.false_accept_rate(similarity)
        if rate is not None:
            return f"about 1 in {round(1 / rate):,} strangers would look this alike"
        if not self.thresholds:
            return NOT_CALIBRATED
        often = round(1 / self.thresholds[0].false_accept_rate)
        return f"more than 1 in {often:,} strangers would look this alike"


class Golden(_Part):
    """What the recogniser must answer for a picture that ``_golden`` draws by arithmetic."""

    input_sha256: Sha256
    embedding: str = Field(repr=False)
    tolerance: float = Field(gt=0)

    @property
    def vector(self) -> NDArray[np.float32]:
        """The expected embedding, of length one."""
        return np.frombuffer(base64.b64decode(self.embedding), "<f4").astype(np.float32)


class Manifest(_Part):
    """A whole pack. ``files`` has the digest of every network in the folder; a recipe has none."""

    schema_: Literal[1] = Field(alias="schema")
    name: Name
    version: Name
    title: str
    licence: Licence
    sources: tuple[Source, ...] = ()
    build: Build
    detector: Detector
    recogniser: Recogniser
    calibration: Calibration | None = None
    golden: Golden | None = None
    files: dict[str, Sha256] = Field(default_factory=dict)

    @field_validator("files")
    @classmethod
    def _plain_names(cls, files: dict[str, str]) -> dict[str, str]:
        for name in files:
            if PurePosixPath(name).name != name or name in {"", ".", "..", FILE} or "\\" in name:
                raise ValueError("files are plain names inside the pack's folder")
        return files

    @model_validator(mode="after")
    def _golden_fits(self) -> Self:
        if self.golden is not None and len(self.golden.vector) != self.recogniser.dim:
            raise ValueError("golden's embedding has as many numbers as recogniser.dim says")
        return self

    @property
    def space(self) -> Space:
        """Where this pack's templates live."""
        return Space(self.name, self.version, Metric.INNER_PRODUCT, self.recogniser.dim)

    @property
    def networks(self) -> tuple[str, ...]:
        """The files that the pack cannot do without."""
        return (*self.detector.files, self.recogniser.file)

    def write(self, folder: Path) -> None:
        """Write the manifest into a pack's folder."""
        text = self.model_dump_json(indent=2, by_alias=True, exclude_none=True)
        (folder / FILE).write_text(text + "\n", encoding="utf-8")


def read(path: Path) -> Manifest:
    """A face pack's manifest from its file; ``Misconfigured`` naming the part that is wrong."""
    return parsed(Manifest, path)


def parsed(kind: type[Kind], path: Path) -> Kind:
    """A manifest of some kind from its file; ``Misconfigured`` naming the part that is wrong."""
    try:
        return kind.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except OSError:
        raise Misconfigured(f"there is no readable {path.name} in {path.parent}") from None
    except ValueError as wrong:
        raise Misconfigured(f"{path} is not a pack's manifest: {_what(wrong)}") from None


def _what(wrong: ValueError) -> str:
    if isinstance(wrong, ValidationError):
        first = wrong.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        said = first["msg"].removeprefix("Value error, ")
        return f"{where}: {said}" if where else said
    return str(wrong)
