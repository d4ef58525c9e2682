"""``consentry rescan``: earlier uploads of what was registered since."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from pipeline.errors import Invalid
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
    workers: Annotated[
        int, typer.Option(min=0, help="Processes on this host; 0 leaves it to other workers.")
    ] = cores(),
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
        moment = since_of(since, now()) if since else None
        unfinished = _unfinished(world)
        asked = journey.ask(
            world.store, now, world.reach, "operator", since=moment, everything=everything
        )
        sweeps = [*unfinished, *([asked.id] if asked else [])]
        if not sweeps:
            out.print("nothing was registered since the last rescan; --everything asks for all")
            return
        executor = placed(world, workers=workers)
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


def placed(world: World, *, workers: int) -> Executor | None:
    """Hands where they are wanted; None where others do the work."""
    from pipeline.ports import Crew
    from services.crew import LocalExecutor, environment_of

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


def add_to(app: typer.Typer, bench: typer.Typer) -> None:
    """Register the commands."""
    app.command()(rescan)
    bench.command("rescan")(bench_rescan)
