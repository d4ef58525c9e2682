"""A webhook is signed, its id is constant, and only a 2xx counts as received."""

from __future__ import annotations

import base64
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import UUID

import httpx
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from standardwebhooks import Webhook, WebhookVerificationError

from pipeline.actions import DeliveryFailed, public_key
from pipeline.actions.webhook import WebhookAction, build
from pipeline.domain.ids import CaseId, PlatformId
from pipeline.domain.webhook import new_secret
from pipeline.outside import Pinned, client
from pipeline.ports import Endpoint, Event

SECRET = new_secret(bytes(range(32)))


class Receiver:
    """An endpoint that answers what it is told to and keeps what it got."""

    def __init__(self) -> None:
        self.status = 204
        self.got: list[tuple[dict[str, str], bytes]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.got.append((headers, body))
                self.send_response(receiver.status)
                if receiver.status in (301, 302, 307):
                    self.send_header("location", receiver.url + "/elsewhere")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.server.shutdown()
    made.server.server_close()


def here(url: str, **more: Any) -> Endpoint:
    return Endpoint(url, (SECRET,), **{"private": True, **more})


def make_event(**body: object) -> Event:
    ids = UUID(int=1), UUID(int=2)
    return Event("evt_1", PlatformId(ids[0]), CaseId(ids[1]), "case.upheld", body or {"ü": 1})


def test_what_arrives_verifies_with_the_secret_and_with_no_other(receiver: Receiver) -> None:
    event = make_event(type="case.upheld", data={"content_id": "post-ü"})
    assert build().deliver(event, here(receiver.url)) == 204
    ((headers, body),) = receiver.got
    Webhook(SECRET).verify(body, headers)
    assert '"post-ü"'.encode() in body
    with pytest.raises(WebhookVerificationError):
        Webhook(new_secret(bytes(32))).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(body.replace(b"upheld", b"held"), headers)


def test_every_attempt_has_the_same_id(receiver: Receiver) -> None:
    action, event = build(), make_event()
    for _ in range(2):
        action.deliver(event, here(receiver.url))
    assert [headers["webhook-id"] for headers, _ in receiver.got] == ["evt_1", "evt_1"]


@pytest.mark.parametrize("status", [301, 302, 307, 400, 401, 404, 410, 429, 500, 503])
def test_any_answer_but_2xx_is_a_failure_and_a_redirect_is_not_followed(
    receiver: Receiver, status: int
) -> None:
    receiver.status = status
    with pytest.raises(DeliveryFailed) as caught:
        build().deliver(make_event(), here(receiver.url))
    assert caught.value.status == status
    assert len(receiver.got) == 1


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/hook", "http://[broken/hook", "nonsense", "ftp://x/hook"]
)
def test_an_address_that_does_not_answer_is_a_failure_without_a_status(url: str) -> None:
    with pytest.raises(DeliveryFailed) as caught:
        build().deliver(make_event(), here(url))
    assert caught.value.status is None
    assert SECRET not in str(caught.value)


def test_the_secret_does_not_print() -> None:
    assert SECRET not in repr(here("http://x"))


def test_old_and_new_secrets_and_keys_all_sign_the_same_bytes(receiver: Receiver) -> None:
    seeds, other = (bytes(32), b"1" * 32), new_secret(b"other" * 6)
    endpoint = Endpoint(receiver.url, (SECRET, other), seeds, private=True)
    build().deliver(make_event(), endpoint)
    ((headers, body),) = receiver.got
    for secret in endpoint.secrets:
        Webhook(secret).verify(body, headers)
    said = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    parts = [part.split(",") for part in headers["webhook-signature"].split(" ")]
    assert [version for version, _ in parts] == ["v1", "v1", "v1a", "v1a"]
    for seed, (_, signature) in zip(seeds, parts[2:], strict=True):
        raw = base64.b64decode(public_key(seed).removeprefix("whpk_"))
        key = Ed25519PublicKey.from_public_bytes(raw)
        key.verify(base64.b64decode(signature), said)
        with pytest.raises(InvalidSignature):
            key.verify(base64.b64decode(signature), said + b" ")


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/hook",
        "https://127.1/hook",
        "https://2130706433/hook",
        "https://0x7f.0.0.1/hook",
        "https://0/hook",
        "https://10.0.0.1/hook",
        "https://172.16.0.1/hook",
        "https://192.168.1.1/hook",
        "https://169.254.169.254/latest/meta-data",
        "https://100.64.0.1/hook",
        "https://[::1]/hook",
        "https://[::ffff:127.0.0.1]/hook",
        "https://[fe80::1]/hook",
        "https://[fc00::1]/hook",
        "https://[64:ff9b::7f00:1]/hook",
        "https://localhost/hook",
        "https://user:password@example.com/hook",
    ],
)
def test_an_address_inside_is_not_gone_to_unless_an_operator_entered_it(url: str) -> None:
    with pytest.raises(DeliveryFailed, match="not gone to") as caught:
        build().deliver(make_event(), here(url, private=False))
    assert caught.value.status is None


def test_plain_http_is_for_an_operators_own_network_alone(receiver: Receiver) -> None:
    with pytest.raises(DeliveryFailed, match="https"):
        build().deliver(make_event(), here(receiver.url, private=False))
    assert receiver.got == []


def test_a_name_that_changes_its_answer_leads_nowhere_else(receiver: Receiver) -> None:
    """DNS rebinding: what was checked is what is gone to; a second question is a second check."""
    port = receiver.server.server_address[1]
    answers = iter([["93.184.216.34", "127.0.0.1"], ["127.0.0.1"]])
    asked: list[str] = []

    def look_up(host: str, port: int) -> list[str]:
        asked.append(host)
        return next(answers)

    action = WebhookAction(
        lambda private: httpx.Client(
            transport=Pinned(private=private, look_up=look_up), follow_redirects=False
        )
    )
    for _ in range(2):
        with pytest.raises(DeliveryFailed, match="private network"):
            action.deliver(make_event(), here(f"https://board.example:{port}/", private=False))
    assert asked == ["board.example", "board.example"]
    assert receiver.got == []


def test_a_receiver_that_sends_a_byte_now_and_then_is_left_in_the_end() -> None:
    """Each byte begins a read's timeout anew; the time for the whole message ends all the same."""
    over = threading.Event()

    def drip(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 200 OK\r\nx-long: ")
            while not over.wait(0.05):
                try:
                    connection.sendall(b"x")
                except OSError:
                    return

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=drip, args=(listening,), daemon=True).start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/hook"
        action = WebhookAction(lambda private: client(private=private, timeout=10, whole=0.5))
        began = time.monotonic()
        with pytest.raises(DeliveryFailed, match="ReadTimeout"):
            action.deliver(make_event(), here(url))
        over.set()
    assert time.monotonic() - began < 9, "not by the timeout of a single read"
