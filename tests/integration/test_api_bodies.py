"""Bodies: cut off at their limit while they still come, bounded together, never read twice."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest

from services.api.arriving import SLACK
from services.api.bodies import Patience
from services.api.door import Limits
from tests.integration.api import Program, make_program, program
from tests.world import Town, jpeg, picture

__all__ = ["make_program", "program"]

HERS = jpeg(picture(1))
ROOM = 1 << 30


@contextmanager
def connected(program: Program) -> Iterator[socket.socket]:
    """A connection on which a test writes what no proper client would."""
    address = urlsplit(str(program.client.base_url))
    with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
        yield connection


def head(program: Program, *lines: str, path: str = "/v1/screenings?content_id=post-1") -> bytes:
    """The head of a request."""
    return "\r\n".join(
        [
            f"POST {path} HTTP/1.1",
            "host: api",
            f"authorization: Bearer {program.key}",
            *lines,
            "",
            "",
        ]
    ).encode()


def answered(connection: socket.socket) -> tuple[int, dict[str, Any]]:
    """Status and document of the answer on a connection."""
    got = b""
    while b"\r\n\r\n" not in got:
        more = connection.recv(65536)
        assert more, "the connection was closed without an answer"
        got += more
    top, _, body = got.partition(b"\r\n\r\n")
    length = int(
        next(line for line in top.lower().split(b"\r\n") if line.startswith(b"content-length:"))[
            15:
        ]
    )
    while len(body) < length:
        body += connection.recv(65536)
    return int(top.split()[1]), json.loads(body)


@pytest.fixture
def small(make_town: Callable[..., Town], make_program: Callable[..., Program]) -> Program:
    """An API that takes files of up to 100,000 bytes."""
    return make_program("small", of=make_town(max_bytes=100_000, max_video_bytes=100_000))


RAW = "content-type: application/octet-stream"
FORM = "content-type: multipart/form-data; boundary=x"


@pytest.mark.parametrize("kind", [RAW, FORM])
def test_a_body_that_declares_too_much_is_refused_before_it_comes(
    small: Program, kind: str
) -> None:
    with connected(small) as connection:
        connection.sendall(head(small, kind, f"content-length: {100_000 + SLACK + 1}"))
        status, said = answered(connection)
    assert (status, said["code"]) == (413, "too_large")


@pytest.mark.parametrize("kind", [RAW, FORM])
def test_a_body_of_unknown_length_is_refused_while_it_still_comes(
    small: Program, kind: str
) -> None:
    start = b"--x\r\ncontent-disposition: form-data; name=file\r\n\r\n" if kind is FORM else b""
    with connected(small) as connection:
        connection.sendall(head(small, kind, "transfer-encoding: chunked"))
        for piece in [start, *[b"\xff" * 16384] * 11]:
            if piece:
                connection.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
        status, said = answered(connection)  # the last chunk was never sent
    assert (status, said["code"]) == (413, "too_large")
    assert small.metric("consentry_uploads_bytes") == 0


def test_a_file_just_beyond_the_largest_is_refused_by_name(small: Program) -> None:
    answer = small.screen(HERS + bytes(100_001 - len(HERS)))
    assert answer.status_code == 200
    assert answer.json()["refused"] == "too_many_bytes"
    assert small.screen(HERS + bytes(100_000 - len(HERS))).json()["verdict"] == "clear"


def test_a_list_of_hashes_has_a_limit_of_its_own(program: Program) -> None:
    with connected(program) as connection:
        path = "/v1/screenings/hashes"
        lines = ("content-type: application/json", "content-length: 1000000")
        connection.sendall(head(program, *lines, path=path))
        status, said = answered(connection)
    assert (status, said["code"]) == (413, "too_large")


def test_a_stranger_is_turned_away_before_the_body(program: Program) -> None:
    with connected(program) as connection:
        wrong = head(program, RAW, "content-length: 50000").replace(b"Bearer csk_", b"Bearer xxx_")
        connection.sendall(wrong)
        status, said = answered(connection)
    assert (status, said["code"]) == (401, "unauthorized")


def test_an_upload_may_come_in_many_pieces(program: Program) -> None:
    program.town.register(HERS)

    def pieces() -> Iterator[bytes]:
        for at in range(0, len(HERS), 1000):
            yield HERS[at : at + 1000]

    assert program.screen(pieces()).json()["verdict"] == "review"


def test_a_form_may_come_one_byte_at_a_time(program: Program) -> None:
    body = (
        b'--x\r\nContent-Disposition: form-data; name="content_id"\r\n\r\npost-1\r\n'
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'
        b"\r\n--\r\n--y\r\n\r\n--x--\r\n"
    )

    def bytes_of() -> Iterator[bytes]:
        for at in range(len(body)):
            yield body[at : at + 1]

    answer = program.screen(bytes_of(), headers={"content-type": "multipart/form-data; boundary=x"})
    assert answer.json()["verdict"] == "refused"
    assert program.town.query("SELECT content_id, bytes FROM screenings") == [
        ("post-1", len(b"\r\n--\r\n--y\r\n"))
    ]


def part(name: str, value: str = "v", *lines: str) -> str:
    more = "".join(f"{line}\r\n" for line in lines)
    return f'--x\r\ncontent-disposition: form-data; name="{name}"\r\n{more}\r\n{value}\r\n'


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (part("file") + "--x--\r\n", "body.content_id"),
        (part("content_id") + "--x--\r\n", "body.file"),
        (part("content_id") + part("file"), "body"),
        (part("content_id") * 2 + part("file") + "--x--\r\n", "body.content_id"),
        (part("file") * 2 + part("content_id") + "--x--\r\n", "body.file"),
        (part("content_id", "a" * 5000) + part("file") + "--x--\r\n", "body.content_id"),
        (part("content_id", "a" * 600) + part("file") + "--x--\r\n", "body.content_id"),
        (part("content_id", "") + part("file") + "--x--\r\n", "body.content_id"),
        (part("content_id", "a\x07b") + part("file") + "--x--\r\n", "body.content_id"),
        (part("content_id", "\udcff") + part("file") + "--x--\r\n", "body.content_id"),
        (part("content_id") + part("rating", "lewd") + part("file") + "--x--\r\n", "body.rating"),
        (part("content_id") + part("who") + part("file") + "--x--\r\n", "body.(unknown field)"),
        (
            part("content_id") + part("file", "v", "content-transfer-encoding: base64"),
            "body.file",
        ),
        ("--x\r\ncontent-disposition: attachment\r\n\r\nv\r\n--x--\r\n", "body.(unknown field)"),
        ("--x\r\n" + "a: b\r\n" * 20 + "\r\nv\r\n--x--\r\n", "body"),
        ("--x\r\na: " + "b" * 9000 + "\r\n\r\nv\r\n--x--\r\n", "body"),
        ("no form at all", "body"),
        ("", "body"),
    ],
)
def test_a_form_that_is_wrong_is_told_where(program: Program, body: str, where: str) -> None:
    answer = program.screen(
        body.encode(errors="surrogateescape"),
        headers={"content-type": "multipart/form-data; boundary=x"},
    )
    assert answer.status_code == 422, answer.text
    assert [error["where"] for error in answer.json()["errors"]] == [where]
    assert program.town.query("SELECT count(*) FROM screenings") == [(0,)]


@pytest.mark.parametrize("boundary", ["", "; boundary=", "; boundary=" + "x" * 5000])
def test_a_form_needs_a_boundary_of_reasonable_length(program: Program, boundary: str) -> None:
    answer = program.screen(b"--x--", headers={"content-type": f"multipart/form-data{boundary}"})
    assert answer.status_code == 422
    assert answer.json()["code"] == "invalid"


def test_a_body_that_stops_coming_is_not_waited_for(make_program: Callable[..., Program]) -> None:
    impatient = make_program("slow", limits=Limits(1, 4, ROOM, Patience(idle=0.2)))
    with connected(impatient) as connection:
        connection.sendall(head(impatient, RAW, "content-length: 50000") + bytes(1000))
        status, said = answered(connection)
        assert (status, said["code"]) == (408, "body_timed_out")
        assert connection.recv(1) == b"", "the connection is closed"
    assert impatient.metric("consentry_uploads_bytes") == 0


def test_a_caller_who_hangs_up_leaves_nothing_behind(program: Program) -> None:
    with connected(program) as connection:
        connection.sendall(head(program, RAW, "content-length: 50000") + bytes(1000))
        until(lambda: program.metric("consentry_uploads_bytes") == 50000)
    until(lambda: program.metric("consentry_uploads_bytes") == 0)
    gone = 'consentry_requests_total{method="POST",route="/v1/screenings",status="499"}'
    until(lambda: program.metric(gone) == 1)
    assert program.town.query("SELECT count(*) FROM screenings") == [(0,)]


def test_uploads_that_would_not_fit_into_memory_together_are_told_to_come_again(
    make_program: Callable[..., Program],
) -> None:
    tight = make_program("tight", limits=Limits(1, 4, 100_000))
    with connected(tight) as connection:
        connection.sendall(head(tight, RAW, "content-length: 90000") + bytes(1000))
        until(lambda: tight.metric("consentry_uploads_bytes") == 90000)
        answer = tight.screen(HERS + bytes(20_000))
        assert (answer.status_code, answer.json()["code"]) == (503, "busy")
        assert int(answer.headers["retry-after"]) >= 1
        connection.sendall(bytes(89000))
        assert answered(connection)[1]["verdict"] == "refused"
    assert tight.screen(HERS + bytes(20_000)).status_code == 200


def test_a_line_that_is_full_sends_new_uploads_away(
    make_program: Callable[..., Program], monkeypatch: pytest.MonkeyPatch
) -> None:
    go, began = threading.Event(), threading.Event()
    narrow = make_program("narrow", limits=Limits(1, 1, ROOM))
    from services.api.replay import Replay

    really = Replay.once

    def slowly(*what: Any) -> Any:
        began.set()
        assert go.wait(20)
        return really(*what)

    monkeypatch.setattr(Replay, "once", slowly)
    answers: list[int] = []
    threads = [
        threading.Thread(target=lambda: answers.append(narrow.screen(HERS).status_code))
        for _ in range(2)
    ]
    threads[0].start()
    assert began.wait(20)
    threads[1].start()
    until(lambda: narrow.metric("consentry_uploads_waiting") == 1)
    third = narrow.screen(HERS)
    assert (third.status_code, third.json()["code"]) == (503, "busy")
    assert "retry-after" in third.headers
    go.set()
    for thread in threads:
        thread.join(20)
    assert answers == [200, 200]


def until(true: Callable[[], bool]) -> None:
    """Wait for something that comes true by itself."""
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.02)
