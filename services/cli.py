"""``consentry ...``: one thin command line over the journeys."""

from __future__ import annotations

import getpass
import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn
from uuid import UUID

import typer
from rich.console import Console
from rich.progress import Progress, TaskID
from rich.table import Table

from pipeline.domain.media import Rating
from pipeline.domain.roles import Role
from pipeline.errors import ConsentryError, Invalid, Refused
from services.backups import add_to as add_backups_to
from services.banks import app as banks_app
from services.calibrate import calibrate
from services.desk import add_to as add_desk_to
from services.exchanges import app as exchange_app
from services.faces import add_to as add_faces_to
from services.features import app as features_app
from services.packs import app as packs_app
from services.policies import app as policy_app
from services.report import app as report_app
from services.rescan import add_to as add_rescan_to
from services.settings import Settings
from services.webhooks import app as webhook_app

if TYPE_CHECKING:
    from pipeline.domain.vpdq import FrameHash
    from pipeline.journeys.screen_film import Step

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="A takedown pipeline against non-consensual intimate imagery.",
)
platforms_app = typer.Typer(no_args_is_help=True, help="Hosting platforms and their API keys.")
reviewers_app = typer.Typer(no_args_is_help=True, help="The people who decide.")
deliveries_app = typer.Typer(no_args_is_help=True, help="What platforms were told.")
audit_app = typer.Typer(no_args_is_help=True, help="The append-only trail.")
vault_app = typer.Typer(no_args_is_help=True, help="Keys.")
bench_app = typer.Typer(no_args_is_help=True, help="Measure, peers beside us in the same run.")
for name, sub in (
    ("platforms", platforms_app), ("reviewers", reviewers_app), ("deliveries", deliveries_app),
    ("audit", audit_app), ("vault", vault_app), ("bench", bench_app),
):  # fmt: skip
    app.add_typer(sub, name=name)
app.add_typer(packs_app, name="packs")
app.add_typer(exchange_app, name="exchange")
app.add_typer(features_app, name="features")
app.add_typer(report_app, name="report")
platforms_app.add_typer(webhook_app, name="webhook")
app.add_typer(policy_app, name="policy")
app.add_typer(banks_app, name="banks")
add_faces_to(app)
add_backups_to(app)
add_desk_to(app, reviewers_app, platforms_app)
add_rescan_to(app, bench_app)
packs_app.command("calibrate")(calibrate)

# Into a pipe or a file, lines are as long as they are; on a terminal they wrap.
out = Console(width=None if sys.stdout.isatty() else 240)
err = Console(stderr=True, width=None if sys.stderr.isatty() else 240)

Json = Annotated[bool, typer.Option("--json", help="One JSON object a line on standard output.")]


class Service(StrEnum):
    """What ``serve`` can serve."""

    API = "api"
    CONSOLE = "console"
    PORTAL = "portal"
    WORKER = "worker"


def main() -> None:
    """The console script: errors become a sentence and an exit status, never a traceback."""
    try:
        app()
    except ConsentryError as error:
        _fail(str(error))
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except BrokenPipeError:  # whoever read our output has seen enough
        sys.stderr.close()
        raise SystemExit(0) from None


def _fail(message: str, status: int = 1) -> NoReturn:
    err.print(f"[bold red]error:[/] {message}", highlight=False)
    raise SystemExit(status)


def _settings(**changes: Any) -> Settings:
    from pydantic import ValidationError

    from services.logs import configure

    try:
        settings = Settings()
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in error.errors()
        )
        _fail(f"a setting cannot be used ({wrong}); see Configuration in the README")
    settings = settings.model_copy(update=changes)
    configure(settings)
    return settings


@contextmanager
def _world(settings: Settings | None = None) -> Iterator[Any]:
    """The world of a command, opened with a spinner that tells what takes long."""
    from services.wiring import open_world

    with ExitStack() as stack:
        with err.status("opening the database") as status:
            world = stack.enter_context(
                open_world(settings or _settings(log_level="warning"), status.update)
            )
        yield world


def _line(document: Any) -> None:
    sys.stdout.write(json.dumps(document, ensure_ascii=False, default=str) + "\n")
    sys.stdout.flush()


# --- running -----------------------------------------------------------------------------------


@app.command()
def demo(
    once: Annotated[bool, typer.Option("--once", help="Exit after the table.")] = False,
) -> None:
    """Show the whole path on bundled pictures: found, reviewed, delivered, withdrawn."""
    from services.demo import run

    raise SystemExit(run(_settings(log_level="error"), once=once))


@app.command()
def up() -> None:
    """Run everything on this machine: database, API, console, portal and worker."""
    from services.up import running

    settings = _settings()
    with running(settings, lambda what: err.print(what, style="dim")) as services:
        services.wait_ready()
        out.print(f"API      {services.api}   (OpenAPI at {services.api}/openapi.json)")
        out.print(f"console  {services.console}")
        out.print(f"portal   {services.portal}")
        out.print("Ctrl-C ends everything.")
        _until_told().wait()


@app.command()
def serve(service: Service) -> None:
    """Run one service in the foreground."""
    from pipeline.storage.migrate import wait_for_schema
    from services.wiring import open_world

    settings = _settings()
    stop = _until_told() if service is Service.WORKER else None
    if settings.database_url is not None and settings.schema_patience:
        wait_for_schema(
            settings.database_url.get_secret_value(),
            settings.schema_patience,
            lambda: err.print("waiting for: consentry migrate", style="dim"),
        )
    with open_world(settings) as world:
        world.warm()
        if service is Service.API:
            from services.api import serve as serve_api

            serve_api(world, settings.host, settings.api_port)
        elif service is Service.CONSOLE:
            from services.console import serve as serve_console

            serve_console(world, settings.host, settings.console_port)
        elif service is Service.PORTAL:
            from services.portal import serve as serve_portal

            serve_portal(world, settings.host, settings.portal_port)
        else:
            from services.worker import run

            assert stop is not None
            run(world, stop)


@app.command()
def ready(service: Service) -> None:
    """Exit with 0 when a service on this machine is ready, with 1 otherwise (for health checks)."""
    import httpx

    settings = _settings(log_level="error")
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host  # noqa: S104
    where = {
        Service.API: f"{host}:{settings.api_port}/readyz",
        Service.CONSOLE: f"{host}:{settings.console_port}/healthz",
        Service.PORTAL: f"{host}:{settings.portal_port}/readyz",
        Service.WORKER: f"127.0.0.1:{settings.metrics_port}/metrics",
    }[service]
    if service is Service.WORKER and not settings.metrics_port:
        raise Invalid("a worker can be asked only where CONSENTRY_METRICS_PORT is set")
    try:
        well = httpx.get(f"http://{where}", timeout=3.0).is_success
    except httpx.HTTPError:
        well = False
    raise SystemExit(0 if well else 1)


@app.command()
def migrate() -> None:
    """Bring the database to this version's schema."""
    from pipeline.storage.migrate import migrate as bring_up
    from services.wiring import database_url

    with database_url(_settings(log_level="warning")) as url:
        applied = bring_up(url, lambda name: err.print(f"applying {name}", style="dim"))
    out.print(f"{len(applied)} applied" if applied else "the schema is as this version needs it")


@app.command()
def doctor(as_json: Json = False) -> None:
    """Check this machine and say what to fix."""
    from services.doctor import examine

    settings, sick = _settings(log_level="error"), 0
    for finding in examine(settings, lambda what: err.print(what, style="dim")):
        sick += not finding.well
        if as_json:
            _line(
                {
                    "name": finding.name,
                    "well": finding.well,
                    "said": finding.said,
                    "advice": None if finding.well else finding.advice,
                }
            )
        else:
            mark = "[green]well[/]" if finding.well else "[red]sick[/]"
            advice = "" if finding.well else f"  -> {finding.advice}"
            out.print(f"{mark}  {finding.name:<16} {finding.said}{advice}", highlight=False)
    raise SystemExit(1 if sick else 0)


# --- files -------------------------------------------------------------------------------------


@app.command(name="hash")
def hash_files(
    paths: Annotated[list[Path], typer.Argument(help="Files and folders.")],
    every: Annotated[
        float, typer.Option(min=0, help="Of videos: seconds between two frames; 0 for every one.")
    ] = 1.0,
    as_json: Json = False,
) -> None:
    """Print what the pipeline computes of files, on this machine only.

    A file that cannot be decoded is refused by name, which is an answer like any other. Of a video
    the lines are vPDQ's: frame,quality,hash,timestamp.
    """
    from services.files import hash_file, tools
    from services.films import frame_hashes, kind_of

    settings = _settings(log_level="warning")
    computing = tools(settings)
    table = Table("path", "pdq", "quality", "phash", "refused")
    for path in _files(paths):
        if kind_of(path) is not None:
            _hash_film(path, frame_hashes(computing.decoders, settings, path, every), as_json)
            continue
        found = hash_file(computing, path)
        if as_json:
            _line(found)
        else:
            table.add_row(
                *(
                    str(found[column] if found[column] is not None else "-")
                    for column in ("path", "pdq", "quality", "phash", "refused")
                )
            )
    if not as_json and table.row_count:
        out.print(table)


def _hash_film(path: Path, frames: Iterator[FrameHash], as_json: bool) -> None:
    """Each frame as soon as it is hashed; a film may be long."""
    try:
        for frame in frames:
            if as_json:
                _line({"path": str(path), "vpdq": frame.line(), "refused": None})
            else:
                out.print(frame.line(), highlight=False, soft_wrap=True)
    except Refused as refused:
        if as_json:
            _line(
                {
                    "path": str(path),
                    "vpdq": None,
                    "refused": refused.reason.value,
                    "message": refused.message,
                }
            )
        else:
            err.print(f"{path}: {refused.message}", highlight=False)


@app.command()
def screen(
    paths: Annotated[
        list[str],
        typer.Argument(help="Files and folders; with --remote also addresses of files."),
    ],
    rating: Annotated[Rating, typer.Option(help="What is known of the content.")] = Rating.UNKNOWN,
    platform: Annotated[str, typer.Option(help="Screen as this platform.")] = "local",
    remote: Annotated[
        str | None,
        typer.Option(help="Instead: a service's address; its key is taken from CONSENTRY_KEY."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Screen files against the index of this deployment, or of one elsewhere; hits become cases."""
    urls = [path for path in paths if path.startswith(("https://", "http://"))]
    named = [Path(path) for path in paths if path not in urls]
    if remote is not None:
        _screen_remotely(remote, list(_files(named)), urls, rating, as_json=as_json)
        return
    if urls:
        raise Invalid("addresses are fetched by a service: say which with --remote")
    from services.files import screen_files

    with _world() as world:
        table = _table_of_screened()
        said: list[str] = []
        with Progress(console=err, transient=True, disable=as_json) as bar:
            files = list(_files(named))
            task = bar.add_task("screening", total=len(files))
            films: dict[Path, TaskID] = {}

            def watching(path: Path, step: Step) -> None:
                if path not in films:
                    films[path] = bar.add_task(path.name, total=1.0)
                bar.update(films[path], completed=step.done)

            for found in screen_files(world, platform, files, rating, watching, bar.console.print):
                bar.advance(task)
                if as_json:
                    _line(found)
                    continue
                table.add_row(*_screened(found))
                said += _remarks(found)
        if not as_json:
            _show(table, said)


def _table_of_screened() -> Table:
    return Table("path", "verdict", "signal", "how near", "view", "case", "ms")


def _show(table: Table, said: list[str]) -> None:
    out.print(table)
    for line in said:
        out.print(line, highlight=False)


def _remarks(found: dict[str, Any]) -> list[str]:
    """What a table has no room for: how alike a face is, in words, and what was not looked at."""
    witness = found["matches"][0].get("witness") if found["matches"] else None
    return [f"{found['path']}: {said}" for said in (witness, *found.get("notes", ())) if said]


def _screened(found: dict[str, Any]) -> tuple[str, ...]:
    """A row of what was screened."""
    best = found["matches"][0] if found["matches"] else {}
    return (
        found["path"], found["verdict"], best.get("signal", "-"),
        _how_near(best) if best else "-",
        best.get("view", found["refused"] or "-"), found["case"] or "-",
        f"{found['milliseconds']:.1f}",
    )  # fmt: skip


def _how_near(match: dict[str, Any]) -> str:
    """Bits that differ, no more than so many; or a cosine, no less."""
    if match["distance"] > match["threshold"]:
        return f"{match['distance']:.3f}, from {match['threshold']:g} on"
    return f"{match['distance']:g} of {match['threshold']:g}"


def _screen_remotely(
    address: str, files: list[Path], urls: list[str], rating: Rating, *, as_json: bool
) -> None:
    from services.remote import KEY, screen_addresses, screen_remotely

    table = _table_of_screened()
    said: list[str] = []
    with Progress(console=err, transient=True, disable=as_json) as bar:
        whole = bar.add_task("screening", total=len(files) + len(urls))
        bars: dict[Path, TaskID] = {}

        def moved(path: Path, what: str, done: float, total: float) -> None:
            if path not in bars:
                bars[path] = bar.add_task(path.name)
            bar.update(bars[path], description=f"{what} {path.name}", completed=done, total=total)

        for found in screen_remotely(
            address, os.environ.get(KEY), files, rating,
            lambda path, size: moved(path, "sending", size, path.stat().st_size),
            lambda path, share: moved(path, "looking at", share, 1.0),
        ):  # fmt: skip
            bar.advance(whole)
            if (done := bars.pop(Path(found["path"]), None)) is not None:
                bar.remove_task(done)
            if as_json:
                _line(found)
            else:
                table.add_row(*_screened(found))
                said += _remarks(found)
        for found in screen_addresses(
            address, os.environ.get(KEY), urls, rating,
            lambda done: bar.update(whole, completed=len(files) + done),
        ):  # fmt: skip
            if as_json:
                _line(found)
            else:
                table.add_row(*_screened(found))
                said += _remarks(found)
    if not as_json:
        _show(table, said)


def _files(paths: list[Path]) -> Iterator[Path]:
    """Files, and the files of folders in order of name; a path that is not there is an error."""
    for path in paths:
        if path.is_dir():
            yield from sorted(file for file in path.rglob("*") if file.is_file())
        elif path.exists():
            yield path
        else:
            raise Invalid(f"there is no {path}")


# --- people ------------------------------------------------------------------------------------


@app.command()
def register(
    image: Annotated[
        list[Path] | None, typer.Option("--image", help="An image; may be repeated.")
    ] = None,
    video: Annotated[
        list[Path] | None, typer.Option("--video", help="A video; may be repeated.")
    ] = None,
    vpdq: Annotated[
        list[Path] | None,
        typer.Option("--vpdq", help="A video as its hashes, in vPDQ's text format."),
    ] = None,
    more: Annotated[list[Path] | None, typer.Argument(help="More images.")] = None,
    features: Annotated[
        bool,
        typer.Option("--features", help="She opted in to local features: a consent of its own."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Register a person's images and videos (for helplines). They never leave this machine.

    With --features corners and textures are kept too, sealed under her key: small parts of a
    picture are found then, and somebody who has her key could rebuild a likeness of the picture.
    """
    from pipeline.journeys.register import register as join
    from pipeline.journeys.register import shown_case_number
    from services.films import read_vpdq
    from services.wiring import now

    with (
        _world() as world,
        ExitStack() as opened,
        Progress(console=err, transient=True, disable=as_json) as bar,
    ):
        bars = {str(path): bar.add_task(path.name, total=1.0) for path in video or ()}
        films = [(str(path), opened.enter_context(path.open("rb"))) for path in video or ()]
        hashes = [
            (str(path), read_vpdq(path, world.filmer.signal.minimum_quality)) for path in vpdq or ()
        ]
        bodies = (
            (str(path), path.read_bytes()) for path in _files([*(image or []), *(more or [])])
        )
        done = join(
            world.store, world.pins, now, world.decode, world.signals, bodies,
            generic=world.generic, consent_text=world.settings.consent_text, features=features,
            copies=world.copies().models if features else (),
            videos=[*films, *hashes], filmer=world.filmer,
            progress=lambda name, share: bar.update(bars[name], completed=share),
        )  # fmt: skip
    if as_json:
        _line(
            {
                "case": shown_case_number(done.case_number),
                "pin": done.pin,
                "recovery": shown_case_number(done.recovery),
                "images": [
                    {"path": one.name, "signals": list(one.signals), "problem": one.problem}
                    for one in done.outcomes
                ],
            }
        )
        return
    for one in done.outcomes:
        said = (
            f"protected by {', '.join(one.signals)}" if one.signals else f"[yellow]{one.problem}[/]"
        )
        out.print(f"{one.name}: {said}", highlight=False)
    out.print(f"\ncase number  [bold]{shown_case_number(done.case_number)}[/]", highlight=False)
    out.print(f"PIN          [bold]{done.pin}[/]", highlight=False)
    out.print(f"recovery     [bold]{shown_case_number(done.recovery)}[/]", highlight=False)
    out.print("Write all three down now: they are shown once. The recovery code makes a new PIN;")
    out.print("whoever has lost both PIN and recovery code cannot get back in.")


@app.command()
def withdraw(
    case: Annotated[str, typer.Argument(help="The case number.")],
    pin: Annotated[
        str | None, typer.Option(envvar="CONSENTRY_PIN", help="Asked for if absent.")
    ] = None,
    wait: Annotated[float, typer.Option(help="Seconds to wait for all processes.")] = 15.0,
    as_json: Json = False,
) -> None:
    """Withdraw everything of a person: matches stop at once; a receipt is printed."""
    from datetime import timedelta

    from pipeline.journeys.withdraw import ask, finish
    from services.wiring import alive, now

    if pin is None:
        pin = getpass.getpass("PIN: ") if sys.stdin.isatty() else sys.stdin.readline()
    with _world() as world:
        receipt_id = ask(world.store, world.pins, now, case, pin)
        err.print(f"receipt {receipt_id}: matches have stopped", highlight=False)
        receipt = finish(
            world.store, world.blobs, now, alive, receipt_id, patience=timedelta(seconds=wait)
        )
        _show_receipt(world, receipt, as_json=as_json)


@app.command()
def receipt(number: UUID, as_json: Json = False) -> None:
    """Show how far a withdrawal has come."""
    from pipeline.domain.ids import ReceiptId
    from pipeline.errors import NotFound

    with _world() as world:
        with world.store.transaction() as unit:
            found = unit.withdrawals.get(ReceiptId(number))
        if found is None:
            raise NotFound("there is no such receipt")
        _show_receipt(world, found[0], as_json=as_json)


def _show_receipt(world: Any, receipt: Any, *, as_json: bool) -> None:
    document = {
        **receipt.document(),
        "signature": receipt.signature,
        "public_key": world.secrets.public_key(),
    }
    if as_json:
        _line(document)
        return
    out.print(f"[bold]receipt {document['receipt']}[/]", highlight=False)
    for step in document["steps"]:
        out.print(f"  {step['at']}  {step['step'].replace('_', ' ')}", highlight=False)
    for process in document["processes"]:
        said = process["confirmed"] or "[yellow]not confirmed yet[/]"
        out.print(f"  process {process['process']} ({process['role']}): {said}", highlight=False)
    out.print(
        f"  {document['entries_destroyed']} entries destroyed, {document['cases_closed']} open"
        f" cases closed, {document['media_destroyed']} media destroyed"
    )
    if receipt.complete:
        out.print(f"  complete; signature {receipt.signature}", highlight=False)
    else:
        out.print(
            "  [yellow]not complete yet[/]: the worker goes on with it; see it again with"
            f" consentry receipt {receipt.id}",
            highlight=False,
        )


# --- operators ---------------------------------------------------------------------------------


@platforms_app.command("add")
def platforms_add(
    name: str,
    webhook: Annotated[str | None, typer.Option(help="Where decisions are sent.")] = None,
    per_minute: Annotated[int | None, typer.Option(help="Requests a minute.")] = None,
    as_json: Json = False,
) -> None:
    """Add a hosting platform; prints its API key and webhook secret once."""
    from services.accounts import add_platform

    with _world() as world:
        done = add_platform(world, name, webhook, per_minute or world.settings.rate_per_minute)
    if as_json:
        _line(
            {
                "platform": str(done.platform),
                "api_key": done.api_key,
                "webhook_secret": done.webhook_secret,
            }
        )
        return
    out.print(f"platform        {done.platform}", highlight=False)
    out.print(f"API key         [bold]{done.api_key}[/]", highlight=False)
    if done.webhook_secret:
        out.print(f"webhook secret  [bold]{done.webhook_secret}[/]", highlight=False)
    out.print("Keep them now: they are shown once.")


@platforms_app.command("key")
def platforms_key(
    name: str,
    revoke: Annotated[bool, typer.Option(help="End all earlier keys.")] = False,
) -> None:
    """Make a new API key for a platform; printed once."""
    from services.accounts import new_platform_key

    with _world() as world:
        key = new_platform_key(world, name, revoke=revoke)
    out.print(f"API key  [bold]{key}[/]", highlight=False)


@platforms_app.command("hosts")
def platforms_hosts(
    name: str,
    allow: Annotated[str | None, typer.Option(help="Uploads may be fetched from here.")] = None,
    private: Annotated[
        bool, typer.Option(help="With --allow: the host is in your own network, http too.")
    ] = False,
    forget: Annotated[str | None, typer.Option(help="No longer from here.")] = None,
    as_json: Json = False,
) -> None:
    """Hosts from which a platform's uploads may be fetched by address."""
    from services.accounts import allow_host, forget_host, platform_named

    with _world() as world:
        if allow:
            allow_host(world, name, allow, private=private)
        if forget:
            forget_host(world, name, forget)
        with world.store.transaction() as unit:
            hosts = unit.platforms.hosts(platform_named(world, name))
    _rows([{"host": host, "private": inside} for host, inside in hosts.items()], as_json=as_json)


@platforms_app.command("list")
def platforms_list(as_json: Json = False) -> None:
    """List platforms."""
    with _world() as world, world.store.transaction() as unit:
        _rows(unit.platforms.all(), as_json=as_json)


@reviewers_app.command("add")
def reviewers_add(
    login: str,
    senior: Annotated[bool, typer.Option(help="May decide escalated cases.")] = False,
    role: Annotated[
        Role | None, typer.Option(help="What they are at the desk; a reviewer if absent.")
    ] = None,
    password: Annotated[str | None, typer.Option(envvar="CONSENTRY_PASSWORD")] = None,
) -> None:
    """Add a reviewer; asks for a password."""
    from services.accounts import add_reviewer

    if password is None:
        password = getpass.getpass("password: ") if sys.stdin.isatty() else sys.stdin.readline()
    with _world() as world:
        named = role.value if role else None
        add_reviewer(world, login, password.rstrip("\n"), senior=senior, role=named)
    out.print(f"{login} can log in to the console")


@deliveries_app.command("list")
def deliveries_list(
    dead: Annotated[bool, typer.Option(help="Only dead letters.")] = False,
    limit: int = 50,
    as_json: Json = False,
) -> None:
    """List deliveries, newest first."""
    with _world() as world, world.store.transaction() as unit:
        _rows(unit.events.deliveries(dead=dead, limit=limit), as_json=as_json)


@deliveries_app.command("replay")
def deliveries_replay(
    jobs: Annotated[
        list[int] | None, typer.Argument(help="Job numbers; none means all dead.")
    ] = None,
) -> None:
    """Try dead letters again."""
    with _world() as world, world.store.transaction() as unit:
        numbers = jobs or [row["job"] for row in unit.events.deliveries(dead=True, limit=10_000)]
        replayed = [number for number in numbers if unit.jobs.replay(number)]
        if replayed:
            unit.audit.append("operator:cli", "delivery.replayed", "deliveries", {"jobs": replayed})
    out.print(f"{len(replayed)} of {len(numbers)} will be tried again")


@audit_app.command("verify")
def audit_verify() -> None:
    """Read the whole audit trail and say whether it holds."""
    with _world() as world:
        with world.store.transaction(snapshot=True) as unit:
            head, broken = unit.audit.head(), unit.audit.verify()
        if broken is not None:
            _fail(f"the audit trail is broken at {broken.chain} {broken.seq}: {broken.what}", 2)
        out.print(
            f"the audit trail holds: {head.seq} records, head {head.hash.hex()}", highlight=False
        )


@audit_app.command("head")
def audit_head() -> None:
    """Print a signed head of the audit trail, to be published elsewhere."""
    from pipeline.storage.audit import head_statement
    from services.wiring import now

    with _world() as world:
        with world.store.transaction() as unit:
            head = unit.audit.head()
        statement = head_statement(head, world.secrets.deployment, now())
        _line(
            {
                "statement": json.loads(statement),
                "signature": world.secrets.sign(statement),
                "public_key": world.secrets.public_key(),
            }
        )


@vault_app.command("new-key")
def vault_new_key() -> None:
    """Print a new key-encryption key as CONSENTRY_KEK takes it; the first in that list is used."""
    from pipeline.storage.keyring import new_key

    sys.stdout.write(new_key() + "\n")


@vault_app.command("rotate")
def vault_rotate() -> None:
    """Put all data keys under a new key-encryption key."""
    from pipeline.storage.vault import rotate

    with _world() as world:
        with err.status("rotating") as status:
            count = rotate(world.database, world.keyring, status.update)
        with world.store.transaction() as unit:
            unit.audit.append("operator:cli", "vault.rotated", "vault", {"keys": count})
    out.print(f"{count} data keys are under the new key")


@bench_app.command("index")
def bench_index(
    number: Annotated[
        list[int] | None, typer.Option("-n", help="How many codes; may be repeated.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of everything that is drawn.")] = 1,
    fuzz: Annotated[
        float, typer.Option(help="Instead: fuzz every code path for so many seconds.")
    ] = 0.0,
    faces: Annotated[
        int, typer.Option(help="Instead: so many face vectors beside FAISS's flat index.")
    ] = 0,
    as_json: Json = False,
) -> None:
    """Exact Hamming search beside FAISS, one thread; or a fuzz against the oracle."""
    from services.bench import from_document, show
    from services.bench.index import fuzz_all, measure

    if fuzz:
        for path, done in fuzz_all(fuzz, seed, _said).items():
            _line({"path": path, **done}) if as_json else out.print(path, done)
        return
    if faces:
        from services.bench.vectors import measure_vectors

        vectors = measure_vectors(faces, seed=seed, progress=_said)
        times = [{"search": name, "ms_a_vector": ms} for name, ms in vectors["ms"].items()]
        show(from_document("index", seed, {**vectors, "rows": times}), as_json=as_json)
        return
    document = measure(number or [100_000, 1_000_000], seed=seed, progress=_said)
    show(from_document("index", seed, document), as_json=as_json)


@bench_app.command("robustness")
def bench_robustness(
    images: Annotated[
        Path | None, typer.Option(help="A folder of your own pictures instead of the bundled.")
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Also write a report with plots.")] = None,
    markdown: Annotated[
        Path | None, typer.Option(help="Also write the figures as rows of a Markdown table.")
    ] = None,
    calibrate: Annotated[bool, typer.Option(help="Set thresholds on one half first.")] = False,
    policy: Annotated[
        Path | None, typer.Option(help="Write the thresholds as a file for CONSENTRY_POLICY_FILE.")
    ] = None,
    view_families: Annotated[int, typer.Option(min=0, max=10, help="The budget of views.")] = 8,
    strangers: Annotated[int, typer.Option(min=0, help="Unrelated uploads to screen.")] = 3000,
    quick: Annotated[bool, typer.Option(help="A few pictures and alterations.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of everything that is drawn.")] = 1,
    as_json: Json = False,
) -> None:
    """How well altered copies are found, beside what the field uses."""
    from services.bench import from_document, show
    from services.bench.robustness import measure

    document = measure(
        images, seed=seed, calibrate=calibrate, quick=quick, progress=_said, html=html,
        families=view_families, strangers=strangers,
    )  # fmt: skip
    if markdown is not None:
        from services.bench._readme import readme_rows

        markdown.write_text(readme_rows(document), encoding="utf-8")
    if policy is not None:
        policy.write_text(json.dumps(document["policy"], indent=1) + "\n", encoding="utf-8")
    show(from_document("robustness", seed, document), as_json=as_json)


@bench_app.command("lookalikes")
def bench_lookalikes(
    pairs: Annotated[int, typer.Option(min=1, help="How many pairs, of all kinds.")] = 50_000,
    seed: Annotated[int, typer.Option(help="Seed of everything that is drawn.")] = 1,
    as_json: Json = False,
) -> None:
    """Pairs that look alike and are not the same: none may reach a person on hashes alone."""
    from services.bench import from_document, show
    from services.bench.lookalikes import measure

    show(from_document("lookalikes", seed, measure(pairs, seed, _said)), as_json=as_json)


@bench_app.command("faces")
def bench_faces(
    pack: Annotated[str, typer.Option(help="An installed pack.")] = "dlib_mtcnn",
    pairs: Annotated[
        Path | None, typer.Option(help="Lines path_a,path_b,same under --root.")
    ] = None,
    root: Annotated[Path, typer.Option(help="A folder of pictures.")] = Path(),
    plot: Annotated[Path | None, typer.Option(help="Write the curve as SVG.")] = None,
    insightface: Annotated[
        Path | None, typer.Option(help="A folder of its models, timed beside.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Detection, error rates and times of a face pack."""
    from services.bench import from_document, show
    from services.bench.faces import measure
    from services.packs import home

    document = measure(pairs, root, pack, _said, home=home(), plot_to=plot, insightface=insightface)
    show(from_document("faces", 0, document), as_json=as_json)


@bench_app.command("video")
def bench_video(
    quick: Annotated[bool, typer.Option(help="Fewer and shorter films.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of everything that is drawn.")] = 1,
    vpdq_python: Annotated[
        Path | None,
        typer.Option(help="Interpreter of an environment that has vpdq; it needs a compiler."),
    ] = None,
    as_json: Json = False,
) -> None:
    """How well altered videos are found, where they are placed, and how fast; vpdq beside."""
    from services.bench import show
    from services.bench.video import measure

    report = measure(quick=quick, seed=seed, progress=_said, vpdq_python=vpdq_python)
    show(report.document(), as_json=as_json)


@bench_app.command("screen")
def bench_screen(
    people: Annotated[int, typer.Option(help="People who are registered.")] = 10_000,
    codes: Annotated[int, typer.Option(help="Codes that are theirs, all together.")] = 1_000_000,
    seconds: Annotated[float, typer.Option(help="How long each load runs.")] = 10.0,
    faces: Annotated[
        str, typer.Option(help="Installed face packs to look with, separated by commas.")
    ] = "",
    peer: Annotated[
        str | None, typer.Option(help="The address of an HMA to be measured beside.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Screening over HTTP with 1, 4 and 16 clients: rates, times, CPU by stage, under change."""
    from services.bench import from_document, show
    from services.bench.screen import measure
    from services.packs import home

    named = [name.strip() for name in faces.split(",") if name.strip()]
    document = measure(
        people=people, codes=codes, seconds=seconds, peer=peer, packs=home(), faces=named,
        progress=_said,
    )  # fmt: skip
    show(from_document("screen", 1, document), as_json=as_json)


@bench_app.command("console")
def bench_console(
    cases: Annotated[int, typer.Option(help="Undecided cases in the queue.")] = 100_000,
    as_json: Json = False,
) -> None:
    """The review desk with a full queue: the next case, the pages."""
    from services.bench import show
    from services.bench.console import measure

    show(measure(cases, progress=_said), as_json=as_json)


@bench_app.command("portal")
def bench_portal(
    rounds: Annotated[int, typer.Option(min=1, help="How often the photo is hashed.")] = 5,
    photo: Annotated[Path | None, typer.Option(help="A photo of your own, as JPEG.")] = None,
    as_json: Json = False,
) -> None:
    """A slow phone: a 12 megapixel photo in the browser, and what the start page weighs."""
    from services.bench import show
    from services.bench.portal import measure

    show(measure(rounds, photo=photo, progress=_said), as_json=as_json)


@bench_app.command("hostile")
def bench_hostile(
    number: Annotated[int, typer.Option("-n", help="How many broken files.")] = 10_000,
    seed: Annotated[int, typer.Option(help="Seed of everything that is drawn.")] = 1,
    as_json: Json = False,
) -> None:
    """Broken files through the whole path: each has an answer; and what the sandbox costs."""
    from services.bench import from_document, show
    from services.bench.hostile import measure

    show(from_document("hostile", seed, measure(number, seed, _said)), as_json=as_json)


def _said(what: str) -> None:
    """Progress of a bench, on standard error."""
    err.print(what, style="dim", highlight=False)


def _rows(rows: list[Any], *, as_json: bool) -> None:
    if as_json:
        for row in rows:
            _line(dict(row))
        return
    if not rows:
        out.print("none")
        return
    table = Table(*rows[0])
    for row in rows:
        table.add_row(*("-" if value is None else str(value) for value in row.values()))
    out.print(table)


def _until_told() -> threading.Event:
    """Set when this process is asked to end."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


if __name__ == "__main__":
    main()
