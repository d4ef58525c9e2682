"""Migrations are numbered without a gap, and a file that was applied never changes."""

import hashlib
from types import SimpleNamespace

import pytest

from pipeline.errors import Misconfigured, UnknownSchema
from pipeline.storage import migrate as module
from pipeline.storage.migrate import Migration, migrations


@pytest.fixture
def make_folder(tmp_path, monkeypatch):
    """Let a folder of files stand for the released one."""

    def make(**files):
        folder = tmp_path / "migrations"
        folder.mkdir()
        for name, text in files.items():
            (folder / f"{name.removeprefix('n')}.sql").write_bytes(text.encode())
        monkeypatch.setattr(module, "resources", SimpleNamespace(files=lambda _: tmp_path))
        return folder

    return make


@pytest.fixture
def check(monkeypatch):
    """Compare what was applied with what is known, each a list of texts."""

    def run(applied, known):
        monkeypatch.setattr(module, "migrations", lambda: make_migrations(known))
        module._check(
            [(one.number, one.name, one.checksum, one.additive) for one in make_migrations(applied)]
        )

    return run


def make_migrations(texts):
    return tuple(
        Migration(number, f"{number:04}_step.sql", text) for number, text in enumerate(texts, 1)
    )


def test_files_are_read_in_the_order_of_their_numbers(make_folder):
    make_folder(n0002_second="SELECT 2", n0001_first="SELECT 1", n0003_third="SELECT 3")
    assert [one.name for one in migrations()] == [
        "0001_first.sql",
        "0002_second.sql",
        "0003_third.sql",
    ]
    assert [one.text for one in migrations()] == ["SELECT 1", "SELECT 2", "SELECT 3"]


@pytest.mark.parametrize(
    "names",
    [
        ("n0002_late",),
        ("n0001_first", "n0003_third"),
        ("n0000_early", "n0001_first"),
        ("n0001_first", "n0002_one", "n0002_other"),
    ],
)
def test_a_gap_a_late_start_or_a_number_used_twice_is_refused(make_folder, names):
    make_folder(**dict.fromkeys(names, "SELECT 1"))
    with pytest.raises(Misconfigured, match="without a gap"):
        migrations()


def test_what_is_no_sql_file_is_passed_over(make_folder):
    folder = make_folder(n0001_first="SELECT 1")
    (folder / "README.md").write_text("words")
    assert len(migrations()) == 1


@pytest.mark.parametrize("name", ["n2_fix", "n0002-fix", "n0002_Fix"])
def test_an_sql_file_whose_name_is_misspelt_is_refused_and_not_forgotten(make_folder, name):
    make_folder(**{"n0001_first": "SELECT 1", name: "SELECT 2"})
    with pytest.raises(Misconfigured):
        migrations()


def test_every_released_sql_file_is_a_migration():
    folder = module.resources.files("pipeline.storage") / "migrations"
    there = sorted(file.name for file in folder.iterdir() if file.name.endswith(".sql"))
    assert [one.name for one in migrations()] == there


def test_the_checksum_is_sha256_of_the_text_and_the_same_for_every_kind_of_line_end(make_folder):
    folder = make_folder(n0001_first="SELECT 1;\nSELECT 2;\n")
    (unix,) = migrations()
    assert unix.checksum == hashlib.sha256(b"SELECT 1;\nSELECT 2;\n").digest()
    (folder / "0001_first.sql").write_bytes(b"SELECT 1;\r\nSELECT 2;\r\n")
    assert migrations()[0].checksum == unix.checksum


@pytest.mark.parametrize("applied", [[], ["a"], ["a", "b"], ["a", "b", "c"]])
def test_a_schema_that_is_a_beginning_of_what_is_known_is_fine(check, applied):
    check(applied, ["a", "b", "c"])


@pytest.mark.parametrize("changed", [0, 1])
def test_a_file_that_changed_after_it_was_applied_is_refused_by_its_name(check, changed):
    known = ["a", "b"]
    known[changed] += " -- one more word"
    with pytest.raises(UnknownSchema) as caught:
        check(["a", "b"], known)
    assert str(caught.value) == (
        f"000{changed + 1}_step.sql is not the file that was applied as 000{changed + 1}_step.sql;"
        " restore the released file, changes go into a new one"
    )


def test_a_database_that_is_newer_than_the_code_is_refused_with_what_to_install(check):
    with pytest.raises(UnknownSchema) as caught:
        check(["a", "b", "c"], ["a", "b"])
    assert str(caught.value) == (
        "this database has schema 0003_step.sql, which this version does not know;"
        " install the newer Consentry that made it"
    )


def test_a_hole_in_what_was_applied_is_refused(monkeypatch):
    known = make_migrations(["a", "b", "c"])
    monkeypatch.setattr(module, "migrations", lambda: known)
    with pytest.raises(UnknownSchema, match=r"0002_step\.sql is not the file that was applied"):
        module._check(
            [(one.number, one.name, one.checksum, one.additive) for one in (known[0], known[2])]
        )
