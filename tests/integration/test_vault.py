"""The vault on a real PostgreSQL: sealing, shredding, rotation, the deployment's secrets."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from uuid import uuid4

import argon2
import psycopg
import pytest

from pipeline.domain.ids import EntryId, PersonId
from pipeline.errors import Conflict, Misconfigured, NotFound, Tampered
from pipeline.ports import StoredEntry
from pipeline.storage import Queries
from pipeline.storage.keyring import KeyRing
from pipeline.storage.vault import PgVault, Pins, Secrets, entry_column, rotate, signature_holds

CHEAP = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@pytest.fixture
def ring(tmp_path):
    return KeyRing.file(tmp_path / "ring.json")


@pytest.fixture
def secrets(database, ring):
    return Secrets.load(database, ring)


@pytest.fixture
def in_vault(database, ring, secrets):
    """Run something with a vault in a transaction of its own."""

    def run(what):
        with database.transaction() as connection:
            return what(PgVault(Queries(connection), ring, secrets))

    return run


@pytest.fixture
def make_person(in_vault):
    def make():
        person = PersonId(uuid4())
        in_vault(lambda vault: vault.create(person, kind="person"))
        return person

    return make


def rows(migrated_url, query, *values):
    with psycopg.connect(migrated_url) as connection:
        return connection.execute(query, values).fetchall()


def test_what_was_sealed_opens_for_its_owner_and_column(in_vault, make_person):
    person = make_person()
    sealed = in_vault(lambda vault: vault.seal(person, "entries.x", b"clear bytes"))
    assert b"clear bytes" not in sealed
    assert in_vault(lambda vault: vault.unseal(person, "entries.x", sealed)) == b"clear bytes"


def test_sealing_the_same_bytes_twice_looks_different(in_vault, make_person):
    person = make_person()
    assert in_vault(lambda vault: vault.seal(person, "c", b"x") != vault.seal(person, "c", b"x"))


@pytest.mark.parametrize("position", [0, 1, 12, 13, 20, -1])
def test_a_changed_byte_anywhere_is_found(in_vault, make_person, position):
    person = make_person()
    sealed = bytearray(in_vault(lambda vault: vault.seal(person, "c", b"clear bytes")))
    sealed[position] ^= 1
    with pytest.raises(Tampered):
        in_vault(lambda vault: vault.unseal(person, "c", bytes(sealed)))


@pytest.mark.parametrize("length", [0, 1, 28])
def test_something_too_short_to_be_sealed_is_tampered_with(in_vault, make_person, length):
    person = make_person()
    sealed = in_vault(lambda vault: vault.seal(person, "c", b""))
    with pytest.raises(Tampered):
        in_vault(lambda vault: vault.unseal(person, "c", sealed[:length]))


def test_what_was_sealed_does_not_open_in_another_column_or_for_somebody_else(
    in_vault, make_person
):
    person, other = make_person(), make_person()
    sealed = in_vault(lambda vault: vault.seal(person, "c", b"clear"))
    for owner, column in ((person, "d"), (other, "c")):
        with pytest.raises(Tampered):
            in_vault(lambda vault, o=owner, c=column: vault.unseal(o, c, sealed))


def test_a_key_copied_to_another_owner_opens_nothing(migrated_url, in_vault, make_person):
    person, thief = make_person(), make_person()
    sealed = in_vault(lambda vault: vault.seal(person, "c", b"clear"))
    rows(
        migrated_url,
        "UPDATE consentry.vault_keys SET wrapped = source.wrapped FROM consentry.vault_keys source"
        " WHERE vault_keys.owner = %s AND source.owner = %s RETURNING 1",
        thief,
        person,
    )
    with pytest.raises(Tampered):
        in_vault(lambda vault: vault.unseal(thief, "c", sealed))


def test_a_wrapped_key_that_was_changed_does_not_unwrap(migrated_url, in_vault, make_person):
    person = make_person()
    rows(
        migrated_url,
        "UPDATE consentry.vault_keys SET wrapped = set_byte(wrapped, 3,"
        " 255 - get_byte(wrapped, 3)) WHERE owner = %s RETURNING 1",
        person,
    )
    with pytest.raises(Tampered, match="does not unwrap"):
        in_vault(lambda vault: vault.key(person))


def test_once_shredded_nothing_opens_and_shredding_again_says_so(in_vault, make_person):
    person = make_person()
    sealed = in_vault(lambda vault: vault.seal(person, "c", b"clear"))

    def shred(vault):
        vault.key(person)  # remembered by this transaction, which must not help
        assert vault.shred(person)
        with pytest.raises(NotFound):
            vault.unseal(person, "c", sealed)
        return vault.shred(person)

    assert in_vault(shred) is False
    with pytest.raises(NotFound):
        in_vault(lambda vault: vault.unseal(person, "c", sealed))


def test_a_second_key_for_the_same_owner_is_refused(in_vault, make_person):
    person = make_person()
    key = in_vault(lambda vault: vault.key(person))
    with pytest.raises(Conflict):
        in_vault(lambda vault: vault.create(person, kind="person"))
    assert in_vault(lambda vault: vault.key(person)) == key


def test_the_key_is_in_the_database_only_wrapped(migrated_url, in_vault, make_person):
    person = make_person()
    key = in_vault(lambda vault: vault.key(person))
    [(kek, wrapped)] = rows(
        migrated_url, "SELECT kek, wrapped FROM consentry.vault_keys WHERE owner = %s", person
    )
    assert len(wrapped) == 40
    assert key not in wrapped
    assert kek


def make_entries(vault, persons, each):
    return [
        StoredEntry(
            EntryId(number * each + step + 1),
            person,
            space,
            vault.seal(person, entry_column(space), f"{person}{space}".encode()),
        )
        for number, person in enumerate(persons)
        for step, space in enumerate(["pdq", "phash", "face"][:each])
    ]


def test_many_entries_open_in_order_and_those_of_who_left_are_left_out(in_vault, make_person):
    persons = [make_person() for _ in range(5)]

    def check(vault):
        entries = make_entries(vault, persons, 3)
        vault.shred(persons[2])
        opened = list(vault.unseal_entries(iter(entries), batch=4))
        assert [entry for entry, _ in opened] == [e for e in entries if e.person != persons[2]]
        for entry, clear in opened:
            assert clear == f"{entry.person}{entry.space}".encode()

    in_vault(check)


def test_codes_moved_to_another_space_do_not_open(in_vault, make_person):
    person = make_person()

    def check(vault):
        sealed = vault.seal(person, entry_column("pdq"), b"x")
        with pytest.raises(Tampered):
            list(vault.unseal_entries([StoredEntry(EntryId(1), person, "phash", sealed)]))

    in_vault(check)


def test_rotation_wraps_everything_anew_and_everything_still_opens(
    migrated_url, database, ring, secrets, in_vault, make_person, tmp_path
):
    persons = [make_person() for _ in range(7)]
    sealed = in_vault(lambda vault: [vault.seal(person, "c", b"clear") for person in persons])
    before, _ = ring.current()
    said = []
    assert rotate(database, ring, said.append, batch=3) == 8  # and the deployment's own
    after, _ = ring.current()
    assert after != before
    assert rows(migrated_url, "SELECT DISTINCT kek FROM consentry.vault_keys") == [(after,)]
    assert before not in (tmp_path / "ring.json").read_text()
    assert before in said[-1]
    for person, row in zip(persons, sealed, strict=True):
        assert in_vault(lambda vault, p=person, r=row: vault.unseal(p, "c", r)) == b"clear"
    fresh = KeyRing.file(tmp_path / "ring.json")
    assert Secrets.load(database, fresh).public_key() == secrets.public_key()
    assert Secrets.load(database, fresh).fingerprint(b"x") == secrets.fingerprint(b"x")


def test_rotation_waits_for_a_key_that_is_being_made_under_the_old_one(
    database, ring, secrets, in_vault, make_person
):
    make_person()
    late, made, go_on = PersonId(uuid4()), threading.Event(), threading.Event()

    def slow(vault):
        vault.create(late, kind="person")
        made.set()
        assert go_on.wait(30)

    maker = threading.Thread(target=in_vault, args=(slow,))
    maker.start()
    assert made.wait(30)
    old, _ = ring.current()
    results = []
    rotation = threading.Thread(target=lambda: results.append(rotate(database, ring)))
    rotation.start()
    while ring.current()[0] == old:
        time.sleep(0.01)
    time.sleep(0.3)
    assert rotation.is_alive()
    assert ring.get(old)  # not dropped while somebody may still commit a key under it
    go_on.set()
    maker.join()
    rotation.join()
    assert results == [3]
    assert len(in_vault(lambda vault: vault.key(late))) == 32


def test_two_rotations_at_once_are_refused(database, ring, secrets):
    holder = database.dedicated()
    try:
        Queries(holder).one("vault_begin_rotation")
        with pytest.raises(Conflict, match="another rotation"):
            rotate(database, ring)
    finally:
        holder.close()
    assert rotate(database, ring) == 1


_ROTATE = """
import sys
from pathlib import Path
from pipeline.storage import Database
from pipeline.storage.keyring import KeyRing
from pipeline.storage.vault import rotate
database = Database(sys.argv[1], size=1)
rotate(database, KeyRing.file(Path(sys.argv[2])), lambda line: print(line, flush=True), batch=2)
"""


@pytest.mark.parametrize("lines", [1, 3, 12])
def test_a_killed_rotation_loses_nothing_and_ends_when_run_again(
    migrated_url, database, ring, secrets, in_vault, make_person, tmp_path, lines
):
    persons = [make_person() for _ in range(20)]
    keys = in_vault(lambda vault: [vault.key(person) for person in persons])
    path = tmp_path / "ring.json"
    worker = subprocess.Popen(
        [sys.executable, "-c", _ROTATE, migrated_url, str(path)],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert worker.stdout is not None
    for _ in range(lines):
        worker.stdout.readline()
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    worker.stdout.close()
    assert in_vault(lambda vault: [vault.key(person) for person in persons]) == keys
    deadline = time.monotonic() + 30
    while True:
        try:
            rotate(database, ring)
            break
        except Conflict:  # the killed one's connection is being cleaned up by the server
            assert time.monotonic() < deadline
            time.sleep(0.05)
    assert in_vault(lambda vault: [vault.key(person) for person in persons]) == keys
    current, _ = KeyRing.file(path).current()
    assert rows(migrated_url, "SELECT DISTINCT kek FROM consentry.vault_keys") == [(current,)]
    assert KeyRing.file(path).begin_rotation()[1] == (current,)


def test_keys_in_a_text_are_rotated_to_the_first_and_the_operator_is_told(database):
    old, new = "a:" + "QUFB" * 10 + "QUE=", "b:" + "QkJC" * 10 + "QkI="
    public = Secrets.load(database, KeyRing.text(old)).public_key()
    said = []
    assert rotate(database, KeyRing.text(f"{new},{old}"), said.append) == 1
    assert "nothing is wrapped under a" in said[-1]
    assert Secrets.load(database, KeyRing.text(new)).public_key() == public


def test_a_lost_key_file_is_named_and_no_new_one_is_made(database, secrets, tmp_path):
    other = KeyRing.file(tmp_path / "other.json")
    with pytest.raises(Misconfigured, match="restore it from its backup"):
        Secrets.load(database, other)
    assert not (tmp_path / "other.json").exists()


def test_processes_that_start_at_once_share_one_deployment_secret(database, ring):
    found = []
    starters = [
        threading.Thread(target=lambda: found.append(Secrets.load(database, ring).public_key()))
        for _ in range(6)
    ]
    for starter in starters:
        starter.start()
    for starter in starters:
        starter.join()
    assert len(found) == 6
    assert len(set(found)) == 1


def test_a_signature_holds_for_its_statement_only(secrets):
    signature = secrets.sign(b"statement")
    assert secrets.verify(b"statement", signature)
    assert signature_holds(secrets.public_key(), b"statement", signature)
    assert not secrets.verify(b"another", signature)
    assert not secrets.verify(b"statement", "no signature")
    assert not signature_holds("no key", b"statement", signature)


def test_digests_of_different_purposes_have_nothing_in_common(secrets):
    digests = {
        secrets.fingerprint(b"x"),
        secrets.pepper("x"),
        secrets.digest("session", b"x"),
        secrets.digest("api key", b"x"),
    }
    assert len(digests) == 4
    assert {len(digest) for digest in digests} == {32}
    assert secrets.digest("session", b"x") == secrets.digest("session", b"x")


def test_secrets_print_nothing(secrets, in_vault, make_person):
    assert repr(secrets) == f"Secrets({secrets.deployment})"
    person = make_person()
    entry = in_vault(lambda vault: make_entries(vault, [person], 1)[0])
    assert "sealed" not in repr(entry)


def test_a_pin_matches_its_digest_and_no_other(secrets):
    pins = Pins(secrets, CHEAP)
    digest = pins.digest("483 920")
    assert "483" not in digest
    assert pins.matches(digest, "483 920")
    assert not pins.matches(digest, "483 921")
    assert not pins.matches(pins.digest("other"), "483 920")


def test_a_stolen_digest_is_useless_without_the_pepper(secrets):
    digest = Pins(secrets, CHEAP).digest("1234")
    with pytest.raises(argon2.exceptions.VerifyMismatchError):
        CHEAP.verify(digest, "1234")


def test_a_case_that_does_not_exist_costs_the_same_work(secrets, monkeypatch):
    pins, costs = Pins(secrets, CHEAP), []
    original = argon2.PasswordHasher.verify

    def spy(self, digest, password):
        costs.append(argon2.extract_parameters(digest))
        return original(self, digest, password)

    monkeypatch.setattr(argon2.PasswordHasher, "verify", spy)
    assert not pins.matches(pins.digest("1234"), "4321")
    assert not pins.matches(None, "1234")
    assert costs[0] == costs[1]


def test_something_that_is_no_digest_is_not_a_wrong_pin(secrets):
    with pytest.raises(Tampered):
        Pins(secrets, CHEAP).matches("nonsense", "1234")
