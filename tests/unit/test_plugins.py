"""A file's name is its plug-in's name: a new file is found, a wrong name is told."""

import ast
import importlib
import sys
from pathlib import Path

import pytest

import pipeline
from pipeline import plugins
from pipeline.errors import Misconfigured

HOME = Path(pipeline.__file__).parent


@pytest.fixture
def make_member(tmp_path, monkeypatch):
    """Put a file of a family beside the ones that are there."""

    def make(family, name, text="def build(*args, **settings):\n    return args, settings\n"):
        package = importlib.import_module(f"pipeline.{family}")
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
        importlib.invalidate_caches()
        # So that what the import leaves behind goes with the test.
        monkeypatch.setattr(package, name, None, raising=False)
        monkeypatch.setitem(sys.modules, f"pipeline.{family}.{name}", None)
        monkeypatch.delitem(sys.modules, f"pipeline.{family}.{name}")

    return make


@pytest.mark.parametrize("family", plugins.FAMILIES)
def test_a_family_lists_its_public_files_by_name_and_no_others(family):
    there = sorted(
        file.stem for file in (HOME / family).glob("*.py") if not file.name.startswith("_")
    )
    assert plugins.names(family) == there


@pytest.mark.parametrize(
    "file",
    [
        pytest.param(file, id=f"{family}.{file.stem}")
        for family in plugins.FAMILIES
        for file in sorted((HOME / family).glob("[!_]*.py"))
    ],
)
def test_every_member_can_be_built(file):
    tree = ast.parse(file.read_text(encoding="utf-8"))
    assert "build" in {part.name for part in tree.body if isinstance(part, ast.FunctionDef)}


def test_a_new_file_is_a_new_member(make_member):
    assert "audio_print" not in plugins.names("signals")
    make_member("signals", "audio_print")
    assert "audio_print" in plugins.names("signals")
    assert plugins.build("signals", "audio_print", 1, width=64) == ((1,), {"width": 64})


def test_a_file_whose_name_starts_with_an_underscore_is_no_member(make_member):
    make_member("signals", "_arithmetic")
    assert "_arithmetic" not in plugins.names("signals")
    with pytest.raises(Misconfigured, match="no '_arithmetic'"):
        plugins.build("signals", "_arithmetic")


def test_a_misspelt_member_is_answered_with_the_names_that_exist():
    with pytest.raises(Misconfigured) as caught:
        plugins.build("signals", "phsah")
    assert str(caught.value).startswith("no 'phsah' in pipeline.signals; there are: pdq, phash")


@pytest.mark.parametrize("name", ["", ".", "pdq.build", "../storage", "os"])
def test_a_name_reaches_nothing_outside_its_family(name):
    with pytest.raises(Misconfigured, match=r"in pipeline\.signals; there are"):
        plugins.build("signals", name)


@pytest.mark.parametrize("ask", [plugins.names, lambda family: plugins.build(family, "pdq")])
def test_a_family_that_does_not_exist_is_answered_with_those_that_do(ask):
    with pytest.raises(Misconfigured) as caught:
        ask("storage")
    assert str(caught.value) == (
        "no family 'storage'; there are: signals, indexes, gates, exchanges, actions, packs"
    )
