"""``consentry banks``: negative banks, what known false matches no longer raise."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Annotated, Any
from uuid import UUID

import typer
from rich.console import Console
from rich.table import Table

from services.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Negative banks: known false matches raise nothing.")
out = Console(width=None if sys.stdout.isatty() else 240)

Days = Annotated[int, typer.Option(min=1, max=3650, help="How long a code is kept.")]


@contextmanager
def _world() -> Iterator[Any]:
    from services.logs import configure
    from services.wiring import open_world

    settings = Settings(log_level="warning")
    configure(settings)
    with open_world(settings) as world:
        yield world


@app.command("list")
def list_banks(as_json: Annotated[bool, typer.Option("--json")] = False) -> None:
    """List banks with what they hold."""
    with _world() as world, world.store.transaction() as unit:
        rows = [_told(bank, pictures) for bank, pictures in unit.banks.all()]
    if as_json:
        for row in rows:
            sys.stdout.write(json.dumps(row) + "\n")
        return
    table = Table("bank", "pictures", "days", "owners", "notes")
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    out.print(table)


@app.command()
def add(
    name: str,
    days: Days = 365,
    owners: Annotated[str, typer.Option(help="Who answers for it.")] = "",
    notes: Annotated[str, typer.Option(help="What it is for.")] = "",
) -> None:
    """Make an empty negative bank."""
    from pipeline.journeys.banks import add_bank
    from services.wiring import now

    with _world() as world:
        add_bank(world.store, now, world.pins, name, timedelta(days=days), owners, notes)
    out.print(f"{name} is there; teach it with: consentry banks learn {name} CASE --by LOGIN")


@app.command("set")
def set_bank(
    name: str,
    days: Annotated[int | None, typer.Option(min=1, max=3650)] = None,
    owners: Annotated[str | None, typer.Option()] = None,
    notes: Annotated[str | None, typer.Option()] = None,
) -> None:
    """Say something else of a bank; what is left out stays."""
    from pipeline.journeys import banks

    keeps = None if days is None else timedelta(days=days)
    with _world() as world:
        banks.set_bank(world.store, name, keeps, owners, notes)
    out.print(f"{name} is changed")


@app.command()
def show(name: str) -> None:
    """Print one bank as JSON; codes never leave it."""
    from pipeline.journeys.banks import bank_named

    with _world() as world, world.store.transaction() as unit:
        said = _told(*bank_named(unit, name))
    sys.stdout.write(json.dumps(said) + "\n")


@app.command()
def learn(
    name: str,
    case: UUID,
    by: Annotated[str, typer.Option(help="The login of the lead who decided this.")],
) -> None:
    """Put the pictures of a case that was dismissed as a wrong match into a bank."""
    from pipeline.domain.ids import CaseId
    from pipeline.errors import NotFound
    from pipeline.journeys import banks

    with _world() as world:
        with world.store.transaction() as unit:
            found = unit.reviewers.by_login(by)
        if found is None:
            raise NotFound(f"nobody has the login {by!r}; see: consentry reviewers list")
        who = found[0]
        many = banks.learn(world.store, name, CaseId(case), who.id, who.role)
    out.print(f"{many} picture{'s' if many > 1 else ''} joined {name}")


@app.command()
def remove(name: str) -> None:
    """Let go of a bank and of all that it holds, with a receipt."""
    from pipeline.journeys.banks import give_up_bank
    from services.wiring import now

    with _world() as world:
        receipt = give_up_bank(world.store, now, name)
    out.print(f"{name} takes nothing back any more; see: consentry receipt {receipt}")


def _told(bank: Any, pictures: int) -> dict[str, Any]:
    return {
        "bank": bank.name, "pictures": pictures, "days": bank.keeps.days, "owners": bank.owners,
        "notes": bank.notes,
    }  # fmt: skip
