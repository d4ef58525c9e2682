"""A deployment that looks at faces, for tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline import plugins
from pipeline.domain.enrolment import FACE_TEXT, Enrolment
from pipeline.domain.ids import EnrolmentId, PersonId, ReviewerId
from pipeline.domain.likeness import Likeness
from pipeline.domain.media import Frame, Rating
from pipeline.domain.signal import Metric, Space
from pipeline.gates import Gate
from pipeline.journeys import enrol_face
from pipeline.journeys.register import normal_case_number
from pipeline.journeys.see_faces import FaceEye
from pipeline.packs import Face, FaceModel, Faces, Looks
from tests.packs import SHARED, installed
from tests.pictures import encode, textured
from tests.world import Town

PACK = "omz0095"


def portrait_file(name: str) -> bytes:
    """A portrait's file from beside the repository: obama, obama2, obama3, biden."""
    file = SHARED / "portraits" / f"{name}.jpg"
    if not file.is_file():
        pytest.skip(f"no {file.name} here")
    return file.read_bytes()


@pytest.fixture
def make_face_town(
    make_town: Callable[..., Town], request: pytest.FixtureRequest, tmp_path: Path
) -> Callable[..., Town]:
    """Make a deployment with a face pack; further calls are further processes of the same one."""
    home = request.config.cache.mkdir("packs")
    installed(PACK, home)
    (tmp_path / "home").mkdir(exist_ok=True)
    packs = tmp_path / "home" / "packs"
    if not packs.exists():
        packs.symlink_to(home)

    def make(role: str = "test", **settings: Any) -> Town:
        return make_town(role, faces=(PACK,), **settings)

    return make


@pytest.fixture
def face_town(make_face_town: Callable[..., Town]) -> Town:
    """One deployment with one process and a face pack."""
    return make_face_town()


def ask(
    town: Town, *photos: bytes, person: PersonId | None = None, **options: Any
) -> enrol_face.Submitted:
    """Ask for a face to be recognised."""
    named = [(f"photo {number}", body) for number, body in enumerate(photos, start=1)]
    options = {"consented_to": FACE_TEXT, "least": 2, **options}
    return enrol_face.submit(office(town), person, named, **options)


def office(town: Town) -> enrol_face.Office:
    """Where faces are enrolled in a town, by its clock."""
    made = town.world.office(town.live)
    return enrol_face.Office(
        **{name: getattr(made, name) for name in made.__slots__ if name != "clock"},
        clock=town.clock,
    )


def enrol(town: Town, *photos: bytes) -> enrol_face.Submitted:
    """Enrol somebody new, with a verifier's approval."""
    asked = ask(town, *photos)
    approve(town, asked.enrolment)
    town.live.catch_up()
    return asked


def approve(town: Town, enrolment: EnrolmentId) -> Enrolment:
    """A verifier's yes to an enrolment that waits."""
    return enrol_face.approve(office(town), enrolment, "Seen by video.", by=verifier(town))


def refuse(town: Town, enrolment: EnrolmentId, reason: str) -> Enrolment:
    """A verifier's no."""
    return enrol_face.refuse(office(town), enrolment, reason, by=verifier(town))


def verifier(town: Town) -> ReviewerId:
    """A town's own verifier."""
    with town.world.store.transaction() as unit:
        found = unit.reviewers.by_login("vera")
    return found[0].id if found else town.reviewer("vera", "verifier")


def person_of(town: Town, case_number: str | None) -> PersonId:
    """Who has a case number."""
    assert case_number is not None
    with town.world.store.transaction() as unit:
        found = unit.registry.person(normal_case_number(case_number))
    assert found is not None
    return found.id


INTIMATE, ORDINARY = Rating.INTIMATE, Rating.NOT_INTIMATE


# --- A model that reads who is shown from a corner of the picture: quick, and its templates known.

KINDS = ("good", "nobody", "two", "small", "dark", "blurred", "turned")
MARK = np.array([0.111, 0.123, 0.137, 0.149], np.float32)
"""Every template of ``Drawn`` begins with these four numbers, so that a scan can look for them."""


def drawn(person: int, photo: int = 0, kind: str = "good") -> bytes:
    """A picture that shows somebody to ``Drawn``."""
    rgb = textured(96, 96, 1000 * person + photo)
    rgb[:8, :8] = (person, photo, KINDS.index(kind))
    return encode(rgb)


class Drawn:
    """A ``FaceModel`` for pictures of ``drawn``; any other picture shows a stranger."""

    space = Space("drawn", "1", Metric.INNER_PRODUCT, 128)
    likeness = Likeness(0.5, 0.7)

    def __init__(self, left_out: int = 0) -> None:
        self.left_out = left_out

    def templates(self, frames: Sequence[Frame]) -> list[Faces]:
        return [self._faces(frame) for frame in frames]

    def words(self, similarity: float) -> str:
        return f"as alike as {similarity:.1f}"

    def _faces(self, frame: Frame) -> Faces:
        person, photo, kind = (int(value) for value in frame.rgb[0, 0])
        what = KINDS[kind % len(KINDS)]
        looks = {
            "small": Looks(30, 130, 20, 0.1),
            "dark": Looks(120, 20, 20, 0.1),
            "blurred": Looks(120, 130, 1, 0.1),
            "turned": Looks(120, 130, 20, 0.9),
        }.get(what, Looks(120, 130, 20, 0.1))
        number = {"nobody": 0, "two": 2}.get(what, 1)
        return Faces(
            tuple(self._face(frame, looks, person + at, photo) for at in range(number)),
            self.left_out,
        )

    def _face(self, frame: Frame, looks: Looks, person: int, photo: int) -> Face:
        template = template_of(person, photo)
        edge = float(frame.width)
        points = np.zeros((5, 2), np.float32)
        return Face((0.0, 0.0, edge / 2, edge / 2), points, 0.99, looks, template)


def template_of(person: int, photo: int) -> NDArray[np.float32]:
    """Somebody's template in one photo: 0.9 alike to her others, near to nobody else's."""
    own = np.random.default_rng(person).normal(size=124)
    own /= np.linalg.norm(own)
    noise = np.random.default_rng((person, photo)).normal(size=124)
    rest = own + 0.3 * noise / np.linalg.norm(noise)
    rest *= np.sqrt(1 - float(MARK.astype(np.float64) @ MARK)) / np.linalg.norm(rest)
    return np.concatenate([MARK, rest.astype(np.float32)])


@pytest.fixture
def make_drawn_town(make_town: Callable[..., Town]) -> Iterator[Callable[..., Town]]:
    """Make a deployment that looks at faces with ``Drawn``."""
    following: list[Any] = []

    def make(role: str = "test", model: Drawn | None = None, **settings: Any) -> Town:
        town = make_town(role, **settings)
        looking = cast(FaceModel, model or Drawn())
        policy = town.world.policy.with_likeness({"drawn": Drawn.likeness})
        gates = (cast(Gate, plugins.build("gates", "rating")),)
        eye = FaceEye((looking,), gates, policy)
        world = replace(
            town.world,
            policy=policy,
            face_spaces=(Drawn.space,),
            face_models=lambda: (looking,),
            faces=lambda: eye,
        )
        live = world.live(role)
        following.append(live)
        return replace(town, world=world, live=live.__enter__())

    yield make
    for live in reversed(following):
        live.__exit__(None, None, None)


@pytest.fixture
def drawn_town(make_drawn_town: Callable[..., Town]) -> Town:
    """One deployment that looks at faces with ``Drawn``."""
    return make_drawn_town()


def three(person: int) -> tuple[bytes, bytes, bytes]:
    """Three good photos of somebody."""
    return drawn(person, 1), drawn(person, 2), drawn(person, 3)
