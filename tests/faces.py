"""A deployment that looks at faces, for tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.domain.enrolment import FACE_TEXT
from pipeline.domain.ids import PersonId
from pipeline.domain.media import Rating
from pipeline.journeys import enrol_face
from pipeline.journeys.register import normal_case_number
from tests.packs import SHARED, installed
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
    enrol_face.approve(office(town), asked.enrolment)
    town.live.catch_up()
    return asked


def person_of(town: Town, case_number: str | None) -> PersonId:
    """Who has a case number."""
    assert case_number is not None
    with town.world.store.transaction() as unit:
        found = unit.registry.person(normal_case_number(case_number))
    assert found is not None
    return found.id


INTIMATE, ORDINARY = Rating.INTIMATE, Rating.NOT_INTIMATE
