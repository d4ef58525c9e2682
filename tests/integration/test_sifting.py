"""Old media are read again; who matches nobody leaves nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fsspec
import psycopg
import pytest
from psycopg import sql

from pipeline.domain.media import Rating
from pipeline.errors import Invalid, Refused
from pipeline.journeys import sift
from pipeline.ports import Reference
from services.sources import ListSource, source_at
from services.wiring import now
from tests.faces import drawn, drawn_town, enrol, make_drawn_town, three
from tests.films import OTHERS, SCENES, film, scenes
from tests.integration.test_films import FPS, hers, register_film
from tests.world import Town, jpeg, picture

__all__ = ["drawn_town", "hers", "make_drawn_town"]


def pause(attempt: int) -> float:
    return 0.0


def read(town: Town, platform: Any, where: str) -> sift.SiftProgress:
    """List a source and read all of it."""
    source = source_at(where, town.world.settings.max_bytes, {})
    began = sift.begin(town.world.store, now, platform, where, Rating.INTIMATE, "test")
    began = sift.list_all(town.world.store, began, source)
    sifter = town.world.sifter(town.live)
    while sift.progress_of(town.world.store, began.id).waiting:
        assert sifter.work(pause)
    return sift.progress_of(town.world.store, began.id)


def everything(url: str) -> str:
    """All rows of all tables, as text."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET search_path = consentry")
        names = connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'consentry'"
        ).fetchall()
        return "\n".join(
            str(row)
            for (name,) in names
            for row in connection.execute(
                sql.SQL("SELECT t::text FROM {} t").format(sql.Identifier(name))
            )
        )


def test_a_folder_is_read_again_and_strangers_leave_nothing_in_any_table(
    town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sift, "BATCH", 3)
    board = town.platform()
    old = tmp_path / "old"
    (old / "deep").mkdir(parents=True)
    (old / "hers.jpg").write_bytes(jpeg(picture(1), 60))
    (old / "broken.jpg").write_bytes(b"no picture")
    for number in range(5):
        (old / "deep" / f"stranger-{number}.jpg").write_bytes(jpeg(picture(50 + number)))
    town.register(jpeg(picture(1)))
    done = read(town, board, str(old))
    assert (done.items, done.clear, done.refused, done.found) == (7, 5, 1, 1)
    assert town.query("SELECT content_id FROM case_uploads") == [("hers.jpg",)]
    assert town.query("SELECT count(*) FROM screenings") == [(1,)]
    assert town.query("SELECT count(*) FROM events") == [(1,)], "the platform is told"
    kept = everything(town.url)
    assert "hers.jpg" in kept
    assert "stranger-" not in kept
    assert "broken.jpg" not in kept
    codes = [
        code.tobytes().hex()
        for number in range(5)
        for one in town.world.screener(town.live)
        .look(sift.Upload("x"), jpeg(picture(50 + number)))
        .seen.own
        for code in one.codes
    ]
    assert codes
    assert not any(code in kept for code in codes)
    assert town.query("SELECT count(*) FROM traces") == [(0,)]
    again = read(town, board, str(old))
    assert (again.items, again.found) == (7, 0), "what has its case gets no second one"
    assert town.query("SELECT count(*) FROM case_uploads") == [(1,)]


def test_a_face_is_found_in_old_media_and_nothing_is_kept_of_anybody_elses(
    drawn_town: Town, tmp_path: Path
) -> None:
    """A face leaves no trace when it is screened, so only reading again can find it."""
    town = drawn_town
    board = town.platform()
    old = tmp_path / "old"
    old.mkdir()
    (old / "hers.png").write_bytes(drawn(7, 9))
    for stranger in (90, 91, 92):
        (old / f"stranger-{stranger}.png").write_bytes(drawn(stranger, 1))
    before = read(town, board, str(old))
    assert (before.clear, before.found) == (4, 0), "nobody has enrolled yet"
    enrol(town, *three(7))
    done = read(town, board, str(old))
    assert (done.items, done.clear, done.refused, done.found) == (4, 3, 0, 1)
    assert town.query(
        "SELECT u.content_id, c.kind FROM case_uploads u JOIN cases c ON c.id = u.case_id"
    ) == [("hers.png", "face")]
    assert "stranger-" not in everything(town.url)
    assert town.query("SELECT count(*) FROM traces") == [(0,)]


def test_a_listing_that_was_ended_half_way_goes_on_where_it_was(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = town.platform()
    monkeypatch.setattr(sift, "BATCH", 2)
    monkeypatch.setattr(sift, "_AT_ONCE", 1)
    files = fsspec.filesystem("memory")
    for number in range(7):
        files.pipe_file(f"/old/{number}.jpg", jpeg(picture(60 + number)))
    where = "memory://old"
    source = source_at(where, 1 << 20, {})
    began = sift.begin(town.world.store, now, board, where, Rating.UNKNOWN, "test")

    def killed(listed: int) -> None:
        if listed == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sift.list_all(town.world.store, began, source, killed)
    with pytest.raises(Invalid):  # from the state before: somebody has listed since
        sift.list_all(town.world.store, began, source)
    done = read(town, board, where)
    assert (done.items, done.clear, done.batches) == (7, 7, 4)
    files.rm("/old", recursive=True)


def test_a_platforms_list_leads_to_hosts_that_are_entered_for_it_alone(tmp_path: Path) -> None:
    (tmp_path / "list").write_text("a\thttps://example.org/a.jpg\n\nb\thttp://127.0.0.1:1/b\n")
    source = ListSource(tmp_path / "list", 100, {})
    assert list(source.references()) == [
        Reference("a", "https://example.org/a.jpg"),
        Reference("b", "http://127.0.0.1:1/b"),
    ]
    for reference in source.references():
        with pytest.raises(Refused, match="not entered"):
            source.read(reference.place)
    (tmp_path / "list").write_text("no address\n")
    with pytest.raises(Invalid, match="line 1"):
        list(source.references())
    with pytest.raises(Invalid, match="no folder"):
        source_at(str(tmp_path / "nowhere"), 100, {})


def test_a_folder_gives_nothing_from_outside_of_it_and_nothing_too_large(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").write_bytes(b"x")
    (tmp_path / "in" / "big").write_bytes(bytes(11))
    source = source_at(str(tmp_path / "in"), 10, {})
    for place in ("../out", "big", "gone"):
        with pytest.raises(Refused):
            source.read(place)


def test_videos_are_read_again_and_those_of_strangers_leave_nothing(
    town: Town, hers: bytes, tmp_path: Path
) -> None:
    board, old = town.platform(), tmp_path / "old"
    old.mkdir()
    (old / "hers.mp4").write_bytes(film(scenes(SCENES[:4], fps=FPS), fps=FPS, crf="32"))
    (old / "other.mp4").write_bytes(film(scenes(OTHERS[:3], 2, FPS, seed=3), fps=FPS))
    (old / "broken.mp4").write_bytes(hers[:200])
    register_film(town, hers)
    done = read(town, board, str(old))
    assert (done.items, done.clear, done.refused, done.found) == (3, 1, 1, 1)
    assert town.query("SELECT content_id FROM case_uploads") == [("hers.mp4",)]
    (stretches,) = town.query("SELECT stretches FROM case_hits WHERE signal = 'pdq'")
    assert stretches[0][0]["upload"] == pytest.approx((0.0, 16.0), abs=1.0)
    kept = everything(town.url)
    assert "hers.mp4" in kept
    assert "other.mp4" not in kept
    assert town.query("SELECT count(*) FROM traces") == [(0,)]
    assert read(town, board, str(old)).found == 0, "what has its case gets no second one"
