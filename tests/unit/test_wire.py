"""What stands around a body on the wire is read no further than its limit."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn

from services.api.wire import FRAMING, Bounded


async def echo(scope: Any, receive: Any, send: Any) -> None:
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body, more = body + message["body"], message["more_body"]
    length = str(len(body)).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-got", length)]})
    await send({"type": "http.response.body", "body": b""})


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(echo, http=Bounded, log_level="critical", lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield listening.getsockname()[1]
        server.should_exit = True
        thread.join(timeout=10)


def told(port: int, first: bytes, more: bytes = b"", times: int = 0) -> bytes:
    """What is answered to these bytes; it may come before they have all been sent."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as line:
        try:
            line.sendall(first)
            for _ in range(times):
                line.sendall(more)
        except (ConnectionResetError, BrokenPipeError):
            pass
        line.settimeout(5)
        try:
            return line.recv(65536)
        except ConnectionResetError:
            return b""


CHUNKED = b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"
ENDLESS = b"x" * 8192
TIMES = 64 * FRAMING // len(ENDLESS)


def test_a_request_with_a_large_body_is_read(port: int) -> None:
    body = b"y" * (8 * FRAMING)
    head = f"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {len(body)}\r\n\r\n"
    said = told(port, head.encode() + body)
    assert said.startswith(b"HTTP/1.1 200")
    assert f"x-got: {len(body)}".encode() in said


@pytest.mark.parametrize(
    "start",
    [
        b"GET /",
        b"GET / HTTP/1.1\r\nhost: a\r\nx-long: ",
        CHUNKED + b"1\r\nz\r\n0\r\nx-trailer: ",
    ],
    ids=["address", "header", "trailer"],
)
def test_what_never_comes_to_the_point_ends_the_connection(port: int, start: bytes) -> None:
    said = told(port, start, ENDLESS, TIMES)
    assert b" 200 " not in said
    assert said == b"" or said.startswith(b"HTTP/1.1 400")


def test_many_small_requests_on_one_connection_are_all_answered(port: int) -> None:
    asked = b"GET / HTTP/1.1\r\nhost: a\r\nx-some: " + b"h" * 4000 + b"\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=10) as line:
        for _ in range(3 * FRAMING // len(asked)):
            line.sendall(asked)
            assert line.recv(4096).startswith(b"HTTP/1.1 200")
