"""After a thousand screenings nothing of a stranger's face is anywhere, nor hers in clear."""

from __future__ import annotations

import base64
import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
import structlog
from fastapi.testclient import TestClient

from pipeline.domain.screening import Verdict
from pipeline.journeys.allow import allow
from pipeline.journeys.see_faces import FaceEye, FacesSeen
from services.accounts import add_platform
from services.api import create_app
from services.logs import configure
from tests.faces import (
    MARK,
    Drawn,
    drawn,
    drawn_town,  # noqa: F401
    enrol,
    make_drawn_town,  # noqa: F401
    person_of,
    three,
)
from tests.integration.test_nothing_in_clear import _dump
from tests.pictures import encode, textured
from tests.world import Town

SCREENINGS = 1000
ACCOUNT = "her.own.account.zebra"


def test_a_thousand_screenings_leave_nothing_of_a_face(
    drawn_town: Town,  # noqa: F811
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    town = drawn_town
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr(tempfile, "tempdir", None)
    caplog.set_level(logging.DEBUG)
    hers = enrol(town, *three(7))
    board = town.platform()
    allow(town.world.store, town.clock, person_of(town, hers.case_number), board, ACCOUNT)
    # A handful of pictures many times over: what is new each time is the face in them.
    pictures = [textured(48, 48, seed) for seed in range(8)]
    screener = town.world.screener(town.live)
    for number in range(SCREENINGS):
        rgb = pictures[number % len(pictures)].copy()
        rgb[:8, :8] = (40 + number % 200, number // 200, 0)
        upload = _upload(number)
        assert screener.screen_file(board, upload, encode(rgb)).verdict is Verdict.CLEAR
    assert town.screen(board, drawn(7, 9), uploader="else").verdict is Verdict.REVIEW
    assert town.query("SELECT count(*) FROM screenings") == [(SCREENINGS + 1,)]

    said = "".join(capfd.readouterr()) + caplog.text
    places = {"the log": said.encode(), "a dump": _dump(town.url)}
    with psycopg.connect(town.url, autocommit=True) as connection:
        connection.execute("CHECKPOINT")
        row = connection.execute("SHOW data_directory").fetchone()
    assert row is not None
    for folder in (Path(row[0]), temporary, town.world.settings.home):
        for file in folder.rglob("*"):
            if file.is_file() and not file.is_symlink():
                places[str(file)] = file.read_bytes()
    assert sum(map(len, places.values())) > 1 << 20, "the files were really read"
    needles = [*_spellings(MARK.tobytes()), ACCOUNT.encode()]
    for place, content in places.items():
        for needle in needles:
            assert needle not in content, place


def test_nothing_that_holds_a_template_prints_it(drawn_town: Town) -> None:  # noqa: F811
    town = drawn_town
    eye = town.world.faces()
    frames = town.world.decode(drawn(7)).frames
    seen = eye.read(frames)
    assert len(seen.asked[0]) == 1
    shown = f"{seen!r} {seen} {seen.asked!r} {Drawn().templates(frames)!r}"
    assert not any(f"{number:.3f}"[:5] in shown for number in map(float, MARK))


def test_a_failure_on_the_way_tells_nothing_of_a_face(
    drawn_town: Town,  # noqa: F811
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    town = drawn_town
    held: list[object] = []

    def break_down(*given: object) -> None:
        held.extend(given)
        raise RuntimeError("the search broke down")

    monkeypatch.setattr(FaceEye, "search", break_down)
    with structured_logs(town):
        _fail(town, held, capfd, caplog)


@contextmanager
def structured_logs(town: Town) -> Iterator[None]:
    """Logs as services write them."""
    before = structlog.get_config()
    configure(town.world.settings)
    yield
    structlog.configure(**before)


def _fail(
    town: Town,
    held: list[object],
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    made = add_platform(town.world, "board", "http://127.0.0.1:9/hook", 1000)
    client = TestClient(create_app(town.world, town.live), raise_server_exceptions=False)
    answer = client.post(
        "/v1/screenings",
        params={"content_id": "1", "rating": "intimate"},
        content=drawn(7),
        headers={
            "authorization": f"Bearer {made.api_key}",
            "content-type": "application/octet-stream",
        },
    )
    assert answer.status_code == 500
    (seen,) = [one for one in held if isinstance(one, FacesSeen)]
    assert len(seen.asked) == 1, "there was a template that could have been told"
    said = "".join(capfd.readouterr()) + caplog.text
    assert "api.defect" in said
    for text in (said, answer.text):
        assert not any(f"{number:.3f}" in text for number in map(float, MARK))
        assert not any(needle in text.encode() for needle in _spellings(MARK.tobytes()))


def _upload(number: int):
    from pipeline.domain.media import Rating, Upload

    return Upload(f"{number}-{uuid4().hex[:6]}", f"account-{number}", Rating.INTIMATE)


def _spellings(code: bytes) -> Iterator[bytes]:
    yield code
    yield code.hex().encode()
    yield code.hex().upper().encode()
    for shift in range(3):  # wherever in a longer text it begins
        text = base64.b64encode(bytes(shift) + code)
        yield text[-(-shift * 4 // 3) + (shift > 0) : -4]
    yield f"{MARK[0]:.3f}, {MARK[1]:.3f}".encode()
    yield f"{float(MARK[0])}".encode()
