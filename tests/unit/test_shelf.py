"""The shelf: generations of shared segments, used, replaced, destroyed, whatever is killed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from pipeline.domain.ids import ProcessId
from pipeline.errors import Misconfigured
from pipeline.ports import Shelved
from pipeline.storage.shelf import FolderShelf

Write = Callable[[], ProcessId]


@pytest.fixture
def shelf(tmp_path: Path) -> FolderShelf:
    return FolderShelf(tmp_path / "shelf", may_be_disk=True)


@pytest.fixture
def written(shelf: FolderShelf) -> Write:
    """Write a generation and publish it."""

    def write() -> ProcessId:
        name = ProcessId(uuid4())
        with shelf.writing(name) as folder:
            assert folder is not None
            (folder / "codes").write_bytes(b"x")
            shelf.publish(Shelved(name, 7, "mark"))
        return name

    return write


def there(shelf: FolderShelf) -> set[str]:
    return {found.name for found in shelf.folder.iterdir() if found.is_dir()}


def test_what_was_published_is_current_and_replaces_what_was(
    shelf: FolderShelf, written: Write
) -> None:
    assert shelf.current() is None
    written()
    second = written()
    assert shelf.current() == Shelved(second, 7, "mark")
    assert there(shelf) == {str(second)}


def test_one_that_is_in_use_is_not_destroyed_and_one_that_is_not_is(
    shelf: FolderShelf, written: Write
) -> None:
    name = written()
    use = shelf.use(name)
    assert use is not None
    assert not shelf.destroy_unused(name)
    use.close()
    assert shelf.destroy_unused(name)
    assert there(shelf) == set()
    assert shelf.current() is None
    assert shelf.use(name) is None
    assert shelf.destroy_unused(name), "again does no harm"


def test_what_was_not_published_is_destroyed(shelf: FolderShelf, written: Write) -> None:
    name = written()
    with pytest.raises(ZeroDivisionError), shelf.writing(ProcessId(uuid4())):
        raise ZeroDivisionError
    assert there(shelf) == {str(name)}


def test_one_writes_at_a_time_and_nobody_destroys_what_is_being_written(
    shelf: FolderShelf,
) -> None:
    name = ProcessId(uuid4())
    with shelf.writing(name), shelf.writing(ProcessId(uuid4())) as second:
        assert second is None
        assert not shelf.destroy_unused(name)


def test_a_writer_that_is_killed_leaves_nothing_behind_the_next(
    shelf: FolderShelf, written: Write
) -> None:
    program = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from uuid import UUID\n"
        "from pipeline.storage.shelf import FolderShelf\n"
        "with FolderShelf(Path(sys.argv[1])).writing(UUID(int=5)) as folder:\n"
        "    (folder / 'codes').write_bytes(b'x')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    run = [sys.executable, "-c", program, str(shelf.folder)]
    subprocess.run(run, cwd=Path(__file__).parents[2], check=False)
    assert there(shelf) == {str(UUID(int=5))}
    name = written()
    assert there(shelf) == {str(name)}
    subprocess.run(run, cwd=Path(__file__).parents[2], check=False)
    assert shelf.destroy_unused(ProcessId(UUID(int=5))), "as a withdrawal would"
    assert there(shelf) == {str(name)}


@pytest.mark.parametrize("said", ["", "{}", '{"name": 5}', "no"])
def test_a_pointer_that_cannot_be_read_points_nowhere(
    shelf: FolderShelf, written: Write, said: str
) -> None:
    written()
    (shelf.folder / "current").write_text(said)
    assert shelf.current() is None


def test_a_folder_that_others_can_read_is_refused(shelf: FolderShelf, written: Write) -> None:
    written()
    shelf.folder.chmod(0o755)
    with pytest.raises(Misconfigured, match="0700"), shelf.writing(ProcessId(uuid4())):
        pass
