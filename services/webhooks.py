"""``consentry platforms webhook``: where platforms are told, as an operator sees to it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

import typer
from rich.console import Console
from rich.table import Table

from pipeline.domain.happening import CHOSEN
from pipeline.domain.ids import PlatformId, WebhookId
from pipeline.domain.webhook import Webhook
from pipeline.errors import Invalid, NotFound
from services.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Where a platform is told of decisions.")
out = Console(width=None if sys.stdout.isatty() else 240)

_OPERATOR = "operator:cli"

Which = Annotated[
    UUID | None, typer.Argument(help="The webhook's id; may be left out where there is one.")
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object a line on standard output.")]
Events = Annotated[
    list[str] | None,
    typer.Option("--event", help=f"May be repeated; all if absent. One of: {', '.join(CHOSEN)}."),
]


@app.command()
def add(
    name: str,
    url: str,
    event: Events = None,
    private: Annotated[
        bool, typer.Option(help="The address is in your own network; http:// says so by itself.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Add an address where a platform is told; prints its secret once."""
    from pipeline.journeys.webhooks import add as enter

    inside = private or url.startswith("http://")
    with _of(name) as (unit, platform):
        opened = enter(unit, platform, url, event or (), _OPERATOR, private=inside)
    _show_secret(opened.webhook, opened.secret, as_json=as_json)


@app.command(name="list")
def listed(name: str, as_json: Json = False) -> None:
    """Where a platform is told, of what, and the public keys of its signatures."""
    from pipeline.journeys.webhooks import public_keys
    from services.wiring import now

    with _of(name) as (unit, platform):
        _rows(
            [
                {
                    "webhook": str(one.id),
                    "url": one.url,
                    "events": " ".join(one.kinds) or "all",
                    "private": one.private,
                    "public_keys": " ".join(key.text for key in public_keys(unit, one, now())),
                }
                for one in unit.webhooks.of(platform)
            ],
            as_json=as_json,
        )


@app.command()
def rotate(
    name: str,
    webhook: Which = None,
    overlap_hours: Annotated[
        int, typer.Option(min=0, max=168, help="For how long the earlier secret signs, too.")
    ] = 24,
    as_json: Json = False,
) -> None:
    """A new secret and key; the earlier ones go on signing beside them for the overlap."""
    from pipeline.journeys.webhooks import rotate as renew
    from services.wiring import now

    with _of(name) as (unit, platform):
        which = _one(unit, platform, webhook)
        overlap = timedelta(hours=overlap_hours)
        opened = renew(unit, platform, which, now(), _OPERATOR, overlap)
    _show_secret(opened.webhook, opened.secret, as_json=as_json)


@app.command()
def remove(name: str, webhook: Which = None) -> None:
    """Nothing is sent there any more."""
    from pipeline.journeys.webhooks import end

    with _of(name) as (unit, platform):
        end(unit, platform, _one(unit, platform, webhook), _OPERATOR)
    out.print("removed; what waited is told to webhooks that are added later")


@app.command(name="test")
def try_now(name: str, webhook: Which = None, as_json: Json = False) -> None:
    """Send a test there now and say what came of it; exit status 1 when it did not arrive."""
    from pipeline.journeys.webhooks import try_out
    from services.accounts import named
    from services.wiring import now

    with _opened() as world:
        with world.store.transaction() as unit:
            platform = named(unit, name)
            which = _one(unit, platform, webhook)
        done = try_out(world.store, world.action(), now, platform, which)
    if as_json:
        _line({"event": done.event, "delivered": done.delivered, "status": done.status,
               "error": done.error, "milliseconds": round(done.milliseconds, 1)})  # fmt: skip
    elif done.delivered:
        out.print(f"it arrived: {done.status} after {done.milliseconds:.0f} ms", highlight=False)
    else:
        out.print(f"[red]it did not arrive[/]: {done.error}", highlight=False)
    raise typer.Exit(0 if done.delivered else 1)


@app.command()
def replay(
    name: str,
    webhook: Which = None,
    event: Annotated[str | None, typer.Option(help="One event, by its id.")] = None,
    since: Annotated[
        datetime | None, typer.Option(help="All events since then (UTC) that the webhook chose.")
    ] = None,
) -> None:
    """Tell a platform again; events keep their ids."""
    from pipeline.journeys.webhooks import replay as again

    at = since.replace(tzinfo=UTC) if since and since.tzinfo is None else since
    with _of(name) as (unit, platform):
        which = _one(unit, platform, webhook)
        queued = again(unit, platform, which, _OPERATOR, event=event, since=at)
    out.print(f"{queued} will be told again")


@app.command()
def log(name: str, webhook: Which = None, limit: int = 50, as_json: Json = False) -> None:
    """What was tried there, the latest first."""
    with _of(name) as (unit, platform):
        which = _one(unit, platform, webhook)
        _rows(
            [
                {
                    "at": one.at, "event": one.event, "kind": one.kind, "attempt": one.number,
                    "status": one.status, "ms": round(one.milliseconds, 1), "error": one.error,
                }
                for one in unit.webhooks.attempts(which, None, limit)
            ],
            as_json=as_json,
        )  # fmt: skip


@contextmanager
def _opened() -> Iterator[Any]:
    from services.logs import configure
    from services.wiring import open_world

    settings = Settings().model_copy(update={"log_level": "warning"})
    configure(settings)
    with open_world(settings) as world:
        yield world


@contextmanager
def _of(name: str) -> Iterator[tuple[Any, PlatformId]]:
    """One transaction, and a platform by its name."""
    from services.accounts import named

    with _opened() as world, world.store.transaction() as unit:
        yield unit, named(unit, name)


def _one(unit: Any, platform: PlatformId, webhook: UUID | None) -> WebhookId:
    """The webhook that is meant: the only one, where none is named."""
    if webhook is not None:
        return WebhookId(webhook)
    found: list[Webhook] = unit.webhooks.of(platform)
    if not found:
        raise NotFound("it has no webhook; add one with: consentry platforms webhook add")
    if len(found) > 1:
        raise Invalid("there are several; name one of: " + ", ".join(str(one.id) for one in found))
    return found[0].id


def _show_secret(webhook: Webhook, secret: str, *, as_json: bool) -> None:
    if as_json:
        _line({"webhook": str(webhook.id), "url": webhook.url, "webhook_secret": secret})
        return
    out.print(f"webhook         {webhook.id}", highlight=False)
    out.print(f"webhook secret  [bold]{secret}[/]", highlight=False)
    out.print("Keep it now: it is shown once.")


def _line(document: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(document, ensure_ascii=False, default=str) + "\n")


def _rows(rows: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        for row in rows:
            _line(row)
    elif not rows:
        out.print("none")
    else:
        table = Table(*rows[0])
        for row in rows:
            table.add_row(*("-" if value is None else str(value) for value in row.values()))
        out.print(table)
