"""The segment file: shared memory for all processes of a host, refused where it would leak."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.domain.signal import Metric, Space
from pipeline.errors import Conflict, Misconfigured, Tampered
from pipeline.indexes import _pages, _segment, hamming

SPACE = Space("test", "1", Metric.HAMMING, 256)
SEED = bytes(range(32))


def make_index(space=SPACE, **options):
    settings = {
        "method": "native", "ring_from": 1, "compact_after": 1 << 30, "background": False,
        "permutation_seed": SEED,
    }  # fmt: skip
    return hamming.build(space, **(settings | options))


def random_codes(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 32), dtype=np.uint8)


@pytest.fixture
def written(tmp_path):
    """A factory: an index of 300 codes (20 equal) written to a segment; path and codes."""

    def write(**options):
        codes = random_codes(300)
        codes[50:70] = codes[0]
        index = make_index(**options)
        index.add(np.arange(300), codes)
        path = tmp_path / "base.segment"
        index.write_segment(path, sequence=1234, allow_disk=True)
        return path, codes

    return write


@pytest.mark.parametrize("ring_from", [1, 1 << 30])
def test_an_opened_segment_answers_as_the_index_that_wrote_it(written, ring_from):
    path, codes = written(ring_from=ring_from)
    index = make_index()
    assert index.open_segment(path) == 1234
    assert len(index) == 300
    assert index.state().method.endswith("+mapped")
    original = make_index()
    original.add(np.arange(300), codes)
    for within in (0, 31, 120):
        mine, its = index.search(codes, within), original.search(codes, within)
        assert np.array_equal(mine.query, its.query)
        assert np.array_equal(mine.label, its.label)
        assert np.array_equal(mine.distance, its.distance)


def words_in(path, codes):
    """Which of the codes have any of their words in the file."""
    content = path.read_bytes()
    return [any(code[at : at + 8].tobytes() in content for at in range(0, 32, 8)) for code in codes]


def test_what_one_process_removes_is_blanked_in_the_file_and_for_all_who_map_it(written):
    path, codes = written(permutation_seed=None)
    index, other = make_index(permutation_seed=None), make_index(permutation_seed=None)
    index.open_segment(path)
    other.open_segment(path)
    assert words_in(path, codes[[0, 5, 6]]) == [True, True, True]
    assert index.remove(np.array([0, 5])) == 2
    index.add(np.array([900]), random_codes(1, seed=2))
    assert index.search(codes[5:6], 0).label.tolist() == []
    assert index.search(codes[:1], 0).label.tolist() == list(range(50, 70))
    assert other.search(codes[5:6], 0).label.tolist() == [], "its code is gone there as well"
    assert other.search(codes[:1], 0).label.tolist() == [0, *range(50, 70)], "not heard of yet"
    assert other.search(codes[6:7], 0).label.tolist() == [6]
    assert words_in(path, codes[[0, 5, 6]]) == [True, False, True], "twenty still own the first"
    assert len(index) == 299


def test_who_was_killed_while_blanking_leaves_the_rest_to_the_next(written):
    path, codes = written(permutation_seed=None)
    index, other = make_index(permutation_seed=None), make_index(permutation_seed=None)
    index.open_segment(path)
    other.open_segment(path)
    base = other._base
    row = int(np.flatnonzero(base.labels == 7)[0])
    # The one killed had blanked the postings of the first table and no more.
    first = np.flatnonzero(base.ids[: 3 * base.layout.rows : 3] == row)
    base.ids[first * 3] = base.layout.rows & 255
    index.remove(np.array([7]))
    assert words_in(path, codes[7:8]) == [False]
    ids = base.ids[: 16 * (base.layout.rows + 32) * 3].reshape(-1, 3).astype(np.int64)
    assert row not in ids @ [1, 256, 65536]


def test_a_posting_seen_half_blanked_leads_nowhere(written):
    path, codes = written(permutation_seed=None)
    index = make_index(permutation_seed=None)
    index.open_segment(path)
    index._base.ids[2::3] = 255  # every row number far beyond the last
    assert len(index.search(codes, 31)) == 0


def test_a_segment_written_after_a_removal_holds_nothing_of_it(written):
    path, codes = written()
    index = make_index(permutation_seed=None)
    index.add(np.arange(300), codes)
    index.compact()
    index.remove(np.array([5]))
    index.write_segment(path, sequence=1235, allow_disk=True)
    content = path.read_bytes()
    assert codes[6, :8].tobytes() in content
    assert not any(codes[5, at : at + 8].tobytes() in content for at in range(0, 32, 8))
    again = make_index(permutation_seed=None)
    assert again.open_segment(path) == 1235
    assert len(again) == 299


def test_replacing_the_file_does_not_disturb_those_who_mapped_the_old_one(written):
    path, codes = written()
    index = make_index()
    index.open_segment(path)
    empty = make_index()
    empty.write_segment(path, sequence=9, allow_disk=True)
    assert index.search(codes[3:4], 0).label.tolist() == [3]
    newer = make_index()
    assert newer.open_segment(path) == 9
    assert len(newer) == 0


def test_compaction_turns_a_mapped_base_into_private_memory(written):
    path, codes = written()
    index = make_index()
    index.open_segment(path)
    index.remove(np.array([5]))
    index.compact()
    assert not index.state().method.endswith("+mapped")
    assert index.search(codes[4:6], 0).label.tolist() == [4]
    assert path.stat().st_size > 4096


def test_the_file_is_for_its_owner_alone(written, tmp_path):
    path, _ = written()
    assert path.stat().st_mode & 0o777 == 0o600
    assert [found.name for found in tmp_path.iterdir()] == ["base.segment"]


def test_a_real_disk_is_refused_unless_it_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(_segment, "file_system", lambda folder: "ext4")
    with pytest.raises(Misconfigured, match="tmpfs"):
        make_index().write_segment(tmp_path / "s", sequence=0)
    assert list(tmp_path.iterdir()) == []


in_memory = pytest.mark.skipif(
    not Path("/dev/shm").is_dir() or _segment.file_system(Path("/dev/shm")) != "tmpfs",
    reason="this machine has no tmpfs at /dev/shm",
)


@in_memory
def test_memory_is_accepted_without_being_asked_for():
    path = Path("/dev/shm") / f"consentry-test-{os.getpid()}"
    try:
        make_index().write_segment(path, sequence=3)
        assert make_index().open_segment(path) == 3
    finally:
        path.unlink(missing_ok=True)


@pytest.fixture
def in_shared_memory():
    path = Path("/dev/shm") / f"consentry-test-{os.getpid()}-{os.urandom(4).hex()}"
    yield path
    path.unlink(missing_ok=True)


@in_memory
def test_in_large_pages_a_removal_is_blanked_for_all_who_map_the_file(in_shared_memory):
    codes = random_codes(20_000)
    index, other, writer = (make_index(permutation_seed=None) for _ in range(3))
    writer.add(np.arange(20_000), codes)
    writer.write_segment(in_shared_memory, sequence=5)
    writer.close()
    assert index.open_segment(in_shared_memory) == 5
    assert other.open_segment(in_shared_memory) == 5
    gone = np.arange(0, 20_000, 997)
    assert words_in(in_shared_memory, codes[gone]) == [True] * len(gone)
    assert index.remove(gone) == len(gone)
    assert words_in(in_shared_memory, codes[gone]) == [False] * len(gone)
    assert len(other.search(codes[gone], 0)) == 0, "one memory, mapped twice"
    kept = np.arange(5, 20_000, 997)
    assert other.search(codes[kept], 31).label.tolist() == kept.tolist()


@in_memory
def test_large_pages_are_made_before_anything_is_written(in_shared_memory, monkeypatch):
    """What the kernel copies and gives back when it makes one must hold no code."""
    seen = []

    def prepare(descriptor, size):
        made = _pages.prepare_file(descriptor, size)
        seen.append((os.fstat(descriptor).st_size, any(os.pread(descriptor, size, 0))))
        return made

    monkeypatch.setattr(_segment, "prepare_file", prepare)
    index = make_index()
    index.add(np.arange(9000), random_codes(9000))
    index.write_segment(in_shared_memory, sequence=0)
    assert seen == [(in_shared_memory.stat().st_size, False)]


@in_memory
def test_where_memory_is_full_writing_fails_and_leaves_nothing(in_shared_memory, monkeypatch):
    index = make_index()
    index.add(np.arange(9000), random_codes(9000))

    def full(*_arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(_pages.os, "pwrite", full)
    with pytest.raises(OSError, match="No space left"):
        index.write_segment(in_shared_memory, sequence=0)
    assert not list(in_shared_memory.parent.glob(f"*{in_shared_memory.name}*"))
    assert len(index.search(random_codes(9000)[:1], 0)) == 1


@pytest.mark.parametrize("size", [1, 4096, (2 << 20) - 1, 2 << 20, (5 << 20) + 3])
def test_a_mapping_lives_as_long_as_any_view_of_it(tmp_path, size):
    path = tmp_path / "file"
    with path.open("w+b") as file:
        _pages.prepare_file(file.fileno(), size)
        mapped = _pages.map_file(file.fileno(), size)
    assert len(mapped) == size
    assert mapped.flags.writeable
    last = mapped[size - 1 :]
    del mapped
    last[0] = 7
    assert path.read_bytes() == bytes(size - 1) + b"\x07"


def test_where_addresses_cannot_be_chosen_the_file_is_mapped_anywhere(written, monkeypatch):
    path, codes = written()
    monkeypatch.setattr(_pages, "_placed", lambda descriptor, size: None)
    index = make_index()
    assert index.open_segment(path) == 1234
    assert index.search(codes[5:6], 0).label.tolist() == [5]
    assert index.remove(np.array([5])) == 1
    again = make_index()
    again.open_segment(path)
    assert len(again.search(codes[5:6], 0)) == 0


def test_what_the_kernel_does_not_say_counts_as_a_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(_segment.os, "major", lambda device: 99_999)
    assert _segment.file_system(tmp_path) == "unknown"


def test_another_space_or_permutation_is_refused(written):
    path, _ = written()
    with pytest.raises(Misconfigured):
        make_index(Space("test", "2", Metric.HAMMING, 256)).open_segment(path)
    for seed in (None, bytes(32)):
        with pytest.raises((Misconfigured, Tampered)):
            make_index(permutation_seed=seed).open_segment(path)


def test_an_index_that_is_not_empty_opens_no_segment(written):
    path, _ = written()
    index = make_index()
    index.add(np.array([1]), random_codes(1))
    with pytest.raises(Conflict):
        index.open_segment(path)
    assert len(index) == 1


def test_a_header_that_was_changed_is_not_believed(written):
    path, _ = written()
    content = bytearray(path.read_bytes())
    at = content.index(b'"rows": ') + len(b'"rows": ')
    content[at] ^= 1
    path.write_bytes(content)
    with pytest.raises(Tampered):
        make_index().open_segment(path)


def test_a_file_cut_short_is_not_believed(written):
    path, _ = written()
    os.truncate(path, path.stat().st_size - 64)
    with pytest.raises(Tampered):
        make_index().open_segment(path)


@pytest.mark.parametrize("content", [b"", b"CNSTHAM1", b"x" * 5000, b"CNSTHAM1" + b"\xff" * 5000])
def test_something_else_is_refused(tmp_path, content):
    path = tmp_path / "s"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(Misconfigured):
        make_index().open_segment(path)


def test_a_file_that_others_can_read_a_link_or_nothing_is_refused(written, tmp_path):
    path, _ = written()
    (tmp_path / "link").symlink_to(path)
    path.chmod(0o640)
    for name in ("base.segment", "link", "missing"):
        with pytest.raises(Misconfigured):
            make_index().open_segment(tmp_path / name)


def test_another_process_maps_what_this_one_wrote(written):
    path, codes = written()
    program = (
        "import sys, numpy as np\n"
        "from pipeline.domain.signal import Metric, Space\n"
        "from pipeline.indexes import hamming\n"
        "index = hamming.build(Space('test', '1', Metric.HAMMING, 256),\n"
        "                      permutation_seed=bytes(range(32)), method='native')\n"
        "print(index.open_segment(sys.argv[1]))\n"
        "code = np.frombuffer(bytes.fromhex(sys.argv[2]), np.uint8)[None]\n"
        "print(index.search(code, 0).label.tolist())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path), codes[7].tobytes().hex()],
        capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.stdout.split("\n")[:2] == ["1234", "[7]"]
