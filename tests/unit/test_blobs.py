"""The blob store: sealed on disk, whole or not there, and nothing can be cut, moved or added."""

import io
import os
import random
import time
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.domain.ids import MediaId
from pipeline.errors import NotFound, Tampered, Unavailable
from pipeline.storage.blobs import FolderBlobs
from pipeline.storage.streams import CHUNK

KEY = b"k" * 32
NAME = MediaId(UUID("01890000-0000-7000-8000-0000000000aa"))
HEAD, SEALED_CHUNK = 8, CHUNK + 16


@pytest.fixture
def root(tmp_path):
    return tmp_path / "blobs"


@pytest.fixture
def blobs(root):
    return FolderBlobs(root)


def files(root):
    return [file for file in root.rglob("*") if file.is_file()]


def read(blobs, name=NAME, key=KEY):
    return b"".join(blobs.read(name, key))


@pytest.mark.parametrize(
    "size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 17], ids=str
)
def test_what_was_put_comes_back(blobs, size):
    content = os.urandom(size)
    assert blobs.put(NAME, KEY, [content]) == size
    assert read(blobs) == content
    assert all(0 <= len(chunk) <= CHUNK for chunk in blobs.read(NAME, KEY))


@settings(max_examples=30, deadline=None)
@given(sizes=st.lists(st.integers(0, 3 * CHUNK), max_size=5))
def test_how_a_stream_was_cut_does_not_matter(tmp_path_factory, sizes):
    blobs = FolderBlobs(tmp_path_factory.mktemp("blobs"))
    chunks = [os.urandom(size) for size in sizes]
    assert blobs.put(NAME, KEY, iter(chunks)) == sum(sizes)
    assert read(blobs) == b"".join(chunks)


@pytest.mark.parametrize(
    "size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 17], ids=str
)
def test_it_is_read_from_any_place_as_what_was_put(blobs, size):
    content = random.Random(size).randbytes(size)
    blobs.put(NAME, KEY, [content])
    plain = io.BytesIO(content)
    draw = random.Random(1)
    with blobs.open(NAME, KEY) as file:
        assert file.seek(0, io.SEEK_END) == size
        for _ in range(60):
            place, length = draw.randrange(size + 2), draw.choice((1, 7, 4096, CHUNK, 2 * CHUNK))
            plain.seek(place)
            assert file.seek(place) == place
            assert file.read(length) == plain.read(length)
            assert file.tell() == plain.tell() or place > size
        file.seek(0)
        assert file.read() == content


def test_what_was_changed_or_cut_off_is_not_read_from_any_place(blobs, root):
    content = os.urandom(3 * CHUNK + 17)
    blobs.put(NAME, KEY, [content])
    [path] = files(root)
    sealed = path.read_bytes()
    for cut in (HEAD, HEAD + 3, HEAD + SEALED_CHUNK, len(sealed) - 1, len(sealed) - 33, 3):
        path.write_bytes(sealed[:cut])
        with pytest.raises(Tampered):
            blobs.open(NAME, KEY)
    path.write_bytes(sealed + b"x")
    with pytest.raises(Tampered):
        blobs.open(NAME, KEY)
    second = HEAD + SEALED_CHUNK
    path.write_bytes(sealed[:HEAD] + sealed[second:][:SEALED_CHUNK] + sealed[second:])
    with blobs.open(NAME, KEY) as file:
        file.seek(2 * CHUNK)
        assert file.read(CHUNK) == content[2 * CHUNK :][:CHUNK]
        file.seek(0)
        with pytest.raises(Tampered):
            file.read(1)
    with pytest.raises(Tampered):
        blobs.open(NAME, b"x" * 32)
    path.unlink()
    with pytest.raises(NotFound):
        blobs.open(NAME, KEY)


def test_nothing_clear_lies_on_the_disk_and_only_the_owner_can_read_what_does(blobs, root):
    seen = []

    def stream():
        for _ in range(4):
            yield b"clear content " * 10_000
            seen.extend(file.read_bytes() for file in files(root))

    blobs.put(NAME, KEY, stream())
    [file] = files(root)
    assert len(seen) == 4
    assert all(b"clear content" not in content for content in [*seen, file.read_bytes()])
    assert file.stat().st_mode & 0o777 == 0o600
    assert {folder.stat().st_mode & 0o777 for folder in (root, file.parent)} == {0o700}


def test_a_stream_that_breaks_off_leaves_nothing(blobs, root):
    def stream():
        yield b"x" * CHUNK * 2
        raise ValueError("the client went away")

    with pytest.raises(ValueError, match="went away"):
        blobs.put(NAME, KEY, stream())
    assert files(root) == []
    with pytest.raises(NotFound):
        read(blobs)


def test_another_key_or_another_name_does_not_open_it(blobs, root):
    blobs.put(NAME, KEY, [b"content"])
    with pytest.raises(Tampered):
        read(blobs, key=b"K" * 32)
    [file] = files(root)
    other = MediaId(UUID(int=NAME.int ^ (1 << 100)))
    file.rename(file.with_name(file.name.replace(str(NAME), str(other))))
    with pytest.raises(Tampered):
        read(blobs, other)


def chunks_of(content):
    body = content[HEAD:]
    return [body[at : at + SEALED_CHUNK] for at in range(0, len(body), SEALED_CHUNK)]


@pytest.mark.parametrize(
    "tamper",
    [
        lambda head, chunks: head + b"".join(chunks[:-1]),
        lambda head, chunks: head + b"".join(chunks)[:-1],
        lambda head, chunks: head + b"".join([chunks[1], chunks[0], *chunks[2:]]),
        lambda head, chunks: head + b"".join([*chunks[:2], chunks[1], *chunks[2:]]),
        lambda head, chunks: head + b"".join([*chunks, chunks[-1]]),
        lambda head, chunks: head + b"".join(chunks) + b"\0",
        lambda head, chunks: head + b"".join(chunks[1:]),
        lambda head, chunks: head,
        lambda head, chunks: head[:-1],
        lambda head, chunks: b"",
        lambda head, chunks: b"\2" + head[1:] + b"".join(chunks),
        lambda head, chunks: head[:1] + bytes(7) + b"".join(chunks),
    ],
    ids=[
        "last chunk cut off", "last byte cut off", "chunks swapped", "chunk repeated",
        "last chunk repeated", "byte added", "first chunk cut off", "nothing but the head",
        "half of the head", "empty", "unknown version", "another head",
    ],
)  # fmt: skip
@pytest.mark.parametrize("size", [3 * CHUNK, 3 * CHUNK + 5])
def test_a_blob_that_was_changed_is_found_out(blobs, root, tamper, size):
    blobs.put(NAME, KEY, [os.urandom(size)])
    [file] = files(root)
    content = file.read_bytes()
    file.write_bytes(tamper(content[:HEAD], chunks_of(content)))
    with pytest.raises(Tampered):
        read(blobs)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_single_changed_bit_is_found_out(tmp_path_factory, data):
    root = tmp_path_factory.mktemp("blobs")
    blobs = FolderBlobs(root)
    blobs.put(NAME, KEY, [b"x" * (CHUNK + 100)])
    [file] = files(root)
    content = bytearray(file.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    file.write_bytes(content)
    with pytest.raises(Tampered):
        read(blobs)


def test_the_same_content_is_sealed_differently_each_time(blobs, root):
    sealed = set()
    for _ in range(3):
        blobs.put(NAME, KEY, [b"content"])
        [file] = files(root)
        sealed.add(file.read_bytes())
    assert len(sealed) == 3


def test_a_destroyed_blob_is_gone_and_destroying_again_says_so(blobs, root):
    blobs.put(NAME, KEY, [b"content"])
    assert blobs.destroy(NAME) is True
    assert blobs.destroy(NAME) is False
    assert files(root) == []
    with pytest.raises(NotFound):
        read(blobs)


def age(file, seconds):
    then = time.time() - seconds
    os.utime(file, (then, then))


def test_orphans_are_found_by_age_with_what_an_interrupted_put_left(blobs, root):
    old, new, killed = (MediaId(uuid4()) for _ in range(3))
    blobs.put(old, KEY, [b"old"])
    blobs.put(new, KEY, [b"new"])
    blobs.put(killed, KEY, [b"half"])
    for file in files(root):
        if str(new) not in file.name:
            age(file, 7200)
        if str(killed) in file.name:
            file.rename(file.with_name(f"{killed}.0123456789ab.part"))
    (root / "aa").mkdir(exist_ok=True)
    (root / "aa" / "something else.txt").touch()
    age(root / "aa" / "something else.txt", 7200)
    assert sorted(blobs.older_than(timedelta(hours=1))) == sorted([old, killed])
    assert blobs.destroy(killed)
    assert list(blobs.older_than(timedelta(hours=1))) == [old]
    assert read(blobs, new) == b"new"


def test_a_folder_that_cannot_be_written_is_unavailable(blobs, root):
    (root / NAME.hex[-2:]).write_text("a file where a folder should be")
    with pytest.raises(Unavailable, match="free space and permissions"):
        blobs.put(NAME, KEY, [b"content"])
