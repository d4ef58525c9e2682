"""``consentry exchange``: partners' lists, followed."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn
from rich.table import Table

from pipeline import plugins
from pipeline.errors import Invalid
from services.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Partners' lists of hashes.")
out = Console(width=None if sys.stdout.isatty() else 240)
err = Console(stderr=True, width=None if sys.stderr.isatty() else 240)

_From = Annotated[
    Path,
    typer.Option(
        "--settings",
        help="A JSON file with what the partner gave you (keys, address), or - to read it from"
        " standard input; it is sealed, and the file can be deleted.",
    ),
]


def _settings(source: Path) -> dict[str, Any]:
    """Read so that no key stands in a command line, where every user of the machine can see it."""
    try:
        text = sys.stdin.read() if str(source) == "-" else source.read_text(encoding="utf-8")
        found = json.loads(text)
    except (OSError, ValueError) as error:
        raise Invalid(f"the settings in {source} cannot be read as JSON") from error
    if not isinstance(found, dict):
        raise Invalid("a list's settings are a JSON object")
    return found


@app.command()
def add(
    name: str,
    kind: Annotated[str, typer.Argument(help=f"One of: {', '.join(plugins.names('exchanges'))}.")],
    settings: _From,
    test: Annotated[
        bool, typer.Option("--test", help="Only try it: count what it would have brought up.")
    ] = False,
) -> None:
    """Follow a partner's list from now on."""
    from pipeline.journeys.sync_exchange import add_exchange
    from services.wiring import open_world

    with open_world(Settings()) as world:
        add_exchange(world.lists(), world.pins, name, kind, _settings(settings), test=test)
    out.print(f"{name} is followed; read it now with: consentry exchange sync {name}")


@app.command()
def credentials(name: str, settings: _From) -> None:
    """Give a list other settings."""
    from pipeline.journeys.sync_exchange import new_credentials_for
    from services.wiring import open_world

    with open_world(Settings()) as world:
        new_credentials_for(world.lists(), name, _settings(settings))
    out.print(f"{name} has new settings")


@app.command()
def sync(
    name: Annotated[str | None, typer.Argument(help="One list; without it, all.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a list.")] = False,
) -> None:
    """Read lists from where the last sync ended. Exits with 1 when one could not be read."""
    from dataclasses import asdict

    from pipeline.journeys.sync_exchange import Synced
    from pipeline.journeys.sync_exchange import sync as follow
    from services.wiring import open_world

    done = []
    with open_world(Settings()) as world:
        with world.store.transaction() as unit:
            names = [name] if name else [one.name for one in unit.exchanges.all()]
        columns = (SpinnerColumn(), TextColumn("{task.description}"))
        with Progress(*columns, console=err, transient=True, disable=as_json) as bar:
            for one in names:
                task = bar.add_task(one)

                def said(so_far: Synced, task: Any = task, one: str = one) -> None:
                    count = so_far.added + so_far.withdrawn + so_far.unchanged
                    bar.update(task, description=f"{one}: {count:,} records")

                done.append(follow(world.lists(), one, said))
    if as_json:
        for synced in done:
            out.print_json(json.dumps(asdict(synced)))
    else:
        table = Table("list", "added", "withdrawn", "unchanged", "not usable", "told", "problem")
        for synced in done:
            table.add_row(
                synced.name,
                *(f"{count:,}" for count in (synced.added, synced.withdrawn, synced.unchanged)),
                f"{synced.unreadable:,}",
                f"{synced.told:,}",
                synced.problem or "-",
            )
        out.print(table)
    if any(synced.problem for synced in done):
        raise typer.Exit(1)


@app.command()
def status(
    name: Annotated[str | None, typer.Argument(help="One list, with what was not usable.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a list.")] = False,
) -> None:
    """Which lists are followed, how far, and what could not be used."""
    from pipeline.journeys.sync_exchange import exchange_named
    from services.wiring import open_world

    with open_world(Settings()) as world:
        with world.store.transaction() as unit:
            there = unit.exchanges.all()
        troubles = []
        if name:
            there = [exchange_named(world.store, name)]
            with world.store.transaction() as unit:
                troubles = unit.exchanges.troubles(there[0].id)
    rows = [
        {
            "list": one.name,
            "kind": one.kind,
            "records": one.records,
            "not_usable": one.troubles,
            "finished_at": one.listing.finished_at.isoformat() if one.listing.finished_at else None,
            "problem": one.listing.problem,
        }
        for one in there
    ]
    if as_json:
        for row in rows:
            trouble = [{"where": where, "why": why} for where, why in troubles]
            out.print_json(json.dumps({**row, **({"troubles": trouble} if name else {})}))
        return
    table = Table("list", "kind", "records", "not usable", "finished", "problem")
    for row in rows:
        table.add_row(*("-" if value is None else str(value) for value in row.values()))
    out.print(table)
    for where, why in troubles:
        out.print(f"{where}: {why}")


@app.command()
def remove(name: str) -> None:
    """Let go of a list and all that is held of it, with a receipt."""
    from pipeline.journeys.sync_exchange import give_up_exchange
    from services.wiring import open_world

    with open_world(Settings()) as world:
        receipt = give_up_exchange(world.lists(), name)
    out.print(f"nothing of {name} matches any more; see: consentry receipt {receipt}")
