"""A backup comes back whole, and whoever has left since stays erased."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr

from pipeline.domain.erasures import Place
from pipeline.domain.ids import PersonId
from pipeline.domain.screening import Verdict
from pipeline.errors import Conflict, Invalid, Misconfigured, Tampered, UnknownSchema
from pipeline.journeys.forget_again import list_erasures
from pipeline.journeys.register import Registration
from pipeline.journeys.sign_in import sign_in
from pipeline.journeys.withdraw import ask, finish
from pipeline.journeys.withdraw_items import withdraw_items
from pipeline.storage.backups import begin_restore, end_restore
from pipeline.storage.erasures import ErasureList
from services.backups import bring_back, save
from services.settings import Settings
from services.wiring import alive, open_world
from tests.world import Clock, Town, jpeg, picture


def quiet(_: str, __: int) -> None:
    """Nobody looks on."""


def leave(town: Town, who: Registration) -> None:
    receipt = ask(town.world.store, town.world.pins, town.clock, who.case_number, who.pin)
    town.live.catch_up()
    done = finish(town.world.store, town.world.blobs, town.clock, alive, receipt)
    assert done.signature is not None


def listed(town: Town) -> Path:
    kept = ErasureList(town.world.settings.erasure_list)
    list_erasures(town.world.store, kept)
    return kept.path


@pytest.fixture
def elsewhere(town: Town, make_database: Callable[..., str], tmp_path: Path) -> Settings:
    """Another machine with an empty database and the same keys."""
    home = tmp_path / "elsewhere"
    (home / "keys").mkdir(parents=True, mode=0o700)
    key_file = home / "keys" / "kek.json"
    key_file.write_bytes(town.world.settings.key_file.read_bytes())
    key_file.chmod(0o600)
    return Settings(
        database_url=make_database(), home=home, log_level="error", second_factor="optional"
    )


def person(town: Town, who: Registration) -> PersonId:
    return sign_in(town.world.store, town.world.pins, town.clock, who.case_number, who.pin)


@contextmanager
def opened(settings: Settings, clock: Clock) -> Iterator[Town]:
    assert settings.database_url is not None
    with open_world(settings) as world, world.live("test") as live:
        yield Town(world, live, clock, settings.database_url.get_secret_value())


def test_whoever_left_after_the_backup_stays_erased_and_everybody_else_is_back(
    town: Town, elsewhere: Settings, tmp_path: Path
) -> None:
    platform = town.platform()
    left, stays = town.register(jpeg(picture(1))), town.register(jpeg(picture(2)), jpeg(picture(3)))
    before = town.register(jpeg(picture(4)))
    gone, staying = person(town, left), person(town, stays)
    waiting = town.screen(platform, jpeg(picture(1), 60))
    other = town.screen(platform, jpeg(picture(2), 60))
    leave(town, before)
    file = tmp_path / "backup"
    assert save(town.world.settings, file, quiet) == file.stat().st_size
    assert file.stat().st_mode & 0o077 == 0

    leave(town, left)
    with town.world.store.transaction() as unit:
        third = unit.following.items(staying)[-1].item
    withdraw_items(town.world.store, town.world.blobs, town.clock, staying, [third])
    leave(town, town.register(jpeg(picture(5))))
    erased = bring_back(elsewhere, file, listed(town), quiet)
    assert erased.persons == 1
    assert erased.entries > 0

    with opened(elsewhere, town.clock) as there:
        verdicts = [there.screen(platform, jpeg(picture(n), 70)).verdict for n in range(1, 6)]
        assert verdicts[0] is Verdict.CLEAR, "she left after the backup"
        assert sorted(verdicts[1:3]) == [Verdict.CLEAR, Verdict.REVIEW], "one item was taken back"
        assert verdicts[3] is verdicts[4] is Verdict.CLEAR
        assert there.query("SELECT count(*) FROM persons WHERE id = %s", gone) == [(0,)]
        assert there.query("SELECT count(*) FROM vault_keys WHERE owner = %s", gone) == [(0,)]
        states = there.query("SELECT id, state FROM cases ORDER BY opened_at")
        assert states[:2] == [(waiting.case, "withdrawn"), (other.case, "open")]
        media = there.query("SELECT id FROM media WHERE destroyed_at IS NULL AND blob")
        kept = {file.name.partition(".")[0] for file in elsewhere.blob_folder.rglob("*.sealed")}
        assert kept == {str(medium) for (medium,) in media}
        assert kept, "what still waits for a reviewer came back too"
        with there.world.store.transaction() as unit:
            assert unit.audit.verify() is None, "the trail is whole, with the restore in it"
            assert unit.audit.recent(50)[0].action != ""
        number = there.query("SELECT max(id) FROM entries")[0][0]
        there.register(jpeg(picture(6)))
        assert there.query("SELECT max(id) FROM entries")[0][0] > number + 100_000, (
            "no id of the lost history is given again"
        )


def test_a_backup_holds_nothing_in_clear(town: Town, tmp_path: Path) -> None:
    town.platform("a-platform-with-a-name")
    file = tmp_path / "backup"
    save(town.world.settings, file, quiet)
    content = file.read_bytes()
    assert b"a-platform-with-a-name" not in content
    assert b"PGDMP" not in content


def test_without_the_list_of_erasures_or_with_an_old_one_nothing_is_restored(
    town: Town, elsewhere: Settings, tmp_path: Path
) -> None:
    leave(town, town.register(jpeg(picture(1))))
    old = tmp_path / "old"
    old.write_bytes(listed(town).read_bytes())
    leave(town, town.register(jpeg(picture(2))))
    file = tmp_path / "backup"
    save(town.world.settings, file, quiet)
    with pytest.raises(Misconfigured, match="no list of erasures"):
        bring_back(elsewhere, file, tmp_path / "nowhere", quiet)
    with pytest.raises(Tampered, match="older copy"):
        bring_back(elsewhere, file, old, quiet)
    lines = listed(town).read_text().splitlines(keepends=True)
    (tmp_path / "changed").write_text("".join(lines[:1] + lines[2:]))
    with pytest.raises(Tampered, match="does not follow"):
        bring_back(elsewhere, file, tmp_path / "changed", quiet)
    with pytest.raises(UnknownSchema), opened(elsewhere, town.clock):
        pass
    assert bring_back(elsewhere, file, listed(town), quiet).persons == 0


def test_a_backup_that_was_changed_or_cut_short_is_refused_and_leaves_services_barred(
    town: Town, elsewhere: Settings, tmp_path: Path
) -> None:
    file = tmp_path / "backup"
    save(town.world.settings, file, quiet)
    whole = file.read_bytes()
    file.write_bytes(whole[:-40])
    with pytest.raises(Tampered):
        bring_back(elsewhere, file, listed(town), quiet)
    with pytest.raises(UnknownSchema, match="being restored"), opened(elsewhere, town.clock):
        pass
    file.write_bytes(b"something else")
    with pytest.raises(Invalid, match="not a backup"):
        bring_back(elsewhere, file, listed(town), quiet)
    file.write_bytes(whole)
    bring_back(elsewhere, file, listed(town), quiet)  # begun anew
    with opened(elsewhere, town.clock) as there:
        assert there.live.ready


def test_a_restore_never_writes_over_a_database_in_use(town: Town, tmp_path: Path) -> None:
    file = tmp_path / "backup"
    save(town.world.settings, file, quiet)
    with pytest.raises(Conflict, match="empty one"):
        bring_back(town.world.settings, file, listed(town), quiet)
    assert town.register(jpeg(picture(1))).case_number


def test_no_service_opens_a_database_that_is_being_restored(
    town: Town, make_database: Callable[..., str]
) -> None:
    url = make_database()
    begin_restore(url)
    settings = town.world.settings.model_copy(update={"database_url": SecretStr(url)})
    with pytest.raises(UnknownSchema, match="being restored"), opened(settings, town.clock):
        pass
    end_restore(url)
    with pytest.raises(UnknownSchema, match="no Consentry schema"), opened(settings, town.clock):
        pass


def test_lists_on_several_hosts_become_the_same_and_survive_a_write_cut_short(
    town: Town, tmp_path: Path
) -> None:
    leave(town, town.register(jpeg(picture(1))))
    first, second = ErasureList(tmp_path / "a"), ErasureList(tmp_path / "b")
    assert first.place() == Place()
    assert list_erasures(town.world.store, first) > 0
    with second.path.open("wb") as file:
        file.write(first.path.read_bytes()[:-25])
    leave(town, town.register(jpeg(picture(2))))
    list_erasures(town.world.store, first)
    list_erasures(town.world.store, second)
    assert first.path.read_bytes() == second.path.read_bytes()
    assert list_erasures(town.world.store, second) == 0
    assert first.place() == second.place()
    assert [one.seq for one in first.since(Place())] == list(range(1, first.place().seq + 1))
