"""``consentry packs``: face models with their licences, checked before they are used."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from pipeline import plugins
from pipeline.errors import Misconfigured
from pipeline.gates import _nsfwjs as gate_model
from pipeline.packs import _copies as copies
from pipeline.packs import _install as packs
from pipeline.packs._manifest import FILE, Licence, Manifest
from services.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Face models, their licences and their checks.")
UNREADABLE = "unreadable: install it anew"
out = Console(width=None if sys.stdout.isatty() else 240)
err = Console(stderr=True, width=None if sys.stderr.isatty() else 240)


def home() -> Path:
    """Where installed packs lie."""
    folder = Settings().home / "packs"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@app.command("list")
def list_packs() -> None:
    """The packs there are, and which are installed."""
    table = Table("pack", "installed", "commercial use", "what it is")
    for name in plugins.names("packs"):
        there, wrong = _told(name)
        manifest = there or packs.recipe(name)
        table.add_row(
            name,
            there.version if there else wrong or "-",
            "-" if manifest is None else _yes(manifest.licence),
            manifest.title if manifest else "a folder of models that you are licensed for",
        )
    there_too = (gate_home() / gate_model.NAME / gate_model.MODEL).is_file()
    table.add_row(
        gate_model.NAME, gate_model.VERSION if there_too else "-", "yes",
        "a gate: whether an upload is intimate, where a platform gives no rating",
    )  # fmt: skip
    for name in copies.names(home()):
        try:
            pack = copies.told(home() / name)
        except Misconfigured:
            table.add_row(name, UNREADABLE, "-", "a copy-detection pack of your own")
            continue
        table.add_row(name, pack.version, _yes(pack.licence), pack.title)
    out.print(table)


def _told(name: str) -> tuple[Manifest | None, str | None]:
    """What an installed pack says of itself; or why it says nothing."""
    if not (home() / name / FILE).is_file():
        return None, None
    try:
        return packs.told(name, home()), None
    except Misconfigured:
        return None, UNREADABLE


def _yes(licence: Licence) -> str:
    return "yes" if licence.commercial_use else "no"


@app.command()
def install(
    name: Annotated[
        str, typer.Argument(help="A pack, or the folder of a copy-detection pack of your own.")
    ],
    source: Annotated[
        str | None, typer.Option("--from", help="A folder or https address with the files.")
    ] = None,
    allow_noncommercial: Annotated[
        bool,
        typer.Option(
            "--allow-noncommercial",
            help="Your licence or use allows models that exclude commercial use.",
        ),
    ] = False,
) -> None:
    """Fetch, check, convert and try a pack; nothing half-installed is left behind."""
    # As if it were Ctrl-C: what was half fetched is removed on the way out.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        _install(name, source, allow_noncommercial=allow_noncommercial)
    except KeyboardInterrupt:
        err.print(f"interrupted: {name} was not installed; what was there before is as it was")
        raise SystemExit(128 + signal.SIGINT) from None


def _install(name: str, source: str | None, *, allow_noncommercial: bool) -> None:
    if name == gate_model.NAME:
        _install_gate(source)
        return
    if Path(name).is_dir():
        _install_copies(Path(name), allow_noncommercial=allow_noncommercial)
        return
    _known(name)
    columns = (TextColumn("{task.description}"), BarColumn())
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task(f"installing {name}", total=None)

        def progress(what: str, done: int, whole: int) -> None:
            bar.update(task, description=what, completed=done, total=whole or None)

        manifest = packs.install(
            name,
            source,
            home=home(),
            allow_noncommercial=allow_noncommercial,
            progress=progress,
        )
    out.print(f"{manifest.name} {manifest.version} is installed", highlight=False)
    _licence(manifest.name)


@app.command()
def verify(name: str) -> None:
    """Check an installed pack's digests and its answer for the test picture."""
    if name == gate_model.NAME:
        apart = gate_model.check(gate_home() / name)
    elif copies.is_copies(home() / name):
        apart = copies.verify(name, home())
    else:
        _known(name)
        apart = packs.verify(name, home())
    out.print(f"{name} is what was installed; its answer is {apart:.1e} from the known one")


@app.command()
def show(name: str) -> None:
    """A pack's licence, sources, networks and calibration."""
    if name == gate_model.NAME:
        out.print_json(data=gate_model.told(gate_home()))
        return
    if copies.is_copies(home() / name):
        told = copies.told(home() / name)
        out.print_json(told.model_dump_json(by_alias=True, exclude_none=True))
        return
    _known(name)
    there = (home() / name / FILE).is_file() or packs.recipe(name) is None
    manifest = packs.told(name, home()) if there else packs.recipe(name)
    assert manifest is not None
    out.print_json(manifest.model_dump_json(by_alias=True, exclude_none=True))


def _known(name: str) -> None:
    """Raise ``Misconfigured`` for a name that no pack has."""
    there = [*plugins.names("packs"), gate_model.NAME, *copies.names(home())]
    if name not in there:
        raise Misconfigured(f"no pack {name!r}; there are: {', '.join(there)}")


def gate_home() -> Path:
    """Where installed gate models lie."""
    folder = Settings().home / "gates"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _install_gate(source: str | None) -> None:
    with err.status(f"installing {gate_model.NAME}") as status:
        file = gate_model.install(gate_home(), source, lambda what, *_: status.update(what))
    out.print(f"{gate_model.NAME} {gate_model.VERSION} is installed", highlight=False)
    out.print(f"licence: {gate_model.LICENCE}", highlight=False)
    out.print(f"use it with: CONSENTRY_GATES_FILE={file}", highlight=False, soft_wrap=True)


def _install_copies(folder: Path, *, allow_noncommercial: bool) -> None:
    pack = copies.install(folder, home(), allow_noncommercial=allow_noncommercial)
    out.print(f"{pack.name} {pack.version} is installed", highlight=False)
    out.print(f"licence {pack.licence.spdx}: {pack.licence.weights}", highlight=False)
    out.print(f"use it with: CONSENTRY_COPIES={pack.name}", highlight=False, soft_wrap=True)
    if pack.rule is None:
        out.print(
            "It is not calibrated: add a rule to your policy's review rules, such as"
            f' {{"alike": {{"signal": "{pack.name}", "bank": "registered", "similarity": 0.75}}}}',
            highlight=False,
            soft_wrap=True,
        )


def _licence(name: str) -> None:
    licence = packs.opened(name, home())[0].licence
    out.print(f"licence {licence.spdx}: {licence.weights}", highlight=False)
    out.print(f"trained on: {licence.training_data}", highlight=False)
