"""A webhook is signed, its id is constant, and only a 2xx counts as received."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from uuid import UUID

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from pipeline.actions import DeliveryFailed
from pipeline.actions.webhook import build, new_secret
from pipeline.domain.ids import CaseId, PlatformId
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


def make_event(**body: object) -> Event:
    ids = UUID(int=1), UUID(int=2)
    return Event("evt_1", PlatformId(ids[0]), CaseId(ids[1]), "case.upheld", body or {"ü": 1})


def test_what_arrives_verifies_with_the_secret_and_with_no_other(receiver: Receiver) -> None:
    event = make_event(type="case.upheld", data={"content_id": "post-ü"})
    assert build().deliver(event, Endpoint(receiver.url, SECRET)) == 204
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
        action.deliver(event, Endpoint(receiver.url, SECRET))
    assert [headers["webhook-id"] for headers, _ in receiver.got] == ["evt_1", "evt_1"]


@pytest.mark.parametrize("status", [301, 302, 307, 400, 401, 404, 410, 429, 500, 503])
def test_any_answer_but_2xx_is_a_failure_and_a_redirect_is_not_followed(
    receiver: Receiver, status: int
) -> None:
    receiver.status = status
    with pytest.raises(DeliveryFailed) as caught:
        build().deliver(make_event(), Endpoint(receiver.url, SECRET))
    assert caught.value.status == status
    assert len(receiver.got) == 1


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/hook", "http://[broken/hook", "nonsense"])
def test_an_address_that_does_not_answer_is_a_failure_without_a_status(url: str) -> None:
    with pytest.raises(DeliveryFailed) as caught:
        build().deliver(make_event(), Endpoint(url, SECRET))
    assert caught.value.status is None
    assert SECRET not in str(caught.value)


def test_the_secret_does_not_print() -> None:
    assert SECRET not in repr(Endpoint("http://x", SECRET))
