"""``consentry policy``: the operator's policy and each platform's terms, with their history."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from pipeline.errors import Invalid
from services.settings import Settings

app = typer.Typer(no_args_is_help=True, help="What judges uploads, as documents with versions.")
out = Console(width=None if sys.stdout.isatty() else 240)

Platform = Annotated[
    str | None,
    typer.Option(help="A platform's terms; without it, the operator's own policy."),
]
File = Annotated[Path, typer.Argument(help="A JSON file; - for standard input.")]


@contextmanager
def _world() -> Iterator[Any]:
    from services.logs import configure
    from services.wiring import open_world

    settings = Settings(log_level="warning")
    configure(settings)
    with open_world(settings) as world:
        yield world


def _read(file: Path) -> Any:
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
        return json.loads(text)
    except (OSError, ValueError) as error:
        raise Invalid(f"{file} cannot be read as JSON: {error}") from None


@app.command()
def show(
    platform: Platform = None,
    document: Annotated[
        bool, typer.Option("--document", help="The document alone, to be edited and set.")
    ] = False,
) -> None:
    """Show what is in force: version, thresholds with their rates, bounds."""
    from pipeline.journeys.policies import look_up
    from services.accounts import platform_named

    with _world() as world:
        world.policies.refresh()
        judging = world.policies.operators(world.policy)
        said = {key: value for key, value in judging.document().items() if key != "version"}
        said["version"], version = world.policy.version, 0
        if platform is not None:
            named = platform_named(world, platform)
            with world.store.transaction() as unit:
                found = look_up(unit, world.policy, named)
            judging, said, version = found.policy, found.terms.document(), found.version
        else:
            with world.store.transaction() as unit:
                newest = next(iter(unit.policies.history(None, None, 1)), None)
            if newest is not None:
                version, said = newest.version, newest.document
    if document:
        sys.stdout.write(json.dumps(said, indent=2) + "\n")
        return
    out.print(f"version {version}; screenings name it {judging.version}", highlight=False)
    table = Table("bank", "signal", "within", "second witness", "false positives")
    for one in judging.thresholds():
        rate = one["false_positive_rate"]
        table.add_row(
            one["bank"], one["signal"], f"{one['distance']:g}",
            "wanted" if one["second_witness"] else "-", "-" if rate is None else f"{rate:g}",
        )  # fmt: skip
    out.print(table)
    terms = judging.terms
    out.print(
        f"blocks: {', '.join(terms.blocks)}; queue: {terms.queue or 'by the house rules'};"
        f" deadline: {f'{terms.deadline_hours:g} h' if terms.deadline_hours else 'none'};"
        f" unknown rating: {'look' if judging.faces.look_when_unknown else 'leave faces alone'}",
        highlight=False,
    )


@app.command("set")
def set_policy(
    file: File,
    platform: Platform = None,
    version: Annotated[
        int | None,
        typer.Option(help="The version you have seen; another one in force refuses yours."),
    ] = None,
) -> None:
    """Put a document in force, everywhere within a second."""
    from pipeline.journeys.policies import set_operators, set_terms
    from services.accounts import platform_named
    from services.wiring import now

    said = _read(file)
    with _world() as world:
        named = platform_named(world, platform) if platform is not None else None
        if version is None:
            with world.store.transaction() as unit:
                newest = next(iter(unit.policies.history(named, None, 1)), None)
            version = newest.version if newest else 0
        if named is None:
            policy = set_operators(world.store, now, world.policy, said, version, "operator:cli")
        else:
            policy = set_terms(
                world.store, now, world.policy, named, said, version, "operator:cli"
            ).policy
    out.print(f"{policy.version} is in force", highlight=False)


@app.command()
def history(
    platform: Platform = None,
    limit: Annotated[int, typer.Option(help="How many versions.")] = 20,
) -> None:
    """List versions as one JSON object a line, the newest first."""
    from services.accounts import platform_named

    with _world() as world:
        named = platform_named(world, platform) if platform is not None else None
        with world.store.transaction() as unit:
            found = unit.policies.history(named, None, limit)
    for one in found:
        line = {
            "version": one.version,
            "made_at": one.made_at.isoformat(),
            "by": one.actor,
            "document": one.document,
        }
        sys.stdout.write(json.dumps(line) + "\n")


@app.command("try")
def attempt(
    file: File,
    platform: Annotated[str, typer.Option(help="The platform whose uploads are judged again.")],
    last: Annotated[int, typer.Option(min=1, help="On how many of its uploads.")] = 1000,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Judge a platform's newest uploads by other terms; nothing comes into force."""
    from pipeline.journeys.policies import try_terms
    from services.accounts import platform_named

    said = _read(file)
    with _world() as world:
        named = platform_named(world, platform)
        tried = try_terms(world.store, world.policy, named, said, last)
    if as_json:
        sys.stdout.write(json.dumps(asdict(tried), default=str) + "\n")
        return
    out.print(
        f"of {tried.tried} uploads {tried.more} more would have gone to review, as"
        f" {tried.more_cases} more cases; {tried.fewer} fewer, and {tried.doubtful} fewer unless a"
        " second witness had been found",
        highlight=False,
    )
    if tried.not_recorded:
        out.print(f"{tried.not_recorded} uploads are too old to say anything of", highlight=False)
    for bank, count in tried.tests.items():
        out.print(f"{bank}, which is only tried, would have brought up {count}", highlight=False)
    for signal, count in tried.beyond.items():
        out.print(
            f"{signal}: {count} uploads were not looked at as far out as this asks; what lay there"
            " is unknown, so that there may be more",
            highlight=False,
        )
