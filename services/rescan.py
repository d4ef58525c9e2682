"""``consentry rescan``: earlier uploads of what was registered since."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from pipeline.domain.media import Rating
from pipeline.errors import Invalid, Unavailable
from services.settings import Settings, cores

if TYPE_CHECKING:
    from pipeline.domain.ids import SweepId
    from pipeline.ports import Executor, SweepProgress
    from services.wiring import World

err = Console(stderr=True, width=None if sys.stderr.isatty() else 240)
out = Console(width=None if sys.stdout.isatty() else 240)

_AGE = re.compile(r"(\d+)([dhm])")
_UNIT = {"d": "days", "h": "hours", "m": "minutes"}
_LOOK = 0.5


def since_of(text: str, now: datetime) -> datetime:
    """A moment: a date such as 2026-08-01, or an age such as 30d, 12h or 90m."""
    age = _AGE.fullmatch(text)
    if age:
        return now - timedelta(**{_UNIT[age[2]]: int(age[1])})
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Invalid(f"{text!r} is neither a date (2026-08-01) nor an age (30d, 12h)") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def rescan(
    since: Annotated[
        str | None, typer.Option(help="Only uploads since a date, or as young as 30d or 12h.")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--everything", help="Ask for all that is registered, not the new.")
    ] = False,
    cluster: Annotated[
        bool, typer.Option("--cluster", help="Leave it to the cluster's hands, not this host's.")
    ] = False,
    workers: Annotated[
        int, typer.Option(min=0, help="Processes on this host; 0 leaves it to other workers.")
    ] = cores(),
    faces: Annotated[
        bool, typer.Option("--faces", help="Read the media again, which alone finds faces.")
    ] = False,
    source: Annotated[
        str | None,
        typer.Option(help="With --faces: a folder, s3://bucket/prefix, or a platform's list."),
    ] = None,
    platform: Annotated[
        str | None, typer.Option(help="With --faces: whose media they are, by name.")
    ] = None,
    rating: Annotated[
        Rating, typer.Option(help="With --faces: what the platform says of them.")
    ] = Rating.UNKNOWN,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object a line on standard output.")
    ] = False,
) -> None:
    """Search what earlier uploads left for what was registered since the last time.

    Ended half-way, it goes on where it was: run it again, or leave it to the workers.
    """
    from pipeline.journeys import rescan as journey
    from services.logs import configure
    from services.wiring import now, open_world

    settings = Settings().model_copy(update={"log_level": "warning"})
    configure(settings)
    with open_world(settings) as world:
        if faces or source:
            if not (faces and source and platform):
                raise Invalid("--faces, --source and --platform belong together")
            executor = placed(world, cluster=cluster, workers=workers)
            read_again(world, source, platform, rating, executor, as_json=as_json)
            return
        moment = since_of(since, now()) if since else None
        unfinished = _unfinished(world)
        asked = journey.ask(
            world.store, now, world.reach, "operator", since=moment, everything=everything
        )
        sweeps = [*unfinished, *([asked.id] if asked else [])]
        if not sweeps:
            _tell_last(world, as_json=as_json)
            return
        executor = placed(world, cluster=cluster, workers=workers)
        try:
            for sweep in sweeps:
                done = watch(world, sweep, executor)
                said = document(sweep, done)
                if as_json:
                    sys.stdout.write(json.dumps(said) + "\n")
                else:
                    _tell(said)
        finally:
            if executor is not None:
                executor.stop()


def placed(world: World, *, cluster: bool, workers: int) -> Executor | None:
    """Hands where they are wanted; None where others do the work."""
    from pipeline.ports import Crew
    from services.crew import LocalExecutor, environment_of

    if cluster:
        from services.cluster import RayExecutor, guard

        guard(world.cluster_token)
        RayExecutor().leave()  # raises where there is none; its hands claim by themselves
        return None
    if not workers:
        return None
    local = LocalExecutor(environment_of(world.settings, world.database.url))
    local.start(Crew(workers))
    return local


def watch(
    world: World,
    sweep: SweepId,
    executor: Executor | None,
    heard: Callable[[SweepProgress], None] = lambda _: None,
) -> SweepProgress:
    """Show how far a sweep has come until it is done; hands that die are replaced."""
    from pipeline.journeys.rescan import progress_of

    columns = (
        TextColumn("searching earlier uploads"), BarColumn(), MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"), TextColumn("{task.fields[found]} found"),
        TimeElapsedColumn(),
    )  # fmt: skip
    began, first = time.monotonic(), None
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task("", total=None, rate="", found=0)
        while True:
            done = progress_of(world.store, sweep)
            first = done if first is None else first
            seconds = max(1e-3, time.monotonic() - began)
            rate = (done.compared - first.compared) / seconds
            bar.update(
                task, total=done.rows, completed=done.rows_done, found=done.found,
                rate=f"{rate / 1e6:,.0f} M hashes compared/s",
            )  # fmt: skip
            heard(done)
            if not done.waiting:
                return done
            if executor is not None:
                executor.tend()
            time.sleep(_LOOK)


def read_again(
    world: World,
    where: str,
    platform: str,
    rating: Rating,
    executor: Executor | None,
    *,
    as_json: bool,
) -> None:
    """Read a source again, from where somebody ended before, and say how it went."""
    from pipeline.journeys import sift as journey
    from services.sources import source_at
    from services.wiring import now

    with world.store.transaction() as unit:
        whose = unit.platforms.by_name(platform)
        hosts = unit.platforms.hosts(whose) if whose else {}
    if whose is None:
        raise Invalid(f"there is no platform {platform!r}; see consentry platforms list")
    source = source_at(where, world.settings.max_bytes, hosts)
    if "://" not in where:
        where = str(Path(where).resolve())
    try:
        sift = journey.begin(world.store, now, whose, where, rating, "operator")
        with err.status("listing the source") as status:
            sift = journey.list_all(
                world.store, sift, source, lambda n: status.update(f"{n} references listed")
            )
        with Progress(BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=err) as bar:
            task = bar.add_task("", total=sift.listed)
            while (done := journey.progress_of(world.store, sift.id)).waiting:
                bar.update(task, completed=done.items_done)
                if executor is not None:
                    executor.tend()
                time.sleep(_LOOK)
    finally:
        if executor is not None:
            executor.stop()
    said = {
        "sift": str(sift.id), "items": done.items, "clear": done.clear, "refused": done.refused,
        "found": done.found, "given_up": done.dead, "cpu_seconds": round(done.seconds, 2),
    }  # fmt: skip
    if as_json:
        sys.stdout.write(json.dumps(said) + "\n")
        return
    out.print(
        f"{done.items} media read again: {done.found} are cases now, {done.clear} clear,"
        f" {done.refused} refused",
        highlight=False,
    )


def document(sweep: SweepId, done: SweepProgress) -> dict[str, Any]:
    """A finished sweep in figures."""
    return {
        "rescan": str(sweep),
        "pieces": done.chunks,
        "given_up": done.dead,
        "uploads": done.rows,
        "compared": int(done.compared),
        "found": done.found,
        "cpu_seconds": round(done.seconds, 3),
    }


def _unfinished(world: World) -> list[SweepId]:
    """Sweeps that somebody began; what was given up gets its attempts back."""
    from pipeline.journeys.rescan import progress_of

    with world.store.transaction() as unit:
        there = [one.id for one in unit.sweeps.open()]
        for sweep in there:
            unit.sweeps.revive(sweep)
    return [sweep for sweep in there if progress_of(world.store, sweep).waiting]


def _tell(said: dict[str, Any]) -> None:
    out.print(
        f"{said['found']} of {said['uploads']} earlier uploads were found and are cases now;"
        f" {said['compared']:,} hashes compared in {said['cpu_seconds']} s of one core",
        highlight=False,
    )
    if said["given_up"]:
        err.print(f"{said['given_up']} pieces were given up; run it again to try them anew")


def _tell_last(world: World, *, as_json: bool) -> None:
    """There is nothing new: what the last one found, which others may have ended meanwhile."""
    from pipeline.journeys.rescan import progress_of

    with world.store.transaction() as unit:
        last = unit.sweeps.latest()
    said = document(last.id, progress_of(world.store, last.id)) if last else None
    if as_json:
        sys.stdout.write(json.dumps(said) + "\n")
        return
    out.print("nothing was registered since the last rescan; --everything asks for all")
    if said:
        out.print("of the last one: ", end="")
        _tell(said)


cluster_app = typer.Typer(no_args_is_help=True, help="Hands on many hosts, placed by Ray.")


@cluster_app.command("up")
def cluster_up(
    join: Annotated[
        str | None, typer.Option(help="HOST:PORT of the first host; without it this is the first.")
    ] = None,
    listen: Annotated[
        str, typer.Option(help="This host's own address, in a network that only hosts reach.")
    ] = "127.0.0.1",
    cpus: Annotated[int | None, typer.Option(min=1, help="Cores to give; all by default.")] = None,
) -> None:
    """Make this host one of the cluster's: DATABASE_URL and the key in its environment suffice."""
    from services.cluster import (
        PORT,
        RayExecutor,
        guard,
        start_all,
        start_node,
        wait_for_hands,
    )
    from services.wiring import open_world

    settings = Settings()
    if settings.database_url is None:
        raise Invalid("a cluster's hosts share a database: set DATABASE_URL, and the key")
    with open_world(settings.model_copy(update={"log_level": "warning"})) as world:
        guard(world.cluster_token)  # so database and key are the right ones, too
    start_node(listen, join, cpus)
    executor = RayExecutor()
    start_all(executor)
    wait_for_hands(executor, 1)
    hands = executor.hands()
    hosts = [node for node in executor.nodes() if node["alive"]]
    out.print(
        f"{len(hosts)} {'host' if len(hosts) == 1 else 'hosts'},"
        f" {len(hands)} {'hand' if len(hands) == 1 else 'hands'}",
        highlight=False,
    )
    if join is None:
        first = executor.nodes()[0]["address"]
        out.print(f"another host: consentry cluster up --join {first}:{PORT} --listen ADDRESS")
    executor.leave()


@cluster_app.command("status")
def cluster_status(
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object on standard output.")
    ] = False,
) -> None:
    """The hosts, the hands and the work that waits."""
    from dataclasses import asdict

    from services.cluster import RayExecutor, guard
    from services.wiring import open_world

    with (
        open_world(Settings().model_copy(update={"log_level": "warning"})) as world,
        redirect_stdout(sys.stderr),  # where Ray says what it has to say
    ):
        guard(world.cluster_token)
        executor = RayExecutor()
        with world.store.transaction() as unit:
            depth = [asdict(one) for one in unit.jobs.depth() if one.kind in ("rescan", "sift")]
        said = {
            "hosts": executor.nodes(),
            "hands": [asdict(hand) for hand in executor.hands()],
            "work": depth,
        }
        executor.leave()
    if as_json:
        sys.stdout.write(json.dumps(said, default=str) + "\n")
        return
    for title, rows in said.items():
        table = Table(title=title)
        for column in rows[0] if rows else ():
            table.add_column(column)
        for row in rows:
            table.add_row(*("" if value is None else str(value) for value in row.values()))
        out.print(table if rows else f"{title}: none")


@cluster_app.command("down")
def cluster_down() -> None:
    """Take this host out; taking out the first one ends the cluster.

    Hands end the piece they are at. Those of a host that goes are placed on another that has room.
    """
    from services.cluster import RayExecutor, guard, stop_node
    from services.wiring import open_world

    with open_world(Settings().model_copy(update={"log_level": "warning"})) as world:
        guard(world.cluster_token)
    try:
        executor = RayExecutor()
    except Unavailable as error:
        stop_node()  # a first host that died leaves the others with a Ray that nobody asks
        raise Unavailable(
            "no cluster answered; whatever ran of Ray on this host was ended"
        ) from error
    address, first = executor.here()
    if first:
        executor.stop()
    else:
        executor.clear(address)
    executor.leave()
    stop_node()
    gone = "the cluster has ended" if first else f"{address} has left the cluster; the others go on"
    out.print(gone, highlight=False)


def bench_rescan(
    millions: Annotated[float, typer.Option("-n", help="Millions of earlier uploads.")] = 8.0,
    seed: Annotated[int, typer.Option(help="Seed of everything that is drawn.")] = 1,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object on standard output.")
    ] = False,
) -> None:
    """Earlier uploads compared with new entries: per second and core, beside memory's speed."""
    from services.bench import show
    from services.bench.rescan import measure

    report = measure(millions, seed=seed, progress=lambda what: err.print(what, style="dim"))
    show(report.document(), as_json=as_json)


def bench_cluster(
    pictures: Annotated[
        int | None, typer.Option("-n", help="Generated pictures; 2,000, or 20,000 with --check.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Instead: kill a host of three, and the driver.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object on standard output.")
    ] = False,
) -> None:
    """What a picture costs on Ray with 1, 2 and 4 hands, beside processes without it."""
    from services.bench import show
    from services.bench.cluster import measure

    with redirect_stdout(sys.stderr):  # where Ray says that a host has died
        report = measure(
            pictures or (20_000 if check else 2000), check=check,
            progress=lambda what: err.print(what, style="dim"),
        )  # fmt: skip
    show(report.document(), as_json=as_json)
    if check and not all(target.met for target in report.targets):
        raise SystemExit(1)


def add_to(app: typer.Typer, bench: typer.Typer) -> None:
    """Register the commands."""
    app.command()(rescan)
    app.add_typer(cluster_app, name="cluster")
    bench.command("rescan")(bench_rescan)
    bench.command("cluster")(bench_cluster)
