"""Hashes are intimate data: a dump, files, logs and folders are searched for them."""

from __future__ import annotations

import base64
import hashlib
import io
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from pipeline.domain.media import Side, Upload
from pipeline.domain.notice import Notice
from pipeline.journeys.banks import add_bank, learn
from pipeline.journeys.notice import give
from pipeline.journeys.register import register
from pipeline.journeys.register_codes import Clip, add_codes
from pipeline.journeys.take_in_film import accept
from pipeline.media.features import INDEXED, describe
from pipeline.media.video import EVERY_FRAME
from pipeline.storage import embedded
from tests.films import film, scenes
from tests.integration.test_following import enter, gauge_of, join, still
from tests.needles import WINDOW, Needles
from tests.world import Town, jpeg, picture


def test_no_hash_stands_in_clear_in_a_dump_or_in_the_files_of_the_database(
    town: Town, capfd: pytest.CaptureFixture[str]
) -> None:
    codes = _live_a_little(town)
    dump = _dump(town.url)
    assert b"COPY consentry.entries" in dump, "the dump has the tables"
    assert not Needles(needle for code in codes for needle in _spellings(code)).are_in(dump)
    with psycopg.connect(town.url, autocommit=True) as connection:
        connection.execute("CHECKPOINT")
        row = connection.execute("SHOW data_directory").fetchone()
    assert row is not None
    pieces = Needles(code[at : at + WINDOW] for code in codes for at in range(0, len(code), WINDOW))
    read = 0
    for file in Path(row[0]).rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            read += len(content)
            assert not pieces.are_in(content), file.name
    assert read > 1 << 20, "the files were really read"
    said = "".join(capfd.readouterr())
    assert not any(code.hex() in said for code in codes)


def test_no_upload_lies_in_clear_in_the_blob_store(town: Town) -> None:
    town.register(jpeg(picture(1)))
    body = jpeg(picture(1), 50)
    town.screen(town.platform(), body)
    kept = [file for file in town.world.settings.home.rglob("*") if file.is_file()]
    assert any(str(town.world.settings.blob_folder) in str(file) for file in kept)
    for file in kept:
        content = file.read_bytes()
        assert body[:64] not in content
        assert body[1000:1032] not in content
        assert file.stat().st_mode & 0o077 == 0, f"{file.name} is closed to others"


def test_nothing_that_would_print_a_hash_prints_it(town: Town) -> None:
    frame = town.world.decode(jpeg(picture(1))).frames[0]
    for signal in town.world.signals:
        computed = signal.compute([frame], Side.REGISTERED)
        shown = f"{computed!r} {computed}"
        code = computed.codes[0].tobytes()
        assert code.hex() not in shown
        assert str(list(code))[1:20] not in shown


def _live_a_little(town: Town) -> list[bytes]:
    """Register, match, uphold, dismiss; the codes that must be nowhere."""
    images = [jpeg(picture(1)), jpeg(picture(3))]
    town.register(*images)
    world = town.world
    register(
        world.store, world.pins, town.clock, world.decode, world.signals,
        [("for features", jpeg(picture(4)))], world.generic, features=True,
    )  # fmt: skip
    board, ada = town.platform(), town.reviewer()
    town.uphold(town.screen(board, jpeg(picture(1), 50)).case, ada)
    wrong = town.screen(board, jpeg(picture(3), 50)).case
    town.dismiss(wrong, ada)
    assert wrong is not None
    add_bank(world.store, town.clock, world.pins, "false matches", timedelta(days=30))
    assert learn(world.store, "false matches", wrong, town.reviewer("lea", "lead"), "lead") == 1
    town.screen(board, jpeg(picture(1), 55))
    bodies = [*images, jpeg(picture(1), 50), jpeg(picture(3), 50)]
    return (
        _from_a_device(town)
        + [
            code.tobytes()
            for body in bodies
            for signal in town.world.signals
            for code in signal.compute(town.world.decode(body).frames, Side.QUERY).codes
        ]
        + _features(town)
        + _film(town)
    )


def _from_a_device(town: Town) -> list[bytes]:
    """Codes that a browser sent, what lets her back in, and who wrote a notice."""
    given = join(town, 5)
    person = enter(town, given)
    one, other = still(town, jpeg(picture(5))), still(town, jpeg(picture(6)))
    clip = Clip(tuple((float(at), *other.codes[at][1:]) for at in (0, 2, 4)))
    add_codes(town.world.store, town.clock, gauge_of(town), person, [clip])
    who, contact = "Maria Quixotina Verysecret"[:24], "maria.q@secretplace.test"
    notice = Notice(
        ("https://board.example/17",), "A picture of me", not_consented=True, accurate=True,
        signature=who, contact=contact,
    )  # fmt: skip
    code = give(town.world.store, town.clock, "board", notice).code
    lost = join(town, 7, message=bytes(range(32)))  # its answer may be asked for again
    secrets = (given.pin, given.recovery, code, who, contact, lost.pin, lost.recovery)
    assert all(len(text) % WINDOW == 0 for text in secrets)
    kept = [one.codes[0][1], one.codes[20][1], *(code for _, code, _ in clip.frames)]
    return kept + [text.encode() for text in secrets]


def _film(town: Town) -> list[bytes]:
    """A registered video and an upheld copy of it: frames, crops, digests."""
    world, fps = town.world, 6.0
    hers = film(scenes(("coffee", "chelsea"), 2.0, fps), fps)
    copy = film(scenes(("coffee", "chelsea"), 2.0, fps), fps, crf="30")
    register(
        world.store, world.pins, town.clock, world.decode, world.signals, (), world.generic,
        videos=[("film", io.BytesIO(hers))], filmer=world.filmer,
    )  # fmt: skip
    town.live.catch_up()
    sent = accept(
        world.store, world.blobs, town.clock, town.platform("films"), Upload("film"), [copy],
        "video/mp4",
    )  # fmt: skip
    assert world.projector(town.live).work(lambda _: 0.0)
    with world.store.transaction() as unit:
        answered = unit.screenings.get(sent.id, sent.platform)
    assert answered is not None
    assert answered.case is not None
    for file in world.settings.blob_folder.rglob("*"):
        assert not file.is_file() or copy[2000:2032] not in file.read_bytes()
    town.uphold(answered.case, town.reviewer("eve"))
    pdq = world.filmer.signal
    signs = world.filmer.signs(io.BytesIO(hers))
    assert signs.moments
    digests = [hashlib.sha256(body).digest() for body in (hers, copy)]
    return [
        *digests,
        hashlib.md5(hers, usedforsecurity=False).digest(),
        *(code.tobytes() for code in signs.frames.codes[::6]),
        *(code.tobytes() for _, crops in signs.moments[:1] for code in crops.codes[::8]),
        *(
            code.tobytes()
            for moment in list(world.film(io.BytesIO(copy), EVERY_FRAME))[::8]
            for code in pdq.compute([moment.frame], Side.REGISTERED).codes
        ),
    ]


def _features(town: Town) -> list[bytes]:
    """Descriptors of what was registered with features: those indexed, and those that are not."""
    described = describe(town.world.decode(jpeg(picture(4))).frames[0])
    assert len(described.plain) > INDEXED
    descriptors = np.concatenate([described.plain.descriptors, described.mirrored.descriptors])
    places = described.plain.apart()[1]
    return [row.tobytes() for row in descriptors[::29]] + [
        places[at : at + 32] for at in range(16, len(places) - 32, 512)
    ]


def _spellings(code: bytes) -> Iterator[bytes]:
    yield code
    yield code.hex().encode()
    yield code.hex().upper().encode()
    yield base64.b64encode(code)[:40]
    yield code[:16].hex().encode()


def _dump(url: str) -> bytes:
    parts = conninfo_to_dict(url)
    return subprocess.run(
        [
            embedded.program("pg_dump"),
            "-h",
            str(parts["host"]),
            "-U",
            str(parts.get("user", "postgres")),
            str(parts["dbname"]),
        ],
        check=True,
        capture_output=True,
    ).stdout
