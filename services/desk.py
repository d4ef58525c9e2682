"""What operators do for the review desk: reviewers, house rules, languages, golden cases."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer
from rich.console import Console
from rich.table import Table

from pipeline.domain.case import Ground, State
from pipeline.domain.ids import CaseId
from pipeline.domain.roles import Role
from pipeline.errors import Invalid, NotFound
from services.settings import Settings

house_app = typer.Typer(no_args_is_help=True, help="How the review desk works, as one document.")
protected_app = typer.Typer(no_args_is_help=True, help="Reports of apparent minors.")
golden_app = typer.Typer(no_args_is_help=True, help="Cases whose answer is known.")
out = Console(width=None if sys.stdout.isatty() else 240)


def add_to(app: typer.Typer, reviewers: typer.Typer, platforms: typer.Typer) -> None:
    """Register the commands."""
    platforms.command()(language)
    app.add_typer(house_app, name="house")
    app.add_typer(protected_app, name="protected")
    app.add_typer(golden_app, name="golden")
    for command in (role, queues, exclude, end):
        reviewers.command()(command)
    reviewers.command("list")(list_people)
    reviewers.command("reset-factors")(reset_factors)


@contextmanager
def _world() -> Iterator[Any]:
    from services.logs import configure
    from services.wiring import open_world

    settings = Settings(log_level="warning")
    configure(settings)
    with open_world(settings) as world:
        yield world


def list_people() -> None:
    """List everybody with an account at the console."""
    table = Table("login", "pseudonym", "role", "queues", "second factors", "ended")
    with _world() as world, world.store.transaction() as unit:
        for row in unit.reviewers.all():
            queues_of = ", ".join(row["queues"]) if row["queues"] else "all"
            ended = row["disabled_at"]
            table.add_row(
                row["login"], row["pseudonym"], row["role"], queues_of, str(row["factors"]),
                f"{ended:%Y-%m-%d}" if isinstance(ended, datetime) else "-",
            )  # fmt: skip
    out.print(table)


def language(
    name: str,
    tag: Annotated[str | None, typer.Argument(help="Such as de or pt-BR; none if absent.")] = None,
) -> None:
    """Say in which language a platform's uploads are: queues can be by language."""
    from pipeline.journeys.set_language import set_language
    from services.accounts import platform_named

    with _world() as world:
        placed = set_language(world.store, platform_named(world, name), tag, "operator:cli")
    out.print(f"{name}: {tag or 'no language'}; {placed} waiting cases were placed anew")


def role(login: str, named: Annotated[Role, typer.Argument(metavar="ROLE")]) -> None:
    """Give somebody another role; they have to sign in again."""
    _change(login, "reviewer.role", lambda unit, who: unit.reviewers.set_role(who, named.value))
    out.print(f"{login} is {named.value} now")


def queues(
    login: str, names: Annotated[list[str] | None, typer.Argument(help="None means all.")] = None
) -> None:
    """Say at which queues somebody works."""
    _change(login, "reviewer.queues", lambda unit, who: unit.reviewers.set_queues(who, names))
    out.print(f"{login} works at {', '.join(names) if names else 'all queues'}")


def exclude(login: str, platform: str) -> None:
    """Never give somebody a case of a platform (a conflict of interest)."""

    def leave_out(unit: Any, who: Any) -> None:
        found = unit.platforms.by_name(platform)
        if found is None:
            raise NotFound(f"there is no platform {platform!r}; see: consentry platforms list")
        unit.reviewers.exclude_platform(who, found)

    _change(login, "reviewer.excluded", leave_out)
    out.print(f"{login} gets no cases of {platform}")


def end(login: str) -> None:
    """End an account: no more signing in, and all sessions end now."""
    from services.wiring import now

    _change(login, "reviewer.ended", lambda unit, who: unit.reviewers.disable(who, now()))
    out.print(f"{login} can no longer sign in")


def reset_factors(login: str) -> None:
    """Take all second factors off an account whose owner lost theirs."""
    _change(login, "reviewer.factors_reset", lambda unit, who: unit.reviewers.forget_factors(who))
    out.print(f"{login} adds a new second factor at the next sign-in")


def _change(login: str, action: str, change: Any) -> None:
    from services.accounts import reviewer_named

    with _world() as world, world.store.transaction() as unit:
        who = reviewer_named(unit, login)
        change(unit, who)
        unit.audit.append("operator:cli", action, f"reviewer:{who}", {})


@house_app.command()
def show() -> None:
    """Print the house rules."""
    with _world() as world, world.store.transaction() as unit:
        document = unit.house.rules().document()
    sys.stdout.write(json.dumps(document, indent=2) + "\n")


@house_app.command("set")
def set_rules(
    file: Annotated[Path, typer.Argument(help="A JSON file; - for standard input.")],
) -> None:
    """Set the house rules; what the file leaves out is as usual."""
    from pipeline.domain.house import parse
    from pipeline.journeys.set_house_rules import set_house_rules

    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
        document = json.loads(text)
    except (OSError, ValueError) as error:
        raise Invalid(f"{file} cannot be read as JSON: {error}") from None
    with _world() as world:
        placed = set_house_rules(world.store, parse(document), "operator:cli")
    out.print(f"the rules hold; {placed} waiting cases were placed anew")


@protected_app.command("list")
def protected_list() -> None:
    """List cases whose report is to be handed in."""
    with _world() as world, world.store.transaction() as unit:
        for case in unit.cases.reported():
            sys.stdout.write(f"{case}\n")


@protected_app.command()
def report(
    case: UUID,
    first_name: Annotated[str, typer.Option(help="of whoever hands it in")] = "",
    last_name: Annotated[str, typer.Option(help="of whoever hands it in")] = "",
    email: Annotated[str, typer.Option(help="where questions about it go")] = "",
) -> None:
    """Print a prepared CyberTipline report; hand it in with your organisation's credentials."""
    from pipeline.domain.cybertip import Reporter
    from pipeline.journeys.report_minor import prepare

    with _world() as world:
        reporter = Reporter(world.settings.organisation, first_name, last_name, email)
        sys.stdout.write(prepare(world.desk, CaseId(case), reporter, "operator:cli"))


@golden_app.command("add")
def golden_add(
    picture: Path,
    answer: Annotated[str, typer.Option(help="upheld:match, dismissed:not_intimate, ...")],
) -> None:
    """Add a picture whose right answer is known, to be mixed in among the cases."""
    from pipeline.journeys.golden import add
    from services.accounts import platform_named

    to, _, why = answer.partition(":")
    try:
        state, ground = State(to), Ground(why)
        body = picture.read_bytes()
    except ValueError:
        raise Invalid(
            "an answer is a decision and its ground, such as dismissed:consented"
        ) from None
    except OSError as error:
        raise Invalid(f"{picture} cannot be read: {error}") from None
    with _world() as world:
        media = world.decode(body)
        platform = platform_named(world, "local")
        case = add(world.desk, platform, body, media.mime, state, ground)
    out.print(f"specimen {case}", highlight=False)
