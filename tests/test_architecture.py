"""The floors hold: imports go down only, every folder is a named layer, no machine is named."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from pipeline import plugins

ROOT = Path(__file__).parents[1]
PIPELINE = ROOT / "pipeline"
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"][
    "importlinter"
]["contracts"]
LINT = "from importlinter.cli import lint_imports_command as run; run(['--no-cache', '--no-logo'])"


def lint(root):
    """Run the import contracts of the tree at ``root``."""
    return subprocess.run(
        [sys.executable, "-c", LINT],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def layers_of(package):
    (contract,) = (one for one in CONTRACTS if one.get("containers") == [package])
    return contract, {name.strip() for floor in contract["layers"] for name in floor.split("|")}


def imported(file):
    """The modules that a file imports by absolute name, ``from a import b`` as ``a.b``."""
    found = set()
    for part in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(part, ast.Import):
            found |= {name.name for name in part.names}
        elif isinstance(part, ast.ImportFrom):
            assert part.level == 0, f"{file.name} imports by relative name"
            found |= {f"{part.module}.{name.name}" for name in part.names}
    return found


@pytest.fixture
def make_tree(tmp_path):
    """A copy of the code with a file more, or lines more in a file that is there."""

    def make(**added):
        for package in ("pipeline", "services"):
            shutil.copytree(
                ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__")
            )
        shutil.copy(ROOT / "pyproject.toml", tmp_path)
        for name, text in added.items():
            file = tmp_path / f"{name.replace('__', '/')}.py"
            if not file.parent.exists():
                file.parent.mkdir()
                (file.parent / "__init__.py").touch()
            with file.open("a", encoding="utf-8") as opened:
                opened.write(text)
        return tmp_path

    return make


def test_the_import_contracts_hold():
    linted = lint(ROOT)
    assert linted.returncode == 0, linted.stdout + linted.stderr
    assert f"Contracts: {len(CONTRACTS)} kept, 0 broken" in linted.stdout


@pytest.mark.parametrize(
    ("added", "contract"),
    [
        ({"pipeline__utils__strings": ""}, "utils"),
        ({"services__helpers": ""}, "helpers"),
        ({"pipeline__domain__case": "\nimport pipeline.storage\n"}, "The pipeline's floors"),
        ({"pipeline__signals__pdq": "\nimport pipeline.indexes\n"}, "The pipeline's floors"),
        ({"pipeline__storage__jobs": "\nimport services.settings\n"}, "knows nothing of the serv"),
        ({"pipeline__domain__case": "\nimport psycopg\n"}, "The domain knows only"),
        ({"pipeline__journeys__review": "\nimport pipeline.signals.pdq\n"}, "Journeys ask famil"),
        ({"services__settings": "\nimport services.wiring\n"}, "The services' floors"),
    ],
)
def test_what_breaks_a_floor_is_noticed(make_tree, added, contract):
    linted = lint(make_tree(**added))
    assert linted.returncode != 0
    assert contract in linted.stdout + linted.stderr


@pytest.mark.parametrize("package", ["pipeline", "services"])
def test_every_folder_and_module_is_a_named_layer(package):
    contract, named = layers_of(package)
    there = {
        part.stem
        for part in (ROOT / package).iterdir()
        if (part.is_dir() and any(part.rglob("*.py")))
        or (part.suffix == ".py" and part.stem != "__init__")
    }
    assert contract["exhaustive"] is True
    assert there - named == set(), "give it a floor in pyproject.toml, or a better place"


def test_a_folder_called_after_nothing_in_the_domain_does_not_exist():
    meaningless = {"utils", "util", "helpers", "common", "misc", "manager", "lib"}
    there = {
        part.stem.strip("_")
        for package in ("pipeline", "services")
        for part in (ROOT / package).rglob("*")
        if "__pycache__" not in part.parts
    }
    assert there & meaningless == set()


@pytest.mark.parametrize("file", sorted((PIPELINE / "domain").glob("*.py")), ids=lambda f: f.stem)
def test_the_domain_imports_the_standard_library_numpy_and_itself_alone(file):
    for module in imported(file):
        top = module.partition(".")[0]
        assert top in sys.stdlib_module_names | {"numpy"} or module.startswith(
            ("pipeline.domain.", "pipeline.errors.")
        ), f"{file.name} imports {module}"


@pytest.mark.parametrize("file", sorted((PIPELINE / "journeys").glob("*.py")), ids=lambda f: f.stem)
def test_journeys_name_families_and_never_a_member(file):
    members = {
        f"pipeline.{family}.{member}"
        for family in plugins.FAMILIES
        for member in plugins.names(family)
    }
    for module in imported(file):
        assert not any(module == member or module.startswith(f"{member}.") for member in members), (
            f"{file.name} imports {module}"
        )
        assert not module.startswith("pipeline.storage"), f"{file.name} imports {module}"


def test_only_upholding_makes_a_takedown_anywhere_in_the_code():
    making = {
        str(file.relative_to(ROOT))
        for package in ("pipeline", "services")
        for file in (ROOT / package).rglob("*.py")
        for part in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(part, ast.Call)
        and (getattr(part.func, "id", None) or getattr(part.func, "attr", None)) == "Takedown"
    }
    assert making == {"pipeline/domain/case.py"}


# --- what belongs to one machine ----------------------------------------------------------------

# Written in parts, so that this file does not hold what it looks for.
HOSTS = [
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("yarnpkg", "com"),
        ("anaconda", "org"),
        ("crates", "io"),
        ("rubygems", "org"),
        ("proxy.golang", "org"),
    )
]
PLACES = ["/" + "work", "/" + "root", "/" + "tmp/v", "/" + "opt/wheels", "/" + "opt/pypi"]
# Not a part of a longer path, such as "$folder"/place.
ALONE = r"""(?<![\w.}*])(?<![\w}]["'])"""
FOUND = re.compile(
    "|".join(
        [
            *(re.escape(host) for host in HOSTS),
            *(ALONE + re.escape(place) + r"(?![\w.-])" for place in PLACES),
            ALONE + "/" + r"home/\w+",
        ]
    )
)


def tracked():
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        if os.environ.get("CONSENTRY_CI"):
            pytest.fail("in CI this is a checkout, and git is there")
        pytest.skip("no git, or not a checkout: nobody can say which files are ours")
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [ROOT / name for name in listed.stdout.split("\0") if name]


def test_no_file_names_a_registrys_host_or_a_path_of_one_machine():
    found = []
    for file in tracked():
        if not file.is_file():
            continue
        for number, line in enumerate(file.read_bytes().decode("utf-8", "replace").split("\n"), 1):
            if match := FOUND.search(line):
                found.append(f"{file.relative_to(ROOT)}:{number}: {match[0]}")
    assert found == []


@pytest.mark.parametrize(
    ("line", "caught"),
    [
        *((f"numpy @ https://files.{host}/x.whl", True) for host in HOSTS),
        *((f'open("{place}/x")', True) for place in PLACES),
        *((f"cd {place}", True) for place in PLACES),
        ("HOME=/" + "home/somebody", True),
        ('"$aside"/' + "root/usr/share", False),
        ("$aside/" + "root/usr", False),
        ("homework/" + "work", False),
        ("/" + "workers are told", False),
    ],
)
def test_the_search_for_hosts_and_paths_finds_them_and_nothing_else(line, caught):
    assert bool(FOUND.search(line)) is caught
