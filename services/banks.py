"""``consentry banks``: partners' lists as banks, and negative banks of known false matches."""

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

app = typer.Typer(no_args_is_help=True, help="Partners' lists as banks, and negative banks.")
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
    """List banks with what they hold and what is said of them."""
    with _world() as world, world.store.transaction() as unit:
        rows = [_told(unit, bank) for bank in unit.banks.all()]
    if as_json:
        for row in rows:
            sys.stdout.write(json.dumps(row) + "\n")
        return
    shown = ("bank", "kind", "pictures", "days", "share", "test", "would_have", "owners", "notes")
    table = Table(*(name.replace("_", " ") for name in shown))
    for row in rows:
        table.add_row(*("-" if row[name] is None else str(row[name]) for name in shown))
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
    days: Annotated[
        int | None, typer.Option(min=0, max=3650, help="0: as long as a partner's list names it.")
    ] = None,
    owners: Annotated[str | None, typer.Option()] = None,
    notes: Annotated[str | None, typer.Option()] = None,
    test: Annotated[
        bool | None, typer.Option("--test/--in-force", help="Only try it, or let it count.")
    ] = None,
    share: Annotated[
        float | None, typer.Option(min=0, max=1, help="Which share of its entries counts.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Which ones: another seed, others.")
    ] = None,
    within: Annotated[
        list[str] | None,
        typer.Option(help="How near, such as pdq=20; several times. 'all' for the policy's own."),
    ] = None,
) -> None:
    """Say something else of a bank; what is left out stays."""
    from pipeline.journeys import banks

    keeps = None if days is None else timedelta(days=days)
    limits = None if within is None else _limits(within)
    changes = banks.Changes(keeps, owners, notes, test, share, seed, limits)
    with _world() as world:
        banks.set_bank(world.store, name, changes)
    out.print(f"{name} is changed")


@app.command()
def show(name: str) -> None:
    """Print one bank as JSON; codes never leave it."""
    from pipeline.journeys.banks import bank_named

    with _world() as world, world.store.transaction() as unit:
        said = _told(unit, bank_named(unit, name))
    sys.stdout.write(json.dumps(said) + "\n")


@app.command()
def trials(
    name: str,
    platform: Annotated[str | None, typer.Option(help="One platform's uploads alone.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 100,
) -> None:
    """List uploads that a tried bank would have had a person look at, the latest first."""
    from pipeline.journeys.banks import tried
    from services.accounts import platform_named

    with _world() as world:
        whose = platform_named(world, platform) if platform else None
        for screening, at in tried(world.store, name, whose, None, limit):
            line = {"screening": str(screening), "at": at.isoformat()}
            sys.stdout.write(json.dumps(line) + "\n")


@app.command("try")
def only_try(
    name: str,
    platform: Annotated[str, typer.Option(help="The platform that tries it.")],
    end: Annotated[bool, typer.Option("--end", help="It counts there from now on.")] = False,
) -> None:
    """Let one platform try a partner's list: its hits count for nothing there, and are counted."""
    from pipeline.journeys import banks
    from services.accounts import platform_named

    with _world() as world:
        whose = platform_named(world, platform)
        banks.only_try(world.store, name, whose, only=not end, actor="operator:cli")
    out.print(f"{name} {'counts for' if end else 'is only tried by'} {platform}")


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


def _told(unit: Any, bank: Any) -> dict[str, Any]:
    from pipeline.domain.bank import said_of

    pictures, uploads = unit.banks.count(bank.holder)
    return {**said_of(bank), "pictures": pictures, "would_have": uploads}


def _limits(said: list[str]) -> dict[str, float]:
    from pipeline.errors import Invalid

    if said == ["all"]:
        return {}
    try:
        return {name: float(value) for name, _, value in (one.partition("=") for one in said)}
    except ValueError:
        raise Invalid("--within is a signal and a distance, such as pdq=20") from None
