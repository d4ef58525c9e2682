"""The processes of a host share one copy of each index, and a withdrawal reaches it."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest

from pipeline.domain.erasure import Confirmation
from pipeline.domain.ids import ProcessId
from pipeline.domain.media import Side
from pipeline.domain.screening import Verdict
from pipeline.journeys.share_index import BETWEEN, ROLE, compact
from pipeline.journeys.withdraw import ask, finish
from pipeline.ports import Shelved
from pipeline.storage.shelf import FolderShelf
from services import wiring
from tests.world import Town, jpeg, picture


@pytest.fixture
def shared_town(
    make_town: Callable[..., Town], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Town]:
    """Make processes that share from the first code on, in a folder of the test's."""
    folder = tmp_path / "memory"
    folder.mkdir()
    monkeypatch.setattr(wiring, "SHARE_FROM", 1)
    monkeypatch.setattr(wiring, "FolderShelf", lambda folder: FolderShelf(folder, may_be_disk=True))

    def make(share_from: int = 1) -> Town:
        monkeypatch.setattr(wiring, "SHARE_FROM", share_from)
        return make_town("api", segments=folder)

    return make


def eventually(holds: Callable[[], object], seconds: float = 60) -> bool:
    deadline = time.monotonic() + seconds
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.02)
    return bool(holds())


def shared(town: Town) -> bool:
    return all(state.method.endswith("+mapped") for state in town.live.states().values())


def segments(town: Town) -> list[Path]:
    assert town.world.settings.segments is not None
    return list(town.world.settings.segments.rglob("*.segment"))


def words(town: Town, body: bytes) -> list[bytes]:
    """Pieces of the codes of a picture as the index holds them, in its secret order of bits."""
    found = []
    for signal in town.world.signals:
        codes = signal.compute(town.world.decode(body).frames, Side.REGISTERED).codes
        index: Any = town.world._index(signal.space)
        index.add(np.arange(len(codes)), codes)
        index.compact()
        tiles = index._base.tiles.reshape(-1, 4, 8)
        found += [tiles[row // 8, word, row % 8].tobytes() for row in range(1) for word in range(4)]
    return found


def test_the_second_process_opens_what_the_first_has_written(
    shared_town: Callable[..., Town],
) -> None:
    first = shared_town()
    first.register(jpeg(picture(1)))
    assert eventually(lambda: shared(first)), "it takes up what it has written itself"
    second = shared_town()
    assert shared(second), "without loading anything"
    assert second.live.applied == first.live.applied
    board = second.platform()
    assert second.screen(board, jpeg(picture(1), 50)).verdict is Verdict.REVIEW
    first.register(jpeg(picture(2)))
    assert eventually(lambda: second.live.applied == first.live.applied)
    assert second.screen(board, jpeg(picture(2), 50)).verdict is Verdict.REVIEW, "through its delta"


def test_a_withdrawal_blanks_the_shared_copy_and_its_receipt_names_it(
    shared_town: Callable[..., Town],
) -> None:
    first = shared_town(share_from=1_000_000)
    leaving, staying = first.register(jpeg(picture(1))), jpeg(picture(2))
    first.register(staying)
    second = shared_town()
    assert eventually(lambda: shared(first) and shared(second))
    content = b"".join(file.read_bytes() for file in segments(first))
    hers, theirs = words(first, jpeg(picture(1))), words(first, staying)
    assert all(word in content for word in hers + theirs), "the test can tell"

    world = first.world
    receipt = ask(world.store, world.pins, first.clock, leaving.case_number, leaving.pin)
    done = finish(
        world.store, world.blobs, wiring.now, wiring.alive, receipt, timedelta(seconds=60)
    )
    assert done.complete
    holders = [(holder.role, holder.confirmed) for holder in done.holders]
    assert ("segments", Confirmation.APPLIED) in holders
    content = b"".join(file.read_bytes() for file in segments(first))
    assert not any(word in content for word in hers)
    assert all(word in content for word in theirs)
    board = first.platform()
    for town in (first, second):
        assert town.screen(board, jpeg(picture(1), 50)).verdict is Verdict.CLEAR
        assert town.screen(board, jpeg(picture(2), 50)).verdict is Verdict.REVIEW


def test_a_copy_that_nobody_uses_is_destroyed_by_a_withdrawal(town: Town, tmp_path: Path) -> None:
    done = town.register(jpeg(picture(1)))
    shelf = FolderShelf(tmp_path / "shelf", may_be_disk=True)
    name = ProcessId(uuid4())
    world = town.world
    with shelf.writing(name) as folder:
        assert folder is not None
        (folder / "codes").write_bytes(b"of a process that was killed")
        with world.store.transaction() as unit:
            where = f"{wiring.me('test').host}{BETWEEN}{shelf.name}"
            unit.followers.announce(name, ROLE, where, 0, 0)
        shelf.publish(Shelved(name, 1, "mark"))
        receipt = ask(world.store, world.pins, town.clock, done.case_number, done.pin)
        waiting = finish(world.store, world.blobs, wiring.now, wiring.alive, receipt, timedelta(0))
        assert not waiting.complete, "it is in use"
    receipt_done = finish(
        world.store, world.blobs, wiring.now, wiring.alive, receipt, timedelta(seconds=60)
    )
    assert receipt_done.complete
    assert (ROLE, Confirmation.ENDED) in [(h.role, h.confirmed) for h in receipt_done.holders]
    assert not folder.exists()
    assert shelf.current() is None


def test_a_copy_of_another_history_is_not_opened(shared_town: Callable[..., Town]) -> None:
    first = shared_town()
    first.register(jpeg(picture(1)))
    assert eventually(lambda: shared(first))
    first.query("UPDATE changes SET at = at - interval '1 day'")  # as in a restored backup
    second = shared_town()
    assert not shared(second)
    assert second.screen(second.platform(), jpeg(picture(1), 50)).verdict is Verdict.REVIEW


def test_a_process_that_has_lost_touch_takes_the_copy_with_it(
    shared_town: Callable[..., Town],
) -> None:
    town = shared_town()
    town.register(jpeg(picture(1)))
    assert eventually(lambda: shared(town))
    live = town.live
    with live._change:
        live._let_go()
        assert segments(town) == []
    assert eventually(lambda: live.ready and shared(town)), "and writes it anew"


def test_a_new_copy_is_written_when_much_has_changed(
    shared_town: Callable[..., Town], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.indexes.hamming.build.__kwdefaults__", {
        **__import__("pipeline.indexes.hamming", fromlist=["build"]).build.__kwdefaults__,
        "compact_after": 2,
    })  # fmt: skip
    first, second = shared_town(), shared_town()
    first.register(jpeg(picture(1)))
    assert eventually(lambda: shared(first) and shared(second))
    (before,) = {file.parent for file in segments(first)}
    first.register(jpeg(picture(2)))
    assert eventually(lambda: not before.exists())
    assert eventually(lambda: all(
        not index.worn for town in (first, second) for index in (town.live._indexes or {}).values()
    ))  # fmt: skip
    for town in (first, second):
        assert town.screen(town.platform(uuid4().hex[:8]), jpeg(picture(2), 50)).verdict is (
            Verdict.REVIEW
        )


@pytest.fixture
def two_machines(
    make_town: Callable[..., Town], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Town]:
    """Make processes on hosts with a memory each, and one depot for all."""
    monkeypatch.setattr(wiring, "SHARE_FROM", 1)
    monkeypatch.setattr(wiring, "FolderShelf", lambda folder: FolderShelf(folder, may_be_disk=True))

    def make(host: str) -> Town:
        folder = tmp_path / host
        folder.mkdir(exist_ok=True)
        return make_town("api", segments=folder, depot=str(tmp_path / "depot"))

    return make


def published(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "depot").rglob("*.sealed"))


def test_a_new_host_takes_its_indexes_from_the_depot_and_knows_what_changed_since(
    two_machines: Callable[..., Town], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = two_machines("first")
    for number in range(3):
        first.register(jpeg(picture(number)))
    leaving = first.register(jpeg(picture(7)))
    first.live.share()
    assert eventually((tmp_path / "depot" / "current.json").is_file)
    first.live._sharing.settle()  # type: ignore[union-attr]
    assert published(tmp_path)
    for file in published(tmp_path):
        content = file.read_bytes()
        assert not any(word in content for word in words(first, jpeg(picture(0)))), "sealed"

    receipt = ask(
        first.world.store, first.world.pins, first.clock, leaving.case_number, leaving.pin
    )
    first.register(jpeg(picture(8)))
    # Nothing may be rebuilt: the new host reads no entry but those that were added since.
    from pipeline.storage.registry import PgRegistry

    def rebuilt(self: object) -> Any:
        raise AssertionError("an index was rebuilt")

    monkeypatch.setattr(PgRegistry, "in_force", rebuilt)
    second = two_machines("second")
    board = second.platform()
    assert shared(second)
    assert second.screen(board, jpeg(picture(1), 70)).verdict is Verdict.REVIEW
    assert second.screen(board, jpeg(picture(8), 70)).verdict is Verdict.REVIEW
    assert second.screen(board, jpeg(picture(7), 70)).verdict is Verdict.CLEAR

    def finished() -> Any:
        first.live.catch_up()
        second.live.catch_up()
        return finish(
            first.world.store, first.world.blobs, first.clock, wiring.alive, receipt,
            patience=timedelta(0),
        )  # fmt: skip

    waiting = finished()
    assert not waiting.complete
    assert [one.role for one in waiting.holders if one.confirmed is None] == ["depot"]
    depot = first.world.depot()
    assert depot is not None
    assert compact(first.world.store, depot) == 1
    assert not published(tmp_path)
    with first.world.store.transaction() as unit:
        assert depot.current(unit) is None, "its key is gone, whatever copies there are"
    done = finished()
    assert done.complete
    assert compact(first.world.store, depot) == 0


def test_a_depot_that_was_tampered_with_is_not_believed(
    two_machines: Callable[..., Town], tmp_path: Path
) -> None:
    first = two_machines("first")
    first.register(jpeg(picture(1)))
    first.live.share()
    assert eventually((tmp_path / "depot" / "current.json").is_file)
    first.live._sharing.settle()  # type: ignore[union-attr]
    file = published(tmp_path)[0]
    content = bytearray(file.read_bytes())
    content[100] ^= 1
    file.write_bytes(bytes(content))
    second = two_machines("second")
    assert not shared(second)
    board = second.platform()
    assert second.screen(board, jpeg(picture(1), 70)).verdict is Verdict.REVIEW, "it rebuilt"
