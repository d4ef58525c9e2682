"""Index segments and old media lie in a store that is asked by the protocol of S3."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import fsspec
import pytest

from pipeline.domain.ids import ProcessId
from pipeline.domain.screening import Verdict
from pipeline.errors import Invalid, NotFound, Refused, Unavailable
from pipeline.journeys.share_index import compact
from pipeline.journeys.withdraw import ask, finish
from pipeline.ports import Shelved
from pipeline.storage.depot import StoreDepot
from pipeline.storage.shelf import FolderShelf
from services import wiring
from services.sources import source_at
from tests.integration.test_shared_index import eventually, shared, words
from tests.integration.test_sifting import read
from tests.world import Town, jpeg, picture

server = pytest.importorskip("moto.server")


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """An empty bucket on this machine; the environment says where, and with which keys."""
    store = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    store.start()
    _, port = store.get_host_and_port()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{port}")
        environment.setenv("AWS_ACCESS_KEY_ID", "operator")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "operator")
        environment.setenv("AWS_DEFAULT_REGION", "us-east-1")
        fsspec.filesystem("s3", skip_instance_cache=True).mkdir("operator")
        yield "operator"
        fsspec.filesystem("s3").clear_instance_cache()
    store.stop()


def test_a_new_host_takes_its_indexes_from_s3_and_a_withdrawal_reaches_them_there(
    bucket: str,
    make_town: Callable[..., Town],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(wiring, "SHARE_FROM", 1)
    monkeypatch.setattr(wiring, "FolderShelf", lambda folder: FolderShelf(folder, may_be_disk=True))
    files = fsspec.filesystem("s3", skip_instance_cache=True, use_listings_cache=False)

    def host(name: str) -> Town:
        (tmp_path / name).mkdir()
        return make_town("api", segments=tmp_path / name, depot=f"s3://{bucket}/indexes")

    first = host("first")
    first.register(jpeg(picture(1)))
    leaving = first.register(jpeg(picture(2)))
    first.live.share()
    assert eventually(lambda: files.exists(f"{bucket}/indexes/current.json"))
    first.live._sharing.settle()  # type: ignore[union-attr]
    lying = [path for path in files.find(f"{bucket}/indexes") if path.endswith(".sealed")]
    assert lying
    for path in lying:
        content = files.cat_file(path)
        assert not any(word in content for word in words(first, jpeg(picture(1)))), "sealed"
    second = host("second")
    board = second.platform()
    assert shared(second)
    assert second.screen(board, jpeg(picture(1), 70)).verdict is Verdict.REVIEW

    receipt = ask(
        first.world.store, first.world.pins, first.clock, leaving.case_number, leaving.pin
    )
    depot = first.world.depot()
    assert depot is not None
    assert compact(first.world.store, depot) == 1
    assert not [path for path in files.find(f"{bucket}/indexes") if path.endswith(".sealed")]
    for process in (first, second):
        process.live.catch_up()
    done = finish(
        first.world.store, first.world.blobs, first.clock, wiring.alive, receipt,
        patience=timedelta(0),
    )  # fmt: skip
    assert done.complete


def test_old_media_are_read_again_from_s3(bucket: str, town: Town) -> None:
    board = town.platform()
    town.register(jpeg(picture(1)))
    files = fsspec.filesystem("s3", skip_instance_cache=True)
    for number in range(3):
        files.pipe_file(f"{bucket}/2026/{number}.jpg", jpeg(picture(number), 70))
    where = f"s3://{bucket}/2026"
    done = read(town, board, where)
    assert (done.items, done.found, done.clear) == (3, 1, 2)
    assert town.query("SELECT content_id FROM case_uploads") == [("1.jpg",)]


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int, str], None]]:
    """A store that answers everything with one status and one of S3's codes."""
    answer = [503, "SlowDown"]

    class Failing(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.send_response(int(answer[0]))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(f"<Error><Code>{answer[1]}</Code></Error>".encode())

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = answer

        def log_message(self, *_: object) -> None: ...

    def say(status: int, code: str) -> None:
        answer[:] = [status, code]
        fsspec.filesystem("s3").clear_instance_cache()

    with ThreadingHTTPServer(("127.0.0.1", 0), Failing) as store:
        threading.Thread(target=store.serve_forever, args=(0.05,), daemon=True).start()
        at(monkeypatch, store.server_port)
        yield say
        store.shutdown()
    fsspec.filesystem("s3").clear_instance_cache()


def at(environment: pytest.MonkeyPatch, port: int) -> None:
    environment.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{port}")
    environment.setenv("AWS_ACCESS_KEY_ID", "operator")
    environment.setenv("AWS_SECRET_ACCESS_KEY", "operator")
    environment.setenv("AWS_DEFAULT_REGION", "us-east-1")
    environment.setenv("AWS_MAX_ATTEMPTS", "1")
    environment.setattr("s3fs.S3FileSystem.retries", 1)  # five, seconds apart, otherwise
    fsspec.filesystem("s3").clear_instance_cache()


def asked(folder: Path) -> list[Callable[[], object]]:
    """Everything that a store is asked."""
    depot, source = StoreDepot("s3://operator/indexes"), source_at("s3://operator/old", 9999, {})
    name = ProcessId(uuid4())
    (folder / "0.segment").write_bytes(b"segment")
    unit = cast(Any, None)  # it is not come to
    return [
        lambda: depot.current(unit),
        lambda: depot.put(Shelved(name, 1, "mark"), folder, bytes(32), b"note"),
        lambda: depot.get(name, folder, bytes(32)),
        lambda: depot.destroy(name),
        lambda: list(source.references()),
        lambda: source.read("1.jpg"),
    ]


def test_a_store_that_is_down_or_refuses_is_unavailable_with_what_to_do(
    failing: Callable[[int, str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for status, code, said in (
        (403, "AccessDenied", "refuses these credentials"),
        (503, "SlowDown", "does not answer"),
        (500, "InternalError", "does not answer"),
    ):
        failing(status, code)
        for ask_it in asked(tmp_path):
            with pytest.raises(Unavailable, match=said):
                ask_it()
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    at(monkeypatch, port)
    for ask_it in asked(tmp_path):
        with pytest.raises(Unavailable, match="does not answer"):
            ask_it()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    fsspec.filesystem("s3").clear_instance_cache()
    for ask_it in asked(tmp_path):
        with pytest.raises(Unavailable, match="AWS_ACCESS_KEY_ID"):
            ask_it()


def test_what_is_gone_and_a_bucket_that_is_not_there_are_named(bucket: str, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="not there any more"):
        source_at(f"s3://{bucket}/2026", 9999, {}).read("no such.jpg")
    for where in (f"s3://{bucket}/empty", "s3://no-such-bucket/old"):
        with pytest.raises(Invalid, match="there is nothing at"):
            list(source_at(where, 9999, {}).references())
    depot = StoreDepot("s3://no-such-bucket/indexes")
    assert depot.current(cast(Any, None)) is None
    with pytest.raises(NotFound):
        StoreDepot(f"s3://{bucket}/indexes").get(ProcessId(uuid4()), tmp_path, bytes(32))
