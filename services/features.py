"""``consentry features``: finer traces of registered pictures, added later or dropped alone."""

from __future__ import annotations

import getpass
import json
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from pipeline.domain.ids import PersonId
from services.settings import Settings

app = typer.Typer(
    no_args_is_help=True, help="Local features of registered pictures: a consent of their own."
)
out = Console(width=None if sys.stdout.isatty() else 240)
err = Console(stderr=True, width=None if sys.stderr.isatty() else 240)

_Case = Annotated[str, typer.Argument(help="The case number.")]
_Pin = Annotated[str | None, typer.Option(envvar="CONSENTRY_PIN", help="Asked for if absent.")]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def add(
    case: _Case,
    image: Annotated[
        list[Path], typer.Option("--image", help="A picture she has registered; may be repeated.")
    ],
    pin: _Pin = None,
    as_json: _Json = False,
) -> None:
    """She opts in later: bring her pictures again, and small parts of them are found, too.

    Nobody kept them; each is recognised by its own code. Somebody who had what is kept of them and
    her key could rebuild a likeness.
    """
    from pipeline.journeys.keep_features import keep_features
    from services.wiring import now, open_world

    with open_world(Settings()) as world:
        signal = next(one for one in world.signals if one.asks_parts)
        outcomes = keep_features(
            world.store,
            now,
            world.decode,
            signal,
            world.copies().models,
            _person(world, case, pin),
            [(str(path), path.read_bytes()) for path in image],
        )
    for one in outcomes:
        if as_json:
            told = {"path": one.name, "kept": bool(one.signals), "problem": one.problem}
            out.print_json(json.dumps(told))
        else:
            said = "small parts of it are found now" if one.signals else f"[yellow]{one.problem}[/]"
            out.print(f"{one.name}: {said}", highlight=False)
    raise SystemExit(0 if any(one.signals for one in outcomes) else 1)


@app.command()
def drop(
    case: _Case,
    pin: _Pin = None,
    wait: Annotated[float, typer.Option(help="Seconds to wait for all processes.")] = 15.0,
    as_json: _Json = False,
) -> None:
    """End that consent alone: features are destroyed everywhere, hashes stay. Prints a receipt."""
    from pipeline.journeys.keep_features import drop_features, still_holding
    from services.wiring import now, open_world

    with open_world(Settings()) as world:
        dropped = drop_features(world.store, world.blobs, now, _person(world, case, pin))
        until = time.monotonic() + wait
        while (holding := still_holding(world.store, dropped)) and time.monotonic() < until:
            time.sleep(0.1)
        receipt = {
            **dropped.document(),
            "signature": dropped.signature,
            "public_key": world.secrets.public_key(),
        }
    if as_json:
        out.print_json(json.dumps({**receipt, "processes_to_confirm": holding}))
        return
    out.print(
        f"features of {dropped.pictures} pictures are destroyed ({dropped.entries} entries);"
        " the pictures go on being looked for by their hashes",
        highlight=False,
    )
    if holding:
        out.print(f"[yellow]{holding} processes have not confirmed yet[/]; they let go within"
                  " a minute or answer nothing")  # fmt: skip
    else:
        out.print("no process holds them any more")
    out.print("receipt, to be kept:")
    out.print_json(json.dumps(receipt))


def _person(world: Any, case: str, pin: str | None) -> PersonId:
    from pipeline.journeys.sign_in import sign_in
    from services.wiring import now

    if pin is None:
        pin = getpass.getpass("PIN: ") if sys.stdin.isatty() else sys.stdin.readline()
    return sign_in(world.store, world.pins, now, case, pin)
