"""Key-encryption keys: where they come from, who may read them, how they are followed."""

import base64
import json
import multiprocessing
import sys

import pytest

from pipeline.errors import Misconfigured
from pipeline.storage.keyring import KeyRing


@pytest.fixture
def path(tmp_path):
    return tmp_path / "keys" / "ring.json"


def text_of(*pairs):
    return ",".join(f"{name}:{base64.b64encode(key).decode()}" for name, key in pairs)


A, B = ("a", b"A" * 32), ("b", b"B" * 32)


def test_a_file_is_made_when_a_key_is_first_needed_and_only_its_owner_can_read_it(path):
    name, key = KeyRing.file(path).current()
    assert len(key) == 32
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert KeyRing.file(path).get(name) == key


def test_asking_for_a_lost_key_makes_no_new_file(path):
    with pytest.raises(Misconfigured, match="restore it from its backup"):
        KeyRing.file(path).get("gone")
    assert not path.exists()


def test_a_file_that_others_can_read_is_refused(path):
    KeyRing.file(path).current()
    path.chmod(0o640)
    with pytest.raises(Misconfigured, match=f"chmod 600 {path}"):
        KeyRing.file(path).current()


def test_a_running_process_notices_that_the_file_became_readable_by_others(path):
    ring = KeyRing.file(path)
    ring.current()
    path.chmod(0o604)
    with pytest.raises(Misconfigured, match="chmod 600"):
        ring.current()


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"current": "a"}', '{"current": "a", "keys": {}}']
)
def test_a_damaged_file_is_never_replaced(path, content):
    KeyRing.file(path).current()
    path.write_text(content)
    with pytest.raises(Misconfigured, match="restore it from its backup"):
        KeyRing.file(path).current()
    assert path.read_text() == content


def _make(path, barrier, answers):
    barrier.wait()
    answers.put(KeyRing.file(path).current())


def test_processes_that_make_the_file_at_once_agree_on_one_key(path):
    context = multiprocessing.get_context("fork")
    barrier, answers = context.Barrier(4), context.Queue()
    makers = [context.Process(target=_make, args=(path, barrier, answers)) for _ in range(4)]
    for maker in makers:
        maker.start()
    found = {answers.get(timeout=30) for _ in makers}
    for maker in makers:
        maker.join()
    assert found == {KeyRing.file(path).current()}
    assert sorted(file.name for file in path.parent.iterdir()) == [".ring.json.lock", "ring.json"]


def test_a_running_process_follows_a_rotation_made_elsewhere(path):
    ring, elsewhere = KeyRing.file(path), KeyRing.file(path)
    first, first_key = ring.current()
    second, old = elsewhere.begin_rotation()
    assert old == (first,)
    assert ring.current()[0] == second
    assert ring.get(first) == first_key
    assert elsewhere.end_rotation(second)
    assert list(json.loads(path.read_text())["keys"]) == [second]


def test_an_interrupted_rotation_goes_on_with_the_key_it_had_made(path):
    ring = KeyRing.file(path)
    first, _ = ring.current()
    begun = ring.begin_rotation()
    assert KeyRing.file(path).begin_rotation() == begun == (begun[0], (first,))


def test_what_a_killed_writer_left_does_not_get_in_the_way(path):
    ring = KeyRing.file(path)
    ring.current()
    leftover = path.with_name(".ring.json.new")
    leftover.write_text("half of a f")
    second, _ = ring.begin_rotation()
    assert KeyRing.file(path).current()[0] == second
    assert not leftover.exists()


def test_a_rotation_never_drops_the_key_it_was_told_to_keep(path):
    ring = KeyRing.file(path)
    ring.current()
    before = path.read_text()
    with pytest.raises(Misconfigured, match="lost a key"):
        ring.end_rotation("other")
    assert path.read_text() == before


def test_the_first_key_of_a_text_is_the_current_one():
    ring = KeyRing.text(text_of(B, A))
    assert ring.current() == B
    assert ring.get("a") == A[1]
    assert ring.begin_rotation() == ("b", ("a",))
    assert not ring.end_rotation("b")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "must be id:base64"),
        ("nothing", "must be id:base64"),
        ("a:%%%", "not base64"),
        (text_of(("a", b"short")), "not 32 bytes"),
        (text_of(A, A), "stands twice"),
        (text_of(("bad id!", A[1])), "must be id:base64"),
    ],
)
def test_a_text_that_is_not_a_list_of_keys_is_refused_without_repeating_it(text, says):
    with pytest.raises(Misconfigured, match=says) as refusal:
        KeyRing.text(text, "CONSENTRY_KEYS").current()
    assert "CONSENTRY_KEYS" in str(refusal.value)
    assert base64.b64encode(A[1]).decode() not in str(refusal.value)


def test_a_command_prints_the_keys_and_is_asked_again_for_one_it_did_not_name(tmp_path):
    printed = tmp_path / "printed"
    printed.write_text(text_of(A) + "\n")
    ring = KeyRing.command([sys.executable, "-c", f"print(open({str(printed)!r}).read())"])
    assert ring.current() == A
    printed.write_text(text_of(B, A))
    assert ring.get("b") == B[1]
    assert ring.current() == B


@pytest.mark.parametrize(
    ("command", "says"),
    [(["/no/such/program"], "did not run"), ([sys.executable, "-c", "exit(3)"], "status 3")],
)
def test_a_command_that_fails_is_named(command, says):
    with pytest.raises(Misconfigured, match=says):
        KeyRing.command(command).current()


def test_a_ring_prints_no_key(path):
    ring = KeyRing.text(text_of(A))
    ring.current()
    assert repr(ring) == "KeyRing(the list of keys)"
    assert "AAAA" not in repr(ring._keys)
