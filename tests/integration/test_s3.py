"""Index segments and old media lie in a store that is asked by the protocol of S3."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import fsspec
import pytest

from pipeline.domain.screening import Verdict
from pipeline.journeys.share_index import compact
from pipeline.journeys.withdraw import ask, finish
from pipeline.storage.shelf import FolderShelf
from services import wiring
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
