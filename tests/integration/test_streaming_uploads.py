"""A video is sealed while it comes: whatever its size, no process ever holds more than a piece."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from pipeline.domain.digest import Digests
from pipeline.domain.ids import MediaId
from pipeline.journeys.fetch import HEAD, fetched
from pipeline.journeys.take_in_film import Taken, digests_of
from services.accounts import add_platform, allow_host
from services.api.arriving import PIECE, SLACK, WINDOW
from tests.films import film, scenes
from tests.integration.api import Program, make_program, program
from tests.integration.test_api_bodies import RAW, answered, connected, head, until
from tests.partners import Partner
from tests.world import Town, jpeg, picture

__all__ = ["make_program", "program"]

SENT = 192 << 20
"""Bytes of the large video: a beginning that says what it is, then space that means nothing."""

HELD = 40 << 20
"""Bytes by which a process may grow while that comes; the window and what the disk has not taken
yet are far less, the rest is the allocator's and the threads'."""

VIDEO = {"content-type": "video/mp4"}


def large(size: int) -> Iterator[bytes]:
    """An MP4 of ``size`` bytes, made while it is sent."""
    begin = b"\0\0\0\x18ftypisom\0\0\2\0isomiso2"
    begin += b"\0\0\0\1free" + (size - len(begin)).to_bytes(8, "big")
    yield begin
    left, piece = size - len(begin), bytes(1 << 20)
    while left:
        yield piece[: min(left, len(piece))]
        left -= min(left, len(piece))


def stored(town: Town) -> list[Path]:
    """Files in the blob store, finished or not."""
    return [path for path in town.world.settings.blob_folder.rglob("*") if path.is_file()]


def media_keys(town: Town) -> int:
    return int(town.query("SELECT count(*) FROM vault_keys WHERE kind = 'media'")[0][0])


def peak(process: int) -> int:
    """The most memory that a process has used, in bytes."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) << 10


@pytest.fixture
def served_api(town: Town) -> Iterator[tuple[str, int]]:
    """A real process of the API: its address and its number."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "DATABASE_URL": town.url,
        "CONSENTRY_HOME": str(town.world.settings.home),
        "CONSENTRY_LOG_LEVEL": "error",
        "CONSENTRY_API_PORT": str(port),
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    command = [sys.executable, "-m", "services.cli", "serve", "api"]
    process = subprocess.Popen(command, env=environment)
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 60
    try:
        while True:
            assert process.poll() is None, "the API ended"
            assert time.monotonic() < deadline, "the API did not come up"
            try:
                if httpx.get(f"{url}/readyz").status_code == 200:
                    break
            except httpx.TransportError:
                pass
            time.sleep(0.05)
        yield url, process.pid
    finally:
        process.kill()
        process.wait()


def test_a_video_far_larger_than_the_memory_for_it_is_sealed_as_it_comes(
    town: Town, served_api: tuple[str, int]
) -> None:
    url, process = served_api
    key = add_platform(town.world, "board", None, 1000).api_key
    headers = {"authorization": f"Bearer {key}", **VIDEO}
    with httpx.Client(base_url=url, headers=headers, timeout=120) as client:
        client.post("/v1/screenings?content_id=first", content=large(PIECE * 3))
        before = peak(process)
        sent = client.post("/v1/screenings?content_id=second", content=large(SENT))
        grown = peak(process) - before
    assert sent.status_code == 202, sent.text
    assert grown < HELD < SENT // 4, f"the process grew by {grown >> 20} MiB"
    ((size, medium),) = town.query(
        "SELECT size, medium FROM pending_films WHERE content_id = 'second'"
    )
    assert size == SENT
    expected = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    for piece in large(SENT):
        for digest in expected:
            digest.update(piece)
    from pipeline.domain.ids import ScreeningId

    with town.world.store.transaction() as unit:
        found = unit.films.get(ScreeningId(_uuid(sent.json()["screening"])))
        assert found is not None
        known = digests_of(unit, found)
    assert known is not None
    assert (known.sha256, known.md5) == tuple(one.digest() for one in expected)
    assert found.digests is not None
    assert known.sha256 not in found.digests, "they lie sealed"
    assert MediaId(medium) == found.medium


@pytest.mark.parametrize("form", [False, True])
def test_a_video_beyond_the_limit_for_videos_is_refused_and_nothing_of_it_stays(
    make_town: Callable[..., Town], make_program: Callable[..., Program], form: bool
) -> None:
    town = make_town(max_bytes=100_000, max_video_bytes=3 << 20)
    small = make_program("small", of=town)
    start = b"--x\r\ncontent-disposition: form-data; name=file\r\n\r\n" if form else b""
    kind = "content-type: multipart/form-data; boundary=x" if form else RAW
    declared = head(small, kind, f"content-length: {(3 << 20) + SLACK + 1}")
    with connected(small) as connection:
        connection.sendall(declared)
        assert answered(connection)[0] == 413, "before a byte of it has come"
    with connected(small) as connection:
        connection.sendall(head(small, kind, "transfer-encoding: chunked"))
        for piece in (start, *large(4 << 20)):
            try:
                if piece:
                    connection.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
            except OSError:  # it has answered already
                break
        status, said = answered(connection)
    assert (status, said["code"]) == (413, "video_too_large")
    until(lambda: not stored(town))
    assert media_keys(town) == 0
    assert small.metric("consentry_uploads_bytes") == 0


def test_a_picture_of_a_video_s_size_is_refused_as_soon_as_it_is_known_to_be_none(
    make_town: Callable[..., Town], make_program: Callable[..., Program]
) -> None:
    small = make_program("small", of=make_town(max_bytes=100_000))
    with connected(small) as connection:
        connection.sendall(head(small, RAW, "content-length: 900000000"))
        connection.sendall(jpeg(picture(1)) + bytes(HEAD))
        status, said = answered(connection)  # the rest was never sent
    assert (status, said["code"]) == (413, "too_large")


def test_a_video_in_a_form_and_one_in_many_pieces_are_looked_at_like_any_other(
    program: Program,
) -> None:
    body = film(scenes(("coffee", "rocket"), 2.0), bitrate=400_000)
    form = program.client.post(
        "/v1/screenings", data={"content_id": "form"}, files={"file": ("f.mp4", body, "video/mp4")}
    )
    pieces = program.screen((body[at : at + 777] for at in range(0, len(body), 777)), "pieces")
    assert (form.status_code, pieces.status_code) == (202, 202)
    projector = program.town.world.projector(program.town.live)
    assert projector.work(lambda _: 0.0)
    assert projector.work(lambda _: 0.0)
    assert program.town.query("SELECT content_id, verdict, bytes FROM screenings ORDER BY 1") == [
        ("form", "clear", len(body)),
        ("pieces", "clear", len(body)),
    ]


def test_a_video_at_an_address_is_sealed_as_it_comes_too(
    make_town: Callable[..., Town], make_program: Callable[..., Program]
) -> None:
    small = make_program("small", of=make_town(max_bytes=100_000, max_video_bytes=3 << 20))
    body = film(scenes(("coffee", "rocket"), 2.0), bitrate=400_000)
    files = {
        "/f.mp4": body,
        "/large.mp4": b"".join(large(4 << 20)),
        "/large.jpg": jpeg(picture(1)) + bytes(4 << 20),
    }
    with Partner(lambda asked: (200, {}, files[asked.path])).running() as host:
        allow_host(small.town.world, "small", "127.0.0.1", private=True)
        said = {
            path: small.client.post(
                "/v1/screenings/references",
                json={"content_id": path, "rating": "intimate", "media_url": host.address + path},
            )
            for path in files
        }
    assert said["/f.mp4"].status_code == 202
    assert (said["/large.mp4"].status_code, said["/large.mp4"].json()["code"]) == (
        413,
        "video_too_large",
    )
    assert said["/large.jpg"].json()["refused"] == "too_many_bytes"
    (blob,) = stored(small.town)
    assert body[1000:1032] not in blob.read_bytes()
    assert media_keys(small.town) == 1, "nothing is left of what was too large"
    assert small.town.world.projector(small.town.live).work(lambda _: 0.0)
    rows = small.town.query("SELECT verdict, bytes FROM screenings WHERE content_id = '/f.mp4'")
    assert rows == [("clear", len(body))]


def test_of_a_video_that_comes_from_an_address_nobody_holds_more_than_its_beginning() -> None:
    came, held = [0], []

    def coming() -> Iterator[bytes]:
        for piece in large(32 << 20):
            came[0] += len(piece)
            yield piece

    def seal(pieces: Iterator[bytes]) -> Taken:
        written = 0
        for piece in pieces:
            held.append(came[0] - written)
            written += len(piece)
        return Taken(MediaId(UUID(int=1)), written, Digests(bytes(32), bytes(16)))

    taken, kind = fetched(coming(), 1000, 64 << 20, seal, lambda: None)
    assert isinstance(taken, Taken)
    assert (taken.size, kind) == (32 << 20, "video/mp4")
    assert max(held) <= HEAD + (1 << 20)


def test_a_caller_who_hangs_up_in_the_middle_of_a_video_leaves_nothing(program: Program) -> None:
    with connected(program) as connection:
        connection.sendall(head(program, RAW, f"content-length: {32 << 20}"))
        for number, piece in enumerate(large(32 << 20)):
            if number == 5:
                break
            connection.sendall(piece)
        until(lambda: stored(program.town))
        assert 0 < program.metric("consentry_uploads_bytes") <= WINDOW
    until(lambda: not stored(program.town))
    until(lambda: media_keys(program.town) == 0)
    assert program.metric("consentry_uploads_bytes") == 0


def test_a_video_that_is_sent_again_with_its_key_is_kept_once(program: Program) -> None:
    body = film(scenes(("coffee",), 2.0), bitrate=400_000)
    first, again = (
        program.screen(body, headers={"idempotency-key": "one", **VIDEO}) for _ in range(2)
    )
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json()["screening"] == first.json()["screening"]
    other = program.screen(body + b"\0", headers={"idempotency-key": "one", **VIDEO})
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")
    assert len(stored(program.town)) == media_keys(program.town) == 1


def _uuid(text: str):
    from uuid import UUID

    return UUID(text)
