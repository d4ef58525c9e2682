"""Addresses that somebody else named: where they may lead, and where never."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Iterator

import httpx
import pytest

from pipeline.outside import Pinned, Unreachable, client, fetch, is_public, target_of
from tests.partners import Asked, Partner

PUBLIC = "93.184.215.14"


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "127.0.0.1",
        "127.255.0.9",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.8",
        "192.0.2.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.51.100.7",
        "203.0.113.7",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::",
        "2001:0:4136:e378:8000:63bf:f5ff:fffe",  # Teredo of 10.0.0.1
        "2001:db8::1",
        "fc00::1",
        "fd12:3456::1",
        "fe80::1",
        "fec0::1",
        "ff02::1",
    ],
)
def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))
    with pytest.raises(Unreachable, match="private network"):
        target_of("https://somewhere.example/", look_up=lambda *_: [address])


@pytest.mark.parametrize("address", [PUBLIC, "2606:2800:21f:cb07:6820:80da:af6b:8b2c"])
def test_a_public_address_is_gone_to(address: str) -> None:
    target = target_of("https://somewhere.example/x", look_up=lambda *_: [address])
    assert (target.host, target.port, target.ip) == ("somewhere.example", 443, address)


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "2130706433", "0x7f000001", "017700000001", "127.1", "0", "localhost", "[::1]",
     "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "127.0.0.1."],
)  # fmt: skip
def test_this_machine_is_refused_however_it_is_written(host: str) -> None:
    with pytest.raises(Unreachable):
        target_of(f"https://{host}/")


@pytest.mark.parametrize(
    "url",
    [
        "http://somewhere.example/",
        "ftp://somewhere.example/",
        "file:///etc/passwd",
        "gopher://somewhere.example/",
        "//somewhere.example/",
        "somewhere.example",
        "",
        "https://",
        "https:///x",
        "https://me:secret@somewhere.example/",
        "https://me@somewhere.example/",
        "https://somewhere.example:99999/",
        "https://[::1%25eth0]/",
        "https://somewhere.example\\@127.0.0.1/",
        "https://[not an address]/",
    ],
)
def test_what_is_no_plain_https_address_is_refused_without_looking_it_up(url: str) -> None:
    def never(host: str, port: int) -> list[str]:
        raise AssertionError("looked up")

    with pytest.raises(Unreachable):
        target_of(url, look_up=never)


def test_a_name_with_a_public_and_a_private_address_is_a_trap() -> None:
    with pytest.raises(Unreachable, match="private network"):
        target_of("https://somewhere.example/", look_up=lambda *_: [PUBLIC, "127.0.0.1"])


def test_the_name_is_asked_once_and_the_answer_is_kept() -> None:
    answers = iter([[PUBLIC], ["127.0.0.1"]])
    sent: list[httpx.Request] = []

    def inner(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(200, content=b"x")

    transport = Pinned(look_up=lambda *_: next(answers), inner=httpx.MockTransport(inner))
    with httpx.Client(transport=transport) as http:
        http.get("https://rebinding.example/x")
    assert sent[0].url.host == PUBLIC
    assert sent[0].headers["host"] == "rebinding.example"
    assert sent[0].extensions["sni_hostname"] == "rebinding.example"
    assert next(answers) == ["127.0.0.1"], "the second answer was never asked for"


# --- fetching, from a server of this test's own -----------------------------------------------


@pytest.fixture
def server() -> Iterator[Partner]:
    def answer(asked: Asked) -> tuple[int, dict[str, str], bytes]:
        if asked.path == "/moved":
            return 302, {"location": "http://127.0.0.1:1/"}, b""
        if asked.path == "/packed":
            return 200, {"content-encoding": "gzip"}, b"\x1f\x8b"
        return (200, {}, b"y" * 5000) if asked.path == "/file" else (404, {}, b"")

    with Partner(answer).running() as running:
        yield running


def test_a_file_is_fetched_from_a_host_that_the_operator_allowed(server: Partner) -> None:
    with client(private=True) as http:
        assert fetch(http, f"{server.address}/file", most=9000, seconds=5) == b"y" * 5000
        assert server.asked[0].headers["host"] == server.address.removeprefix("http://")


def test_no_more_is_read_than_may_be_and_one(server: Partner) -> None:
    with client(private=True) as http:
        assert fetch(http, f"{server.address}/file", most=100, seconds=5) == b"y" * 101


def test_the_same_host_is_refused_to_everybody_else(server: Partner) -> None:
    with client() as http, pytest.raises(Unreachable):
        fetch(http, server.address.replace("http:", "https:") + "/file", most=9000, seconds=5)
    assert server.asked == []


@pytest.mark.parametrize(
    ("path", "why"),
    [("/moved", "redirect"), ("/none", "answered 404"), ("/packed", "compressed")],
)
def test_anything_but_the_file_itself_is_named(server: Partner, path: str, why: str) -> None:
    with client(private=True) as http, pytest.raises(Unreachable, match=why):
        fetch(http, server.address + path, most=9000, seconds=5)
    assert len(server.asked) == 1


def test_time_ends_though_bytes_keep_coming(server: Partner) -> None:
    ticks = iter([0.0, 100.0])
    with client(private=True) as http, pytest.raises(Unreachable, match="longer than 5 seconds"):
        fetch(http, f"{server.address}/file", most=9000, seconds=5, monotonic=lambda: next(ticks))


def test_a_port_where_nobody_listens_is_named_at_once() -> None:
    began = time.monotonic()
    with client(private=True) as http, pytest.raises(Unreachable, match="no answer"):
        fetch(http, "http://127.0.0.1:9/file", most=10, seconds=5)
    assert time.monotonic() - began < 60
